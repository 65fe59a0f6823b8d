"""Pillow's 8-bit conversions and its Lanczos filter on batches of images, exact to the last bit.

Perceptual hashes are defined by what Pillow (https://python-pillow.github.io, up to version 12)
makes of an image: its ``convert("L")``, its ``convert("HSV")`` and its ``resize`` with the Lanczos
filter, two passes in fixed-point arithmetic with the values rounded to 8 bits in between. Here the
passes are matrix products. They are exact because all numbers in them are multiples of 2^-16 or
2^-22 that the floats hold without rounding: of 24 bits in float32, of less than 53 in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

_LUMINANCE = (19595 * 2.0**-16, 38470 * 2.0**-16, 7471 * 2.0**-16)  # ITU-R 601-2, as rounded
_LOBES = 3.0  # the Lanczos window reaches so many pixels to either side, of input or of output
_PRECISION = 22  # bits after the binary point of the filter's weights
_COLUMNS_AT_ONCE = 48  # outputs in one product; more of them look at more inputs with weight 0


def luminance(images: Tensor) -> Tensor:
    """Grey values as ``convert("L")``: (19595 R + 38470 G + 7471 B + 32768) / 2^16, cut off.

    Args:
        images: uint8 (N, C, H, W) with 1, 3 or 4 channels, or (N, H, W), which is grey already.
            The fourth channel, opacity, is ignored.

    Returns:
        float64 (N, H, W), whole numbers in 0..255.
    """
    if images.ndim == 3 or images.shape[1] == 1:
        return _single_plane(images).double()
    grey = images[:, 0].float().mul_(_LUMINANCE[0])  # plane by plane, to stay in the cache
    grey.add_(images[:, 1].float(), alpha=_LUMINANCE[1])
    grey.add_(images[:, 2].float(), alpha=_LUMINANCE[2])
    return grey.add_(0.5).floor_().double()


def hue_and_saturation(images: Tensor) -> tuple[Tensor, Tensor]:
    """The first two planes of ``convert("RGB").convert("HSV")``.

    Args:
        images: As for ``luminance``.

    Returns:
        int64 (N, H, W) each, in 0..255; both are 0 where a pixel is grey.
    """
    if images.ndim == 3 or images.shape[1] == 1:
        nothing = torch.zeros_like(_single_plane(images), dtype=torch.int64)
        return nothing, nothing
    colours = images[:, :3].float()
    largest = colours.amax(dim=1)
    spread = largest - colours.amin(dim=1)
    coloured = spread > 0
    # Pillow divides in float32 and scales in float64; where a pixel is grey it keeps neither.
    red, green, blue = ((largest[:, None] - colours) / spread[:, None]).unbind(dim=1)
    hue = (4.0 + green.double() - red.double()).float()
    hue = torch.where(colours[:, 1] == largest, (2.0 + red.double() - blue.double()).float(), hue)
    hue = torch.where(colours[:, 0] == largest, blue - green, hue)
    turns = torch.remainder(hue.double() / 6.0 + 1.0, 1.0).float()
    return _as_byte(turns, coloured), _as_byte(spread / largest, coloured)


def lanczos(grey: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Grey images in other sizes, as ``resize`` with ``Resampling.LANCZOS`` gives them.

    Args:
        grey: float64 (N, H, W), whole numbers in 0..255.
        sizes: Height and width of each result; several at once share the work along the width.

    Returns:
        float64 (N, height, width) for each size, whole numbers in 0..255.
    """
    narrow = _resampled(grey, tuple(dict.fromkeys(width for _, width in sizes)))
    results = []
    for height, width in sizes:
        columns = narrow[width].transpose(1, 2)  # N x width x H
        results.append(_resampled(columns, (height,))[height].transpose(1, 2))
    return results


def _single_plane(images: Tensor) -> Tensor:
    return images[:, 0] if images.ndim == 4 else images


def _as_byte(share: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, share.double() * 255.0, 0.0).long()


class _Tile(NamedTuple):
    """The weights of neighbouring outputs for the inputs start..stop that they look at."""

    start: int
    stop: int
    weights: Tensor  # float64 (stop - start, outputs)


def _resampled(pixels: Tensor, lengths: tuple[int, ...]) -> dict[int, Tensor]:
    """One pass along the last axis, (N, rows, length), to each of several lengths."""
    length = pixels.shape[-1]
    resampled = {length: pixels}
    others = tuple(wanted for wanted in lengths if wanted != length)
    if others:
        tiles = _tiles(length, others)
        sums = [pixels[..., t.start : t.stop] @ t.weights.to(pixels.device) for t in tiles]
        rounded = torch.cat(sums, dim=-1).add_(0.5).floor_().clamp_(0.0, 255.0)
        parts = rounded.split(others, dim=-1)
        resampled.update(zip(others, parts, strict=True))
    return resampled


@lru_cache(maxsize=64)
def _tiles(length: int, wanted: tuple[int, ...]) -> list[_Tile]:
    """All outputs of all the wanted lengths side by side, some tens of them in each tile."""
    matrix = torch.cat([_weights(length, outputs) for outputs in wanted], dim=1)
    tiles = []
    for columns in matrix.split(_COLUMNS_AT_ONCE, dim=1):
        used = columns.any(dim=1).nonzero().flatten()
        start, stop = int(used[0]), int(used[-1]) + 1
        tiles.append(_Tile(start, stop, columns[start:stop].contiguous()))
    return tiles


def _weights(length: int, outputs: int) -> Tensor:
    """The filter's weights, multiples of 2^-22, (length, outputs).

    Every operation is the one of Pillow's C code in the same order, since the last bit of a double
    can decide which way a weight is rounded.
    """
    matrix = torch.zeros(length, outputs, dtype=torch.float64)
    scale = length / outputs
    stretch = max(scale, 1.0)
    reach = _LOBES * stretch
    for output in range(outputs):
        centre = (output + 0.5) * scale
        start = max(int(centre - reach + 0.5), 0)
        stop = min(int(centre + reach + 0.5), length)
        taps = [_windowed_sinc((x - centre + 0.5) * (1.0 / stretch)) for x in range(start, stop)]
        total = 0.0
        for tap in taps:  # sum() of newer Pythons compensates its rounding, C does not
            total += tap
        shares = [tap / total * 2.0**_PRECISION for tap in taps]
        matrix[start:stop, output] = torch.tensor(
            [int(share + math.copysign(0.5, share)) for share in shares], dtype=torch.float64
        )
    return matrix * 2.0**-_PRECISION


def _windowed_sinc(x: float) -> float:
    return _sinc(x) * _sinc(x / _LOBES) if -_LOBES <= x < _LOBES else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x != 0.0 else 1.0
