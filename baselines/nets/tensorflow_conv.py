"""The convolutional networks that VAE-GAN and alpha-GAN share, by TensorFlow's conventions.

Layers and their names, and with them the keys of the state dicts, are those of PrateekMunjal's two
programs. What TensorFlow does otherwise than PyTorch is done its way: SAME padding, which is larger
behind than before where it is odd; maps that are flattened pixel by pixel with the channels last;
batch norms with an epsilon of 1e-3, whose momentum is the share of moving statistics that a pass
keeps; truncated normal weights. Only the moving variances behind the dense layer are unbiased, as
in PyTorch: they are larger by 1 % at a batch of 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count, takewhile

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# Kernel and stride of a tower's layers; towers have the first four or all of them.
_KERNELS, _STRIDES = (5, 5, 5, 5, 3), (2, 2, 2, 1, 2)

_EPSILON = 1e-3  # of the norms

Weighted = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


class SameConv2d(nn.Conv2d):
    """A convolution whose maps are 1/stride as large as its input, rounded up.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the maps.
        kernel: Height and width of the kernel.
        stride: In both directions.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, ceil(H / stride), ceil(W / stride))."""
        (top, bottom), (left, right) = (self._padding_of(size) for size in maps.shape[2:])
        if bottom > top or right > left:  # by at most one; the rest is left to the convolution
            maps = F.pad(maps, (0, right - left, 0, bottom - top))
        return F.conv2d(maps, self.weight, self.bias, self.stride, (top, left))

    def _padding_of(self, size: int) -> tuple[int, int]:
        stride, kernel = self.stride[0], self.kernel_size[0]
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class SameConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose maps are ``stride`` times as large as its input.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the maps.
        kernel: Height and width of the kernel, at least the stride.
        stride: In both directions.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=(kernel - stride) // 2)

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, I, H, W) -> (N, O, stride H, stride W)."""
        height, width = (size * self.stride[0] for size in maps.shape[2:])
        return super().forward(maps)[:, :, :height, :width]


class Tower(nn.Module):
    """Images -> features: convolutions, each with a batch norm and a ReLU; a head goes on top.

    Args:
        size: Height and width S of the images, a multiple of what ``reduction`` says.
        channels: Colour channels C.
        widths: Channels of the layers, four or five of them.
        deviation: Of the truncated normal distribution that kernels are drawn from.

    Attributes:
        features: How many features F there are.
    """

    def __init__(self, size: int, channels: int, widths: Sequence[int], deviation: float) -> None:
        super().__init__()
        for number, width in enumerate(widths):
            convolution = SameConv2d(channels, width, _KERNELS[number], _STRIDES[number])
            self.add_module(f"enc_conv{number + 1}_layer", initialized(convolution, deviation))
            self.add_module(f"bn_{number + 1}", nn.BatchNorm2d(width, _EPSILON))
            channels = width
        self.depth = len(widths)
        self.features = channels * (size // reduction(widths)) ** 2

    def flat_features(self, images: Tensor) -> Tensor:
        """(N, C, S, S) -> (N, F)."""
        maps = images.contiguous(memory_format=torch.channels_last)
        for number in range(1, self.depth + 1):
            maps = self.get_submodule(f"enc_conv{number}_layer")(maps)
            maps = F.relu(self.get_submodule(f"bn_{number}")(maps))
        return maps.permute(0, 2, 3, 1).flatten(1)


class Decoder(nn.Module):
    """Latents -> images, a tower upside down.

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        widths: Those of the tower.
        z_dim: Numbers Z of a latent.
        deviation: Of the weights.
    """

    def __init__(
        self, size: int, channels: int, widths: Sequence[int], z_dim: int, deviation: float
    ) -> None:
        super().__init__()
        side = size // reduction(widths)
        self.start = (side, side, widths[-1])
        self.depth = len(widths)
        flat = math.prod(self.start)
        self.dec_dense_fc_first_layer = initialized(nn.Linear(z_dim, flat), deviation)
        self.bn_0 = nn.BatchNorm1d(flat, _EPSILON)
        kernels = _KERNELS[self.depth - 1 :: -1]
        inputs, outputs = widths[-1], (*reversed(widths[:-1]), channels)
        for number, (output, kernel) in enumerate(zip(outputs, kernels, strict=True), 1):
            last = number == self.depth  # which keeps the size, as the tower's fourth layer does
            layer = SameConvTranspose2d(inputs, output, kernel, 1 if last else 2)
            # The released code draws the first of them from a normal distribution not truncated.
            self.add_module(f"dec_deconv{number}_layer", initialized(layer, deviation, number > 1))
            if not last:
                self.add_module(f"bn_{number}", nn.BatchNorm2d(output, _EPSILON))
            inputs = output

    def forward(self, z: Tensor) -> Tensor:
        """(N, Z) -> (N, C, S, S) in [-1, 1]."""
        flat = F.relu(self.bn_0(self.dec_dense_fc_first_layer(z)))
        maps = flat.unflatten(1, self.start).permute(0, 3, 1, 2)  # channels last in memory
        for number in range(1, self.depth):
            maps = self.get_submodule(f"dec_deconv{number}_layer")(maps)
            maps = F.relu(self.get_submodule(f"bn_{number}")(maps))
        return torch.tanh(self.get_submodule(f"dec_deconv{self.depth}_layer")(maps))


def reduction(widths: Sequence[int]) -> int:
    """How many times smaller than the images the maps of a tower are in the end."""
    return math.prod(_STRIDES[: len(widths)])


def check_size(method: str, size: int, widths: Sequence[int]) -> None:
    """Refuse images that the layers of a tower cannot halve.

    Raises:
        ValueError: The size is no multiple of ``reduction``; the message names the option.
    """
    step = reduction(widths)
    if size % step:
        raise ValueError(
            f"{method} makes maps {step} times smaller than the images and {size} px cannot be: "
            f"choose a multiple of {step} by --set dataset.size=N"
        )


def keep_statistics(method: nn.Module, share: float) -> None:
    """Let each training pass keep this share of the norms' moving statistics."""
    for module in method.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1 - share


def initialized(layer: Weighted, deviation: float, truncated: bool = True) -> Weighted:
    """The layer with weights N(0, deviation), none beyond two deviations, and biases 0."""
    if truncated:
        nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    else:
        nn.init.normal_(layer.weight, std=deviation)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # all of them have one
    return layer


def load_networks(
    method: str, networks: Mapping[str, nn.Module], states: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Load the state dicts that ``bench.checkpoints.tensorflow_arrays`` makes of a checkpoint.

    Args:
        method: Its title, for messages.
        networks: By their variable scopes; one of them is a ``Decoder``.
        states: Likewise.

    Raises:
        ValueError: A network is missing or another one; the message names the option to change.
    """
    missing = networks.keys() - states.keys()
    if missing:
        raise ValueError(
            f"the checkpoint lacks {method}'s network {' and '.join(sorted(missing))}: give an "
            f"archive of all variables of {method}'s checkpoint"
        )
    for scope, network in networks.items():
        if isinstance(network, Decoder):
            _compare(method, network.state_dict(), states[scope])
    for scope, network in networks.items():
        try:
            network.load_state_dict(dict(states[scope]))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the checkpoint is none of {method}: {reason}") from error


def _compare(method: str, own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    ours = _architecture(own)
    try:
        theirs = _architecture(other)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"the checkpoint is none of {method}: it has no decoder") from error
    for setting, value in theirs.items():
        if value != ours[setting]:
            name = setting if setting in ("widths", "z_dim") else f"dataset.{setting}"
            raise ValueError(
                f"the checkpoint's {setting} is {value}, this run's {ours[setting]}: change it by "
                f"--set {name}={str(value).replace(' ', '')}"
            )


def _architecture(decoder: Mapping[str, Tensor]) -> dict[str, int | list[int]]:
    """What the shapes in a decoder's state dict tell."""
    names = takewhile(decoder.__contains__, (f"dec_deconv{i}_layer.weight" for i in count(1)))
    shapes = [decoder[name].shape for name in names]  # inputs, outputs, kernel, kernel
    flat, z_dim = decoder["dec_dense_fc_first_layer.weight"].shape
    widths = [shape[0] for shape in reversed(shapes)]
    return {
        "z_dim": z_dim,
        "widths": widths,
        "channels": shapes[-1][1],
        "size": math.isqrt(flat // widths[-1]) * reduction(widths),
    }
