"""What metrics of pixels take: batches of images of one size, 8-bit or float in [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_CHANNELS = (1, 3, 4)  # grey, colours, colours with an opacity
_LARGEST_PLAUSIBLE = 64.0  # generators overshoot [-1, 1] somewhat; pixels of 0..255 pass this


def image_batch(images: Any, name: str = "The images") -> Tensor:
    """Take images as one tensor, detached and on their own device, without copying where possible.

    Args:
        images: uint8, or float in [-1, 1]: a tensor or an array N x C x H x W with 1, 3 or 4
            channels or N x H x W (grey), or a sequence of such images without the first axis.
        name: What the images are; begins the error messages.

    Raises:
        ValueError: There are none, their sizes differ, they have another shape or type, NaN or
            infinite entries, or values far out of [-1, 1].
    """
    batch = _stacked(images, name) if isinstance(images, list | tuple) else _tensor(images, name)
    shape = tuple(batch.shape)
    if batch.ndim not in (3, 4) or (batch.ndim == 4 and batch.shape[1] not in _CHANNELS):
        raise ValueError(
            f"{name} must be N x C x H x W with 1, 3 or 4 channels, or N x H x W, not {shape}."
        )
    if batch.numel() == 0:
        raise ValueError(f"{name} are empty: shape {shape}.")
    if batch.is_floating_point():
        check_range(batch, name)
    elif batch.dtype != torch.uint8:
        raise ValueError(f"{name} must be uint8, or float in [-1, 1], not {batch.dtype}.")
    return batch


def check_range(images: Tensor, name: str = "The images") -> None:
    """Make sure that float images, of any shape but not empty, can be meant to be in [-1, 1].

    Raises:
        ValueError: NaN or infinite entries, or values far out of [-1, 1].
    """
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not np.isfinite(low + high):  # a NaN anywhere reaches both ends
        raise ValueError(f"{name} have NaN or infinite entries.")
    largest = max(high, -low)
    if largest > _LARGEST_PLAUSIBLE:
        raise ValueError(
            f"{name} reach {largest:.0f} where [-1, 1] is asked for "
            "(8-bit images become such by x / 127.5 - 1)."
        )


def to_bytes(batch: Tensor) -> Tensor:
    """The 8-bit values that saving would give: floats are clamped to [-1, 1] and rounded."""
    if batch.dtype == torch.uint8:
        return batch
    wide = batch if batch.dtype == torch.float64 else batch.float()
    return wide.add(1.0).mul_(127.5).round_().clamp_(0.0, 255.0).to(torch.uint8)


def to_unit_floats(batch: Tensor) -> Tensor:
    """Floats in [-1, 1], of at least 32 bits: what overshoots is clamped, bytes are scaled."""
    if batch.dtype == torch.uint8:
        return batch.float().div_(127.5).sub_(1.0)
    wide = batch if batch.dtype == torch.float64 else batch.float()
    return wide.clamp(-1.0, 1.0)


def _stacked(images: list[Any] | tuple[Any, ...], name: str) -> Tensor:
    if not images:
        raise ValueError(f"{name} are empty: there is none.")
    tensors = [_tensor(image, name) for image in images]
    first = tensors[0]
    for index, tensor in enumerate(tensors):
        if tensor.shape != first.shape or tensor.dtype != first.dtype:
            raise ValueError(
                f"{name} must be of one size, mode and type, but image {index} is {tensor.dtype} "
                f"of shape {tuple(tensor.shape)}, the first {first.dtype} of {tuple(first.shape)}."
            )
    return torch.stack(tensors)


def _tensor(images: Any, name: str) -> Tensor:
    if isinstance(images, Tensor):
        return images.detach()
    try:
        return torch.as_tensor(np.ascontiguousarray(images))
    except TypeError as error:
        raise ValueError(f"{name} are no tensor and no array of numbers: {error}") from error
