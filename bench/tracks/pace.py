"""How fast a method goes, as tracks take its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class Pace:
    """How fast a network goes, batch by batch."""

    batches: list[tuple[int, float]] = field(default_factory=list)

    @contextmanager
    def taking(self, images: int, device: torch.device) -> Iterator[None]:
        """Take the time of one batch."""
        _finish(device)
        started = time.perf_counter()
        yield
        _finish(device)
        self.batches.append((images, time.perf_counter() - started))

    @property
    def images_per_second(self) -> float:
        """Over all batches but the first, which also pays for what is made only once."""
        counted = self.batches[1:] or self.batches
        return sum(images for images, _ in counted) / sum(seconds for _, seconds in counted)


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still works on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
