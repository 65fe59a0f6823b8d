"""The settings of InfoSCC-GAN, what the presets change, and what data they ask for."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from baselines.base import TrainingData
from baselines.infoscc_losses import LossName
from baselines.linear_classifier import STAGE_PRESETS, ClassifierConfig
from baselines.nets.eigengan import START, initialize, port_widths
from baselines.nets.infoscc import (
    ConditionedGenerator,
    DiscriminatorName,
    GlobalDiscriminator,
    MulticlassDiscriminator,
    NormName,
    PatchDiscriminator,
    patch_map_size,
)

PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        **STAGE_PRESETS["small"],
        # Under uniform weights, samples of a class stay the same picture for as long as this.
        "initialization": "scaled",
        "iterations": 2000,
        "epsilon_dim": 16,
        "mapped_dim": 64,
        "base_channels": 8,
        "patch_layers": 3,
        "patch_width": 16,
        "learning_rate": 1e-3,
        "penalty_weight": 2.0,
        "average_half_life": 4_000,
    },
    "smoke": {
        **STAGE_PRESETS["smoke"],
        "iterations": 4,
        "batch_size": 8,
        "epsilon_dim": 8,
        "mapped_dim": 8,
        "base_channels": 4,
        "max_channels": 8,
        "patch_layers": 2,
        "patch_width": 4,
    },
}


class InfoSCCConfig(ClassifierConfig):
    """Settings of InfoSCC-GAN; the defaults are those of the released code for AFHQ at 256 px.

    Those of the encoder and the classifier are inherited; no setting below changes their weights.

    Attributes:
        iterations: Of the third stage.
        batch_size: Images of one of its iterations, over all processes.
        discriminator: ``global`` judges whole images, ``multiclass`` has a logit for each class,
            ``patch`` one for each of many overlapping patches.
        loss: What discriminator and generator minimize against each other.
        lsgan_power: Of errors under ``lsgan``: 4 as released, or 2 as published.
        epsilon_dim: Numbers of the generator's noise.
        mapped_dim: Numbers that the mapper makes of labels and noise.
        n_basis: Dimensions of the subspace in each of the generator's layers.
        base_channels: Width of the generator's last layer and of the first one of the ``global``
            and ``multiclass`` discriminators; each halving of the images doubles them.
        max_channels: Of all these layers.
        initialization: Weights of the networks that are EigenGAN's, all but ``patch``, are drawn
            from PyTorch's ``uniform`` distributions as released, under which labels and noise
            hardly reach the images at first, or from ``scaled`` ones as in the original.
        patch_width: Channels of the first layer of ``patch``.
        patch_layers: Each of them halves the images; 6 as in the published runs at 256 px.
        patch_norm: Batch norm as in the published runs, or ``actnorm``.
        learning_rate: Of Adam, for both networks of the third stage.
        beta1: Likewise.
        beta2: Likewise.
        classification_interval: Iterations from one update by the classifier to the next.
        classification_weight: Of the classifier's loss; the released code has none.
        penalty_interval: Iterations from one update by the gradient penalty to the next.
        penalty_weight: Of the gradient penalty.
        orthogonality_weight: Of the mean squared deviation of the subspaces' bases from
            orthonormal ones.
        augmentation: Probability of each of five augmentations of all images of a batch.
        average_half_life: Images after which half of the averaged generator is new.
    """

    iterations: int = Field(200_000, ge=1)
    batch_size: int = Field(32, ge=1)
    discriminator: DiscriminatorName = "global"
    loss: LossName = "hinge"
    lsgan_power: Literal[4, 2] = 4
    epsilon_dim: int = Field(512, ge=1)
    mapped_dim: int = Field(512, ge=1)
    n_basis: int = Field(6, ge=1)
    base_channels: int = Field(16, ge=1)
    max_channels: int = Field(512, ge=1)
    initialization: Literal["uniform", "scaled"] = "uniform"
    patch_width: int = Field(64, ge=1)
    patch_layers: int = Field(6, ge=1)
    patch_norm: NormName = "batch"
    learning_rate: float = Field(1e-4, ge=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    classification_interval: int = Field(2, ge=1)
    classification_weight: float = Field(1.0, ge=0)
    penalty_interval: int = Field(16, ge=1)
    penalty_weight: float = Field(10.0, ge=0)
    orthogonality_weight: float = Field(100.0, ge=0)
    augmentation: float = Field(0.6, ge=0, le=1)
    average_half_life: int = Field(10_000, ge=1)

    @property
    def average_decay(self) -> float:
        """What the averaged generator keeps of itself in an iteration."""
        return float(0.5 ** (self.batch_size / self.average_half_life))

    def make_generator(self, data: TrainingData) -> ConditionedGenerator:
        """The generator for a dataset."""
        generator = ConditionedGenerator(
            len(data.attributes.names),
            port_widths(data.size, self.base_channels, self.max_channels),
            self.epsilon_dim,
            self.mapped_dim,
            self.n_basis,
            data.channels,
        )
        if self.initialization == "scaled":
            initialize(generator)
        return generator

    def make_discriminator(self, data: TrainingData) -> GlobalDiscriminator | PatchDiscriminator:
        """The discriminator for a dataset."""
        if self.discriminator == "patch":
            return PatchDiscriminator(
                data.channels, self.patch_width, self.patch_layers, self.patch_norm
            )
        widths = self.base_channels, self.max_channels
        if self.discriminator == "global":
            discriminator = GlobalDiscriminator(data.size, data.channels, *widths)
        else:
            classes = len(data.attributes.names)
            discriminator = MulticlassDiscriminator(
                data.size, data.channels, *widths, outputs=classes
            )
        if self.initialization == "scaled":
            initialize(discriminator)
        return discriminator


def check_data(config: InfoSCCConfig, data: TrainingData) -> None:
    """Refuse a dataset that the settings do not fit.

    Raises:
        ValueError: The message names the option to change.
    """
    if not data.attributes.names:
        raise ValueError(
            "InfoSCC-GAN generates images by labels and the dataset has none: choose one with some"
        )
    if data.size < 2 * START or data.size & (data.size - 1):
        raise ValueError(
            f"InfoSCC-GAN doubles maps of {START} px up to the images' size and never reaches "
            f"{data.size} px: choose a power of two from {2 * START} on by --set dataset.size=N"
        )
    if config.discriminator == "patch":
        _check_patches(config.patch_layers, data.size)
    if config.discriminator == "multiclass" and not data.attributes.classes:
        raise ValueError(
            "a multi-class discriminator needs labels of which exactly one is set, and those of "
            "this dataset are independent: choose --set discriminator=global"
        )
    if data.attributes.classes:
        _check_classes(config, data)


def _check_patches(layers: int, size: int) -> None:
    if patch_map_size(size, layers) < 1:
        deepest = max(n for n in range(1, layers) if patch_map_size(size, n) >= 1)
        raise ValueError(
            f"a patch discriminator of {layers} layers leaves nothing of images of {size} px: "
            f"choose --set patch_layers={deepest} or fewer, or larger images by --set "
            "dataset.size=N"
        )


def _check_classes(config: InfoSCCConfig, data: TrainingData) -> None:
    """Every class has images, and a multi-class discriminator sees each of them often."""
    counts = data.train.labels(torch.arange(len(data.train))).sum(dim=0)  # (A,)
    fewest = int(counts.min())
    rarest = data.attributes.names[int(counts.argmin())]
    if fewest == 0:
        raise ValueError(
            f"the class {rarest} has no training image, so that nothing shows what it looks like: "
            "leave it out of the dataset, or read more images (--limit)"
        )
    shown = config.batch_size * fewest / len(data.train)
    if config.discriminator == "multiclass" and shown < 1:
        needed = -(-len(data.train) // fewest)
        raise ValueError(
            f"a batch of {config.batch_size} holds {shown:.2g} real images of the class {rarest} "
            "on average, while a multi-class discriminator needs one of each class at least: "
            f"choose --set batch_size={needed} or more, or --set discriminator=global"
        )
