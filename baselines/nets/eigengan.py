"""The networks of EigenGAN: a generator with a linear subspace in every layer, a discriminator.

He et al., "EigenGAN: Layer-Wise Eigen-Learning for GANs" (ICCV 2021), in two forms: the original
one (LynnHo/EigenGAN-Tensorflow, module.py) and the PyTorch port within InfoSCC-GAN
(vkinakh/InfoSCC-GAN, src/models), whose names of modules are used for both. They differ in the
widths of their layers (``original_widths``, ``port_widths``), in padding - TensorFlow's SAME pads
stride-2 layers behind only (``same``) - and in initial weights (``initialize`` draws those of the
original). How far a generator's subspaces are from orthonormal is measured in
``baselines.eigengan_losses``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.tensorflow_conv import SameConv2d, SameConvTranspose2d

START = 4  # height and width of the maps that the generator begins with
SLOPE = 0.2  # of all leaky ReLUs

_TRUNCATED = 0.87962566103423978  # deviation of N(0, 1) cut off beyond two deviations


class SubspaceLayer(nn.Module):
    """Coordinates -> points of an affine subspace, (L * z) U + mu.

    Args:
        dim: Numbers D of a point.
        n_basis: Numbers K of a coordinate vector.
        orthonormal: Orthonormalise the basis at every use instead of by a loss.

    Attributes:
        U: (K, D), the basis, orthonormal at first.
        L: (K,), the basis vectors' importance, ..., 9, 6, 3 at first.
        mu: (D,), the origin.
    """

    def __init__(self, dim: int, n_basis: int, orthonormal: bool = False) -> None:
        super().__init__()
        self.U = nn.Parameter(nn.init.orthogonal_(torch.empty(n_basis, dim)))
        self.L = nn.Parameter(torch.arange(3.0 * n_basis, 0.0, -3.0))
        self.mu = nn.Parameter(torch.zeros(dim))
        self.orthonormal = orthonormal

    def basis(self) -> Tensor:
        """The basis in use, (K, D)."""
        return gram_schmidt(self.U) if self.orthonormal else self.U

    def forward(self, z: Tensor) -> Tensor:
        """(N, K) -> (N, D)."""
        return torch.addmm(self.mu, z * self.L, self.basis())


class EigenBlock(nn.Module):
    """Maps -> maps of twice the size, moved by a point of a subspace before each convolution.

    Args:
        width: Of the incoming maps.
        height: Likewise.
        in_channels: I.
        out_channels: O.
        n_basis: Dimensions K of the subspace.
        same: Pad as TensorFlow does.
        orthonormal: See ``SubspaceLayer``.
    """

    def __init__(
        self,
        width: int,
        height: int,
        in_channels: int,
        out_channels: int,
        n_basis: int,
        same: bool = False,
        orthonormal: bool = False,
    ) -> None:
        super().__init__()
        self.shape = (in_channels, height, width)
        self.projection = SubspaceLayer(math.prod(self.shape), n_basis, orthonormal)
        self.subspace_conv1 = nn.Sequential(
            _transposed(in_channels, in_channels, kernel=1, stride=1, same=same)
        )
        self.subspace_conv2 = nn.Sequential(
            _transposed(in_channels, out_channels, kernel=3, stride=2, same=same)
        )
        self.feature_conv1 = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _transposed(in_channels, out_channels, kernel=3, stride=2, same=same),
        )
        self.feature_conv2 = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            _transposed(out_channels, out_channels, kernel=3, stride=1, same=same),
        )

    def injections(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """What is added before the two convolutions: (N, K) -> (N, I, H, W), (N, O, 2H, 2W).

        Both are convolutions of the subspace's points. Convolutions are linear: they are applied
        to the basis and the origin, which are fewer than the images of a batch.
        """
        layer = self.projection
        vectors = torch.cat([layer.basis() * layer.L[:, None], layer.mu[None]])
        maps = vectors.unflatten(1, self.shape)  # (K + 1, I, H, W)
        maps = maps.contiguous(memory_format=torch.channels_last)
        weights = torch.cat([z, z.new_ones(len(z), 1)], dim=1)
        first = _mixture(self.subspace_conv1[0], maps, weights)
        return first, _mixture(self.subspace_conv2[0], maps, weights)

    def forward(self, z: Tensor, maps: Tensor) -> Tensor:
        """Coordinates (N, K), maps (N, I, H, W) -> (N, O, 2H, 2W)."""
        first, second = self.injections(z)
        maps = self.feature_conv1(maps + first)
        moved: Tensor = self.feature_conv2(maps + second)
        return moved


class Generator(nn.Module):
    """Noise and the coordinates in each layer's subspace -> images.

    Args:
        widths: Channels of the maps at 4 px, 8 px, ... up to the size of the images.
        noise_dim: Numbers E of the noise.
        n_basis: Dimensions K of each subspace.
        channels: Colour channels C.
        same: Pad as TensorFlow does.
        orthonormal: See ``SubspaceLayer``.

    Attributes:
        levels: How many subspaces B there are, one for each doubling.
    """

    def __init__(
        self,
        widths: Sequence[int],
        noise_dim: int = 512,
        n_basis: int = 6,
        channels: int = 3,
        same: bool = False,
        orthonormal: bool = False,
    ) -> None:
        super().__init__()
        self.levels = len(widths) - 1
        self.fc = nn.Linear(noise_dim, START * START * widths[0])
        self.blocks = nn.ModuleList(
            EigenBlock(START << i, START << i, incoming, outgoing, n_basis, same, orthonormal)
            for i, (incoming, outgoing) in enumerate(itertools.pairwise(widths))
        )
        last = nn.Conv2d(widths[-1], channels, 7, padding=3)
        self.out = nn.Sequential(nn.Sequential(nn.LeakyReLU(SLOPE), last), nn.Tanh())

    def maps(self, noise: Tensor, zs: Tensor) -> list[Tensor]:
        """The maps before the first block and after each; see ``forward``."""
        start = self.fc(noise).unflatten(1, (-1, START, START))
        maps = [start.contiguous(memory_format=torch.channels_last)]  # what processors like best
        for block, z in zip(self.blocks, zs.unbind(1), strict=True):
            maps.append(block(z, maps[-1]))
        return maps

    def forward(self, noise: Tensor, zs: Tensor) -> Tensor:
        """Noise (N, E) and coordinates (N, B, K), coarse to fine -> (N, C, H, W) in [-1, 1]."""
        images: Tensor = self.out(self.maps(noise, zs)[-1])
        return images

    def bases(self) -> list[Tensor]:
        """The bases of all subspaces, (K, D) each, not orthonormalised."""
        return [layer.U for layer in self._subspaces()]

    def importances(self) -> Tensor:
        """The importance of all dimensions, (B, K)."""
        return torch.stack([layer.L for layer in self._subspaces()]).abs()

    def _subspaces(self) -> list[SubspaceLayer]:
        return [module for module in self.modules() if isinstance(module, SubspaceLayer)]


class Discriminator(nn.Module):
    """Images -> logits of being real.

    Args:
        widths: Channels of the maps at the images' size, at half of it, ...
        size: Height and width S of the images.
        channels: Colour channels C.
        hidden: Width of the first dense layer; None takes the last of ``widths``, as in the port.
        outputs: Logits O of an image.
        same: Pad as TensorFlow does.
    """

    def __init__(
        self,
        widths: Sequence[int],
        size: int,
        channels: int = 3,
        hidden: int | None = None,
        outputs: int = 1,
        same: bool = False,
    ) -> None:
        super().__init__()
        layers = [_convolution(channels, widths[0], 7, 1, same)]
        for incoming, outgoing in itertools.pairwise(widths):
            layers.append(_convolution(incoming, incoming, 3, 1, same))
            layers.append(_convolution(incoming, outgoing, 3, 2, same))
        layers.append(_convolution(widths[-1], widths[-1], 3, 1, same))
        self.blocks = nn.Sequential(
            *[nn.Sequential(layer, nn.LeakyReLU(SLOPE)) for layer in layers]
        )
        hidden = hidden or widths[-1]
        features = widths[-1] * (size >> (len(widths) - 1)) ** 2
        self.classifier = nn.Sequential(
            nn.Linear(features, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, outputs)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) -> (N, O)."""
        images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.classifier(self.blocks(images).flatten(1))
        return logits


def port_widths(size: int, base: int = 16, most: int = 512) -> list[int]:
    """The generator's widths in the port; the discriminator's are the other way round.

    Args:
        size: Height and width of the images, a power of two.
        base: Channels at the images' size; each halving doubles them.
        most: Channels at most.
    """
    levels = int(math.log2(size // START))
    return [min(most, base << (levels - i)) for i in range(levels + 1)]


def original_widths(size: int, dim_10: float = 4.0, most: int = 512) -> list[int]:
    """The generator's widths in the original, which depend on the absolute resolution.

    Args:
        size: Height and width of the images, a power of two.
        dim_10: Channels at 1024 px; each halving doubles them.
        most: Channels at most.
    """
    sides = [START << i for i in range(int(math.log2(size // START)) + 1)]
    return [min(int(1024 / side * dim_10), most) for side in sides]


def gram_schmidt(vectors: Tensor) -> Tensor:
    """Vectors (K, D) -> orthonormal ones, each from itself and those before it."""
    basis: list[Tensor] = []
    for vector in vectors:
        if basis:
            found = torch.stack(basis)
            vector = vector - (found @ vector) @ found
        basis.append(F.normalize(vector, dim=0))
    return torch.stack(basis)


def architecture(generator: Mapping[str, Tensor]) -> dict[str, int]:
    """What the shapes in a generator's state dict tell.

    Raises:
        ValueError: It is no state dict of a generator.
    """
    try:
        channels, base, *_ = generator["out.0.1.weight"].shape
        n_basis, _ = generator["blocks.0.projection.U"].shape
        flat, noise_dim = generator["fc.weight"].shape
    except (KeyError, ValueError) as error:
        raise ValueError(f"the checkpoint is no generator of EigenGAN ({error})") from error
    levels = sum(name.endswith(".projection.U") for name in generator)
    return {
        "channels": channels,
        "size": START << levels,
        "noise_dim": noise_dim,
        "n_basis": n_basis,
        "base_channels": base,
        "max_channels": flat // START**2,
    }


def initialize(network: nn.Module) -> None:
    """Draw weights as the original does: truncated normal with the gain of the leaky ReLU.

    What counts as incoming is the last but one axis of TensorFlow's kernels. That of a transposed
    convolution's is the channels that go out.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            incoming = layer.weight[0].numel()  # for transposed ones, too: I x O x kernel x kernel
            deviation = math.sqrt(2 / (1 + SLOPE**2) / incoming) / _TRUNCATED
            nn.init.trunc_normal_(layer.weight, 0, deviation, -2 * deviation, 2 * deviation)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # all of them have one


def _transposed(inputs: int, outputs: int, *, kernel: int, stride: int, same: bool) -> nn.Module:
    if same:
        return SameConvTranspose2d(inputs, outputs, kernel, stride)
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, output_padding=stride - 1
    )


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, same: bool) -> nn.Module:
    if same:
        return SameConv2d(inputs, outputs, kernel, stride)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def _mixture(convolution: nn.Module, maps: Tensor, weights: Tensor) -> Tensor:
    """The convolution of weighted sums of maps: (M, ...), (N, M) -> (N, ...)."""
    assert isinstance(convolution, nn.ConvTranspose2d)
    height, width = (side * convolution.stride[0] for side in maps.shape[2:])
    convolved = F.conv_transpose2d(
        maps,
        convolution.weight,
        stride=convolution.stride,
        padding=convolution.padding,  # type: ignore[arg-type]  # numbers
        output_padding=convolution.output_padding,
    )[:, :, :height, :width].permute(0, 2, 3, 1)  # channels last, as in memory
    mixed = (weights @ convolved.flatten(1)).unflatten(1, convolved.shape[1:])
    return mixed.permute(0, 3, 1, 2) + convolution.bias[:, None, None]  # type: ignore[index]
