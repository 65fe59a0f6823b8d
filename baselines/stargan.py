"""StarGAN: one generator that gives an image the attributes it is told.

Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation" (CVPR 2018), as the official code has it (yunjey/stargan). Where the two differ, the
defaults are the code's: its learning rates end at 99.9 % of their start instead of zero
(``decay``), the generator never leaves training mode, so that edits use each image's own
statistics (``per_image_statistics``), and 200,000 iterations are counted in discriminator updates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from baselines.base import Attributes, Batch, Editor, MethodConfig, Stage, TrainingData
from baselines.collapse import same_picture
from baselines.nets.stargan import Discriminator, Generator, architecture, counted_as
from baselines.randomness import mirrored
from baselines.stargan_losses import (
    LabelType,
    Terms,
    discriminator_terms,
    generator_terms,
    reconstruction_loss,
)

# How to change what no option of the method changes.
_REMEDIES = {
    "attributes": "dataset.attributes=[...], with {} names in the checkpoint's order",
    "size": "dataset.size={}",
    "channels": "dataset.channels={}",
}


class StarGANConfig(MethodConfig):
    """Settings of StarGAN; the defaults are those of the official code for CelebA.

    Attributes:
        iterations: Updates of the discriminator.
        batch_size: Images of one iteration, over all processes.
        generator_width: Channels of the generator's first layer.
        residual_blocks: Of the generator.
        discriminator_width: Channels of the discriminator's first layer; each layer doubles them.
        discriminator_layers: Each of them halves the images.
        critic_steps: Iterations from one update of the generator to the next.
        classification_weight: Of the class loss, in both networks.
        reconstruction_weight: Of the cycle through the edited image and back.
        penalty_weight: Of the gradient penalty.
        generator_rate: Learning rate of Adam.
        discriminator_rate: Likewise.
        beta1: Of Adam, for both networks.
        beta2: Likewise.
        decay: ``released`` lowers the rates once in ``decay_interval`` iterations and by
            1/``decay_iterations`` only, ``published`` in each iteration, which ends at zero.
        decay_iterations: The last iterations (at most all), in which the rates fall.
        decay_interval: See ``decay``.
        label_type: ``multi-label`` sums a binary cross entropy over the attributes (CelebA),
            ``classes`` is a softmax (RaFD); None takes classes where the dataset has such.
        flip: Mirror each training image with probability 1/2.
        per_image_statistics: Edit with each image's own statistics, as released, or with the
            running ones of the training.
    """

    iterations: int = Field(200_000, ge=1)
    batch_size: int = Field(16, ge=1)
    generator_width: int = Field(64, ge=1)
    residual_blocks: int = Field(6, ge=0)
    discriminator_width: int = Field(64, ge=1)
    discriminator_layers: int = Field(6, ge=1)
    critic_steps: int = Field(5, ge=1)
    classification_weight: float = Field(1.0, ge=0)
    reconstruction_weight: float = Field(10.0, ge=0)
    penalty_weight: float = Field(10.0, ge=0)
    generator_rate: float = Field(1e-4, ge=0)
    discriminator_rate: float = Field(1e-4, ge=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    decay: Literal["released", "published"] = "released"
    decay_iterations: int = Field(100_000, ge=0)
    decay_interval: int = Field(1000, ge=1)
    label_type: LabelType | None = None
    flip: bool = True
    per_image_statistics: bool = True

    def rate_factor(self, iteration: int) -> float:
        """What the learning rates are multiplied by after ``iteration`` (1-based) iterations."""
        published = self.decay == "published"
        lasting = (
            min(self.decay_iterations, self.iterations) if published else self.decay_iterations
        )
        interval = 1 if published else self.decay_interval
        start = max(self.iterations - lasting, 0)
        lowered = max(iteration // interval - start // interval, 0)
        return 1 - lowered / lasting if lowered else 1.0

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of a network's loss terms."""
        weights = {
            "classification": self.classification_weight,
            "reconstruction": self.reconstruction_weight,
            "penalty": self.penalty_weight,
        }
        weighted = [weights.get(name.split("_")[-1], 1.0) * term for name, term in terms.items()]
        return torch.stack(weighted).sum()


class StarGAN(Editor):
    """The generator and its discriminator."""

    Config = StarGANConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Edits appear within hundreds of updates; what is short of time is the reconstruction, so
        # it weighs more and the generator learns in every iteration. Processors handle 16 channels
        # at a time: a narrower generator would be no faster.
        "small": {
            "iterations": 470,
            "generator_width": 16,
            "residual_blocks": 2,
            "discriminator_width": 16,
            "discriminator_layers": 4,
            "critic_steps": 1,
            "reconstruction_weight": 30.0,
            "generator_rate": 3e-3,
            "discriminator_rate": 3e-3,
            "decay": "published",
            "decay_iterations": 310,
        },
        "smoke": {
            "iterations": 6,
            "batch_size": 4,
            "generator_width": 4,
            "residual_blocks": 1,
            "discriminator_width": 4,
            "discriminator_layers": 3,
            "critic_steps": 3,
        },
    }

    def __init__(self, config: StarGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        _check_data(config, data)
        self.config = config
        self.label_type: LabelType = config.label_type or (
            "classes" if data.attributes.classes else "multi-label"
        )
        count = len(data.attributes.names)
        self.generator = Generator(
            count,
            config.generator_width,
            config.residual_blocks,
            data.channels,
            config.per_image_statistics,
        )
        self.discriminator = Discriminator(
            count,
            data.size,
            config.discriminator_width,
            config.discriminator_layers,
            data.channels,
        )
        self._trained = False

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        edited: Tensor = self.generator(images, target)
        return edited

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if not self._trained:
            yield AdversarialStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks ``G`` and ``D`` of the official code.

        Raises:
            ValueError: One is missing or of another architecture; the message names the setting.
        """
        missing = {"G", "D"} - states.keys()
        if missing:
            raise ValueError(
                f"the checkpoint lacks StarGAN's network {' and '.join(sorted(missing))}: give "
                "the folder that holds both its -G.ckpt and its -D.ckpt"
            )
        own = architecture(self.generator.state_dict(), self.discriminator.state_dict())
        theirs = architecture(states["G"], states["D"])
        for setting, value in theirs.items():
            if own[setting] != value:
                remedy = _REMEDIES.get(setting, f"{setting}={value}")
                raise ValueError(
                    f"the checkpoint's {setting.replace('_', ' ')} is {value}, this run's "
                    f"{own[setting]}: change it by --set {remedy.format(value)}"
                )
        for network, state in ((self.generator, states["G"]), (self.discriminator, states["D"])):
            try:
                network.load_state_dict(dict(state))
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise ValueError(f"the checkpoint is none of StarGAN: {reason}") from error
        self._trained = True


class AdversarialStage(Stage):
    """One discriminator update in each iteration, then now and then one of the generator."""

    name = "adversarial"

    def __init__(self, method: StarGAN, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.steps, self.batch_size = self.config.iterations, self.config.batch_size
        self._rates = {
            "generator": self.config.generator_rate,
            "discriminator": self.config.discriminator_rate,
        }
        self.optimizers = {
            name: torch.optim.Adam(
                getattr(method, name).parameters(),
                lr=rate,
                betas=(self.config.beta1, self.config.beta2),
                fused=True,
            )
            for name, rate in self._rates.items()
        }

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        assert batch.attributes is not None
        count = len(batch.images)
        images = mirrored(batch.images, batch.draws) if self.config.flip else batch.images
        order = batch.draws.uniform("permutation", count)[:, 0].argsort()
        share = batch.draws.uniform("alpha", count)[:, :, None, None]
        return self.iterate(batch.step, images, batch.attributes, batch.attributes[order], share)

    def iterate(
        self, step: int, images: Tensor, source: Tensor, target: Tensor, share: Tensor
    ) -> Terms:
        """One iteration of the official training loop.

        Both networks are given the same edited images: the official code makes them a second time
        for the generator's update, which only moves the running statistics once more.

        Args:
            step: Number of the iteration, from 0.
            images: (N, C, H, W), mirrored or not.
            source: (N, A), their attributes.
            target: (N, A), the attributes to give them: those of the batch, shuffled.
            share: (N, 1, 1, 1), the images' part of what the gradient penalty looks at.
        """
        self.set_rates(step)
        both = (step + 1) % self.config.critic_steps == 0
        generator = self.method.generator
        with torch.set_grad_enabled(both), counted_as(2 if both else 1, generator):
            fake = generator(images, target)
        report = self.update_discriminator(images, fake.detach(), source, share)
        if both:
            report |= self.update_generator(images, fake, source, target)
        return report

    def update_discriminator(
        self, images: Tensor, fake: Tensor, source: Tensor, share: Tensor
    ) -> Terms:
        """Update by images (N, C, H, W) and edited ones; see ``iterate``."""
        terms = discriminator_terms(
            self.method.discriminator, images, fake, source, share, self.method.label_type
        )
        return self._minimize(terms, "discriminator")

    def update_generator(
        self, images: Tensor, fake: Tensor, source: Tensor, target: Tensor
    ) -> Terms:
        """Update by edited images that the generator's graph hangs on; see ``iterate``."""
        discriminator = self.method.discriminator.requires_grad_(False)
        terms = generator_terms(discriminator, fake, target, self.method.label_type)
        restored = self.method.generator(fake, source)
        terms["reconstruction"] = reconstruction_loss(images, restored)
        report = self._minimize(terms, "generator")
        discriminator.requires_grad_(True)
        return report

    def set_rates(self, step: int) -> None:
        """Set the learning rates that hold after ``step`` iterations."""
        factor = self.config.rate_factor(step)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._rates[name] * factor

    def collapsed(self) -> str | None:
        return same_picture(self.method, self.data.train)

    def _minimize(self, terms: Terms, name: str) -> Terms:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.config.total(terms).backward()
        optimizer.step()
        return {name: term.detach() for name, term in terms.items()}


def target_labels(source: Tensor, attributes: Attributes) -> Tensor:
    """The targets of the official test program: each attribute changed once (create_labels).

    An attribute of an exclusive group is set and the rest of its group cleared, even where it was
    set before; any other is flipped.

    Args:
        source: (N, A) in {0, 1}.
        attributes: Names and exclusive groups of the columns.

    Returns:
        (A, N, A), one batch of targets for each attribute.
    """
    targets = source.expand(len(attributes.names), -1, -1).clone()  # (A, N, A)
    for i, name in enumerate(attributes.names):
        targets[i, :, i] = 1 - targets[i, :, i]
        for group in attributes.exclusive:
            if name in group:
                members = [j for j, other in enumerate(attributes.names) if other in group]
                targets[i, :, members] = 0
                targets[i, :, i] = 1
    return targets


def joint_condition(labels: Tensor, dataset: int, counts: Sequence[int]) -> Tensor:
    """The generator's condition when several datasets train together (paper, section 3.3).

    Args:
        labels: (N, counts[dataset]), of a batch of one dataset.
        dataset: Which one.
        counts: How many labels each dataset has.

    Returns:
        (N, sum(counts) + len(counts)): the labels of every dataset, zeros where they are unknown,
        then a mask that says which are known.
    """
    parts = [labels.new_zeros(len(labels), count) for count in counts]
    parts[dataset] = labels
    mask = labels.new_zeros(len(labels), len(counts))
    mask[:, dataset] = 1
    return torch.cat([*parts, mask], dim=1)


def _check_data(config: StarGANConfig, data: TrainingData) -> None:
    if not data.attributes.names:
        raise ValueError("StarGAN edits attributes and the dataset has none: choose one with some")
    if data.size % 4:
        raise ValueError(
            f"StarGAN halves images twice and {data.size} px cannot be: choose a multiple of 4 by "
            "--set dataset.size=N"
        )
    if data.size >> config.discriminator_layers == 0:
        raise ValueError(
            f"discriminator_layers={config.discriminator_layers} halve {data.size} px to nothing: "
            f"choose at most {data.size.bit_length() - 1} by --set discriminator_layers=N"
        )
    if config.label_type == "classes" and not data.attributes.classes:
        raise ValueError(
            "label_type=classes needs a dataset of classes, of which each image has exactly one: "
            "choose --set label_type=multi-label"
        )
