"""Where directions come from, and how they move codes: the two branches of a navigator.

A navigator is any source of directions (K, D) times any layer attention (K, L). What one unit
along direction k adds to a W+ code is their outer product (ContraFeat, equations 2 and 3).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import TrainingData
from baselines.latent_space import has_styles
from baselines.subspace import Subspace

DirectionNorm = Literal["rms", "unit"]


class SubspaceDirections(nn.Module):
    """Directions learned as coordinates of the leading principal components.

    ContraFeat, equation 4.

    Args:
        subspace: Its components are the basis; found by a stage of their own.
        directions: Number of directions K.
        norm: The length of a direction, see ``normalized``.
    """

    def __init__(self, subspace: Subspace, directions: int, norm: DirectionNorm = "rms") -> None:
        super().__init__()
        self.subspace = subspace
        self.norm = norm
        self.coordinates = nn.Parameter(torch.randn(directions, len(subspace.components)))

    def forward(self) -> Tensor:
        """The directions, (K, D)."""
        basis = self.subspace.components.to(self.coordinates.dtype)
        return normalized(self.coordinates @ basis, self.norm)


class FreeDirections(nn.Module):
    """Directions learned in the whole space."""

    def __init__(self, directions: int, dim: int, norm: DirectionNorm = "rms") -> None:
        super().__init__()
        self.norm = norm
        self.vectors = nn.Parameter(torch.randn(directions, dim))

    def forward(self) -> Tensor:
        """The directions, (K, D)."""
        return normalized(self.vectors, self.norm)


class PrincipalDirections(nn.Module):
    """The leading principal components themselves: nothing to learn.

    Args:
        subspace: Keeps at least ``directions`` components.
        directions: Number of directions K.
        norm: The length of a direction, see ``normalized``.
    """

    def __init__(self, subspace: Subspace, directions: int, norm: DirectionNorm = "rms") -> None:
        super().__init__()
        self.subspace = subspace
        self.count = directions
        self.norm = norm

    def forward(self) -> Tensor:
        """The directions, (K, D)."""
        return normalized(leading(self.subspace.components, self.count).float(), self.norm)


class FixedDirections(nn.Module):
    """Directions that training leaves as they are, closed-form or random vectors (K, D)."""

    vectors: Tensor

    def __init__(self, vectors: Tensor, norm: DirectionNorm = "rms") -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("vectors", vectors.detach().float().clone())

    def forward(self) -> Tensor:
        """The directions, (K, D)."""
        return normalized(self.vectors, self.norm)


class Navigator(nn.Module):
    """Directions times layer attention.

    Args:
        directions: A module whose forward gives (K, D).
        attention: A module whose forward gives (K, L).
    """

    def __init__(self, directions: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.directions = directions
        self.attention = attention

    def forward(self) -> Tensor:
        """What one unit along each direction adds to a code, (K, L, D)."""
        weights, vectors = self.attention(), self.directions()
        return weights[:, :, None] * vectors[:, None, :]


def normalized(vectors: Tensor, norm: DirectionNorm) -> Tensor:
    """Give all directions one length.

    Args:
        vectors: (K, D).
        norm: ``rms`` for a mean square of 1, that is a length of sqrt(D), as in ContraFeat's
            code; ``unit`` for a length of 1.

    Returns:
        (K, D).
    """
    if norm == "unit":
        return F.normalize(vectors, dim=1)
    return vectors * torch.rsqrt(vectors.square().mean(1, keepdim=True) + 1e-8)


def leading(vectors: Tensor, count: int) -> Tensor:
    """The first ``count`` of ranked vectors (C, D).

    Raises:
        ValueError: There are fewer.
    """
    if count > len(vectors):
        raise ValueError(
            f"num_directions is {count}, but only {len(vectors)} directions exist here: "
            f"choose at most {len(vectors)}."
        )
    return vectors[:count]


def random_orthonormal(count: int, dim: int) -> Tensor:
    """Orthonormal directions (K, D) of a random orientation, from torch's own generator.

    Raises:
        ValueError: There are more directions than dimensions.
    """
    columns, _ = torch.linalg.qr(torch.randn(dim, dim))
    return leading(columns.T, count)


def move(ws: Tensor, deltas: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
    """Move codes along directions: ``ws + step * deltas[direction]``.

    Args:
        ws: (N, L, D).
        deltas: (K, L, D).
        direction: One index for all codes, or int64 (N,).
        step: One step for all codes, or float (N,).

    Returns:
        (N, L, D).
    """
    return ws + per_code(step) * deltas[direction]


def per_code(step: Tensor | float) -> Tensor | float:
    """A step that broadcasts against (N, L, D): (N, 1, 1) where there is one for each code."""
    return step[:, None, None] if isinstance(step, Tensor) and step.ndim == 1 else step


def all_alike(deltas: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether all directions (K, L, D), K > 1, are the same one up to sign: a collapse."""
    unit = F.normalize(deltas.detach().flatten(1), dim=1)
    return bool(((unit @ unit.T).abs() > 1 - tolerance).all())


def require_generator(data: TrainingData, method: str) -> Any:
    """The run's generator.

    Raises:
        ValueError: The run has none, or it has no layers of codes, or it wants labels.
    """
    if data.generator is None:
        raise ValueError(
            f"{method} looks for directions in a generator, and this dataset has none: "
            "name one with --generator."
        )
    if not has_styles(data.generator):
        raise ValueError(
            f"{method} moves codes of a generator's layers, and this generator has no mapping and "
            "synthesis: wrap it in baselines.nets.single_layer.SingleLayer."
        )
    labels = getattr(data.generator, "c_dim", 0)
    if labels:
        raise ValueError(
            f"{method} needs an unconditional generator, and this one wants labels of width "
            f"{labels}: name another with --generator."
        )
    return data.generator
