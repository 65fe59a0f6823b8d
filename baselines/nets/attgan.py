"""AttGAN's networks: an encoder-decoder with attributes in its middle, and a two-headed critic.

He et al., "AttGAN: Facial Attribute Editing by Only Changing What You Want" (TIP 2019), in the form
and with the tensor names of elvisyjlin/AttGAN-PyTorch (``attgan.py``, ``nn.py``), so that its
checkpoints load without renaming. Two things are wider than there: a shortcut has the width that
the encoder's map really has (the reference takes half the decoder's width for granted and fails as
soon as ``max_width`` caps both, with six layers for example), and the discriminator's heads follow
the configuration (the reference writes 1024 channels and 13 attributes as constants). Wherever the
reference runs, both are the same. Its ``switchnorm`` is left out: it needs a third-party layer, and
no released model has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import MethodConfig

Norm = Literal["batchnorm", "instancenorm", "none"]
Activation = Literal["lrelu", "relu", "sigmoid", "tanh", "none"]


class NetworkConfig(MethodConfig):
    """Sizes of AttGAN's networks; the defaults are those for CelebA at 128 px.

    Attributes:
        layers: Of encoder and decoder; each halves or doubles the size.
        encoder_width: Channels of the encoder's first layer; each further one has twice as many.
        decoder_width: The same for the decoder, from its end.
        max_width: Cap of all widths.
        shortcut_layers: Decoder layers, from its start, that an encoder map is joined to.
        inject_layers: Decoder layers, from its start, that the attributes are joined to once more.
        encoder_norm: Norm of the encoder's layers. An instance norm is affine and has no running
            statistics; a layer has a bias only where there is no norm.
        encoder_activation: Activation of the encoder's layers.
        decoder_norm: Norm of the decoder's layers but the last.
        decoder_activation: Activation of the decoder's layers but the last, which has ``tanh``.
        discriminator_layers: Of the discriminators' common part; each halves the size.
        discriminator_width: Channels of its first layer; each further one has twice as many.
        discriminator_norm: Norm of its layers.
        discriminator_activation: Activation of its layers.
        head_width: Hidden width of the critic's and the classifier's head.
        head_norm: Norm of the heads' hidden layers.
        head_activation: Activation of the heads' hidden layers.
        slope: Of ``lrelu`` below zero, everywhere.
    """

    layers: int = Field(5, ge=1)
    encoder_width: int = Field(64, ge=1)
    decoder_width: int = Field(64, ge=1)
    max_width: int = Field(1024, ge=1)
    shortcut_layers: int = Field(1, ge=0)
    inject_layers: int = Field(1, ge=0)
    encoder_norm: Norm = "batchnorm"
    encoder_activation: Activation = "lrelu"
    decoder_norm: Norm = "batchnorm"
    decoder_activation: Activation = "relu"
    discriminator_layers: int = Field(5, ge=1)
    discriminator_width: int = Field(64, ge=1)
    discriminator_norm: Norm = "instancenorm"
    discriminator_activation: Activation = "lrelu"
    head_width: int = Field(1024, ge=1)
    head_norm: Literal["batchnorm", "none"] = "none"
    head_activation: Activation = "relu"
    slope: float = Field(0.01, gt=0, lt=1)


class Encoder(nn.ModuleList):
    """Halves the size and doubles the width in each layer; its last map is the latent code."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        finish = (config.encoder_norm, config.encoder_activation, config.slope)
        self.widths = _widths(config.encoder_width, config.layers, config.max_width)
        for before, width in pairwise([channels, *self.widths]):
            self.append(Convolution(before, width, *finish))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) -> the maps of all layers, (N, widths[i], H / 2^(i+1), ...)."""
        maps = [images]
        for layer in self:
            maps.append(layer(maps[-1]))
        return maps[1:]


class Generator(nn.Module):
    """Encodes an image, and decodes it with attributes.

    Attributes:
        enc_layers: The encoder.
        dec_layers: The decoder's layers.
    """

    def __init__(self, config: NetworkConfig, channels: int, num_attributes: int) -> None:
        super().__init__()
        layers, finish = config.layers, (config.decoder_norm, config.decoder_activation)
        self.shortcut_layers = min(config.shortcut_layers, layers - 1)
        self.inject_layers = min(config.inject_layers, layers - 1)
        self.enc_layers = Encoder(config, channels)
        self.dec_layers = nn.ModuleList()
        entering = self.enc_layers.widths[-1] + num_attributes
        widths = _widths(config.decoder_width, layers, config.max_width)
        for i, width in enumerate(reversed(widths[1:])):
            self.dec_layers.append(Deconvolution(entering, width, *finish, config.slope))
            entering = width
            if i < self.shortcut_layers:
                entering += self.enc_layers.widths[layers - 2 - i]
            if i < self.inject_layers:
                entering += num_attributes
        self.dec_layers.append(Deconvolution(entering, channels, "none", "tanh"))

    def encode(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) -> the maps of all encoder layers, the latent code last."""
        return self.enc_layers(images)

    def decode(self, maps: Sequence[Tensor], attributes: Tensor) -> Tensor:
        """Decode a latent code with attributes.

        Args:
            maps: What ``encode`` returned; shortcuts read the earlier ones.
            attributes: (N, A), scaled to about +-0.5.

        Returns:
            Images (N, C, H, W) in [-1, 1].
        """
        flow = torch.cat([maps[-1], _tiled(attributes, maps[-1])], dim=1)
        for i, layer in enumerate(self.dec_layers):
            flow = layer(flow)
            joined = [flow]
            if i < self.shortcut_layers:
                joined.append(maps[len(maps) - 2 - i])
            if i < self.inject_layers:
                joined.append(_tiled(attributes, flow))
            flow = torch.cat(joined, dim=1) if len(joined) > 1 else flow
        return flow

    def forward(self, images: Tensor, attributes: Tensor) -> Tensor:
        """Images (N, C, H, W) and scaled attributes (N, A) -> images (N, C, H, W)."""
        return self.decode(self.encode(images), attributes)


class Discriminators(nn.Module):
    """A critic and an attribute classifier on top of the same convolutions."""

    def __init__(
        self, config: NetworkConfig, channels: int, size: int, num_attributes: int
    ) -> None:
        super().__init__()
        layers = config.discriminator_layers
        widths = _widths(config.discriminator_width, layers, config.max_width)
        finish = (config.discriminator_norm, config.discriminator_activation, config.slope)
        self.conv = nn.Sequential()
        for before, width in pairwise([channels, *widths]):
            self.conv.append(Convolution(before, width, *finish))
        features = widths[-1] * (size >> layers) ** 2
        self.fc_adv = _head(config, features, 1)
        self.fc_cls = _head(config, features, num_attributes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) -> realness (N, 1) and class logits (N, A), both unbounded."""
        features = self.conv(images).flatten(1)
        return self.fc_adv(features), self.fc_cls(features)

    def realness(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> (N, 1), without the work of the classifier's head."""
        return self.fc_adv(self.conv(images).flatten(1))


class Convolution(nn.Module):
    """Halves the size: 4 x 4, stride 2."""

    def __init__(
        self, before: int, width: int, norm: Norm, activation: Activation, slope: float = 0.0
    ) -> None:
        super().__init__()
        weights = nn.Conv2d(before, width, 4, 2, 1, bias=norm == "none")
        self.layers = nn.Sequential(weights, *_norm(norm, width), *_activation(activation, slope))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class Deconvolution(nn.Module):
    """Doubles the size: 4 x 4, stride 2, transposed."""

    def __init__(
        self, before: int, width: int, norm: Norm, activation: Activation, slope: float = 0.0
    ) -> None:
        super().__init__()
        weights = nn.ConvTranspose2d(before, width, 4, 2, 1, bias=norm == "none")
        self.layers = nn.Sequential(weights, *_norm(norm, width), *_activation(activation, slope))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class Dense(nn.Module):
    """A fully connected layer; its ``batchnorm`` is the one for vectors."""

    def __init__(
        self, before: int, width: int, norm: Norm, activation: Activation, slope: float = 0.0
    ) -> None:
        super().__init__()
        weights = nn.Linear(before, width, bias=norm == "none")
        norms = [nn.BatchNorm1d(width)] if norm == "batchnorm" else []
        self.layers = nn.Sequential(weights, *norms, *_activation(activation, slope))

    def forward(self, vectors: Tensor) -> Tensor:
        return self.layers(vectors)


def _widths(first: int, layers: int, most: int) -> list[int]:
    return [min(first << i, most) for i in range(layers)]


def _head(config: NetworkConfig, features: int, outputs: int) -> nn.Sequential:
    finish = (config.head_norm, config.head_activation, config.slope)
    return nn.Sequential(
        Dense(features, config.head_width, *finish),
        Dense(config.head_width, outputs, "none", "none"),
    )


def _tiled(attributes: Tensor, maps: Tensor) -> Tensor:
    """Attributes (N, A) as constant planes of the maps' size."""
    return attributes[:, :, None, None].expand(-1, -1, *maps.shape[2:])


def _norm(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "none":
        return []
    return [nn.BatchNorm2d(width) if norm == "batchnorm" else nn.InstanceNorm2d(width, affine=True)]


def _activation(activation: Activation, slope: float) -> list[nn.Module]:
    if activation == "lrelu":
        return [nn.LeakyReLU(slope)]
    plain: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
    }
    return [plain[activation]()] if activation in plain else []
