"""Perceptual hashes of batches of images, bit for bit those of the package imagehash 4.3.2.

https://github.com/JohannesBuchner/imagehash; the hashes are from Krawetz, "Looks Like It" (2011)
and "Kind of Like That" (2013), hackerfactor.com, whash from Petrov, "Wavelet image hash in Python"
(2016). Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative Adversarial
Networks" (2020, CRG), compare an image with its reconstruction by them.

A bit compares a number with the mean or the median of its like. Where the two are equal in exact
arithmetic (flat or periodic images), imagehash's bit is the rounding noise of a transform; here it
is 0. No other bit differs, whatever the size of the batch, where Pillow is older than 13, which
resizes some tall images in another order.

imagehash gives other hashes than the articles and than other libraries: its phash keeps the mean
of the image and compares with the median, and all images are resized with the Lanczos filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from metrics.arrays import FloatArray, finite_array
from metrics.images import image_batch, to_bytes
from metrics.pillow import hue_and_saturation, lanczos, luminance

_PIXELS_AT_ONCE = 2**18  # of a block of images on a CPU, so that it stays in the cache
_PIXELS_AT_ONCE_ELSEWHERE = 2**23
_HIGH_FREQUENCIES = 4  # the cosine transform sees so many times more pixels than the hash has bits
_ROUNDING = 1e-12  # of the largest coefficient possible: some hundred times what a product rounds
_HUES = 6


def perceptual_hashes(
    images: Any, names: Sequence[str] = ("dhash", "phash", "whash"), hash_size: int = 8
) -> dict[str, Tensor]:
    """Several hashes of the same images, which share the grey images and what is made of them.

    Args:
        images: N images of one size, uint8 or float in [-1, 1] (rounded as saving would do), see
            ``metrics.images.image_batch``; opacity does not count.
        names: Out of ``average_hash``, ``dhash``, ``phash``, ``phash_simple`` and ``whash``.
        hash_size: Rows and columns of a hash, at least 2; a power of 2 for ``whash``.

    Returns:
        bool (N, hash_size, hash_size) for each name, on the images' device.

    Raises:
        ValueError: An unknown name, a size that a hash cannot have, no images, images of several
            sizes or types, or NaN.
    """
    batch = image_batch(images)
    _check(names, hash_size)
    blocks = [_hashes(block, names, hash_size) for block in _blocks(batch)]
    return {name: torch.cat([block[name] for block in blocks]) for name in names}


def average_hash(images: Any, hash_size: int = 8) -> Tensor:
    """Pixels of the image resized to the hash's size that are brighter than their mean.

    Arguments, result and errors are those of ``perceptual_hashes``, as for the next four.
    """
    return perceptual_hashes(images, ("average_hash",), hash_size)["average_hash"]


def dhash(images: Any, hash_size: int = 8) -> Tensor:
    """Pixels that are brighter than their left neighbour, in an image one pixel wider."""
    return perceptual_hashes(images, ("dhash",), hash_size)["dhash"]


def phash(images: Any, hash_size: int = 8) -> Tensor:
    """Lowest frequencies (rows and columns, the mean included) that exceed their median."""
    return perceptual_hashes(images, ("phash",), hash_size)["phash"]


def phash_simple(images: Any, hash_size: int = 8) -> Tensor:
    """Lowest frequencies of the upper rows, without the rows' means, that exceed their mean."""
    return perceptual_hashes(images, ("phash_simple",), hash_size)["phash_simple"]


def whash(images: Any, hash_size: int = 8) -> Tensor:
    """Low frequencies of the Haar wavelet, which are sums of square blocks, above their median.

    The image is first resized to the largest square with a power of 2 of pixels to a side that
    fits in it (``whash_scale``).
    """
    return perceptual_hashes(images, ("whash",), hash_size)["whash"]


def colorhash(images: Any, binbits: int = 3) -> Tensor:
    """Shares of black, of grey, and of six hues among the faint and among the bright colours.

    Args:
        images: As for ``perceptual_hashes``; grey images have black and grey pixels only.
        binbits: Bits of each share, which is rounded down to one of 2^binbits steps. They are not
            its binary digits: those of higher value reach into the lower ones, as in imagehash.

    Returns:
        bool (N, 14, binbits).

    Raises:
        ValueError: Fewer bits than one, and as for ``perceptual_hashes``.
    """
    batch = image_batch(images)
    if binbits < 1:
        raise ValueError(f"A share of colour takes at least one bit, not {binbits}.")
    return torch.cat([_color_bits(block, binbits) for block in _blocks(batch)])


def hash_similarities(first: Any, second: Any) -> FloatArray:
    """1 - (differing bits) / (bits), for each image of one set and its partner in the other.

    Unrelated images have about 0.5 where half of the bits of a hash are set (phash, whash).

    Args:
        first: bool (N, ...), hashes of one kind and size.
        second: Of the same shape.

    Returns:
        (N,) float64 in [0, 1], 1 for equal hashes.

    Raises:
        ValueError: There are none, or they are no such pair.
    """
    one, other = torch.as_tensor(first), torch.as_tensor(second)
    if one.dtype != torch.bool or other.dtype != torch.bool:
        raise ValueError(f"Hashes are bool, not {one.dtype} and {other.dtype}.")
    if one.shape != other.shape or one.ndim < 2:
        raise ValueError(
            f"Hashes of shape {tuple(one.shape)} do not go with those of {tuple(other.shape)}."
        )
    differing = (one != other.to(one.device)).flatten(1)
    return 1.0 - finite_array(differing, "A set of hashes").mean(axis=1)


def hash_strings(bits: Tensor) -> list[str]:
    """Hashes (N, ...) as hexadecimal numbers, the first bit highest: imagehash's ``str``."""
    rows = bits.flatten(1).int().tolist()
    digits = math.ceil(len(rows[0]) / 4) if rows else 0
    return [f"{int(''.join(map(str, row)), 2):0{digits}x}" for row in rows]


def whash_scale(height: int, width: int, hash_size: int = 8) -> int:
    """Pixels to a side of the square that ``whash`` resizes an image to."""
    return max(2 ** (min(height, width).bit_length() - 1), hash_size)


@dataclass(frozen=True)
class _Definition:
    """A hash: from the size of the resized image, and from its pixels to the bits."""

    size: Callable[[int, int, int], tuple[int, int]]  # hash size, image height and width
    bits: Callable[[Tensor, int], Tensor]  # float64 (N, height, width), hash size


def _difference_bits(pixels: Tensor, hash_size: int) -> Tensor:
    return pixels[..., 1:] > pixels[..., :-1]


def _average_bits(pixels: Tensor, hash_size: int) -> Tensor:
    return hash_size**2 * pixels > pixels.sum(dim=(1, 2), keepdim=True)  # whole numbers


def _frequency_bits(pixels: Tensor, hash_size: int) -> Tensor:
    basis = _cosines(pixels.shape[-1]).to(pixels.device)[:hash_size]
    low = basis @ pixels @ basis.T
    tie = _ROUNDING * 255.0 * (2.0 * pixels.shape[-1]) ** 2
    return 2.0 * low > _twice_median(low) + 2.0 * tie


def _row_frequency_bits(pixels: Tensor, hash_size: int) -> Tensor:
    basis = _cosines(pixels.shape[-1]).to(pixels.device)[1 : hash_size + 1]
    low = pixels[:, :hash_size] @ basis.T
    tie = _ROUNDING * 255.0 * 2.0 * pixels.shape[-1]
    return low > low.mean(dim=(1, 2), keepdim=True) + tie


def _wavelet_bits(pixels: Tensor, hash_size: int) -> Tensor:
    side = pixels.shape[-1] // hash_size
    rows = pixels.unflatten(1, (hash_size, side)).sum(dim=2)
    sums = rows.unflatten(2, (hash_size, side)).sum(dim=3)  # whole numbers
    return 2.0 * sums > _twice_median(sums)


_DEFINITIONS = {
    "average_hash": _Definition(lambda size, height, width: (size, size), _average_bits),
    "dhash": _Definition(lambda size, height, width: (size, size + 1), _difference_bits),
    "phash": _Definition(lambda size, height, width: _fine(size), _frequency_bits),
    "phash_simple": _Definition(lambda size, height, width: _fine(size), _row_frequency_bits),
    "whash": _Definition(
        lambda size, height, width: (whash_scale(height, width, size),) * 2, _wavelet_bits
    ),
}


def _hashes(block: Tensor, names: Sequence[str], hash_size: int) -> dict[str, Tensor]:
    grey = luminance(to_bytes(block))
    height, width = grey.shape[1:]
    sizes = {name: _DEFINITIONS[name].size(hash_size, height, width) for name in names}
    different = list(dict.fromkeys(sizes.values()))
    resized = dict(zip(different, lanczos(grey, different), strict=True))
    return {name: _DEFINITIONS[name].bits(resized[sizes[name]], hash_size) for name in names}


def _color_bits(block: Tensor, binbits: int) -> Tensor:
    pixels = to_bytes(block)
    black = luminance(pixels).flatten(1) < 256 // 8
    hue, saturation = (plane.flatten(1) for plane in hue_and_saturation(pixels))
    coloured = ~black & (saturation >= 256 // 3)
    grey = ~black & ~coloured
    bins = (2 * hue // 85).clamp(max=_HUES - 1)  # of 42.5 steps each; the last one is closed
    # A saturation of exactly 170 is neither faint nor bright: so it is in imagehash.
    kinds = coloured & (saturation < 170), coloured & (saturation > 170)
    hues = [(kind & (bins == number)).sum(dim=1) for kind in kinds for number in range(_HUES)]
    counts = torch.stack([black.sum(dim=1), grey.sum(dim=1), *hues], dim=1)  # N x 14
    totals = coloured.sum(dim=1, keepdim=True).clamp(min=1).expand_as(counts).clone()
    totals[:, :2] = black.shape[1]
    steps = (counts * 2**binbits // totals).clamp(max=2**binbits - 1)
    columns = [(steps >> shift) % 2 ** (shift + 1) > 0 for shift in reversed(range(binbits))]
    return torch.stack(columns, dim=2)


def _twice_median(values: Tensor) -> Tensor:
    """The sum of the two middle values of each (h, h) of a batch, N x 1 x 1."""
    ordered = values.flatten(1).sort(dim=1).values
    count = ordered.shape[1]
    return (ordered[:, (count - 1) // 2] + ordered[:, count // 2])[:, None, None]


@lru_cache(maxsize=16)
def _cosines(size: int) -> Tensor:
    """The unnormalised cosine transform (type II) of ``size`` values, frequency by value."""
    positions = torch.arange(size, dtype=torch.float64)
    return 2.0 * torch.cos(torch.pi * positions[:, None] * (2.0 * positions + 1.0) / (2.0 * size))


def _fine(hash_size: int) -> tuple[int, int]:
    return (_HIGH_FREQUENCIES * hash_size,) * 2


def _blocks(batch: Tensor) -> Sequence[Tensor]:
    """The batch in blocks of images that are worked on at a time."""
    pixels = _PIXELS_AT_ONCE if batch.device.type == "cpu" else _PIXELS_AT_ONCE_ELSEWHERE
    return batch.split(max(1, pixels // batch.shape[-2:].numel()))


def _check(names: Sequence[str], hash_size: int) -> None:
    for name in names:
        if name not in _DEFINITIONS:
            raise ValueError(f"There is no hash {name!r}; there are {', '.join(_DEFINITIONS)}.")
    if hash_size < 2:
        raise ValueError(f"A hash has at least 2 rows and columns, not {hash_size}.")
    if "whash" in names and hash_size.bit_count() != 1:
        raise ValueError(f"The rows and columns of whash are a power of 2, not {hash_size}.")
