"""LatentCLR's networks: directions that may depend on the code, and projectors of features.

Yüksel et al., "LatentCLR" (ICCV 2021), section 3.1, with the module names of its release
(catlab-team/latentclr: ``params``, ``nets.0.linear_1.weight``, ``net.batchnorm_1.weight``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kind = Literal["fixed", "linear", "nonlinear"]


class DirectionModel(nn.Module, ABC):
    """K directions, each a function of the code.

    Args:
        directions: K.
        normalize: Give all offsets the length 1.
    """

    def __init__(self, directions: int, normalize: bool = True) -> None:
        super().__init__()
        self.count = directions
        self.normalize = normalize

    @abstractmethod
    def offset(self, codes: Tensor, direction: int) -> Tensor:
        """Codes (N, D) -> offsets of any length, (N, D)."""

    def forward(self, codes: Tensor, direction: int) -> Tensor:
        """Codes (N, D) -> where a step along the direction leads from each, (N, D)."""
        offset = self.offset(codes, direction)
        return F.normalize(offset, dim=1) if self.normalize else offset

    def all(self, codes: Tensor) -> Tensor:
        """Codes (N, D) -> the offsets of all directions, (K, N, D)."""
        return torch.stack([self(codes, direction) for direction in range(self.count)])


class FixedDirections(DirectionModel):
    """Directions that are the same everywhere; see ``DirectionModel``."""

    def __init__(self, directions: int, dim: int, normalize: bool = True) -> None:
        super().__init__(directions, normalize)
        self.params = nn.Parameter(torch.randn(directions, dim))

    def offset(self, codes: Tensor, direction: int) -> Tensor:
        return self.params[direction].expand_as(codes)


class ConditionalDirections(DirectionModel):
    """One network for each direction, of one layer (linear) or several.

    Args:
        directions: K.
        dim: Width D of a code.
        depth: Layers of a network; the release's demonstration is called nonlinear and has 1.
        normalize: See ``DirectionModel``.
        bias: See ``perceptron``.
        norm: See ``perceptron``.
    """

    def __init__(
        self,
        directions: int,
        dim: int,
        depth: int = 1,
        normalize: bool = True,
        bias: bool = True,
        norm: bool = False,
    ) -> None:
        super().__init__(directions, normalize)
        nets = (perceptron(depth, dim, dim, dim, bias, norm) for _ in range(directions))
        self.nets = nn.ModuleList(nets)

    def offset(self, codes: Tensor, direction: int) -> Tensor:
        offset: Tensor = self.nets[direction](codes)
        return offset


class GivenDirections(DirectionModel):
    """Directions of another source, such as ContraFeat's in the subspace of W.

    Args:
        directions: A module whose forward gives (K, D).
        count: K.
        normalize: See ``DirectionModel``.
    """

    def __init__(self, directions: nn.Module, count: int, normalize: bool = True) -> None:
        super().__init__(count, normalize)
        self.directions = directions

    def offset(self, codes: Tensor, direction: int) -> Tensor:
        offset: Tensor = self.directions()[direction]
        return offset.expand_as(codes)


class Projector(nn.Module):
    """From features to the vectors that are compared.

    Args:
        net: (N, F) -> (N, P).
        normalize: Give all vectors the length 1.
    """

    def __init__(self, net: nn.Module, normalize: bool = True) -> None:
        super().__init__()
        self.net = net
        self.normalize = normalize

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, ...) -> (N, P)."""
        projected: Tensor = self.net(features.flatten(1))
        return F.normalize(projected, dim=1) if self.normalize else projected


def direction_model(
    kind: Kind, directions: int, dim: int, depth: int, normalize: bool
) -> DirectionModel:
    """K directions of codes (N, D); ``depth`` is that of the nonlinear ones."""
    if kind == "fixed":
        return FixedDirections(directions, dim, normalize)
    depth = depth if kind == "nonlinear" else 1
    return ConditionalDirections(directions, dim, depth, normalize)


def perceptron(
    depth: int, inputs: int, hidden: int, outputs: int, bias: bool = True, norm: bool = False
) -> nn.Sequential:
    """Linear layers with batch norms and ReLUs between them.

    As released, the first layer always has a bias and the last of several has none.

    Args:
        depth: How many linear layers.
        inputs: Width of the input.
        hidden: Width between the layers.
        outputs: Width of the output.
        bias: Whether the layers between the first and the last have a bias.
        norm: Normalise the output, too.
    """
    layers: dict[str, nn.Module] = {
        "linear_1": nn.Linear(inputs, outputs if depth == 1 else hidden)
    }
    for place in range(1, depth):
        last = place == depth - 1
        layers[f"batchnorm_{place}"] = nn.BatchNorm1d(hidden)
        layers[f"relu_{place}"] = nn.ReLU()
        width = outputs if last else hidden
        layers[f"linear_{place + 1}"] = nn.Linear(hidden, width, bias=bias and not last)
    if norm:
        layers[f"batchnorm_{depth}"] = nn.BatchNorm1d(outputs)
    return nn.Sequential(OrderedDict(layers))
