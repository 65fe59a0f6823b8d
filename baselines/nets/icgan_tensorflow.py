"""The networks of zhangqianhui/ICGan-tensorflow for MNIST; the discriminator ends in logits.

Images are in [0, 1], labels 0/1. Labels are joined to the input of every layer of the generator and
of the discriminator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Generator(nn.Module):
    """Latents and labels -> images, two dense and two transposed convolutional layers.

    Args:
        size: Height and width S of the images, a multiple of 4.
        channels: Colour channels C.
        z_dim: Width Z of the latents.
        attributes: Number of attributes A.
        widths: Channels at S/2 and at S/4.
        dense: Width of the first layer.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        z_dim: int,
        attributes: int,
        widths: tuple[int, int],
        dense: int,
    ) -> None:
        super().__init__()
        half, quarter = widths
        self.quarter_map = (quarter, size // 4, size // 4)
        flat = quarter * (size // 4) ** 2
        self.dense1, self.norm1 = nn.Linear(z_dim + attributes, dense), nn.BatchNorm1d(dense)
        self.dense2, self.norm2 = nn.Linear(dense + attributes, flat), nn.BatchNorm1d(flat)
        self.up1 = nn.ConvTranspose2d(quarter + attributes, half, 4, 2, 1)
        self.norm3 = nn.BatchNorm2d(half)
        self.up2 = nn.ConvTranspose2d(half + attributes, channels, 4, 2, 1)
        self.apply(_init)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """(N, Z) and (N, A) of 0/1 -> (N, C, S, S) in [0, 1]."""
        x = F.relu(self.norm1(self.dense1(torch.cat([z, labels], 1))))
        x = F.relu(self.norm2(self.dense2(torch.cat([x, labels], 1))))
        x = F.relu(self.norm3(self.up1(_labelled(x.unflatten(1, self.quarter_map), labels))))
        return torch.sigmoid(self.up2(_labelled(x, labels)))


class Discriminator(nn.Module):
    """Images and labels -> logits, two convolutional and two dense layers; sizes as above."""

    def __init__(
        self, size: int, channels: int, attributes: int, widths: tuple[int, int], dense: int
    ) -> None:
        super().__init__()
        half, quarter = widths
        flat = quarter * (size // 4) ** 2
        self.conv1 = nn.Conv2d(channels + attributes, half, 4, 2, 1)
        self.conv2 = nn.Conv2d(half + attributes, quarter, 4, 2, 1)
        self.norm1 = nn.BatchNorm2d(quarter)
        self.dense1, self.norm2 = nn.Linear(flat + attributes, dense), nn.BatchNorm1d(dense)
        self.dense2 = nn.Linear(dense + attributes, 1)
        self.apply(_init)

    def forward(self, images: Tensor, *labels: Tensor) -> list[Tensor]:
        """(N, C, S, S) in [0, 1], and (N, A) of 0/1 once or more -> logits (N,) for each."""
        return [self._judge(images, one) for one in labels]

    def _judge(self, images: Tensor, labels: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv1(_labelled(images, labels)), 0.01)
        x = F.leaky_relu(self.norm1(self.conv2(_labelled(x, labels))), 0.01)
        x = self.dense1(torch.cat([x.flatten(1), labels], 1))
        x = F.leaky_relu(self.norm2(x), 0.01)
        logits: Tensor = self.dense2(torch.cat([x, labels], 1))
        return logits.flatten()


class Encoder(nn.Module):
    """Images -> latents behind a batch norm, or labels behind a sigmoid; sizes as above.

    Args:
        size: Height and width S of the images, a multiple of 4.
        channels: Colour channels C.
        outputs: What is encoded, K numbers.
        widths: Channels at S/2 and at S/4.
        latents: Whether to encode latents.
    """

    def __init__(
        self, size: int, channels: int, outputs: int, widths: tuple[int, int], latents: bool
    ) -> None:
        super().__init__()
        half, quarter = widths
        self.main = nn.Sequential(
            nn.Conv2d(channels, half, 4, 2, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, quarter, 4, 2, 1),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(quarter * (size // 4) ** 2, outputs),
            nn.BatchNorm1d(outputs) if latents else nn.Sigmoid(),
        )
        self.apply(_init)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) in [0, 1] -> (N, K)."""
        encoded: Tensor = self.main(images)
        return encoded


def _init(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all of them have one


def _labelled(maps: Tensor, labels: Tensor) -> Tensor:
    planes = labels[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return torch.cat([maps, planes], dim=1)
