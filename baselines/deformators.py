"""Deformators: maps from (direction, step) to the shift of a latent code.

Voynov and Babenko, "Unsupervised Discovery of Interpretable Directions in the GAN Latent Space"
(ICML 2020), section 3, and ``latent_deformator.py`` of the released code
(anvoynov/GANLatentDiscovery). A deformator takes multiples of the unit vectors of its input, one
unit vector for each direction. Parameters are named as released, so that its files load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DeformatorName = Literal["ortho", "linear", "proj", "fc", "id", "random"]

_RANDOM_WEIGHT = 0.1  # standard deviation of a random initial weight
_SMALL_ANGLE = 0.001  # standard deviation of the matrix logarithm near the identity


class Deformator(nn.Module, ABC):
    """Base of all deformators.

    Args:
        input_dim: How many unit vectors there are.
        out_dim: How many coordinates of a shift it computes.
        dim: Coordinates of a code; the computed ones are the first, more are zeros. If there are
            more computed ones than that, the last are cut off.
    """

    def __init__(self, input_dim: int, out_dim: int, dim: int) -> None:
        super().__init__()
        self.input_dim, self.out_dim, self.dim = input_dim, out_dim, dim

    def forward(self, steps: Tensor) -> Tensor:
        """Steps along the unit vectors (N, input_dim) -> shifts (N, dim)."""
        shifts = self.deform(steps)
        return F.pad(shifts, (0, max(0, self.dim - self.out_dim)))[:, : self.dim]

    @abstractmethod
    def deform(self, steps: Tensor) -> Tensor:
        """Steps (N, input_dim) -> shifts (N, out_dim)."""


class OrthogonalDeformator(Deformator):
    """A rotation, the matrix exponential of a skew-symmetric matrix; as wide as it is high.

    Args:
        out_dim: See ``Deformator``.
        dim: See ``Deformator``.
        random_init: Start from a random rotation, not close to the identity.
    """

    def __init__(self, out_dim: int, dim: int, random_init: bool = True) -> None:
        super().__init__(out_dim, out_dim, dim)
        deviation = 1.0 if random_init else _SMALL_ANGLE
        self.log_mat_half = nn.Parameter(deviation * torch.randn(out_dim, out_dim))

    def matrix(self) -> Tensor:
        """The rotation (out_dim, out_dim); column k is direction k."""
        return torch.linalg.matrix_exp(self.log_mat_half - self.log_mat_half.T)

    def deform(self, steps: Tensor) -> Tensor:
        return F.linear(steps, self.matrix())


class LinearDeformator(Deformator):
    """A matrix and, as released, a bias that is part of every shift.

    Args:
        input_dim: See ``Deformator``.
        out_dim: See ``Deformator``.
        dim: See ``Deformator``.
        random_init: Start from small random directions, not from unit vectors.
        bias: Whether there is a bias.
    """

    def __init__(
        self, input_dim: int, out_dim: int, dim: int, random_init: bool = True, bias: bool = True
    ) -> None:
        super().__init__(input_dim, out_dim, dim)
        self.linear = nn.Linear(input_dim, out_dim, bias=bias)
        if random_init:
            nn.init.normal_(self.linear.weight, std=_RANDOM_WEIGHT)
        else:
            nn.init.eye_(self.linear.weight)

    def deform(self, steps: Tensor) -> Tensor:
        shifts: Tensor = self.linear(steps)
        return shifts


class ProjectiveDeformator(LinearDeformator):
    """A linear deformator whose shifts are made as long as the steps."""

    def deform(self, steps: Tensor) -> Tensor:
        shifts = super().deform(steps)
        # Without a bias a step of 0 has no direction: the shift is 0 then, where it was NaN.
        length = shifts.norm(dim=1, keepdim=True).clamp(min=torch.finfo(shifts.dtype).tiny)
        return steps.norm(dim=1, keepdim=True) / length * shifts


class FullyConnectedDeformator(Deformator):
    """Four layers, each normalised over the sum of all before it, beside the identity.

    Its shifts are not linear in the step, and a step of 0 is a shift too. In training mode they
    depend on the batch.

    Args:
        out_dim: See ``Deformator``; the identity makes the input as wide.
        dim: See ``Deformator``.
        inner_dim: Width of the layers.
    """

    def __init__(self, out_dim: int, dim: int, inner_dim: int = 1024) -> None:
        super().__init__(out_dim, out_dim, dim)
        self.fc1, self.bn1 = nn.Linear(out_dim, inner_dim), nn.BatchNorm1d(inner_dim)
        self.fc2, self.bn2 = nn.Linear(inner_dim, inner_dim), nn.BatchNorm1d(inner_dim)
        self.fc3, self.bn3 = nn.Linear(inner_dim, inner_dim), nn.BatchNorm1d(inner_dim)
        self.fc4 = nn.Linear(inner_dim, out_dim)

    def deform(self, steps: Tensor) -> Tensor:
        total = self.fc1(steps)
        hidden = F.elu(self.bn1(total))
        total = total + self.fc2(hidden)
        hidden = F.elu(self.bn2(total))
        total = total + self.fc3(hidden)
        shifts: Tensor = self.fc4(F.elu(self.bn3(total))) + steps
        return shifts


class IdentityDeformator(Deformator):
    """The coordinates of the code themselves: nothing to learn."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim, dim)

    def deform(self, steps: Tensor) -> Tensor:
        return steps


class RandomDeformator(Deformator):
    """Fixed random directions, orthonormal if there are no more than coordinates.

    The released program does not save them; here they are part of the weights.
    """

    linear: Tensor

    def __init__(self, input_dim: int, out_dim: int, dim: int) -> None:
        super().__init__(input_dim, out_dim, dim)
        self.register_buffer("linear", nn.init.orthogonal_(torch.empty(out_dim, input_dim)))

    def deform(self, steps: Tensor) -> Tensor:
        return F.linear(steps, self.linear)


class GivenDirections(Deformator):
    """Directions of another source, such as ContraFeat's in the subspace of W.

    Args:
        directions: A module whose forward gives (K, dim).
        count: K.
        dim: Coordinates of a code.
    """

    def __init__(self, directions: nn.Module, count: int, dim: int) -> None:
        super().__init__(count, dim, dim)
        self.directions = directions

    def deform(self, steps: Tensor) -> Tensor:
        shifts: Tensor = steps @ self.directions()
        return shifts


def unit_vector_steps(directions: Tensor, steps: Tensor, input_dim: int) -> Tensor:
    """What a deformator takes: zeros, but for one step in each row.

    Args:
        directions: int64 (N,), places in [0, input_dim).
        steps: (N,).
        input_dim: Width of the result.

    Returns:
        (N, input_dim).
    """
    rows = steps.new_zeros(len(steps), input_dim)
    return rows.scatter(1, directions[:, None], steps[:, None])


@torch.no_grad()
def unit_shifts(deformator: Deformator) -> Tensor:
    """What a step of 1 along each unit vector adds to a step of 0, (input_dim, dim)."""
    training = deformator.training
    deformator.eval()  # batch statistics would be of these rows, and be remembered
    device = next((one.device for one in deformator.state_dict().values()), None)
    rows = torch.eye(deformator.input_dim, device=device)
    shifts: Tensor = deformator(rows) - deformator(torch.zeros_like(rows))
    deformator.train(training)
    return shifts
