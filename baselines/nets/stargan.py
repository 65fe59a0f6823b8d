"""The networks of StarGAN, with the module names of the official code (yunjey/stargan, model.py).

No convolution of the generator has a bias, and all of them pad with zeros: with reflected borders
the instance norms would remove constant label planes completely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm that tracks running statistics and need not use them.

    Training normalises by each image's own statistics and moves the running ones, as usual. The
    released programs never leave that mode, so evaluation uses each image's statistics too.

    Args:
        channels: Width.
        per_image: False evaluates with the running statistics instead.
    """

    momentum: float

    def __init__(self, channels: int, per_image: bool = True) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)
        self.per_image = per_image

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if self.training or not self.per_image:
            return super().forward(maps)
        return F.instance_norm(maps, weight=self.weight, bias=self.bias, eps=self.eps)


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity; no activation after the sum."""

    def __init__(self, channels: int, per_image: bool = True) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels, per_image),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            InstanceNorm(channels, per_image),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return maps + self.main(maps)


class Generator(nn.Module):
    """Images and the attributes they shall get -> images.

    Args:
        attributes: How many attributes A there are; 0 for a network that sees images only.
        width: Channels before the first downsampling.
        blocks: Residual blocks at a quarter of the images' size.
        channels: Colour channels C.
        per_image: See ``InstanceNorm``.
    """

    def __init__(
        self,
        attributes: int,
        width: int = 64,
        blocks: int = 6,
        channels: int = 3,
        per_image: bool = True,
    ) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *encoder_layers(channels + attributes, width, per_image),
            *[ResidualBlock(4 * width, per_image) for _ in range(blocks)],
            *_decoder_layers(channels, width, per_image),
        )

    def forward(self, images: Tensor, attributes: Tensor) -> Tensor:
        """Edit images.

        Args:
            images: (N, C, H, W) in [-1, 1].
            attributes: (N, A) in {0, 1}, those of the result.

        Returns:
            (N, C, H, W) in [-1, 1].
        """
        edited: Tensor = self.main(with_planes(images, attributes))
        return edited


class Discriminator(nn.Module):
    """A score for each patch, and class logits, on shared convolutions without norms.

    Args:
        attributes: How many attributes A there are.
        size: Height and width of the images; the class head spans all of what is left of them.
        width: Channels of the first layer; each layer doubles them.
        layers: Strided convolutions.
        channels: Colour channels C.
    """

    def __init__(
        self, attributes: int, size: int = 128, width: int = 64, layers: int = 6, channels: int = 3
    ) -> None:
        super().__init__()
        main: list[nn.Module] = []
        for layer in range(layers):
            outgoing = width << layer
            main += [nn.Conv2d(channels, outgoing, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            channels = outgoing
        self.main = nn.Sequential(*main)
        self.conv1 = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, attributes, size >> layers, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) -> patch scores (N, 1, h, w) and class logits (N, A)."""
        maps = self.main(images)
        return self.conv1(maps), self.conv2(maps).flatten(1)


def encoder_layers(channels: int, width: int, per_image: bool = True) -> list[nn.Module]:
    """What the generator begins with: one convolution and two downsampling ones.

    Args:
        channels: Of the input, label planes included.
        width: Channels before the first downsampling.
        per_image: See ``InstanceNorm``.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 7, padding=3, bias=False),
        InstanceNorm(width, per_image),
        nn.ReLU(inplace=True),
    ]
    for incoming in (width, 2 * width):
        layers += [
            nn.Conv2d(incoming, 2 * incoming, 4, stride=2, padding=1, bias=False),
            InstanceNorm(2 * incoming, per_image),
            nn.ReLU(inplace=True),
        ]
    return layers


@contextmanager
def counted_as(passes: int, generator: nn.Module) -> Iterator[None]:
    """Let one training pass move the running statistics like so many passes of equal input."""
    norms = [module for module in generator.modules() if isinstance(module, InstanceNorm)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1 - (1 - norm.momentum) ** passes
    try:
        yield
    finally:
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum


def with_planes(images: Tensor, attributes: Tensor) -> Tensor:
    """Images (N, C, H, W) and each attribute (N, A) as a constant plane: (N, C + A, H, W)."""
    planes = attributes.to(images)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, planes], dim=1)


def architecture(
    generator: Mapping[str, Tensor], discriminator: Mapping[str, Tensor]
) -> dict[str, int]:
    """What the shapes in two state dicts tell: attributes, image size, widths and depths.

    Raises:
        ValueError: They are no state dicts of StarGAN.
    """
    try:
        blocks = sum(name.endswith(".main.0.weight") for name in generator)
        layers = sum(name.startswith("main.") and name.endswith(".bias") for name in discriminator)
        attributes, _, kernel, _ = discriminator["conv2.weight"].shape
        return {
            "attributes": attributes,
            "size": kernel << layers,
            "channels": generator[f"main.{blocks + 15}.weight"].shape[0],
            "generator_width": generator["main.0.weight"].shape[0],
            "residual_blocks": blocks,
            "discriminator_width": discriminator["main.0.weight"].shape[0],
            "discriminator_layers": layers,
        }
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"the checkpoint is none of StarGAN ({error}): give the official -G.ckpt and -D.ckpt"
        ) from error


def _decoder_layers(channels: int, width: int, per_image: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for incoming in (4 * width, 2 * width):
        layers += [
            nn.ConvTranspose2d(incoming, incoming // 2, 4, stride=2, padding=1, bias=False),
            InstanceNorm(incoming // 2, per_image),
            nn.ReLU(inplace=True),
        ]
    return [*layers, nn.Conv2d(width, channels, 7, padding=3, bias=False), nn.Tanh()]
