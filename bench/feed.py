"""The training images of each step, read while the step before is computed.

What a step gets is a function of (seed, stage, step), so reading ahead changes no bit of a run,
wherever it is interrupted.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from torch import Tensor

from baselines.base import (
    Batch,
    DirectionPairs,
    DirectionPairSet,
    Pairs,
    Stage,
    TrainingData,
)
from baselines.randomness import Draws, data_order, derive_seed
from bench.errors import BenchError
from bench.reading import reading_thread


@dataclass(frozen=True)
class _Read:
    """What one step gets of the training set, on the CPU."""

    images: Tensor | None = None
    attributes: Tensor | None = None
    indices: Tensor | None = None
    pairs: Pairs | None = None
    direction_pairs: DirectionPairs | None = None
    factor_pairs: DirectionPairs | None = None


class Feed:
    """The batches of one stage for one of the processes that share it; a context manager.

    Args:
        stage: Says how many images and pairs of each kind a step gets.
        data: Where they come from.
        seed: The stage's seed.
        rank: Which process this is.
        processes: How many there are.
        device: Where the batches go.

    Attributes:
        waited: Seconds that steps have waited for their images.

    Raises:
        BenchError: A step's images or pairs cannot be split evenly over the processes.
    """

    def __init__(
        self,
        stage: Stage,
        data: TrainingData,
        seed: int,
        rank: int,
        processes: int,
        device: torch.device,
    ) -> None:
        self._stage, self._data, self._seed = stage, data, seed
        self._rank, self._processes, self._device = rank, processes, device
        self._share(stage.batch_size)  # refused before the first step
        self._pair_count = self._share(stage.pair_count)
        self._share(stage.direction_pair_count)
        self._share(stage.factor_pair_count)
        self._reader = reading_thread("feed")
        self._ahead: tuple[int, Future[_Read]] | None = None
        self.waited = 0.0

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int) -> Batch:
        """What a step may use; the step after it is read from now on."""
        draws = Draws(self._seed, step, self._rank, self._processes, self._device)
        batch = Batch(step, draws, processes=self._processes)
        stage = self._stage
        pair_count = stage.pair_count + stage.direction_pair_count + stage.factor_pair_count
        if not (stage.batch_size or pair_count):
            return batch
        started = time.monotonic()
        read = self._reading(step).result()
        self.waited += time.monotonic() - started
        if step + 1 < self._stage.steps:
            self._ahead = (step + 1, self._reader.submit(self._read, step + 1))
        batch.images = self._moved(read.images)
        batch.attributes = self._moved(read.attributes)
        batch.indices = read.indices
        if read.pairs is not None:
            batch.pairs = Pairs(
                read.pairs.first.to(self._device, non_blocking=True),
                read.pairs.second.to(self._device, non_blocking=True),
                read.pairs.attributes.to(self._device, non_blocking=True),
            )
        batch.direction_pairs = self._moved_pairs(read.direction_pairs)
        batch.factor_pairs = self._moved_pairs(read.factor_pairs)
        return batch

    def _reading(self, step: int) -> Future[_Read]:
        if self._ahead is not None and self._ahead[0] == step:
            return self._ahead[1]
        return self._reader.submit(self._read, step)

    def _read(self, step: int) -> _Read:
        pairs = _Read(
            pairs=self._pairs(step) if self._stage.wants_pairs(step) else None,
            direction_pairs=self._direction_pairs(step),
            factor_pairs=self._factor_pairs(step),
        )
        shown = self._stage.shown(step)
        if not shown:
            return pairs
        count = self._share(len(shown))
        start = shown.start + self._rank * count
        indices = data_order(self._seed, start, count, self._stage.images or len(self._data.train))
        images, attributes = self._data.train.batch(indices)
        return replace(pairs, images=images, attributes=attributes, indices=indices)

    def _share(self, total: int) -> int:
        """This process's part of so many images or pairs."""
        draws = Draws(self._seed, 0, self._rank, self._processes)
        try:
            return Batch(0, draws, processes=self._processes).share(total)
        except ValueError as error:
            raise BenchError(f"{error}.") from error

    def _pairs(self, step: int) -> Pairs:
        """This process's part of the pairs, whose attribute vectors differ over all processes."""
        if self._data.pairs is None:
            raise BenchError(
                "The stage needs pairs of different identities, which the dataset does not know: "
                "take one with identities, such as celeba or celeba-synth."
            )
        drawn = self._data.pairs.draw(
            derive_seed(self._seed, "pairs", step), self._stage.pair_count
        )
        count = self._pair_count
        places = drawn[self._rank * count : (self._rank + 1) * count]
        firsts_then_seconds = places.T.reshape(-1)
        images, attributes = self._data.train.batch(firsts_then_seconds)
        return Pairs(images[:count], images[count:], attributes[:count])

    def _direction_pairs(self, step: int) -> DirectionPairs | None:
        return self._labelled(
            self._data.direction_pairs,
            "direction pairs",
            step,
            self._stage.direction_pair_count,
            "The stage needs pairs of images that differ in one direction, and the run has none: "
            "name the discovery run whose directions make them by --directions RUN.",
        )

    def _factor_pairs(self, step: int) -> DirectionPairs | None:
        return self._labelled(
            self._data.factor_pairs,
            "factor pairs",
            step,
            self._stage.factor_pair_count,
            "The stage needs pairs of images that differ in known factors, which the dataset does "
            "not know: take one with factors, such as shapes3d.",
        )

    def _labelled(
        self, source: DirectionPairSet | None, purpose: str, step: int, total: int, missing: str
    ) -> DirectionPairs | None:
        """This process's part of ``total`` labelled pairs; None if the stage asks for none."""
        if not total:
            return None
        if source is None:
            raise BenchError(missing)
        drawn = source.draw(derive_seed(self._seed, purpose, step), total)
        count = self._share(total)
        part = slice(self._rank * count, (self._rank + 1) * count)
        return DirectionPairs(drawn.first[part], drawn.second[part], drawn.labels[part])

    def _moved_pairs(self, pairs: DirectionPairs | None) -> DirectionPairs | None:
        if pairs is None:
            return None
        return DirectionPairs(
            pairs.first.to(self._device, non_blocking=True),
            pairs.second.to(self._device, non_blocking=True),
            pairs.labels.to(self._device, non_blocking=True),
        )

    def _moved(self, tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(self._device, non_blocking=True)
