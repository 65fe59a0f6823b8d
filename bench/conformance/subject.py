"""A method under test: built, trained whole or with interruptions, and called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.base import Method, TrainingData
from bench import resume
from bench.conformance.calls import Call, Inputs, calls
from bench.parts import Parts, load_parts
from bench.processes import process_state
from bench.resolve import load_track
from bench.running import build_method
from bench.spec import RunSpec
from bench.trainer import TrainingOptions, train


class Skipped(Exception):
    """Why a check has nothing to look at."""


@dataclass
class Subject:
    """A smoke run of the method under test, and what the checks share of it."""

    spec: RunSpec
    folder: Path

    @cached_property
    def parts(self) -> Parts:
        return load_parts(self.spec, process_state("cpu").device)

    @cached_property
    def data(self) -> TrainingData:
        return self.parts.training_data()

    @cached_property
    def inputs(self) -> Inputs:
        return Inputs.of(self.parts)

    @cached_property
    def trained(self) -> Method:
        """The method after its whole training."""
        return self.train("whole")

    def build(self, **config: Any) -> Method:
        """The method as a run begins with it, with other settings if any are given."""
        spec = self.spec.model_copy(update={"config": {**self.spec.config, **config}})
        return build_method(spec, self.data, load_track(spec.track)())

    def train(self, name: str, stops: Sequence[tuple[int, int]] = ()) -> Method:
        """Train from the beginning, or on from the checkpoint of that name.

        Args:
            name: Where the log and the checkpoints lie.
            stops: Places, as number of the stage and steps done in it, to be interrupted at, in
                their order; each time, the method is made anew, as in another process.
        """
        folder = self.folder / name
        waiting = list(stops)

        def interrupt(method: Method) -> None:
            if waiting and resume.reached(folder / "checkpoint") == waiting[0]:
                raise _Interrupted

        options = TrainingOptions("cpu", quiet=True)
        if stops:
            after_every_step = -1.0
            options = replace(options, checkpoint_seconds=after_every_step, on_checkpoint=interrupt)
        while True:
            method = self.build()
            try:
                train(method, self.data, seed=self.spec.seed, folder=folder, options=options)
            except _Interrupted:
                waiting.pop(0)
                continue
            return method

    @torch.no_grad()
    def outputs(self, method: Method, rows: slice = slice(None)) -> dict[str, Tensor]:
        """What all calls of the capability return for some of the samples."""
        return {call.name: call.make(rows) for call in self.calls(method)}

    def calls(self, method: Method) -> list[Call]:
        """The calls of the capability.

        Raises:
            Skipped: The suite does not know the capability.
        """
        found = calls(method, self.inputs)
        if not found:
            raise Skipped(f"the suite does not know the capability of the track {method.track}")
        return found


class _Interrupted(Exception):
    """Stands for a process that ends in the middle of a training."""
