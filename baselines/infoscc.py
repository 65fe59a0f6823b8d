"""InfoSCC-GAN: a generator that follows labels in the eyes of a contrastively trained encoder.

Kinakh, Drozdova, Quétant, Golling and Voloshynovskiy, "Information-Theoretic Stochastic Contrastive
Conditional GAN: InfoSCC-GAN" (2021), as vkinakh/InfoSCC-GAN has it. Three stages: an encoder is
trained by contrast (``baselines.simclr``), then a linear classifier of attributes on top of it
(``baselines.linear_classifier``), then a generator with EigenGAN's subspaces. Its images must look
real to a discriminator and, every other iteration, have their labels in the eyes of the first two.

Where paper and code differ, the defaults are the code's: ``lsgan`` counts errors by their fourth
power (``lsgan_power``), and the generator's updates for classification and for realness share one
Adam state. What the discriminator sees is augmented with coins for whole batches
(``augmentation``), and its gradient penalty is an update of its own, which is not multiplied by its
interval.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Average, Batch, ConditionalGenerator, LatentAxis, Stage, TrainingData
from baselines.collapse import same_samples
from baselines.diffaugment import OPERATIONS, Augmentation, drawn
from baselines.eigengan_losses import mean_orthogonality
from baselines.infoscc_config import PRESETS, InfoSCCConfig, check_data
from baselines.infoscc_losses import (
    classification_loss,
    discriminator_loss,
    generator_loss,
    mean_r1,
)
from baselines.infoscc_reference import load_network
from baselines.linear_classifier import ClassifierStage, LinearClassifier
from baselines.nets.infoscc import ConditionedGenerator
from baselines.randomness import Draws
from baselines.simclr import ContrastiveStage

Terms = dict[str, Tensor]

_VIEWS = ("real", "fake", "penalty", "generator")  # of the discriminator in one iteration


class InfoSCCGAN(ConditionalGenerator):
    """The encoder, the classifier, the generator with its average, and the discriminator."""

    Config = InfoSCCConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def __init__(self, config: InfoSCCConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        check_data(config, data)
        self.config, self.classes = config, data.attributes.classes
        count = len(data.attributes.names)
        self.encoder = config.make_encoder(data.channels)
        self.classifier = LinearClassifier(self.encoder.feature_width, count)
        self.generator = config.make_generator(data)
        self.latent_dim = config.epsilon_dim + self.generator.importances().numel()
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.discriminator = config.make_discriminator(data)
        self._loaded: set[str] = set()

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return self.generate(labels, self.sample_latents(len(labels), draws))

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        """Standard normal latents (N, Z + B * K): the noise, then each subspace's coordinates."""
        latents = draws.normal("latents", count, self.latent_dim)
        return latents.to(self.average.fc.weight.device)

    def generate(self, labels: Tensor, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) of the averaged generator for labels (N, A), latents (N, D)."""
        return self.generated(self.average, labels, latents)

    def axes(self) -> list[LatentAxis]:
        """The dimensions of all subspaces, by the importance that the generator gives them."""
        width, first = self.config.n_basis, self.config.epsilon_dim
        importances = self.average.importances().flatten().tolist()
        return [
            LatentAxis(*divmod(i, width), first + i, value) for i, value in enumerate(importances)
        ]

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the encoder's features (N, F)."""
        return self.encoder.features(images)

    def classify(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> probabilities (N, A), which sum to 1 where labels are classes."""
        logits = self.logits(images)
        return logits.softmax(dim=1) if self.classes else logits.sigmoid()

    def logits(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, A) of the classifier on the encoder."""
        return self.classifier(self.encoder.features(images))

    def generated(self, generator: ConditionedGenerator, labels: Tensor, latents: Tensor) -> Tensor:
        """Images of one of the generators; see ``generate``."""
        noise, coordinates = latents.tensor_split([self.config.epsilon_dim], dim=1)
        return generator(labels, noise, coordinates.unflatten(1, (generator.levels, -1)))

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """Encoder, classifier, generator, less what a reference's checkpoint brought."""
        if "encoder" not in self._loaded:
            yield ContrastiveStage(self.encoder, self.config, data.train)
        if "classifier" not in self._loaded:
            yield ClassifierStage(self.encoder, self.classifier, self.config, data)
        if "generator" not in self._loaded:
            yield GeneratorStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over weights of the released program; a generator's discriminator is not needed.

        Args:
            states: ``encoder``, ``classifier``, ``generator`` and its moving average ``average``,
                or some of them, as ``bench.checkpoints.infoscc`` reads them.

        Raises:
            ValueError: One is of other settings; the message names them.
        """
        if "classifier" in states and "encoder" not in states:
            raise ValueError(
                "a classifier means nothing without the encoder that it was trained on: put both "
                "files in one folder and give the folder"
            )
        networks: dict[str, nn.Module] = {"encoder": self.encoder, "classifier": self.classifier}
        for name, network in networks.items():
            if name in states:
                load_network(name, network, states[name])
                self._loaded.add(name)
        averaged = states.get("average", states.get("generator"))
        if averaged is not None:
            load_network("generator", self.average, averaged)
            load_network("generator", self.generator, states.get("generator", averaged))
            self._loaded.add("generator")


@dataclass(frozen=True)
class Chances:
    """The random numbers of one iteration, by what they are for.

    Attributes:
        latents: (N, D) for images of the ``classification``, the ``discriminator`` and the
            ``generator`` update.
        labels: (N, A), those asked for in the ``discriminator`` and the ``generator`` update.
        views: How the discriminator sees ``real`` and ``fake`` images in its update, real ones in
            its ``penalty``, and fake ones in the ``generator`` update.
    """

    latents: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    views: Mapping[str, Augmentation] = field(
        default_factory=lambda: dict.fromkeys(_VIEWS, Augmentation())
    )


class GeneratorStage(Stage):
    """The third stage: one iteration is up to four updates, in the order of the released code."""

    name = "generator"

    def __init__(self, method: InfoSCCGAN, data: TrainingData) -> None:
        super().__init__()
        config = method.config
        self.method, self.config, self.data = method, config, data
        self.steps, self.batch_size = config.iterations, config.batch_size
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(),
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                fused=True,
            )
            for name, network in (
                ("generator", method.generator),
                ("discriminator", method.discriminator),
            )
        }
        self.averages = [
            Average(method.generator, method.average, lambda step: config.average_decay)
        ]

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        assert batch.attributes is not None
        return self.iterate(batch.step, batch.images, batch.attributes, self._chances(batch))

    def iterate(self, step: int, images: Tensor, labels: Tensor, chances: Chances) -> Terms:
        """One iteration of the released training loop.

        Args:
            step: Number of the iteration, from 0.
            images: (N, C, H, W), real.
            labels: (N, A), theirs.
            chances: What is random in it.
        """
        self.method.encoder.eval()
        report: Terms = {}
        if step % self.config.classification_interval == 0:
            report["classification"] = self._classification_update(labels, chances)
        report["discriminator"] = self._discriminator_update(images, labels, chances)
        if step % self.config.penalty_interval == 0:
            report["penalty"] = self._penalty_update(images, labels, chances)
        return report | self._generator_update(chances)

    def collapsed(self) -> str | None:
        return same_samples(self.method, self.data.train)

    def _classification_update(self, labels: Tensor, chances: Chances) -> Tensor:
        """Move the generator towards images that have their labels in the classifier's eyes."""
        method, weight = self.method, self.config.classification_weight
        judges = (method.encoder, method.classifier)
        for judge in judges:
            judge.requires_grad_(False)
        images = self._generated(labels, chances.latents["classification"])
        loss = classification_loss(method.logits(images), labels, method.classes)
        self._minimize(weight * loss, "generator")
        for judge in judges:
            judge.requires_grad_(True)
        return loss.detach()

    def _discriminator_update(self, images: Tensor, labels: Tensor, chances: Chances) -> Tensor:
        asked, views = chances.labels["discriminator"], chances.views
        with torch.no_grad():
            fakes = self._generated(asked, chances.latents["discriminator"])
        discriminator = self.method.discriminator
        real = discriminator(views["real"](images), labels)
        fake = discriminator(views["fake"](fakes), asked)
        loss = discriminator_loss(self.config.loss, real, fake, self.config.lsgan_power)
        self._minimize(loss, "discriminator")
        return loss.detach()

    def _penalty_update(self, images: Tensor, labels: Tensor, chances: Chances) -> Tensor:
        images = images.detach().requires_grad_(True)
        predictions = self.method.discriminator(chances.views["penalty"](images), labels)
        penalty = self.config.penalty_weight * mean_r1(predictions, images)
        self._minimize(penalty, "discriminator")
        return penalty.detach()

    def _generator_update(self, chances: Chances) -> Terms:
        config, asked = self.config, chances.labels["generator"]
        discriminator = self.method.discriminator.requires_grad_(False)
        fakes = self._generated(asked, chances.latents["generator"])
        fake = discriminator(chances.views["generator"](fakes), asked)
        loss = generator_loss(config.loss, fake, config.lsgan_power)
        bases = self.method.generator.bases()
        orthogonality = config.orthogonality_weight * mean_orthogonality(bases)
        self._minimize(loss + orthogonality, "generator")
        discriminator.requires_grad_(True)
        return {"generator": loss.detach(), "orthogonality": orthogonality.detach()}

    def _generated(self, labels: Tensor, latents: Tensor) -> Tensor:
        return self.method.generated(self.method.generator, labels, latents)

    def _minimize(self, loss: Tensor, name: str) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _chances(self, batch: Batch) -> Chances:
        assert batch.attributes is not None
        draws, labels = batch.draws, batch.attributes
        count, classes = labels.shape
        asked = dict.fromkeys(("discriminator", "generator"), labels)
        if self.method.classes:
            drawn_classes = {name: draws.integer(f"class/{name}", count, classes) for name in asked}
            asked = {name: F.one_hot(drawn_classes[name], classes).to(labels) for name in asked}
        latents = {
            name: draws.normal(f"latents/{name}", count, self.method.latent_dim)
            for name in ("classification", *asked)
        }
        coins = draws.uniform("coins", len(_VIEWS), len(OPERATIONS)).tolist()
        views = {
            name: drawn(draws, name, count, self.data.size, row, self.config.augmentation)
            for name, row in zip(_VIEWS, coins, strict=True)
        }
        return Chances(latents, asked, views)
