"""A ContraFeat training step: what the suite's training loop adds to the bare step.

    python benchmarks/contrafeat_step.py
    python benchmarks/contrafeat_step.py --steps 500 --device cuda

Trains ContraFeat's navigator with ``bench.trainer`` (seeding, guards, log, progress, checkpoints)
and takes the time within each step apart from the time between steps, in one and the same run. The
generator has the shape of the one shipped for 3D Shapes; its weights do not matter here. Prints
one JSON object:

- ``overhead``: time between the steps over time within them; to stay below 0.03;
- ``overhead_with_last_checkpoint``: the same up to the end of training, which writes a checkpoint;
- ``milliseconds_per_step``: the median of a step in a plain loop without the trainer, and within
  the trainer, to show that the step itself does not become slower.

Set ``OMP_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import click
import torch
from torch import Tensor

from baselines.base import Batch, Stage, TrainingData
from baselines.contrafeat import ContraFeat, ContraFeatConfig
from baselines.nets.stylegan2 import Generator
from baselines.randomness import Draws, derive_seed
from bench.data.shapes3d import Shapes3D
from bench.extractors import load_extractor
from bench.trainer import TrainingOptions, train

Span = tuple[float, float]


class TimedStage(Stage):
    """Another stage, with the beginning and the end of each step noted."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage, self.name, self.steps = stage, stage.name, stage.steps
        self.optimizers = stage.optimizers
        self.spans: list[Span] = []

    def step(self, batch: Batch) -> dict[str, Tensor]:
        start = time.perf_counter()
        losses = self.stage.step(batch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.spans.append((start, time.perf_counter()))
        return losses

    def collapsed(self) -> str | None:
        return self.stage.collapsed()


class TimedContraFeat(ContraFeat):
    """ContraFeat whose stages are timed; they stay in ``timed``."""

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        self.timed = [TimedStage(stage) for stage in super().stages(data)]
        yield from self.timed


def make_data(device: str) -> TrainingData:
    """3D Shapes with an untrained generator of the shipped one's shape."""
    torch.manual_seed(0)
    generator = Generator(
        64,
        0,
        64,
        64,
        3,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 1024, "channel_max": 128},
    )
    dataset = Shapes3D()
    return TrainingData(
        train=dataset,
        attributes=dataset.attributes,
        size=dataset.size,
        channels=dataset.channels,
        generator=generator.eval().requires_grad_(False).to(device),
        extractor=lambda name: load_extractor(name, device),
    )


def make_method(data: TrainingData, steps: int, batch: int, device: str) -> TimedContraFeat:
    """The small preset with directions that need no stage of their own."""
    settings = {"directions": "free", "batch_size": batch, "images": steps * batch}
    config = ContraFeatConfig.model_validate({**ContraFeat.presets["small"], **settings})
    return TimedContraFeat(config, data).to(device)


def time_bare(data: TrainingData, steps: int, batch: int, device: str) -> list[Span]:
    """Beginnings and ends of the steps in a plain loop."""
    method = make_method(data, steps, batch, device)
    (stage,) = method.stages(data)
    seed = derive_seed(0, "stage", stage.name)
    for step in range(steps):
        stage.step(Batch(step, Draws(seed, step, 0, 1, device)))
    return method.timed[0].spans


def time_trainer(
    data: TrainingData, steps: int, batch: int, device: str
) -> tuple[list[Span], float]:
    """Beginnings and ends of the steps in the trainer, and when it was done."""
    method = make_method(data, steps, batch, device)
    with tempfile.TemporaryDirectory() as folder:
        train(method, data, seed=0, folder=Path(folder), options=TrainingOptions(device=device))
        return method.timed[0].spans, time.perf_counter()


@click.command()
@click.option("--steps", default=100, show_default=True, help="Training steps on each side.")
@click.option("--batch", default=12, show_default=True, help="Codes in a step.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def main(steps: int, batch: int, device: str) -> None:
    """Time both, print JSON."""
    data = make_data(device)
    time_bare(data, 3, batch, device)  # the first steps of a process are slow for other reasons
    bare = time_bare(data, steps, batch, device)
    spans, finished = time_trainer(data, steps, batch, device)
    inside = sum(end - start for start, end in spans)
    first, last = spans[0][0], spans[-1][1]
    report = {
        "steps": steps,
        "batch": batch,
        "device": device,
        "overhead": (last - first - inside) / inside,
        "overhead_with_last_checkpoint": (finished - first - inside) / inside,
        "milliseconds_per_step": {"bare": _milliseconds(bare), "in_trainer": _milliseconds(spans)},
    }
    click.echo(json.dumps(report, indent=2))


def _milliseconds(spans: list[Span]) -> float:
    return 1000 * median(end - start for start, end in spans)


if __name__ == "__main__":
    main()
