"""The settings of EigenGAN and their defaults by form; the networks that they ask for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from baselines.base import MethodConfig, TrainingData
from baselines.eigengan_losses import AdversarialName, OrthogonalityName, PenaltyName
from baselines.nets.eigengan import (
    START,
    Discriminator,
    Generator,
    initialize,
    original_widths,
    port_widths,
)

COIN = 0.6  # probability of each of the port's augmentations

_HALF_LIFE = 10_000  # images, of the port's averaged generator

# What the forms differ in; the fields' own defaults are the original's.
FORMS: dict[str, dict[str, Any]] = {
    "port": {
        "iterations": 200_000,
        "batch_size": 32,
        "widths": "relative",
        "padding": "symmetric",
        "initialization": "uniform",
        "discriminator_features": None,
        "orthogonality": "mean",
        "orthogonality_weight": 100.0,
        "penalty_schedule": "separate",
        "penalty_interval": 16,
        "beta2": 0.99,
        "average_decay": None,
        "augmentation": "diffaugment",
        "truncation": None,
    },
}


class EigenGANConfig(MethodConfig):
    """Settings of EigenGAN; the defaults are those of the original program for 256 px.

    Attributes:
        form: ``original`` or ``port``; what the latter changes is in ``FORMS``.
        epochs: Training length; an iteration counts two of an epoch's batches, as released.
        iterations: Training length in place of ``epochs``.
        batch_size: Images of one iteration, over all processes.
        noise_dim: Numbers of the noise that the first layer sees.
        n_basis: Dimensions of each layer's subspace.
        widths: ``absolute`` layers have 1024 / side * ``dim_10`` channels, whatever the images'
            size; ``relative`` ones have ``base_channels`` at that size and twice as many with each
            halving.
        dim_10: See ``widths``.
        base_channels: See ``widths``.
        max_channels: Of any layer.
        discriminator_features: Width of its first dense layer; None takes that of its last
            convolution.
        padding: Of stride-2 layers, ``same`` as in TensorFlow or ``symmetric``.
        initialization: Weights are drawn from ``scaled`` truncated normal distributions, or from
            PyTorch's ``uniform`` ones.
        adversarial: The loss of both networks.
        gradient_penalty: On the discriminator's gradient at real images.
        penalty_weight: Of the gradient penalty.
        penalty_interval: Iterations from one penalty to the next.
        penalty_schedule: ``joint`` adds it to the discriminator's loss, times
            ``penalty_interval``; ``separate`` makes it an update of its own after that.
        orthogonality: Of the subspaces' bases; half of the squared errors ``summed``, their
            ``mean``, or none, because the bases are orthonormalised at every use
            (``gram-schmidt``).
        orthogonality_weight: Of that loss. At 0, bases are free. It is 0 that asks the original
            program for ``gram-schmidt``, which has to be named here; the port has no such thing.
        learning_rate: Of Adam, for both networks.
        beta1: Likewise.
        beta2: Likewise.
        average_decay: Share of itself that the averaged generator keeps in an iteration; None is
            0.5^(``batch_size`` / 10,000).
        augmentation: Real images are mirrored with probability 1/2 (``flip``), or real and
            generated ones go through ``diffaugment``.
        truncation: Samples' latents are at most so large, drawn from a normal distribution cut
            off there; None cuts nothing off.
    """

    form: Literal["original", "port"] = "original"
    epochs: int = Field(160, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(64, ge=1)
    noise_dim: int = Field(512, ge=1)
    n_basis: int = Field(6, ge=1)
    widths: Literal["absolute", "relative"] = "absolute"
    dim_10: float = Field(4.0, gt=0)
    base_channels: int = Field(16, ge=1)
    max_channels: int = Field(512, ge=1)
    discriminator_features: int | None = Field(512, ge=1)
    padding: Literal["same", "symmetric"] = "same"
    initialization: Literal["scaled", "uniform"] = "scaled"
    adversarial: AdversarialName = "hinge_v1"
    gradient_penalty: PenaltyName = "0-gp"
    penalty_weight: float = Field(10.0, ge=0)
    penalty_interval: int = Field(3, ge=1)
    penalty_schedule: Literal["joint", "separate"] = "joint"
    orthogonality: OrthogonalityName = "summed"
    orthogonality_weight: float = Field(1.0, ge=0)
    learning_rate: float = Field(1e-4, ge=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    average_decay: float | None = Field(0.999, ge=0, lt=1)
    augmentation: Literal["flip", "diffaugment", "none"] = "flip"
    truncation: float | None = Field(1.5, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_form(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**FORMS.get(str(values.get("form")), {}), **values}

    @property
    def decay(self) -> float:
        """See ``average_decay``."""
        if self.average_decay is None:
            return float(0.5 ** (self.batch_size / _HALF_LIFE))
        return self.average_decay

    def iterations_of(self, images: int) -> int:
        """How many iterations a training set of so many images asks for.

        Raises:
            ValueError: An epoch has none; the message names the option to change.
        """
        if self.iterations is not None:
            return self.iterations
        per_epoch = images // self.batch_size // 2  # as released: two batches each
        if not per_epoch:
            raise ValueError(
                f"the training set of {images} images fills no two batches of {self.batch_size}: "
                "choose smaller ones by --set batch_size=N, or a training length by --set "
                "iterations=N"
            )
        return self.epochs * per_epoch

    def generator_widths(self, size: int) -> list[int]:
        """Channels at 4 px, 8 px, ..., ``size``."""
        if self.widths == "relative":
            return port_widths(size, self.base_channels, self.max_channels)
        return original_widths(size, self.dim_10, self.max_channels)

    def make_networks(self, data: TrainingData) -> tuple[Generator, Discriminator]:
        """The networks for a dataset.

        Raises:
            ValueError: The images' size or the settings rule them out; the message names which.
        """
        widths = _checked(self, data.size)
        same = self.padding == "same"
        generator = Generator(
            widths,
            self.noise_dim,
            self.n_basis,
            data.channels,
            same,
            self.orthogonality == "gram-schmidt",
        )
        discriminator = Discriminator(
            widths[::-1], data.size, data.channels, self.discriminator_features, same=same
        )
        if self.initialization == "scaled":
            initialize(generator)
            initialize(discriminator)
        return generator, discriminator


def _checked(config: EigenGANConfig, size: int) -> list[int]:
    """The generator's widths, if images of this size can be made with them."""
    if size < 2 * START or size & (size - 1):
        raise ValueError(
            f"EigenGAN doubles maps of {START} px up to the images' size and never reaches {size} "
            f"px: choose a power of two from {2 * START} on by --set dataset.size=N"
        )
    widths = config.generator_widths(size)
    if widths[-1] < 1:
        raise ValueError(
            f"dim_10={config.dim_10:g} leaves no channel at {size} px: choose at least "
            f"{size / 1024:g} by --set dim_10=X"
        )
    smallest = START * START * widths[0]  # no later layer has fewer numbers
    if config.n_basis > smallest:
        raise ValueError(
            f"n_basis={config.n_basis} vectors of {smallest} numbers cannot be orthogonal: choose "
            f"at most {smallest} by --set n_basis=N"
        )
    return widths
