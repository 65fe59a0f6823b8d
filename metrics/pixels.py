"""Mean absolute and mean squared error of pixels in [-1, 1].

The errors of reconstructions in Dogan and Keles, "Semi-supervised Image Attribute Editing using
Generative Adversarial Networks" (2020, CRG), table 2. The paper does not say how its two columns
are reduced, and no single scale can give both (its squared errors are smaller than the squares of
its absolute ones). Here both are means over all entries of an image, on the scale [-1, 1], so that
the squared error is at least the square of the absolute one; no value equals one of that table.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metrics.arrays import FloatArray, finite_array
from metrics.images import image_batch, to_unit_floats

_ENTRIES_AT_ONCE = 2**22  # of either set that are converted at a time


def mean_absolute_errors(images: Any, others: Any) -> FloatArray:
    """Mean over all entries of |image - other|, for each image and its partner.

    Images are clamped to [-1, 1] as saving them would do, though not rounded.

    Args:
        images: N images of one size, uint8 (x / 127.5 - 1) or float in [-1, 1], see
            ``metrics.images.image_batch``.
        others: As many, of the same shape.

    Returns:
        (N,) float64 in [0, 2]. All images having one size, their mean is the error of the set.

    Raises:
        ValueError: No images, images of several sizes, different shapes, NaN or infinite entries,
            or values far out of [-1, 1].
    """
    return _means(images, others, power=1)


def mean_squared_errors(images: Any, others: Any) -> FloatArray:
    """Mean over all entries of (image - other)^2, for each image and its partner.

    Args:
        images: As for ``mean_absolute_errors``.
        others: Likewise.

    Returns:
        (N,) float64 in [0, 4].

    Raises:
        ValueError: As for ``mean_absolute_errors``.
    """
    return _means(images, others, power=2)


def _means(images: Any, others: Any, power: int) -> FloatArray:
    first, second = image_batch(images), image_batch(others, "The other images")
    if first.shape != second.shape:
        raise ValueError(
            f"Images of shape {tuple(first.shape)} have no errors against others of "
            f"{tuple(second.shape)}."
        )
    at_once = max(1, _ENTRIES_AT_ONCE // first[0].numel())
    blocks = zip(first.split(at_once), second.split(at_once), strict=True)
    means = [_block_means(one, other.to(one.device), power) for one, other in blocks]
    return finite_array(torch.cat(means), "The errors of pixels")


def _block_means(images: Tensor, others: Tensor, power: int) -> Tensor:
    differences = to_unit_floats(images) - to_unit_floats(others)
    return differences.abs_().pow_(power).flatten(1).mean(dim=1, dtype=torch.float64)
