"""Checks of what methods give to a track: images of the dataset's shape, and finite numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import BenchError, Diverged


def checked_images(images: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Decoded images, clipped to [-1, 1].

    Args:
        images: What ``decode`` made.
        shape: What they have to be like: (N, C, H, W).
        name: The method's, for messages.

    Raises:
        BenchError: They have another shape.
        Diverged: They are NaN or infinite.
    """
    if tuple(images.shape) != shape:
        raise BenchError(
            f"{name}.decode made images of shape {tuple(images.shape)} where the dataset has "
            f"{shape}; a method makes images as it was given (--set dataset.size changes what it "
            "is given)."
        )
    require_finite(images, "Images decoded", name)
    return images.clamp(-1.0, 1.0)


def require_finite(values: Tensor, what: str, name: str) -> None:
    """Refuse numbers of a training that went wrong.

    Args:
        values: Any tensor.
        what: What they are, in the plural, for the message.
        name: The method's.

    Raises:
        Diverged: Some are NaN or infinite.
    """
    if not torch.isfinite(values).all():
        raise Diverged(
            f"{what} by {name} are NaN or infinite; train it again with a lower learning rate."
        )
