"""AttGAN: an encoder-decoder that reconstructs with the old attributes and edits with new ones.

He et al., "AttGAN: Facial Attribute Editing by Only Changing What You Want" (TIP 2019), in the form
of elvisyjlin/AttGAN-PyTorch, whose numbers and checkpoints this file reproduces. The encoder sees
the image only; the decoder gets its maps and the attributes, scaled to +-0.5. The target attributes
of a training image are those of another image of the batch.

Where that code differs from the original TensorFlow code or from its own comments, its behaviour is
the default and a setting switches: ``slope`` (0.01; originally 0.2), ``decay`` (by 10; the comment
says half), ``inject_layers`` (1 as in its README and most of its weights; the program's own default
is 0). The rule that a moustache excludes ``No_Beard``, commented out in the original, is an
argument of ``attgan_labels.flip``.

Attributes are flipped by whoever asks for an edit; ``edit`` takes the target as it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.attgan_labels import Distribution, scaled, training_intensity
from baselines.attgan_losses import Mode, Objective, discriminator_losses, generator_losses
from baselines.base import Batch, Editor, Stage, TrainingData
from baselines.collapse import same_picture
from baselines.epochs import steps_of_epochs
from baselines.nets.attgan import Discriminators, Generator, NetworkConfig
from baselines.nets.attgan_reference import load_network
from baselines.randomness import Draws, mirrored


class AttGANConfig(NetworkConfig):
    """Settings of AttGAN; the defaults are those of AttGAN-PyTorch for CelebA at 128 px.

    Those of the networks are inherited.

    Attributes:
        mode: Adversarial loss: ``wgan`` with a penalty between real and fake images, ``lsgan`` and
            ``dcgan`` with one around the real images (as in DRAGAN).
        epochs: Training length in readings of the training set, rounded down to whole batches.
        iterations: Training length in steps, in place of ``epochs``; the schedule is stretched, so
            that they count as ``epochs`` epochs. A step updates one of the two networks.
        batch_size: Images of one step, over all processes.
        learning_rate: Of Adam with betas (0.5, 0.999), for both networks.
        decay_epochs: After each so many epochs, the rate is divided by ``decay``.
        decay: See ``decay_epochs``.
        discriminator_steps: n_d, steps of the discriminators before each one of the generator.
        reconstruction_weight: lambda_1, of the L1 reconstruction error.
        generator_class_weight: lambda_2, of the edited images' attribute error.
        discriminator_class_weight: lambda_3, of the real images' attribute error.
        penalty_weight: Of the gradient penalty.
        thres_int: Attributes enter the decoder as +-thres_int.
        test_int: Attributes that an edit changes enter it as +-test_int.
        b_distribution: Targets in training are +-thres_int (``none``), or +- a random number in
            [0, 2 thres_int] that is ``uniform`` or ``truncated_normal``.
        flip_images: Mirror half of the training images; not done in the release.
    """

    mode: Mode = "wgan"
    epochs: int = Field(200, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(2e-4, gt=0)
    decay_epochs: int = Field(100, ge=1)
    decay: float = Field(10.0, gt=0)
    discriminator_steps: int = Field(5, ge=1)
    reconstruction_weight: float = Field(100.0, ge=0)
    generator_class_weight: float = Field(10.0, ge=0)
    discriminator_class_weight: float = Field(1.0, ge=0)
    penalty_weight: float = Field(10.0, ge=0)
    thres_int: float = Field(0.5, gt=0)
    test_int: float = Field(1.0, gt=0)
    b_distribution: Distribution = "none"
    flip_images: bool = False

    @property
    def objective(self) -> Objective:
        """The losses' part of the settings."""
        return Objective(
            self.mode,
            self.reconstruction_weight,
            self.generator_class_weight,
            self.discriminator_class_weight,
            self.penalty_weight,
        )


class AttGAN(Editor):
    """The generator edits; the discriminators are kept for training only."""

    Config = AttGANConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The rate falls to a tenth after half of the steps. So short a training does not carry
        # beyond the intensities that it has seen: edits at +-1 would disturb the rest of the image.
        "small": {
            "iterations": 1200,
            "batch_size": 16,
            "learning_rate": 2e-3,
            "discriminator_steps": 1,
            "test_int": 0.5,
            "layers": 3,
            "encoder_width": 16,
            "decoder_width": 16,
            "discriminator_layers": 3,
            "discriminator_width": 16,
            "head_width": 64,
        },
        "smoke": {
            "iterations": 12,
            "batch_size": 8,
            "layers": 2,
            "encoder_width": 8,
            "decoder_width": 8,
            "discriminator_layers": 2,
            "discriminator_width": 8,
            "head_width": 16,
        },
    }

    def __init__(self, config: AttGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        count = len(data.attributes.names)
        if not count:
            raise ValueError(
                "AttGAN needs attributes: choose a dataset that has some by --dataset."
            )
        _check_size(config, data.size)
        self.generator = Generator(config, data.channels, count)
        self.discriminators = Discriminators(config, data.channels, data.size, count)
        self._loaded = False

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """One adversarial stage; none once a reference's generator was loaded."""
        if not self._loaded:
            yield AdversarialStage(self, data)

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Edit by attributes at +-thres_int, those that change at +-test_int.

        As in the release's test program, but for attributes that its conflict rule changes along
        with the one asked for: they stay at +-thres_int there, here they count as changed.
        """
        edited: Tensor = self.generator(images, self.intensities(source, target))
        return edited

    def intensities(self, source: Tensor, target: Tensor) -> Tensor:
        """What the decoder gets for an edit from ``source`` to ``target``, (N, A) each."""
        intensity = torch.where(source == target, self.config.thres_int, self.config.test_int)
        return scaled(target, intensity)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks of a released checkpoint.

        Args:
            states: State dicts under the reference's names: ``G`` and, where it was saved, ``D``.

        Raises:
            ValueError: There is no ``G``, or a network differs; the message names the option.
        """
        if "G" not in states:
            raise ValueError("The checkpoint holds no generator G of AttGAN; choose another file.")
        load_network(self.generator, states["G"])
        if "D" in states:
            load_network(self.discriminators, states["D"])
        self._loaded = True


@dataclass(frozen=True)
class StepDraws:
    """What is random in a step.

    Attributes:
        partner: int64 (N,): the place in the batch whose attributes each image is edited towards.
        alpha: (N, 1, 1, 1) in (0, 1): how far the penalized image is from the real one.
        beta: (N, C, H, W) in (0, 1): direction of the penalty around real images, or None.
        intensity: (N, A): the raw numbers behind ``b_distribution``, or None.
    """

    partner: Tensor
    alpha: Tensor
    beta: Tensor | None = None
    intensity: Tensor | None = None


class AdversarialStage(Stage):
    """``discriminator_steps`` steps of the discriminators, then one of the generator, and again.

    Each step has a batch of its own. The generator's running statistics move in all of them.
    """

    name = "adversarial"

    def __init__(self, method: AttGAN, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config = method, method.config
        self.data, self.num_attributes = data, len(data.attributes.names)
        self.batch_size = self.config.batch_size
        self.steps = self.config.iterations or steps_of_epochs(
            data.train, self.batch_size, self.config.epochs
        )
        self.generator_optimizer = self._adam(method.generator)
        self.discriminator_optimizer = self._adam(method.discriminators)
        self.optimizers = {
            "generator": self.generator_optimizer,
            "discriminators": self.discriminator_optimizer,
        }

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        assert batch.attributes is not None
        images = mirrored(batch.images, batch.draws) if self.config.flip_images else batch.images
        return self.update(batch.step, images, batch.attributes, self._draw(batch.draws, images))

    def update(
        self, step: int, images: Tensor, labels: Tensor, draws: StepDraws
    ) -> dict[str, Tensor]:
        """Update one of the networks.

        Args:
            step: From 0; tells which network's turn it is, and the learning rate.
            images: (N, C, H, W).
            labels: (N, A) in {0, 1}.
            draws: See ``StepDraws``.

        Returns:
            The losses of the network that was updated.
        """
        rate = learning_rate(self.config, step * self.config.epochs // self.steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        if (step + 1) % (self.config.discriminator_steps + 1):
            losses = discriminator_step(self.method, images, labels, draws)
            name, optimizer = "discriminators", self.discriminator_optimizer
        else:
            losses = generator_step(self.method, images, labels, draws)
            name, optimizer = "generator", self.generator_optimizer
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        optimizer.step()
        return {f"{name}/{term}": loss.detach() for term, loss in losses.items()}

    def collapsed(self) -> str | None:
        return same_picture(self.method, self.data.train)

    def _draw(self, draws: Draws, images: Tensor) -> StepDraws:
        rows = len(images)
        config = self.config
        intensity = None
        if config.b_distribution == "uniform":
            intensity = draws.uniform("intensity", rows, self.num_attributes)
        elif config.b_distribution == "truncated_normal":
            intensity = draws.normal("intensity", rows, self.num_attributes)
        return StepDraws(
            partner=draws.uniform("permutation", rows)[:, 0].argsort(),
            alpha=draws.uniform("alpha", rows)[:, :, None, None],
            beta=None if config.mode == "wgan" else torch.rand_like(images),
            intensity=intensity,
        )

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        rate = self.config.learning_rate
        return torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999), fused=True)


def discriminator_step(
    method: AttGAN, images: Tensor, labels: Tensor, draws: StepDraws
) -> dict[str, Tensor]:
    """The discriminators' losses on a batch and its edits; see ``discriminator_losses``."""
    with torch.no_grad():
        fake = method.generator(images, draw_target(method.config, labels, draws)[1])
    return discriminator_losses(
        method.discriminators,
        method.config.objective,
        images,
        labels,
        fake,
        draws.alpha,
        draws.beta,
    )


def generator_step(
    method: AttGAN, images: Tensor, labels: Tensor, draws: StepDraws
) -> dict[str, Tensor]:
    """The generator's losses on a batch; see ``generator_losses``."""
    target, intensities = draw_target(method.config, labels, draws)
    maps = method.generator.encode(images)
    fake = method.generator.decode(maps, intensities)
    reconstruction = method.generator.decode(maps, scaled(labels, method.config.thres_int))
    return generator_losses(
        method.discriminators, method.config.objective, images, target, fake, reconstruction
    )


def draw_target(config: AttGANConfig, labels: Tensor, draws: StepDraws) -> tuple[Tensor, Tensor]:
    """The target attributes (N, A) of a training batch, in {0, 1} and scaled for the decoder."""
    target = labels[draws.partner]
    intensity = training_intensity(config.b_distribution, config.thres_int, draws.intensity)
    return target, scaled(target, intensity)


def learning_rate(config: AttGANConfig, epoch: int) -> float:
    """The rate in an epoch (from 0): divided by ``decay`` after each ``decay_epochs``."""
    return config.learning_rate / config.decay ** (epoch // config.decay_epochs)


def _check_size(config: AttGANConfig, size: int) -> None:
    if size % (1 << config.layers):
        raise ValueError(
            f"Images of {size} px cannot be halved {config.layers} times: choose fewer layers by "
            "--set layers=N, or a size that is a multiple of "
            f"{1 << config.layers} by --set dataset.size=N."
        )
    # An instance norm needs more than one pixel.
    if size >> config.discriminator_layers < (1 if config.discriminator_norm == "none" else 2):
        raise ValueError(
            f"Images of {size} px are too small for {config.discriminator_layers} discriminator "
            "layers: choose fewer by --set discriminator_layers=N, or larger images by "
            "--set dataset.size=N."
        )
