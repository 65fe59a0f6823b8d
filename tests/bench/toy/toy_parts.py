"""The smallest method, dataset and track that can walk the whole road; imported by path."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Attributes, Batch, Method, MethodConfig, Representer, Stage, TrainingData
from bench.data.base import Dataset
from bench.tracks import Evaluation, EvaluationContext, Track, TrackOptions
from leaderboard.schema import Measurement

STEP_SECONDS = float(os.environ.get("TOY_STEP_SECONDS", "0"))


class ToyDataset(Dataset):
    name = "toy"
    size = 2
    channels = 1
    attributes = Attributes(("brightness",))

    def __init__(self, count: int = 40) -> None:
        if count < 2:
            raise ValueError("Toys come in pairs; ask for at least 2.")
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        brightness = indices.float()[:, None] / self.count
        return brightness[:, :, None, None].expand(-1, 1, 2, 2), brightness

    def fingerprint(self) -> str:
        return f"{self.count:064x}"


class ToyConfig(MethodConfig):
    steps: int = Field(1000, ge=1)
    rate: float = 0.01
    fault: bool = False


class ToyMethod(Representer):
    track: ClassVar[str] = "toy_parts:ToyTrack"
    Config = ToyConfig
    presets: ClassVar = {"smoke": {"steps": 5}, "small": {"steps": 40}}

    def __init__(self, config: ToyConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        if config.rate < 0:
            raise ValueError("A toy learns forwards; choose a rate of at least 0.")
        self.config = config
        self.value = nn.Parameter(torch.randn(3))

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield ToyStage(self)

    def represent(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None] * self.value


class ToyStage(Stage):
    name = "play"
    batch_size = 2

    def __init__(self, method: ToyMethod) -> None:
        super().__init__()
        self.method, self.steps = method, method.config.steps
        adam = torch.optim.Adam(method.parameters(), method.config.rate)
        self.optimizers = {"toy": adam}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        if self.method.config.fault and "TOY_MENDED" not in os.environ:
            raise KeyError("the spring is broken")
        time.sleep(STEP_SECONDS)
        assert batch.images is not None
        target = batch.draws.normal("target", 1, 3)[0] + batch.images.mean()
        loss = (self.method.value - target).square().sum()
        self.optimizers["toy"].zero_grad()
        loss.backward()
        self.optimizers["toy"].step()
        return {"loss": loss.detach()}


class ToyOptions(TrackOptions):
    samples: int = Field(10, ge=1)


class ToyTrack(Track):
    name = "toy"
    capability = Representer
    Options = ToyOptions

    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        assert isinstance(method, Representer)
        options: Any = self.configure(context.preset, context.options)
        images, _ = context.dataset.batch(torch.arange(min(options.samples, len(context.dataset))))
        value = method.represent(images).sum().item()
        (context.folder / "figures").mkdir(exist_ok=True)
        (context.folder / "figures" / "toy.txt").write_text(str(value))
        context.report("counting toys", 1, 1)
        metric = Measurement(name="fun", value=value, higher_is_better=True)
        return Evaluation([metric], {"images": len(images)}, ["figures/toy.txt"])


class DemandingTrack(ToyTrack):
    needs: ClassVar = ("predictor",)


class DemandingMethod(ToyMethod):
    track: ClassVar[str] = "toy_parts:DemandingTrack"


class UnspeakableTrack(ToyTrack):
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        return Evaluation([], {"images": float("nan")}, [])


class UnspeakableMethod(ToyMethod):
    track: ClassVar[str] = "toy_parts:UnspeakableTrack"


class NoRepresenter(Method):
    track: ClassVar[str] = "toy_parts:ToyTrack"
