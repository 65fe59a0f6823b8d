"""Methods that each break one clause of the contract; imported by path."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from toy_parts import ToyConfig, ToyMethod, ToyStage

from baselines.base import Batch, Stage, TrainingData


class Lax(ToyMethod):
    class Config(ToyConfig):
        model_config: ClassVar[Any] = {"extra": "ignore"}


class Misspelt(ToyMethod):
    presets: ClassVar = {"smoek": {"steps": 5}}


class Unseeded(ToyMethod):
    def __init__(self, config: ToyConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.value.data += random.random()


class Playing(ToyMethod):
    """Trains by ``play``, which a subclass defines, after each step of its stage."""

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield PlayingStage(self)

    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return losses


class PlayingStage(ToyStage):
    method: Playing

    def __init__(self, method: Playing) -> None:
        super().__init__(method)
        self.played = 0

    @torch.no_grad()
    def play(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.method.play(self, losses)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        return self.play(super().step(batch))


class Borrowing(ToyMethod):
    def stages(self, data: TrainingData) -> Iterator[Stage]:
        stage = ToyStage(self)
        stage.optimizers = {"lent": torch.optim.Adam([nn.Parameter(torch.ones(2))])}
        yield stage


class Poisoned(Playing):
    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": losses["loss"] * float("nan")}


class Silent(Playing):
    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        return {}


class Restless(Playing):
    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        self.value += random.random()
        return losses


class Forgetful(Playing):
    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        stage.played += 1
        self.value += stage.played
        return losses


class Unsaved(Playing):
    scale = 0.0

    def play(self, stage: PlayingStage, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        self.scale += 1
        return losses

    def represent(self, images: Tensor) -> Tensor:
        return super().represent(images) * self.scale


class Flat(ToyMethod):
    def represent(self, images: Tensor) -> Tensor:
        return super().represent(images).flatten()


class Greedy(ToyMethod):
    def represent(self, images: Tensor) -> Tensor:
        return super().represent(images.mul_(2))


class Noisy(ToyMethod):
    def represent(self, images: Tensor) -> Tensor:
        return super().represent(images) + torch.rand(len(images), 1)


class Centred(ToyMethod):
    def represent(self, images: Tensor) -> Tensor:
        codes = super().represent(images)
        return codes - codes.mean(dim=0)


class UnboundedConfig(ToyConfig):
    width: int = 3


class Unbounded(ToyMethod):
    Config = UnboundedConfig

    def __init__(self, config: UnboundedConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.spare = nn.Parameter(torch.ones(config.width))
