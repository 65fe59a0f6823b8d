"""The networks of IcGAN's Lua code (Guim3/IcGAN); the discriminator ends in logits, no sigmoid.

State dicts have the layer numbers of that code, also where a number belongs to a layer without
weights. Labels are -1/+1. The same classes make the form of Sun et al. (2018): a dense layer first
in the generator, dropout in the discriminator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.nets.dcgan import dcgan_init


class Join(nn.Module):
    """Concatenates along the channels."""

    def forward(self, parts: tuple[Tensor, ...]) -> Tensor:
        """(N, C1, ...), (N, C2, ...) -> (N, C1 + C2, ...)."""
        return torch.cat(parts, dim=1)


class Repeat(nn.Module):
    """Repeats labels over the map that they go with."""

    def forward(self, parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (N, C, H, W), labels (N, A) -> the maps, labels (N, A, H, W)."""
        maps, labels = parts
        return maps, labels[:, :, None, None].expand(-1, -1, *maps.shape[2:])


class Generator(nn.Module):
    """Latents and labels -> images.

    Args:
        size: Height and width S of the images, a power of two from 16 on.
        channels: Colour channels C.
        z_dim: Width Z of the latents.
        attributes: Number of attributes A.
        width: Channels at S/2; twice as many at each half of the size.
        dense: Paper 002's form: a dense layer to the 4 x 4 map, then log2(S) - 1 transposed
            convolutions, the last of which keeps the size.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        z_dim: int,
        attributes: int,
        width: int,
        dense: bool = False,
    ) -> None:
        super().__init__()
        wide, inputs = width * size // 8, z_dim + attributes
        self.main = nn.Sequential(Join())
        if dense:
            self.main.extend(
                [nn.Flatten(), nn.Linear(inputs, wide * 16), nn.Unflatten(1, (wide, 4, 4))]
            )
        else:
            self.main.append(nn.ConvTranspose2d(inputs, wide, 4))
        self.main.extend([nn.BatchNorm2d(wide), nn.ReLU(inplace=True)])
        while wide > width:
            self._upsample(wide, wide // 2)
            wide //= 2
        if dense:
            self._upsample(width, width)
            self.main.append(nn.ConvTranspose2d(width, channels, 3, padding=1))
        else:
            self.main.append(nn.ConvTranspose2d(width, channels, 4, 2, 1))
        self.main.append(nn.Tanh())
        self.apply(dcgan_init)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(N, Z) and (N, A) of -1/+1 -> (N, C, S, S) in [-1, 1]."""
        images: Tensor = self.main((z[:, :, None, None], labels[:, :, None, None]))
        return images

    def _upsample(self, inputs: int, outputs: int) -> None:
        self.main.extend(
            [
                nn.ConvTranspose2d(inputs, outputs, 4, 2, 1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        )


class Discriminator(nn.Module):
    """Images and labels -> logits of being real and rightly labelled.

    Labels come in after the first convolution, which is why several labels of the same images cost
    less than several calls.

    Args:
        size: Height and width S of the images, a power of two from 16 on.
        channels: Colour channels C.
        attributes: Number of attributes A.
        width: Channels after the first convolution.
        dropout: Probability of dropping an activation of a hidden layer (Sun and Li).
    """

    def __init__(
        self, size: int, channels: int, attributes: int, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        # No layer at all without dropout: the numbers of the others are those of the Lua code.
        drop = [nn.Dropout(dropout)] if dropout else []
        self.x_conv = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), *drop
        )
        self.main = nn.Sequential(Repeat(), Join())
        inputs = width + attributes
        for _ in range(size.bit_length() - 4):  # from S/2 down to 4
            width *= 2
            self.main.extend(
                [
                    nn.Conv2d(inputs, width, 4, 2, 1),
                    nn.BatchNorm2d(width),
                    nn.LeakyReLU(0.2, inplace=True),
                    *([nn.Dropout(dropout)] if dropout else []),
                ]
            )
            inputs = width
        self.main.append(nn.Conv2d(inputs, 1, 4))
        self.apply(dcgan_init)

    def forward(self, images: Tensor, *labels: Tensor) -> list[Tensor]:
        """(N, C, S, S), and (N, A) of -1/+1 once or more -> logits (N,) for each labels."""
        maps = self.x_conv(images)
        return [self.main((maps, one)).flatten() for one in labels]


class Encoder(nn.Module):
    """Images -> latents or labels, without an activation at the end.

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        outputs: What is encoded, K numbers.
        width: Channels after the first convolution; twice as many after each of the others.
        layers: How many convolutions there are, each of which halves the size.
        dense: Width of the dense layer; None for that of the flattened map.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        outputs: int,
        width: int,
        layers: int = 4,
        dense: int | None = None,
    ) -> None:
        super().__init__()
        self.main = nn.Sequential()
        for _ in range(layers):
            self.main.extend(
                [
                    nn.Conv2d(channels, width, 5, 2, 2),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
            )
            channels, width, size = width, width * 2, -(-size // 2)
        flat = channels * size * size
        dense = dense or flat
        self.main.extend(
            [
                nn.Flatten(),
                nn.Linear(flat, dense),
                nn.BatchNorm1d(dense),
                nn.ReLU(inplace=True),
                nn.Linear(dense, outputs),
            ]
        )
        self.apply(_torch7_init)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) in [-1, 1] -> (N, K)."""
        encoded: Tensor = self.main(images)
        return encoded


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let all batch norms use the batch's own statistics, without moving the running ones."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    before = [norm.training for norm in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, training in zip(norms, before, strict=True):
            norm.training, norm.track_running_stats = training, True


def _torch7_init(module: nn.Module) -> None:
    """Torch7's defaults are PyTorch's, but for the scales of norms."""
    if isinstance(module, _BatchNorm):
        nn.init.uniform_(module.weight)
