"""A method of three stages, of which the first two leave artefacts; imported by path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.base import (
    Artefact,
    Average,
    Batch,
    MethodConfig,
    Representer,
    Stage,
    TrainingData,
)


class StagesConfig(MethodConfig):
    steps: int = 4
    rate: float = 0.05
    classes: int = 3
    power: float = 1.0
    wider: bool = False


class StagesMethod(Representer):
    """An encoder, a classifier of its codes, and a generator that follows both."""

    track: ClassVar[str] = "toy_parts:ToyTrack"
    Config = StagesConfig

    def __init__(self, config: StagesConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        if config.wider:  # the weights that come after it start from other numbers
            self.extra = nn.Linear(2, 2)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3))
        self.classifier = nn.Linear(3, config.classes)
        self.generator = nn.Sequential(nn.Linear(config.classes, 4), nn.Dropout(0.2))
        self.averaged = nn.Sequential(nn.Linear(config.classes, 4), nn.Dropout(0.2))

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        encoding: dict[str, Any] = {"rate": self.config.rate, "shape": (4, 3)}
        classes = {"classes": self.config.classes}
        yield ToyStage(self, "encode", self.encoder, encoding)
        yield ToyStage(self, "classify", self.classifier, {**encoding, **classes})
        yield ToyStage(self, "generate", self.generator, None)

    def represent(self, images: Tensor) -> Tensor:
        out: Tensor = self.generator(self.classifier(self.encoder(images)))
        return out


class ToyStage(Stage):
    batch_size = 4

    def __init__(
        self, method: StagesMethod, name: str, network: nn.Module, settings: dict[str, Any] | None
    ) -> None:
        super().__init__()
        self.method, self.name, self.steps = method, name, method.config.steps
        self.adam = torch.optim.Adam(network.parameters(), method.config.rate)
        self.optimizers = {"adam": self.adam}
        if settings is not None:
            self.artefact = Artefact(settings, network)
        else:
            self.averages = [Average(network, method.averaged, lambda step: 0.9)]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        if os.environ.get("TOY_STOPS_AT") == f"{self.name} {batch.step}":
            raise KeyError("the spring is broken")
        assert batch.images is not None
        method = self.method
        if self.name != "encode":
            method.encoder.eval()  # frozen, with its statistics
        out = method.encoder(batch.images + torch.randn_like(batch.images))
        if self.name != "encode":
            out = method.classifier(out.detach())
        if self.name == "generate":
            out = method.generator(out.detach()) * method.config.power
        target = batch.draws.normal("target", len(out), out.shape[1])
        loss = (out - target).square().mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return {"loss": loss.detach()}
