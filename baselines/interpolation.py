"""Paths between two latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_PARALLEL = 1e-6  # sine of an angle below which the spherical weights lose their digits


def lerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at ``share`` of the straight way.

    Args:
        start: (..., D).
        end: (..., D).
        share: 0 gives ``start``, 1 gives ``end``.
    """
    return (1 - share) * start + share * end


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """The point at ``share`` of the way over the sphere (Shoemake 1985).

    The angle is that between the directions of the two; its sines weigh the vectors as they are
    (Pioneer's evaluate.py). Between parallel vectors the way is straight, and so it is between
    opposite ones, where no way over the sphere is the shortest.

    Args:
        start: (..., D), not zero.
        end: (..., D), not zero.
        share: 0 gives ``start``, 1 gives ``end``.

    Returns:
        (..., D) in the dtype of ``start``, computed in float64.
    """
    first, second = start.double(), end.double()
    cosine = (F.normalize(first, dim=-1) * F.normalize(second, dim=-1)).sum(dim=-1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()  # (..., 1)
    sine = angle.sin()
    curved = (((1 - share) * angle).sin() * first + (share * angle).sin() * second) / sine
    path = torch.where(sine < _PARALLEL, lerp(first, second, share), curved)
    return path.to(start.dtype)
