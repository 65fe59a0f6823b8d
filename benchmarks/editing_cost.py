"""What training the editing methods at their papers' settings costs: operations and memory.

    python benchmarks/editing_cost.py

One round of each method's alternation runs, for the large ones on tensors without values. Prints
one JSON object; for each method:

- ``teraflops_per_image``: floating-point operations of the round over the images that it takes;
- ``petaflops``: of the whole training;
- ``gibibytes``: parameters with their gradients and Adam's two moments, plus what one step keeps
  for its backward passes; libraries take some more;
- ``hours_at_10_teraflops``: of the whole training at 10 TFLOP/s, about what a data-centre GPU
  reaches in float32 on such networks. An estimate, not a measurement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import click
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from baselines.attgan import AttGAN
from baselines.base import Attributes, Batch, Editor, TrainingData
from baselines.icgan import IcGAN
from baselines.randomness import Draws
from baselines.stargan import StarGAN

# Method, attributes, size, images of the training set, steps in one round of its alternation, and
# the device: IcGAN looks at the values of labels.
METHODS: dict[str, tuple[type[Editor], int, int, int, int, str]] = {
    "stargan": (StarGAN, 5, 128, 200_600, 5, "meta"),
    "attgan": (AttGAN, 13, 128, 182_000, 6, "meta"),
    "icgan": (IcGAN, 18, 64, 182_638, 1, "cpu"),
}


class Shapes:
    """A training set of a certain length, of images without values."""

    def __init__(self, length: int, attributes: int, size: int, device: str) -> None:
        self.length, self.attributes, self.size, self.device = length, attributes, size, device

    def __len__(self) -> int:
        return self.length

    def labels(self, indices: Tensor) -> Tensor:
        return (indices[:, None] >> torch.arange(self.attributes) & 1).float()

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = torch.zeros(len(indices), 3, self.size, self.size, device=self.device)
        return images, self.labels(indices).to(self.device)


class Operations(TorchDispatchMode):
    """Counts floating-point operations (PyTorch's own counter cannot follow gradient penalties)."""

    total = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


@contextmanager
def counted_bytes() -> Iterator[list[int]]:
    """Bytes that autograd keeps, each storage once; the sum is the single entry of the list."""
    seen: dict[int, Tensor] = {}
    total = [0]

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in seen and not isinstance(tensor, torch.nn.Parameter):
            seen[id(tensor)] = tensor
            total[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield total


def cost(name: str) -> dict[str, float]:
    """The figures of one method."""
    kind, attributes, size, length, steps, device = METHODS[name]
    names = Attributes(tuple(f"attribute_{number}" for number in range(attributes)))
    data = TrainingData(Shapes(length, attributes, size, device), names, size, 3)
    with torch.device(device):
        method = kind(kind.Config(), data).train()
    stage = next(iter(method.stages(data)))
    largest = 0
    with Operations() as counter, patch.object(torch.optim.Adam, "step"):
        for step in range(steps):
            batch = Batch(step, Draws(0, step, 0, 1, device))
            batch.images, batch.attributes = data.train.batch(torch.arange(stage.batch_size))
            batch.indices = torch.arange(stage.batch_size)
            with counted_bytes() as kept:
                stage.step(batch)
            largest = max(largest, kept[0])
    operations = counter.total
    whole = operations * stage.steps / steps
    parameters = sum(parameter.numel() for parameter in method.parameters())
    return {
        "teraflops_per_image": operations / steps / stage.batch_size / 1e12,
        "petaflops": whole / 1e15,
        "gibibytes": (16 * parameters + largest) / 2**30,
        "hours_at_10_teraflops": whole / 1e13 / 3600,
    }


@click.command()
def main() -> None:
    """Count, print JSON."""
    click.echo(json.dumps({name: cost(name) for name in METHODS}, indent=2))


if __name__ == "__main__":
    main()
