"""The networks of ALI for 64 and 32 px (IshmaelBelghazi/ALI, ali_celeba.py and ali_svhn.py).

No convolution is padded: encoder and discriminator end at 1 x 1 (64, 63, 29, 13, 4, 1 px), and the
decoder goes the same way back. Images are in [-1, 1] outside of the networks and, as there, in
[0, 1] within. Blocks averages the norms' running deviations where PyTorch averages variances.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

# By image size: kernel, stride and width of each layer, the width as a multiple of the first one's.
_DOWN = {
    64: ((2, 1, 1), (7, 2, 2), (5, 2, 4), (7, 2, 4), (4, 1, 8)),
    32: ((5, 1, 1), (4, 2, 2), (4, 1, 4), (4, 2, 8), (4, 1, 16), (1, 1, 16)),
}
_UP = {
    64: ((4, 1, 8), (7, 2, 4), (5, 2, 4), (7, 2, 2), (2, 1, 1)),
    32: ((4, 1, 8), (4, 2, 4), (4, 1, 2), (4, 2, 1), (5, 1, 1), (1, 1, 1)),
}
_USUAL_WIDTH = {64: 64, 32: 32}
_JUDGED = 5  # so many layers of the encoder's kind has the discriminator


def usual_width(size: int) -> int:
    """The reference's first width for images of ``size`` pixels.

    Raises:
        ValueError: It has no networks for this size.
    """
    if size not in _USUAL_WIDTH:
        raise ValueError(
            f"ALI has networks for 64 and 32 px only, and the dataset has {size} px: choose "
            "--set dataset.size=64."
        )
    return _USUAL_WIDTH[size]


class Encoder(nn.Module):
    """Images -> mean and logarithm of the standard deviation of q(z|x).

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        z_dim: Width D of the latents.
        width: Of the first layer.
        leak: Slope of the leaky ReLU.
        std: Standard deviation of the first weights.
    """

    def __init__(
        self, size: int, channels: int, z_dim: int, width: int, leak: float, std: float
    ) -> None:
        super().__init__()
        self.main = nn.Sequential()
        for kernel, stride, factor in _DOWN[size]:
            self.main.append(nn.Conv2d(channels, factor * width, kernel, stride, bias=False))
            self.main.extend([_norm(factor * width), nn.LeakyReLU(leak, inplace=True)])
            channels = factor * width
        self.main.append(nn.Conv2d(channels, 2 * z_dim, 1))
        _initialize(self, std)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) in [-1, 1] -> (N, D) and (N, D)."""
        mean, log_deviation = self.main((images + 1) / 2).flatten(1).chunk(2, dim=1)
        return mean, log_deviation


class Decoder(nn.Module):
    """Latents -> images; each pixel of each channel has a bias of its own. Sizes as above.

    Attributes:
        bias: (C, S, S), the log-odds of the pixels where the rest of the network is silent.
    """

    def __init__(
        self, size: int, channels: int, z_dim: int, width: int, leak: float, std: float
    ) -> None:
        super().__init__()
        self.main = nn.Sequential()
        incoming = z_dim
        for kernel, stride, factor in _UP[size]:
            outgoing = factor * width
            self.main.append(nn.ConvTranspose2d(incoming, outgoing, kernel, stride, bias=False))
            self.main.extend([_norm(outgoing), nn.LeakyReLU(leak, inplace=True)])
            incoming = outgoing
        self.main.append(nn.Conv2d(incoming, channels, 1, bias=False))
        self.bias = nn.Parameter(torch.zeros(channels, size, size))
        _initialize(self, std)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, C, S, S) in [-1, 1]."""
        return 2 * torch.sigmoid(self.main(z[:, :, None, None]) + self.bias) - 1


class Discriminator(nn.Module):
    """Pairs of an image and a latent -> logits, large for pairs of the encoder. Sizes as above.

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        z_dim: Width D of the latents.
        width: Of the first layer.
        leak: Slope of the leaky ReLU.
        std: Standard deviation of the first weights.
        dropout: Share of what goes into each convolution, the image included, that is left out.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        z_dim: int,
        width: int,
        leak: float,
        std: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.x_discriminator = nn.Sequential()
        for layer, (kernel, stride, factor) in enumerate(_DOWN[size][:_JUDGED]):
            first, outgoing = layer == 0, factor * width
            convolution = nn.Conv2d(channels, outgoing, kernel, stride, bias=first)
            self.x_discriminator.extend([nn.Dropout(dropout), convolution])
            if not first:
                self.x_discriminator.append(_norm(outgoing))
            self.x_discriminator.append(nn.LeakyReLU(leak, inplace=True))
            channels = outgoing
        wide = 16 * width
        self.z_discriminator = _dense((z_dim, wide, wide), leak, dropout, bias=False)
        self.joint_discriminator = nn.Sequential(
            *_dense((channels + wide, 2 * wide, 2 * wide), leak, dropout, bias=True),
            nn.Dropout(dropout),
            nn.Linear(2 * wide, 1),
        )
        _initialize(self, std)

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        """(N, C, S, S) in [-1, 1] and (N, D) -> (N, 1)."""
        seen = self.x_discriminator((images + 1) / 2).flatten(1)
        logits: Tensor = self.joint_discriminator(torch.cat([seen, self.z_discriminator(z)], 1))
        return logits


def _dense(widths: tuple[int, ...], leak: float, dropout: float, bias: bool) -> nn.Sequential:
    layers = nn.Sequential()
    for incoming, outgoing in pairwise(widths):
        layers.extend([nn.Dropout(dropout), nn.Linear(incoming, outgoing, bias)])
        layers.append(nn.LeakyReLU(leak, inplace=True))
    return layers


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-4, momentum=0.05)


def _initialize(network: nn.Module, std: float) -> None:
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
