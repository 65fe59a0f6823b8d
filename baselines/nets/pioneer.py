"""Pioneer's growing generator and encoder (Heljakka et al. 2018; model.py of the released code).

A network for images of 4 * 2^p pixels has the blocks of the phases 0 to p. While phase p fades in,
``alpha`` goes from 0 to 1 and mixes its block with the way that skips it. The reference numbers the
encoder's blocks backwards and keeps its layers one level deeper: ``our_states`` renames them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.spectral import spectrally_normalized
from baselines.nets.stylegan2_layers import unit_rms
from baselines.sphere import on_sphere

_SLOPE = 0.2  # of every leaky rectifier
_REFERENCE_LAST = 8  # the reference's nets always have the blocks of all phases up to 1024 px


class Generator(nn.Module):
    """Latents to images: equalised learning rates and pixel norms, linear colours.

    Args:
        latent: Numbers in a latent, which is also how many channels the wide phases have.
        phases: How many phases there are; the last makes images of ``2 ** (phases + 1)`` pixels.
        channels: Colours of the images.
        wide_phases: How many phases, from the first, are as wide as the latent; each later one has
            half the channels of the one before.
    """

    def __init__(self, latent: int, phases: int, channels: int = 3, wide_phases: int = 4) -> None:
        super().__init__()
        widths = block_widths(latent, phases, wide_phases)
        first = _generator_block(
            SpreadingConv2d(latent, widths[0], 4),
            EqualizedConv2d(widths[0], widths[0], 3),
        )
        later = [
            _generator_block(
                DoublingConv2d(before, width, 3),
                EqualizedConv2d(width, width, 3),
            )
            for before, width in pairwise(widths)
        ]
        self.progression = nn.ModuleList([first, *later])
        self.to_rgb = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)

    def forward(self, z: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """Latents (N, D), which are not normalised here -> images of ``4 * 2 ** phase`` pixels."""
        before = features = self.progression[0](z)
        for block in self.progression[1 : phase + 1]:
            before = features
            features = block(features)
        images: Tensor = self.to_rgb[phase](features)
        if phase == 0 or alpha >= 1:
            return images
        # Colours first: a 1 x 1 convolution of repeated pixels is the repeated convolution.
        skipped = F.interpolate(self.to_rgb[phase - 1](before), scale_factor=2.0)
        return (1 - alpha) * skipped + alpha * images


class Encoder(nn.Module):
    """Images to the unit sphere: spectral norms, and ``Generator``'s blocks the other way round."""

    def __init__(self, latent: int, phases: int, channels: int = 3, wide_phases: int = 4) -> None:
        super().__init__()
        widths = block_widths(latent, phases, wide_phases)
        last = _encoder_block(
            SpectralConv2d(widths[0], widths[0], 3, padding=1),
            SpectralConv2d(widths[0], latent, 4),
        )
        earlier = [
            _encoder_block(
                SpectralConv2d(width, after, 3, padding=1),
                SpectralConv2d(after, after, 3, padding=1),
            )
            for after, width in pairwise(widths)
        ]
        self.progression = nn.ModuleList([last, *earlier])
        self.from_rgb = nn.ModuleList(nn.Conv2d(channels, width, 1) for width in widths)

    def forward(self, images: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """Images (N, C, R, R) of ``4 * 2 ** phase`` pixels -> latents (N, D) of length 1."""
        return on_sphere(self.features(images, phase, alpha))

    def features(self, images: Tensor, phase: int, alpha: float = 1.0) -> Tensor:
        """The last block's outputs, (N, D), which have been through its rectifier."""
        images = images.contiguous(memory_format=torch.channels_last)
        features = self.from_rgb[phase](images)
        for level in range(phase, 0, -1):
            features = F.avg_pool2d(self.progression[level](features), 2)
            if level == phase and alpha < 1:
                skipped = self.from_rgb[level - 1](F.avg_pool2d(images, 2))
                features = (1 - alpha) * skipped + alpha * features
        last: Tensor = self.progression[0](features)
        return last.flatten(1)


class Discriminator(Encoder):
    """The encoder's tower with scores instead of latents: the released code's plain GAN mode."""

    def __init__(
        self, latent: int, phases: int, labels: int, channels: int = 3, wide_phases: int = 4
    ) -> None:
        super().__init__(latent, phases, channels, wide_phases)
        self.linear = nn.Linear(latent, 1 + labels)

    def scores(self, images: Tensor, phase: int, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
        """Scores (N,) and label logits (N, labels) of images."""
        found: Tensor = self.linear(self.features(images, phase, alpha))
        return found[:, 0], found[:, 1:]


class EqualizedConv2d(nn.Module):
    """A convolution whose stored weights are standard normal, scaled at every use."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.scale = math.sqrt(2 / (inputs * kernel * kernel))
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding="same")


class SpreadingConv2d(EqualizedConv2d):
    """The convolution of a single pixel with so much padding that it sees every weight once."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, outputs, kernel, kernel), channels last."""
        weight = (self.weight * self.scale).flip(2, 3)
        spread = torch.einsum("nd, cdyx -> nyxc", x, weight) + self.bias
        return spread.permute(0, 3, 1, 2)


class DoublingConv2d(EqualizedConv2d):
    """The 3 x 3 convolution of an image of doubled pixels, without their copies.

    Four taps of the kernel fall on at most two by two different pixels: one transposed convolution
    by the sums of taps takes 4/9 of the multiplications.
    """

    def forward(self, x: Tensor) -> Tensor:
        taps = F.pad((self.weight * self.scale).flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        rows = taps[:, :, 1:] + taps[:, :, :-1]
        return F.conv_transpose2d(x, rows[..., 1:] + rows[..., :-1], self.bias, stride=2, padding=1)


class SpectralConv2d(nn.Module):
    """A convolution whose weights are divided by their spectral norm.

    One power iteration estimates it at every use; gradients flow through both of its vectors. It
    goes on where it ended in training mode only, so that evaluation repeats itself.

    Attributes:
        u: (outputs,), the left singular vector as far as it is known.
    """

    u: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        self.padding = padding
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.kaiming_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("u", torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.normalized_weight(), self.bias, padding=self.padding)

    def normalized_weight(self) -> Tensor:
        """The weight (outputs, inputs, kernel, kernel) over its norm after one power iteration."""
        return spectrally_normalized(self.weight, self.u, advance=self.training)

    @torch.no_grad()
    def settle(self) -> None:
        """Set ``u`` to what endless power iterations lead to."""
        matrix = self.weight.flatten(1).double()
        self.u.copy_(torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1])


class PixelNorm(nn.Module):
    """Divides the channels of each pixel by their root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return unit_rms(x)


def block_widths(latent: int, phases: int, wide_phases: int) -> list[int]:
    """Channels of each phase's block (see ``Generator``).

    Raises:
        ValueError: Halving leaves the last phases no channel.
    """
    widths = [latent >> max(phase - wide_phases + 1, 0) for phase in range(phases)]
    if widths[-1] == 0:
        raise ValueError(
            f"latent_size={latent} halved {phases - wide_phases} times leaves no channel for "
            f"{2 << phases} px: raise it by --set latent_size=N, or wide_phases={wide_phases}"
        )
    return widths


def architecture(generator: Mapping[str, Tensor], phases: int) -> dict[str, int]:
    """What a generator's state dict under our names says of the settings.

    Args:
        generator: The state dict; it may have more phases.
        phases: How many of them to look at.

    Raises:
        ValueError: It is none of Pioneer's, or has fewer phases.
    """
    try:
        colours = [generator[f"to_rgb.{phase}.weight"] for phase in range(phases)]
        latent = generator["progression.0.0.weight"].shape[1]
    except KeyError as error:
        raise ValueError(
            f"the checkpoint's generator lacks {error.args[0]}: it is none of Pioneer, or was made "
            "for smaller images"
        ) from error
    widths = [weight.shape[1] for weight in colours]  # (channels, width, 1, 1)
    return {
        "latent_size": latent,
        "channels": colours[0].shape[0],
        "wide_phases": widths.count(widths[0]),
    }


def our_states(states: Mapping[str, Tensor], encoder: bool) -> dict[str, Tensor]:
    """A state dict of the reference under our names.

    Args:
        states: With or without the ``module.`` that parallel training puts before each name.
        encoder: Whether its blocks are numbered backwards.

    Returns:
        The parameters, and the power vectors ``weight_u`` where there are some, without the label
        embedding that the reference never uses.
    """
    renamed = {}
    for name, value in states.items():
        found = re.sub(
            r"^(progression\.\d+)\.conv\.(\d+)\.conv\.", r"\1.\2.", name.removeprefix("module.")
        )
        found = found.replace(".weight_orig", ".weight").replace(".weight_u", ".u")
        if encoder:
            found = re.sub(
                r"^(progression|from_rgb)\.(\d+)",
                lambda part: f"{part[1]}.{_REFERENCE_LAST - int(part[2])}",
                found,
            )
        if not found.startswith("label_embed."):
            renamed[found] = value.flatten() if found.endswith(".u") else value
    return renamed


def _generator_block(first: EqualizedConv2d, second: EqualizedConv2d) -> nn.Sequential:
    parts = (PixelNorm(), nn.LeakyReLU(_SLOPE))
    return nn.Sequential(first, *parts, second, *parts)


def _encoder_block(first: SpectralConv2d, second: SpectralConv2d) -> nn.Sequential:
    return nn.Sequential(first, nn.LeakyReLU(_SLOPE), second, nn.LeakyReLU(_SLOPE))
