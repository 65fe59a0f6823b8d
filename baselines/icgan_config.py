"""The settings of IcGAN and what its three forms make of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from baselines.base import MethodConfig, TrainingData
from baselines.nets import icgan as torch7
from baselines.nets import icgan_tensorflow as tensorflow

# What a form changes of the defaults below, which are those of torch7.
FORMS: dict[str, dict[str, Any]] = {
    "torch7": {},
    "tensorflow": {
        "z_dim": 64,
        "encoder_width": 64,
        "fake_weight": 1.0,
        "wrong_weight": 0.0,
        "fake_labels": "batch",
        "horizontal_flip": False,
        "gan_epochs": 21,
        "encoder_epochs": 21,
        "z_encoder_rate": 1e-2,
        "y_encoder_rate": 1e-3,
        "encoder_beta1": 0.5,
        "encoder_share": 1.0,
        "refresh_steps": 0,
        "statistics": "batch",
    },
    "sun-li": {
        "discriminator_width": 128,
        "dropout": 0.5,
        "fake_weight": 1.0,
        "wrong_weight": 0.0,
        "horizontal_flip": False,
        "encoder_share": 1.0,
    },
}


class IcGANConfig(MethodConfig):
    """Settings of IcGAN; the defaults are those of the form, here of ``torch7``.

    Attributes:
        form: Whose networks and losses: ``torch7``, ``tensorflow`` or ``sun-li``. The form
            changes the defaults of other settings, never what is given.
        z_dim: Width of the latents.
        generator_width: Channels of the generator at half of the images' size.
        discriminator_width: Likewise of the discriminator.
        encoder_width: Likewise of both encoders.
        quarter_width: Channels of all networks of ``tensorflow`` at a quarter of the size.
        dense_width: Width of the dense layers of its generator and discriminator.
        encoder_layers: Its convolutions (not ``tensorflow``).
        z_encoder_dense: Width of Ez's dense layer; None for that of the map before it.
        y_encoder_dense: Width of Ey's dense layer.
        dropout: In the hidden layers of the discriminator (not ``tensorflow``).
        fake_weight: Weight of fakes in the discriminator's loss; real images have 1.
        wrong_weight: Weight of real images with wrong labels; 0 for no such term.
        fake_labels: Of generated images: ``drawn`` from other training images, or the ``batch``'s.
        horizontal_flip: Mirror half of the GAN's images; None: if they have colours.
        batch_size: Images of one step, over all processes.
        gan_epochs: Passes of the GAN over the training images.
        encoder_epochs: Passes of each encoder over its share of as many images.
        gan_steps: Length of the GAN's training in steps, in place of epochs.
        z_encoder_steps: Likewise of Ez's.
        y_encoder_steps: Likewise of Ey's.
        refresh_steps: Passes that settle the generator's batch norms after its training.
        learning_rate: Of Adam for both networks of the GAN.
        beta1: Of Adam for both networks of the GAN.
        z_encoder_rate: Of Adam for Ez.
        y_encoder_rate: Of Adam for Ey.
        encoder_beta1: Of Adam for both encoders.
        encoder_share: The first part of the training images, which Ey is trained on; the Lua code
            keeps the rest to report Ey's error.
        labels: What an edit starts from: the labels that Ey has ``encoded``, or those ``given``.
        threshold: Whether encoded labels become hard ones before an edit.
        statistics: What batch norms use in an edit: ``running`` statistics or the ``batch``'s.
    """

    form: Literal["torch7", "tensorflow", "sun-li"] = "torch7"
    z_dim: int = Field(100, ge=1)
    generator_width: int = Field(64, ge=1)
    discriminator_width: int = Field(64, ge=1)
    encoder_width: int = Field(32, ge=1)
    quarter_width: int = Field(128, ge=1)
    dense_width: int = Field(1024, ge=1)
    encoder_layers: int = Field(4, ge=1)
    z_encoder_dense: int | None = Field(None, ge=1)
    y_encoder_dense: int = Field(512, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    fake_weight: float = Field(0.5, gt=0)
    wrong_weight: float = Field(0.5, ge=0)
    fake_labels: Literal["drawn", "batch"] = "drawn"
    horizontal_flip: bool | None = None
    batch_size: int = Field(64, ge=2)
    gan_epochs: float = Field(25, gt=0)
    encoder_epochs: float = Field(15, gt=0)
    gan_steps: int | None = Field(None, ge=1)
    z_encoder_steps: int | None = Field(None, ge=1)
    y_encoder_steps: int | None = Field(None, ge=1)
    refresh_steps: int = Field(100, ge=0)
    learning_rate: float = Field(2e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    z_encoder_rate: float = Field(1e-4, gt=0)
    y_encoder_rate: float = Field(1e-4, gt=0)
    encoder_beta1: float = Field(0.1, ge=0, lt=1)
    encoder_share: float = Field(0.66, gt=0, le=1)
    labels: Literal["encoded", "given"] = "encoded"
    threshold: bool = True
    statistics: Literal["running", "batch"] = "running"

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_form(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**FORMS.get(str(values.get("form")), {}), **values}


def build_networks(config: IcGANConfig, data: TrainingData) -> tuple[nn.Module, ...]:
    """The generator, the discriminator, Ez and Ey.

    Raises:
        ValueError: The networks cannot halve images of this size as often as they do.
    """
    _check_size(config, data.size)
    if config.form == "tensorflow":
        return _tensorflow_networks(config, data)
    return _torch7_networks(config, data)


def _torch7_networks(config: IcGANConfig, data: TrainingData) -> tuple[nn.Module, ...]:
    count = len(data.attributes.names)
    image = (data.size, data.channels)
    width, layers = config.encoder_width, config.encoder_layers
    return (
        torch7.Generator(
            *image, config.z_dim, count, config.generator_width, config.form == "sun-li"
        ),
        torch7.Discriminator(*image, count, config.discriminator_width, config.dropout),
        torch7.Encoder(*image, config.z_dim, width, layers, config.z_encoder_dense),
        torch7.Encoder(*image, count, width, layers, config.y_encoder_dense),
    )


def _tensorflow_networks(config: IcGANConfig, data: TrainingData) -> tuple[nn.Module, ...]:
    count = len(data.attributes.names)
    image = (data.size, data.channels)
    deep, dense = config.quarter_width, config.dense_width
    encoder = (config.encoder_width, deep)
    return (
        tensorflow.Generator(*image, config.z_dim, count, (config.generator_width, deep), dense),
        tensorflow.Discriminator(*image, count, (config.discriminator_width, deep), dense),
        tensorflow.Encoder(*image, config.z_dim, encoder, latents=True),
        tensorflow.Encoder(*image, count, encoder, latents=False),
    )


def _check_size(config: IcGANConfig, size: int) -> None:
    """Refuse sizes that the networks cannot halve as often as they do."""
    if config.form == "tensorflow":
        fits, rule = size % 4 == 0, "a multiple of 4"
    else:
        fits, rule = size >= 8 and size.bit_count() == 1, "a power of two from 8 on"
    if not fits:
        raise ValueError(
            f"The form {config.form} of IcGAN takes images whose size is {rule}, not {size}: set "
            "dataset.size=32, or another form."
        )
