"""The networks of InfoSCC-GAN's third stage (vkinakh/InfoSCC-GAN, src/models).

The generator is EigenGAN's in the PyTorch port; a mapper gives it labels and noise in place of
noise alone. The discriminator is one of three: EigenGAN's, with one logit (``global``, the code's
"oneclass") or with one for each class (``multiclass``, removed from the code in 2021), or that of
pix2pix, with a map of logits for overlapping patches (``patch``). Module names are the code's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.nets.eigengan import SLOPE, Discriminator, Generator, port_widths

DiscriminatorName = Literal["global", "multiclass", "patch"]
NormName = Literal["batch", "actnorm"]


class ConditionedGenerator(Generator):
    """Labels, noise and the coordinates in each layer's subspace -> images.

    The mapper r_psi that joins labels and noise is linear throughout, as released.

    Args:
        labels: How many labels A there are.
        widths: Channels of the maps at 4 px, 8 px, ... up to the size of the images.
        epsilon_dim: Numbers Z of the noise.
        mapped_dim: Numbers E that the mapper makes of labels and noise.
        n_basis: Dimensions K of each subspace.
        channels: Colour channels C.
    """

    def __init__(
        self,
        labels: int,
        widths: Sequence[int],
        epsilon_dim: int = 512,
        mapped_dim: int = 512,
        n_basis: int = 6,
        channels: int = 3,
    ) -> None:
        super().__init__(widths, mapped_dim, n_basis, channels)
        self.y_fc = nn.Linear(labels, labels)
        self.concat_fc = nn.Linear(labels + epsilon_dim, mapped_dim)

    def mapped(self, labels: Tensor, epsilon: Tensor) -> Tensor:
        """Labels (N, A) and noise (N, Z) -> (N, E)."""
        joint: Tensor = self.concat_fc(torch.cat([self.y_fc(labels), epsilon], dim=1))
        return joint

    def forward(self, labels: Tensor, epsilon: Tensor, zs: Tensor) -> Tensor:  # type: ignore[override]
        """Labels (N, A), noise (N, Z), coordinates (N, B, K) -> (N, C, S, S) in [-1, 1]."""
        return super().forward(self.mapped(labels, epsilon), zs)


class GlobalDiscriminator(Discriminator):
    """One logit for an image, whatever its labels.

    Args:
        size: Height and width S of the images, a power of two.
        channels: Colour channels C.
        base: Width of the first layer.
        most: Of all layers.
        outputs: Logits O of an image.
    """

    def __init__(
        self, size: int, channels: int = 3, base: int = 16, most: int = 512, outputs: int = 1
    ) -> None:
        super().__init__(port_widths(size, base, most)[::-1], size, channels, outputs=outputs)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, S, S) -> (N, O)."""
        return super().forward(images)


class MulticlassDiscriminator(GlobalDiscriminator):
    """A logit for each class, of which that of the image's class is taken."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, S, S) and one-hot labels (N, A) -> (N,)."""
        assert labels is not None
        logits = super().forward(images)
        return logits.gather(1, labels.argmax(dim=1, keepdim=True)).squeeze(1)


class ActNorm(nn.Module):
    """An affine map of each channel; the first training batch sets it to normalise that batch.

    Kingma and Dhariwal, Glow (2018), as taming-transformers has it.

    Args:
        channels: Width.
    """

    initialized: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(0, dtype=torch.uint8))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if self.training and not self.initialized:
            self._initialize(maps.detach())
        return self.scale * (maps + self.loc)

    @torch.no_grad()
    def _initialize(self, maps: Tensor) -> None:
        values = maps.transpose(0, 1).flatten(1)  # (C, N * H * W)
        self.loc.copy_(-values.mean(dim=1).view_as(self.loc))
        self.scale.copy_(1 / (values.std(dim=1).view_as(self.scale) + 1e-6))
        self.initialized.fill_(1)


class PatchDiscriminator(nn.Module):
    """A map of logits, each for a patch of the image (Isola et al., pix2pix, 2017).

    Args:
        channels: Colour channels C.
        width: Channels of the first layer; each layer doubles them, up to eight times as many.
        layers: Strided convolutions, each of which halves the images.
        norm: Batch norm, or ``ActNorm``.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, layers: int = 3, norm: NormName = "batch"
    ) -> None:
        super().__init__()
        main: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE, True)]
        incoming = width
        for layer in range(1, layers + 1):
            outgoing, stride = width * min(1 << layer, 8), 2 if layer < layers else 1
            # A batch norm would remove a bias before it.
            main.append(nn.Conv2d(incoming, outgoing, 4, stride, 1, bias=norm != "batch"))
            main.append(nn.BatchNorm2d(outgoing) if norm == "batch" else ActNorm(outgoing))
            main.append(nn.LeakyReLU(SLOPE, True))
            incoming = outgoing
        self.main = nn.Sequential(*main, nn.Conv2d(incoming, 1, 4, 1, 1))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, S, S) -> (N, 1, s, s)."""
        logits: Tensor = self.main(images)
        return logits


def patch_map_size(size: int, layers: int) -> int:
    """Height and width of a patch discriminator's map for images of ``size`` pixels; may be < 1."""
    return (size >> layers) - 2
