"""The networks of BiGAN and its latent regressor (jeffdonahue/bigan, net.py) for 64 px and others.

No layer has a bias beside those of its norm. Where latents are a condition, each layer adds a
linear projection of them to its maps in front of the norm. Modules stand in the order in which
that program lists its arrays, so that its checkpoints need no names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_KERNEL = 5
_STD = 0.02
_CONDITION_STD = _STD * _KERNEL**2  # of projections, to weigh as much as a kernel's sum
_SMALLEST_FRACTION = 16  # four layers halve the image


class Layer(nn.Module):
    """A convolution, plus a projection of the latents if there are any, and a batch norm.

    Args:
        convolution: (N, C, H, W) -> (N, C', H', W').
        width: Its C'.
        z_dim: Width of the latents; 0 for none.
    """

    def __init__(self, convolution: nn.Module, width: int, z_dim: int = 0) -> None:
        super().__init__()
        self.convolution = convolution
        self.projection = _linear(z_dim, width, _CONDITION_STD) if z_dim else None
        self.norm = nn.BatchNorm2d(width, eps=1e-8)

    def forward(self, maps: Tensor, z: Tensor | None = None) -> Tensor:
        """(N, C, H, W) and (N, D) -> (N, C', H', W'), before the activation."""
        maps = self.convolution(maps)
        if self.projection is not None:
            assert z is not None
            maps = maps + self.projection(z)[:, :, None, None]
        normed: Tensor = self.norm(maps)
        return normed


class Generator(nn.Module):
    """Latents -> images (deconvnet_64).

    Args:
        size: Height and width S of the images, a multiple of 16.
        channels: Colour channels C.
        z_dim: Width D of the latents.
        width: Channels at half of the image's size; twice as many for each halving.

    Raises:
        ValueError: There is no network for this size.
    """

    def __init__(self, size: int, channels: int, z_dim: int, width: int) -> None:
        super().__init__()
        _check_size(size)
        self.start = (8 * width, size // _SMALLEST_FRACTION, size // _SMALLEST_FRACTION)
        flat = 8 * width * self.start[1] ** 2
        self.dense, self.norm = _linear(z_dim, flat), nn.BatchNorm1d(flat, eps=1e-8)
        self.layers = nn.ModuleList(
            Layer(_up(2 * outgoing, outgoing), outgoing, z_dim)
            for outgoing in (4 * width, 2 * width, width)
        )
        self.last = _up(width, channels)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, C, S, S) in [-1, 1]."""
        maps = F.relu(self.norm(self.dense(z)), inplace=True).unflatten(1, self.start)
        for layer in self.layers:
            maps = F.relu(layer(maps, z), inplace=True)
        return 2 * torch.sigmoid(self.last(maps)) - 1


class ConvNet(nn.Module):
    """Images, and latents as a condition if it has one -> a vector (convnet_64).

    Args:
        size: Height and width S of the images, a multiple of 16.
        channels: Colour channels C.
        width: Of the first layer; each of the four doubles it.
        outputs: Numbers K in the vector.
        zero_head: Begin with a last layer of zeros.
        z_dim: Width D of the latents that are a condition; 0 for none.

    Raises:
        ValueError: There is no network for this size.
    """

    def __init__(
        self,
        size: int,
        channels: int,
        width: int,
        outputs: int,
        zero_head: bool = False,
        z_dim: int = 0,
    ) -> None:
        super().__init__()
        _check_size(size)
        self.first = _convolution(channels, width, _KERNEL, stride=2)
        self.layers = nn.ModuleList(
            Layer(_convolution(incoming, 2 * incoming, _KERNEL, stride=2), 2 * incoming, z_dim)
            for incoming in (width, 2 * width, 4 * width)
        )
        side = size // _SMALLEST_FRACTION
        self.head = _linear(8 * width * side**2, outputs, 0.0 if zero_head else _STD)

    def forward(self, images: Tensor, z: Tensor | None = None) -> Tensor:
        """(N, C, S, S) in [-1, 1] and (N, D) -> (N, K)."""
        maps = F.leaky_relu(self.first(images), 0.2, inplace=True)
        for layer in self.layers:
            maps = F.leaky_relu(layer(maps, z), 0.2, inplace=True)
        vectors: Tensor = self.head(maps.flatten(1))
        return vectors


class AlexNet(nn.Module):
    """The encoder of the program's ImageNet runs (alexnet_group_padpool), of a fixed width.

    Args:
        size: Height and width S of the images, a multiple of 16.
        channels: Colour channels C.
        outputs: Numbers K in the vector.
        zero_head: Begin with a last layer of zeros.
    """

    def __init__(self, size: int, channels: int, outputs: int, zero_head: bool = False) -> None:
        super().__init__()
        self.first = _convolution(channels, 96, 11, stride=4)
        self.layers = nn.ModuleList(
            [
                Layer(_convolution(96, 256, 5, groups=2), 256),
                Layer(_convolution(256, 384, 3), 384),
                Layer(_convolution(384, 384, 3, groups=2), 384),
                Layer(_convolution(384, 256, 3, groups=2), 256),
            ]
        )
        self.head = _linear(
            256 * (size // _SMALLEST_FRACTION) ** 2, outputs, 0.0 if zero_head else _STD
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) in [-1, 1] -> (N, K)."""
        maps = F.leaky_relu(self.first(images), 0.2, inplace=True)
        for depth, layer in enumerate(self.layers):
            if depth < 2:
                maps = F.max_pool2d(maps, 3, stride=2, padding=1)
            maps = F.leaky_relu(layer(maps), 0.2, inplace=True)
        vectors: Tensor = self.head(maps.flatten(1))
        return vectors


def arrays_of(network: nn.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The arrays that the program saves of such a network, in its order: name and shape."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            yield f"{name}.weight", (module.in_features, module.out_features)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            yield f"{name}.weight", tuple(module.weight.shape)
        elif isinstance(module, _BatchNorm):
            yield f"{name}.count", ()
            for part in ("mean", "var", "weight", "bias"):
                yield f"{name}.{part}", (module.num_features,)


@torch.no_grad()
def take_arrays(network: nn.Module, arrays: Sequence[Tensor]) -> None:
    """Take over what the program has saved of such a network; the shapes are those of arrays_of.

    Its matrices are applied from the right, its kernels are turned around, and its norms keep the
    sums over ``count`` batches.
    """
    rest = iter(arrays)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.weight.copy_(next(rest).T)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.copy_(next(rest).flip(2, 3))
        elif isinstance(module, _BatchNorm):
            count = next(rest)
            buffers = (module.running_mean, module.running_var)
            for buffer in buffers:
                assert buffer is not None
                buffer.copy_(next(rest) / count)
            module.weight.copy_(next(rest))
            module.bias.copy_(next(rest))


def architecture(
    generator: Sequence[Tensor], encoder: Sequence[Tensor], discriminator: Sequence[Tensor]
) -> dict[str, int | str]:
    """What the shapes of the program's arrays tell, by the name of the setting.

    Raises:
        ValueError: They are not of these networks.
    """
    try:
        z_dim, flat = generator[0].shape
        wide, *_ = generator[6].shape  # of the first transposed convolution
        return {
            "z_dim": z_dim,
            "latent": "gv" if encoder[-1].shape[1] == 2 * z_dim else "u",
            "generator_width": wide // 8,
            "feature_width": discriminator[0].shape[0],
            "encoder_network": "alexnet" if encoder[0].shape[2] == 11 else "convnet",
            "size": _SMALLEST_FRACTION * math.isqrt(flat // wide),
            "channels": generator[-1].shape[1],
        }
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"the checkpoint is none of BiGAN's networks for 64 px ({error}): give one that its "
            "train_gan.py wrote for images of that size or more"
        ) from error


def _check_size(size: int) -> None:
    if size % _SMALLEST_FRACTION:
        raise ValueError(
            f"The networks halve images four times and {size} px cannot be: choose a multiple of "
            f"{_SMALLEST_FRACTION} by --set dataset.size=N."
        )


def _linear(incoming: int, outgoing: int, std: float = _STD) -> nn.Linear:
    layer = nn.Linear(incoming, outgoing, bias=False)
    nn.init.normal_(layer.weight, 0.0, std)
    return layer


def _convolution(
    incoming: int, outgoing: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    padding = (kernel - 1) // 2
    layer = nn.Conv2d(incoming, outgoing, kernel, stride, padding, groups=groups, bias=False)
    nn.init.normal_(layer.weight, 0.0, _STD)
    return layer


def _up(incoming: int, outgoing: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(
        incoming, outgoing, _KERNEL, stride=2, padding=2, output_padding=1, bias=False
    )
    nn.init.normal_(layer.weight, 0.0, _STD)
    return layer
