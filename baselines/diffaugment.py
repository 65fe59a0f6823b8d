"""Differentiable augmentations of what a discriminator sees, as InfoSCC-GAN uses them.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (NeurIPS 2020), policy
"color,translation,cutout", as vkinakh/InfoSCC-GAN has it (image_generation_transform.py): where the
original applies all five operations always, here a coin for each operation decides about the whole
batch. Random numbers are arguments; ``drawn`` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.randomness import Draws

OPERATIONS = ("brightness", "saturation", "contrast", "translation", "cutout")

_SHIFT = 0.125  # of the images' size, at most
_CUT = 0.5  # of the images' size


@dataclass(frozen=True)
class Augmentation:
    """The random numbers of one batch; None leaves an operation out.

    Attributes:
        brightness: (N, 1, 1, 1) in [0, 1).
        saturation: Likewise.
        contrast: Likewise.
        translation: Rows and columns, int64 (N, 1, 1) each, up to ``largest_shift`` either way.
        cutout: Row and column of the centre, int64 (N, 1, 1) each.
    """

    brightness: Tensor | None = None
    saturation: Tensor | None = None
    contrast: Tensor | None = None
    translation: tuple[Tensor, Tensor] | None = None
    cutout: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) -> the same shape, differentiable; colours may leave [-1, 1]."""
        if self.brightness is not None:
            images = brightness(images, self.brightness)
        if self.saturation is not None:
            images = saturation(images, self.saturation)
        if self.contrast is not None:
            images = contrast(images, self.contrast)
        if self.translation is not None:
            images = translation(images, *self.translation)
        return images if self.cutout is None else cutout(images, *self.cutout)


def drawn(
    draws: Draws, purpose: str, count: int, size: int, coins: Sequence[float], probability: float
) -> Augmentation:
    """Draw the numbers of a batch's augmentation.

    Args:
        draws: The step's random numbers.
        purpose: What the batch is for; other purposes get other numbers.
        count: Images N.
        size: Height and width S of the images.
        coins: In [0, 1), one for each of ``OPERATIONS``.
        probability: An operation is applied where its coin is below it.
    """
    chosen = [name for name, coin in zip(OPERATIONS, coins, strict=True) if coin < probability]
    numbers = draws.uniform(f"augmentation/{purpose}", count, 7)[:, :, None, None]  # (N, 7, 1, 1)
    places = numbers[:, 3:].unbind(1)  # four times (N, 1, 1)
    shift, centres = largest_shift(size), size + 1 - _cut_size(size) % 2
    shifts = [(place * (2 * shift + 1)).long() - shift for place in places[:2]]
    middles = [(place * centres).long() for place in places[2:]]
    parts = {
        "brightness": numbers[:, 0:1],
        "saturation": numbers[:, 1:2],
        "contrast": numbers[:, 2:3],
        "translation": (shifts[0], shifts[1]),
        "cutout": (middles[0], middles[1]),
    }
    return Augmentation(**{name: parts[name] for name in chosen})  # type: ignore[arg-type]


def brightness(images: Tensor, amount: Tensor) -> Tensor:
    """Add ``amount`` (N, 1, 1, 1) less a half to images (N, C, H, W)."""
    return images + (amount - 0.5)


def saturation(images: Tensor, amount: Tensor) -> Tensor:
    """Multiply the distances from each pixel's grey by twice ``amount`` (N, 1, 1, 1)."""
    grey = images.mean(dim=1, keepdim=True)
    return grey + (images - grey) * (2 * amount)


def contrast(images: Tensor, amount: Tensor) -> Tensor:
    """Multiply the distances from each image's mean by ``amount`` (N, 1, 1, 1) and a half."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (amount + 0.5)


def largest_shift(size: int) -> int:
    """How many pixels an image of ``size`` pixels is moved at most."""
    return int(size * _SHIFT + 0.5)


def translation(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Move images (N, C, S, S) up and to the left by int64 (N, 1, 1) each; what comes in is 0."""
    count, _, size, _ = images.shape
    margin = largest_shift(size)
    padded = F.pad(images, (margin, margin, margin, margin)).permute(0, 2, 3, 1)
    places = torch.arange(size, device=images.device) + margin
    batch = torch.arange(count, device=images.device)[:, None, None]
    moved = padded[batch, places[:, None] + rows, places + columns]  # (N, S, S, C)
    return moved.permute(0, 3, 1, 2).contiguous()


def cutout(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Black out a square of half the size around a centre, cut at the borders.

    Args:
        images: (N, C, S, S).
        rows: int64 (N, 1, 1), the centre's.
        columns: Likewise.
    """
    size = images.shape[-1]
    cut = _cut_size(size)
    places = torch.arange(size, device=images.device)

    def covered(centre: Tensor) -> Tensor:
        offset = places - centre + cut // 2  # (N, 1, S)
        return (offset >= 0) & (offset < cut)

    hidden = covered(rows).transpose(1, 2) & covered(columns)  # (N, S, S)
    return images * ~hidden[:, None]


def _cut_size(size: int) -> int:
    return int(size * _CUT + 0.5)
