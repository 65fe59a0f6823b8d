"""The progressively growing generator and discriminator, plain or with spectral norms.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (ICLR
2018), with the module names of genforce/sefa. The authors of CRG (Dogan and Keles 2020; released in
yahyadogan72/iterative_facial_image_inpainting) normalise every weight of both networks by its
spectral norm, which the factor of the equalised learning rate cancels in: it scales gradients only.

``lod`` is the level of detail: 0 is the full resolution, 1 is half of it, and in between the larger
one is faded in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.spectral import spectrally_normalized
from baselines.nets.stylegan2_layers import unit_rms
from baselines.progressive import FIRST_RESOLUTION, levels_of, shrunk

_GAIN = math.sqrt(2)


@dataclass(frozen=True)
class Weights:
    """How the weights of a network are kept and used.

    Attributes:
        channel_base: Width at resolution r is ``min(channel_base // r, channel_max)``.
        channel_max: See ``channel_base``.
        spectral: Normalise each weight by its spectral norm.
        fused: Change the resolution within a convolution, whose 3 x 3 kernel is then spread to 4 x
            4 before it is normalised, instead of by repeated or averaged pixels.
        equalized: Keep standard normal weights and scale them at every use.
    """

    channel_base: int = 16384
    channel_max: int = 512
    spectral: bool = False
    fused: bool = False
    equalized: bool = True

    def width(self, resolution: int) -> int:
        """Channels at a resolution."""
        return min(self.channel_base // resolution, self.channel_max)


class Generator(nn.Module):
    """Latents to images.

    Args:
        size: Height and width of the images at the last level, R.
        z_dim: Width of a latent.
        channels: Colour channels C.
        weights: Widths and kinds of the weights.
        label_size: Numbers of a label, 0 for none.
        tanh: End with a tangent instead of linear colours.

    Attributes:
        z_dim: As given.
        img_resolution: ``size``.
        lod: What ``forward`` takes where it is told none.

    Raises:
        ValueError: ``size`` is no power of two, or too large for ``channel_base``.
    """

    lod: Tensor

    def __init__(
        self,
        size: int,
        z_dim: int = 512,
        channels: int = 3,
        weights: Weights = Weights(),
        label_size: int = 0,
        tanh: bool = False,
    ) -> None:
        super().__init__()
        self.z_dim, self.img_resolution, self.img_channels = z_dim, size, channels
        self.label_size, self.tanh = label_size, tanh
        self.levels = _checked_levels(size, weights)
        self.register_buffer("lod", torch.zeros(()))
        for level in range(self.levels):
            width = weights.width(FIRST_RESOLUTION << level)
            first: nn.Module
            if level == 0:
                first = Spread(z_dim + label_size, width, weights)
            else:
                before = weights.width(FIRST_RESOLUTION << (level - 1))
                first = Convolution(before, width, weights, change="up")
            self.add_module(f"layer{2 * level}", first)
            self.add_module(f"layer{2 * level + 1}", Convolution(width, width, weights))
            colours = Convolution(width, channels, weights, kernel=1, linear=True)
            self.add_module(f"output{level}", colours)

    def forward(self, z: Tensor, label: Tensor | None = None, lod: float | None = None) -> Tensor:
        """Latents (N, z_dim) and labels (N, label_size) -> images (N, C, R, R) of any ``lod``."""
        images = self.grown(z, label, lod)
        return _repeated(images, self.img_resolution // images.shape[-1])

    def grown(self, z: Tensor, label: Tensor | None = None, lod: float | None = None) -> Tensor:
        """Images at their own resolution, (N, C, r, r): R halved once for each whole ``lod``.

        Raises:
            ValueError: Labels are needed, or ``lod`` is above what leads to 4 x 4 pixels.
        """
        lod = _checked_lod(self.lod.item() if lod is None else lod, self.levels)
        top, fading = self.levels - 1 - math.floor(lod), lod % 1
        x = coarse = self.normalized(z, label)
        for level in range(top + 1):
            coarse = x
            x = unit_rms(self.get_submodule(f"layer{2 * level}")(x))
            x = unit_rms(self.get_submodule(f"layer{2 * level + 1}")(x))
        images: Tensor = self.get_submodule(f"output{top}")(x)
        if fading:
            faded_out = _repeated(self.get_submodule(f"output{top - 1}")(coarse), 2)
            images = images.lerp(faded_out, fading)
        return images.tanh() if self.tanh else images

    def normalized(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """What the first layer sees: normalised latents, and labels beside them."""
        z = unit_rms(z)
        if not self.label_size:
            return z
        if label is None:
            raise ValueError(
                f"this generator is conditional: give labels of shape (N, {self.label_size})"
            )
        return unit_rms(torch.cat([z, label], dim=1))


class Discriminator(nn.Module):
    """Images to scores.

    Args:
        size: Height and width of the images at the last level, R.
        channels: Colour channels C.
        weights: Widths and kinds of the weights.
        label_size: Further outputs, for labels.
        group: Images that the minibatch standard deviation compares; 0 for none.

    Raises:
        ValueError: ``size`` is no power of two, or too large for ``channel_base``.
    """

    lod: Tensor

    def __init__(
        self,
        size: int,
        channels: int = 3,
        weights: Weights = Weights(),
        label_size: int = 0,
        group: int = 16,
    ) -> None:
        super().__init__()
        self.img_resolution, self.group = size, group
        self.levels = _checked_levels(size, weights)
        self.register_buffer("lod", torch.zeros(()))
        last = self.levels - 1
        for block in range(self.levels):  # from the full resolution down
            resolution = size >> block
            width, after = weights.width(resolution), weights.width(resolution // 2)
            self.add_module(f"input{block}", Convolution(channels, width, weights, kernel=1))
            if block < last:
                first = Convolution(width, width, weights)
                second: nn.Module = Convolution(width, after, weights, change="down")
            else:
                first = Convolution(width + (group > 1), width, weights)
                second = Dense(width * FIRST_RESOLUTION**2, after, weights)
            self.add_module(f"layer{2 * block}", first)
            self.add_module(f"layer{2 * block + 1}", second)
        scores = Dense(weights.width(FIRST_RESOLUTION // 2), 1 + label_size, weights, linear=True)
        self.add_module(f"layer{2 * last + 2}", scores)

    def forward(self, images: Tensor, lod: float | None = None) -> Tensor:
        """Images (N, C, r, r) -> scores (N, 1 + label_size).

        Args:
            images: Of the full resolution, which are shrunk as ``lod`` says, or of that of ``lod``.
            lod: The level of detail.

        Raises:
            ValueError: The batch does not split into groups (see ``minibatch_deviation``), or
                ``lod`` is above what leads to 4 x 4 pixels.
        """
        lod = _checked_lod(self.lod.item() if lod is None else lod, self.levels)
        top, fading = math.floor(lod), lod % 1
        images = shrunk(images, self.img_resolution >> top)
        x: Tensor = self.get_submodule(f"input{top}")(images)
        for block in range(top, self.levels - 1):
            x = self.get_submodule(f"layer{2 * block}")(x)
            x = self.get_submodule(f"layer{2 * block + 1}")(x)
            if fading and block == top:
                x = x.lerp(self.get_submodule(f"input{top + 1}")(F.avg_pool2d(images, 2)), fading)
        if self.group > 1:
            x = minibatch_deviation(x, self.group)
        for layer in range(2 * self.levels - 2, 2 * self.levels + 1):
            x = self.get_submodule(f"layer{layer}")(x)
        return x


class Equalized(nn.Module):
    """A layer's weight and bias: scaled at every use, and spectrally normalised where asked for.

    In evaluation the stored singular vector stays as it is, so that an image depends on its latent
    only; the released code lets it advance there too.
    """

    u: Tensor

    def __init__(
        self, shape: tuple[int, ...], inputs: int, outputs: int, weights: Weights, linear: bool
    ) -> None:
        super().__init__()
        self.linear = linear
        self.scale = (1.0 if linear else _GAIN) / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if not weights.equalized:
            self.weight.data *= self.scale
            self.scale = 1.0
        self.spectral = weights.spectral
        if weights.spectral:
            rows = len(self.arranged(self.weight.detach()))
            self.register_buffer("u", nn.init.trunc_normal_(torch.empty(rows)))

    def arranged(self, weight: Tensor) -> Tensor:
        """The scaled weight in the form that it is used in, rows of its matrix first."""
        return weight

    def used_weight(self) -> Tensor:
        """What the layer's input is multiplied by."""
        weight = self.arranged(self.weight * self.scale)
        return spectrally_normalized(weight, self.u, self.training) if self.spectral else weight

    def activated(self, x: Tensor) -> Tensor:
        return x if self.linear else F.leaky_relu(x, 0.2)


class Convolution(Equalized):
    """A convolution, and the change of resolution before or after it.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        weights: Kind of the weight.
        kernel: Height and width of the kernel.
        change: Double or halve the resolution.
        linear: Has no activation, and a gain of 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        weights: Weights,
        kernel: int = 3,
        change: Literal["up", "down"] | None = None,
        linear: bool = False,
    ) -> None:
        self.change, self.fused = change, weights.fused and change is not None
        shape = (outputs, inputs, kernel, kernel)
        if self.fused and change == "up":
            shape = (inputs, outputs, kernel, kernel)  # as transposed convolutions have it
        super().__init__(shape, inputs * kernel**2, outputs, weights, linear)

    def arranged(self, weight: Tensor) -> Tensor:
        if not self.fused:
            return weight
        # The sum of the kernel's four shifts by 0 or 1, and their mean on the way down: 4 x 4.
        shifts = 4 if self.change == "down" else 1
        return F.avg_pool2d(weight, 2, stride=1, padding=1, divisor_override=shifts)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W')."""
        kernel = self.used_weight()
        if self.fused and self.change == "up":
            return self.activated(F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1))
        if self.fused:
            return self.activated(F.conv2d(x, kernel, self.bias, stride=2, padding=1))
        if self.change == "up":
            x = _repeated(x, 2)
        x = self.activated(F.conv2d(x, kernel, self.bias, padding=kernel.shape[-1] // 2))
        return F.avg_pool2d(x, 2) if self.change == "down" else x


class Spread(Equalized):
    """Latents (N, inputs) -> features (N, outputs, 4, 4).

    The weight is kept as a convolution of one pixel, padded by three, has it: turned around.
    """

    def __init__(self, inputs: int, outputs: int, weights: Weights) -> None:
        side = FIRST_RESOLUTION
        shape = (outputs, inputs, side, side)
        super().__init__(shape, inputs * side**2, outputs, weights, linear=False)

    def arranged(self, weight: Tensor) -> Tensor:
        return weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2)  # (outputs * 16, inputs)

    def forward(self, x: Tensor) -> Tensor:
        side = FIRST_RESOLUTION
        x = F.linear(x, self.used_weight()).reshape(len(x), -1, side, side)
        return self.activated(x + self.bias[:, None, None])


class Dense(Equalized):
    """(N, ...) of ``inputs`` numbers each -> (N, outputs)."""

    def __init__(self, inputs: int, outputs: int, weights: Weights, linear: bool = False) -> None:
        super().__init__((outputs, inputs), inputs, outputs, weights, linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(F.linear(x.flatten(1), self.used_weight(), self.bias))


def architecture(state: Mapping[str, Tensor]) -> dict[str, int]:
    """What a generator's state dict says of its images and latents.

    Raises:
        ValueError: It is of no such generator.
    """
    try:
        levels = sum(bool(re.fullmatch(r"output\d+\.weight", name)) for name in state)
        first, colours = state["layer0.weight"], state["output0.weight"]
        return {
            "size": FIRST_RESOLUTION << (levels - 1),
            "channels": colours.shape[0],
            "z_dim": first.shape[1],
        }
    except (IndexError, KeyError) as error:
        raise ValueError(f"the checkpoint is of no progressive generator ({error})") from error


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append how much the images of a group differ, as one more channel (section 3).

    Args:
        x: (N, C, H, W).
        group: Images of a group, at most N; those of one group are N / group apart.

    Returns:
        (N, C + 1, H, W): the mean over channels and pixels of the standard deviation.

    Raises:
        ValueError: N is above the group and no multiple of it.
    """
    count = len(x)
    group = min(group, count)
    if count % group:
        raise ValueError(
            f"a batch of {count} images cannot be split into groups of {group} for the minibatch "
            "standard deviation: choose batch sizes that are multiples of minibatch_std_group"
        )
    parts = x.reshape(group, count // group, *x.shape[1:])
    deviation = (parts.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))  # (N / group,)
    plane = deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, plane], dim=1)


def _repeated(images: Tensor, factor: int) -> Tensor:
    return images if factor == 1 else F.interpolate(images, scale_factor=float(factor))


def _checked_levels(size: int, weights: Weights) -> int:
    levels = levels_of(size)
    if weights.width(size) < 1:
        raise ValueError(
            f"channel_base={weights.channel_base} leaves no channel at {size} px: set it to at "
            f"least {size}"
        )
    return levels


def _checked_lod(lod: float, levels: int) -> float:
    if not 0 <= lod <= levels - 1:
        raise ValueError(f"the level of detail is {lod} and there are 0 to {levels - 1}")
    return lod
