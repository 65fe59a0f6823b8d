"""LatentCLR's step: the loss streamed over the directions, against the loss of all edits at once.

    python benchmarks/latentclr_memory.py
    python benchmarks/latentclr_memory.py --layer b32 --channel-base 16384 --device cuda

Takes one step of 100 directions in a process of its own on each side, and prints one JSON object:

- ``peak_gib``: the most memory of the process (of the GPU's tensors with ``--device cuda``);
- ``before_gib``: that memory before the step: Python, torch and the networks;
- ``seconds``: of the step;
- ``largest_difference``: between the gradients, relative to the largest gradient.

By default the generator has the shape of the one shipped for 3D Shapes, and changes are looked at
in its last features, at 64 x 64 pixels. The streamed side is to stay below 4 GiB. Set
``OMP_NUM_THREADS`` to fix the number of threads.
"""

from __future__ import annotations

import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import click
import torch
from torch import Tensor

from baselines.base import Attributes, TrainingData
from baselines.latentclr import DirectionStage, LatentCLR, LatentCLRConfig
from baselines.latentclr_losses import contrastive_loss
from baselines.nets.stylegan2 import Generator


@dataclass(frozen=True)
class Task:
    """What is measured."""

    directions: int
    batch: int
    layer: str
    channel_base: int
    device: str
    streamed: bool


def measure(task: Task) -> tuple[dict[str, float], Tensor]:
    """Numbers of one step, and its gradient."""
    stage = make_stage(task)
    codes = torch.randn(task.batch, 64, device=task.device)
    lengths = torch.full((task.directions, 1), 0.1, device=task.device)
    before, start = _memory(task.device), time.perf_counter()
    if task.streamed:
        stage.backpropagate(codes, lengths)
    else:
        original = stage.vectors(codes[None, :, None].expand(-1, -1, stage.generator.num_ws, -1))
        changes = stage.change(stage.method.edited(codes, lengths), original.detach())
        comparison = stage.config.comparison()
        contrastive_loss(changes.flatten(0, 1), task.directions, comparison).loss.backward()
    peak = _memory(task.device)
    seconds = time.perf_counter() - start
    (parameter,) = stage.method.parameters()
    assert parameter.grad is not None
    found = {"before_gib": before, "peak_gib": peak, "seconds": seconds}
    return {name: round(value, 3) for name, value in found.items()}, parameter.grad.cpu()


def make_stage(task: Task) -> DirectionStage:
    """Fixed directions of an untrained generator."""
    torch.manual_seed(0)
    generator = Generator(
        64,
        0,
        64,
        64,
        3,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": task.channel_base, "channel_max": task.channel_base // 8},
    )
    generator.eval().requires_grad_(False).to(task.device)
    nothing: Any = None  # no images of a dataset are needed
    data = TrainingData(nothing, Attributes(()), 64, 3, generator)
    config = LatentCLRConfig.model_validate(
        {
            "num_directions": task.directions,
            "batch_size": task.batch,
            "feature_layers": (task.layer,),
        }
    )
    return DirectionStage(LatentCLR(config, data).to(task.device), generator)


def _memory(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@click.command()
@click.option("--directions", default=100, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Codes in a step.")
@click.option("--layer", default="b64", show_default=True, help="Where changes are looked at.")
@click.option("--channel-base", default=1024, show_default=True, help="The generator's width.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def main(directions: int, batch: int, layer: str, channel_base: int, device: str) -> None:
    """Measure both, print JSON."""
    report: dict[str, Any] = {}
    gradients = []
    for name, streamed in (("streamed", True), ("at_once", False)):
        task = Task(directions, batch, layer, channel_base, device, streamed)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            report[name], gradient = fresh.submit(measure, task).result()
        gradients.append(gradient)
    difference = (gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max()
    click.echo(json.dumps({**report, "largest_difference": float(difference)}, indent=2))


if __name__ == "__main__":
    main()
