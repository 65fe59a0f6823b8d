"""Random orthonormal directions: the floor that a discovery method has to beat."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from baselines.attention import EvenAttention
from baselines.base import Discoverer, MethodConfig, TrainingData
from baselines.directions import (
    FixedDirections,
    Navigator,
    move,
    random_orthonormal,
    require_generator,
)


class RandomDirectionsConfig(MethodConfig):
    """Settings of random directions.

    Attributes:
        num_directions: How many; at most the dimensions of a code.
    """

    num_directions: int = Field(30, ge=1)


class RandomDirections(Discoverer):
    """Unit directions of a random orientation, orthogonal to each other.

    All L layers move alike, by 1 / L of the direction, as ContraFeat's code does for directions
    without attention.

    Args:
        config: The settings.
        data: ``data.generator`` gives the size of a code and the number of layers.

    Raises:
        ValueError: There is no generator, or more directions than dimensions are asked for.
    """

    Config = RandomDirectionsConfig
    presets: ClassVar = {"smoke": {"num_directions": 4}, "small": {"num_directions": 12}}

    def __init__(self, config: RandomDirectionsConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "random-directions")
        layers = generator.num_ws
        self.num_directions = config.num_directions
        self.navigator = Navigator(
            FixedDirections(random_orthonormal(config.num_directions, generator.w_dim), "unit"),
            EvenAttention(config.num_directions, layers, 1.0 / layers),
        )

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        return move(ws, self.navigator(), direction, step)

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        return self.navigator.attention()
