"""EigenGAN: an unconditional GAN whose layers each have a linear subspace of variations.

He et al., "EigenGAN: Layer-Wise Eigen-Learning for GANs" (ICCV 2021), in two forms: ``original``,
LynnHo/EigenGAN-Tensorflow, and ``port``, the PyTorch networks within InfoSCC-GAN with the training
of that program. Each difference between them is a setting whose default follows the form
(``baselines.eigengan_config``).

What may surprise in the original program is kept: its generator's hinge loss stops at logits of 1
(``adversarial``: ``hinge_v1``), its gradient penalty has no factor 1/2, an epoch has half as many
iterations as batches, and samples are drawn from normal distributions cut off at 1.5
(``truncation``), which training never is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.base import (
    Average,
    Batch,
    ConditionalGenerator,
    LatentAxis,
    Stage,
    TrainingData,
)
from baselines.collapse import same_samples
from baselines.diffaugment import OPERATIONS, drawn
from baselines.eigengan_config import COIN, EigenGANConfig
from baselines.eigengan_losses import (
    discriminator_losses,
    generator_loss,
    gradient_penalty,
    orthogonality,
)
from baselines.nets.eigengan import START, Generator, architecture
from baselines.randomness import Draws, mirrored

Terms = dict[str, Tensor]


class EigenGAN(ConditionalGenerator):
    """The generator with its average, and the discriminator; labels are ignored."""

    Config = EigenGANConfig
    conditioned = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Short trainings need high rates, and small images a weaker penalty on the gradient, which
        # is summed over their pixels. Samples that are not truncated are nearer to the images.
        "small": {
            "iterations": 940,
            "batch_size": 32,
            "noise_dim": 64,
            "dim_10": 0.25,
            "penalty_weight": 0.3,
            "learning_rate": 2e-3,
            "average_decay": 0.99,
            "truncation": None,
        },
        "smoke": {
            "iterations": 6,
            "batch_size": 8,
            "noise_dim": 16,
            "n_basis": 3,
            "dim_10": 0.125,
            "discriminator_features": 16,
        },
    }

    def __init__(self, config: EigenGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        self.generator, self.discriminator = config.make_networks(data)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.latent_dim = config.noise_dim + self.generator.levels * config.n_basis
        self._trained = False

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return self.generate(labels, self.sample_latents(len(labels), draws))

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        """Latents (N, E + B * K): the noise, then the coordinates in each layer's subspace."""
        limit, dim = self.config.truncation, self.latent_dim
        if limit is None:
            latents = draws.normal("latents", count, dim)
        else:
            below = torch.special.ndtr(torch.tensor(-limit))
            shares = draws.uniform("latents", count, dim)
            latents = torch.special.ndtri(below + (1 - 2 * below) * shares).clamp(-limit, limit)
        return latents.to(self.average.fc.weight.device)

    def generate(self, labels: Tensor, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) of the averaged generator for latents (N, D), whatever the labels."""
        return self.generated(self.average, latents)

    def axes(self) -> list[LatentAxis]:
        """The dimensions of all subspaces, by the importance that the generator gives them."""
        width, first = self.config.n_basis, self.config.noise_dim
        importances = self.average.importances().flatten().tolist()
        return [
            LatentAxis(*divmod(i, width), first + i, value) for i, value in enumerate(importances)
        ]

    def generated(self, generator: Generator, latents: Tensor) -> Tensor:
        """Images of one of the generators; see ``generate``."""
        noise, coordinates = latents.tensor_split([self.config.noise_dim], dim=1)
        images: Tensor = generator(noise, coordinates.unflatten(1, (generator.levels, -1)))
        return images

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """One adversarial stage; none once a reference's generator was loaded."""
        if not self._trained:
            yield AdversarialStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over weights of the original program or the port.

        Args:
            states: ``generator``, its moving average ``average`` or both, perhaps
                ``discriminator``, as ``bench.checkpoints.eigengan`` reads them. Those of the
                original have ``original/`` before their names: shapes do not tell how it pads.

        Raises:
            ValueError: There is no generator, or one of other settings; the message names them.
        """
        original = any(name.startswith("original/") for name in states)
        if states and original != (self.config.padding == "same"):
            form = "original" if original else "port"
            raise ValueError(
                f"the checkpoint is of the {form} form, whose layers pad otherwise: choose it by "
                f"--set form={form}"
            )
        networks = {name.removeprefix("original/"): state for name, state in states.items()}
        averaged = networks.get("average", networks.get("generator"))
        if averaged is None:
            raise ValueError("the checkpoint holds no generator of EigenGAN: give another one")
        self._compare(averaged)
        _load(self.average, averaged)
        _load(self.generator, networks.get("generator", averaged))
        if "discriminator" in networks:
            _load(self.discriminator, networks["discriminator"])
        self._trained = True

    def _compare(self, state: Mapping[str, Tensor]) -> None:
        own = architecture(self.average.state_dict())
        for setting, value in architecture(state).items():
            if own[setting] == value:
                continue
            remedy = f"{setting}={value}"
            if setting in ("size", "channels"):
                remedy = f"dataset.{remedy}"
            elif setting == "base_channels" and self.config.widths == "absolute":
                remedy = f"dim_10={value * self._size / 1024:g}"
            raise ValueError(
                f"the checkpoint's {setting} is {value}, this run's {own[setting]}: change it by "
                f"--set {remedy}"
            )

    @property
    def _size(self) -> int:
        return START << self.generator.levels


class AdversarialStage(Stage):
    """One update of the discriminator, now and then one by its penalty, one of the generator."""

    name = "adversarial"

    def __init__(self, method: EigenGAN, data: TrainingData) -> None:
        super().__init__()
        config = method.config
        self.method, self.config, self.data = method, config, data
        self.batch_size = config.batch_size
        self.steps = config.iterations or config.iterations_of(len(data.train))
        networks = {"generator": method.generator, "discriminator": method.discriminator}
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(),
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                fused=True,
            )
            for name, network in networks.items()
        }
        self.averages = [Average(method.generator, method.average, lambda step: config.decay)]

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        config = self.config
        penalized = config.gradient_penalty != "none" and config.penalty_weight > 0
        due = penalized and batch.step % config.penalty_interval == 0
        joint = config.penalty_schedule == "joint"
        report = self._update_discriminator(batch, batch.images, due and joint)
        if due and not joint:
            report |= self._update_by_penalty(batch, batch.images)
        return report | self._update_generator(batch, len(batch.images))

    def collapsed(self) -> str | None:
        return same_samples(self.method, self.data.train)

    def _update_discriminator(self, batch: Batch, images: Tensor, penalized: bool) -> Terms:
        config, discriminator = self.config, self.method.discriminator
        with torch.no_grad():
            fakes = self._generated(batch, "discriminator", len(images))
        images = images.detach().requires_grad_(penalized)
        views = self._seen(batch, "real", images), self._seen(batch, "fake", fakes)
        if penalized:  # a pass of their own for the images that the penalty is about
            real, fake = (discriminator(view) for view in views)
        else:
            real, fake = discriminator(torch.cat(views)).chunk(2)
        terms = dict(
            zip(("real", "fake"), discriminator_losses(config.adversarial, real, fake), strict=True)
        )
        loss = terms["real"] + terms["fake"]
        if penalized:
            terms["penalty"] = gradient_penalty(config.gradient_penalty, real, images)
            loss = loss + config.penalty_weight * config.penalty_interval * terms["penalty"]
        return self._minimize("discriminator", loss, terms)

    def _update_by_penalty(self, batch: Batch, images: Tensor) -> Terms:
        images = images.detach().requires_grad_(True)
        logits = self.method.discriminator(self._seen(batch, "penalty", images))
        penalty = gradient_penalty(self.config.gradient_penalty, logits, images)
        loss = self.config.penalty_weight * penalty
        return self._minimize("discriminator", loss, {"penalty": penalty})

    def _update_generator(self, batch: Batch, count: int) -> Terms:
        config = self.config
        discriminator = self.method.discriminator.requires_grad_(False)
        fakes = self._generated(batch, "generator", count)
        fake = discriminator(self._seen(batch, "generator", fakes))
        terms = {
            "generator": generator_loss(config.adversarial, fake),
            "orthogonality": orthogonality(config.orthogonality, self.method.generator.bases()),
        }
        loss = terms["generator"] + config.orthogonality_weight * terms["orthogonality"]
        report = self._minimize("generator", loss, terms)
        discriminator.requires_grad_(True)
        return report

    def _generated(self, batch: Batch, purpose: str, count: int) -> Tensor:
        latents = batch.draws.normal(f"latents/{purpose}", count, self.method.latent_dim)
        return self.method.generated(self.method.generator, latents)

    def _seen(self, batch: Batch, purpose: str, images: Tensor) -> Tensor:
        """What the discriminator sees of images."""
        if self.config.augmentation == "diffaugment":
            coins = batch.draws.uniform(f"coins/{purpose}", 1, len(OPERATIONS))[0].tolist()
            count, size = len(images), self.data.size
            return drawn(batch.draws, purpose, count, size, coins, COIN)(images)
        if self.config.augmentation == "flip" and purpose in ("real", "penalty"):
            return mirrored(images, batch.draws)
        return images

    def _minimize(self, name: str, loss: Tensor, terms: Terms) -> Terms:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {name: term.detach() for name, term in terms.items()}


def _load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the checkpoint is none of EigenGAN: {reason}") from error
