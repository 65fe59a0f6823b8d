"""The training loop: what every stage of every method shares.

A step is a function of (state, seed, stage, step): random numbers, data order and the noise that
networks draw from torch's generators are all derived, so a run that was interrupted continues from
its checkpoint and ends with the same bits. Several processes (``torchrun`` or ``accelerate
launch``) each take their share of the batch; gradients are averaged before an optimiser steps.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType
from torch import Tensor

from baselines.base import Method, Stage, TrainingData
from baselines.randomness import derive_seed
from bench import resume
from bench.artefacts import RunArtefacts
from bench.errors import BenchError, Diverged, UnknownName
from bench.feed import Feed
from bench.files import append_json, read_json_lines, write_json_lines
from bench.processes import agree, average_gradients, interruptible, on_cpu
from bench.progress import Progress
from bench.resume import Position
from bench.reuse import StageReuse
from bench.spec import Precision

LOG_EVERY = 10  # steps between two looks at the losses: each look waits for the device
_EXPLODED = 1e8


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; none of it changes what is trained, but for device and precision.

    Attributes:
        device: ``cpu``, ``cuda``, or None for the best one present.
        precision: ``float32``, or ``bfloat16`` (autocast; needs no loss scaling).
        checkpoint_seconds: Time between two checkpoints.
        trackers: Experiment trackers of Accelerate, such as ``tensorboard``.
        quiet: Show no progress.
        on_checkpoint: Called with the method after each checkpoint.
    """

    device: str | None = None
    precision: Precision = "float32"
    checkpoint_seconds: float = 60.0
    trackers: tuple[str, ...] = ()
    quiet: bool = False
    on_checkpoint: Callable[[Method], None] | None = None


DEFAULTS = TrainingOptions()


@dataclass(frozen=True)
class TrainingSummary:
    """What training took: steps and seconds of all stages, interrupted calls included.

    Those of stages that were taken from artefacts are not counted.
    """

    steps: int
    seconds: float


def train(
    method: Method,
    data: TrainingData,
    *,
    seed: int,
    folder: Path,
    options: TrainingOptions = DEFAULTS,
    artefacts: RunArtefacts | None = None,
) -> TrainingSummary:
    """Run a method's stages, or what is left of them.

    Args:
        method: The method; it is moved to the device and left there, in ``eval`` mode.
        data: What its stages are made from.
        seed: The run's root seed.
        folder: Run directory: ``log.jsonl`` and ``checkpoint/`` are kept there.
        options: Device, precision, checkpoints, trackers.
        artefacts: Stages that left theirs are not trained again, and others leave theirs; None:
            all stages are trained.

    Raises:
        Diverged: A loss is NaN, infinite or beyond 1e8, or a stage has collapsed; the checkpoint
            before it is kept.
        BenchError: A tracker is unknown or not installed, or the checkpoint or an artefact cannot
            be read.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the step was finished and a checkpoint written.
    """
    accelerator = _accelerator(folder, options)
    method.to(accelerator.device)
    restored = resume.load(folder / "checkpoint", method)
    reuse = StageReuse(artefacts, accelerator, folder / "log.jsonl", options.quiet)
    loop = _Loop(method, data, seed, folder, options, accelerator, reuse)
    with interruptible() as interrupted:
        loop.run(restored, interrupted)
    method.eval()
    for tracker in accelerator.trackers:  # not end_training(): the processes go on together
        tracker.finish()
    return TrainingSummary(loop.position.total, loop.position.seconds)


@dataclass
class _Loop:
    method: Method
    data: TrainingData
    seed: int
    folder: Path
    options: TrainingOptions
    accelerator: Accelerator
    reuse: StageReuse
    position: Position = field(default_factory=Position)
    recent: list[dict[str, Tensor]] = field(default_factory=list)
    waited: float = 0.0  # seconds for images, in this stage since the call began

    def run(
        self, restored: tuple[Position, dict[str, Any]] | None, interrupted: threading.Event
    ) -> None:
        states: dict[str, Any] = {}
        if restored is not None:
            self.position, states = restored
            self.reuse.restore(self.position)
        self._forget_log_after(self.position.total)
        for number, stage in enumerate(self.method.stages(self.data)):
            if number < self.position.stage:
                continue
            self.method.train()
            if self.position.step > 0 or not self.reuse.take(stage, self.position):
                for name, optimizer in stage.optimizers.items():
                    if name in states:
                        optimizer.load_state_dict(states[name])
                    average_gradients(optimizer, self.accelerator)
                self._run_stage(stage, interrupted)
                self._guard_state(stage)
                self.reuse.leave(stage, self.position)
            states = {}
            self.position = replace(self.position, stage=number + 1, step=0)
            self._checkpoint(None)

    def _run_stage(self, stage: Stage, interrupted: threading.Event) -> None:
        saved = clock = time.monotonic()
        first = self.position.step
        quiet = self.options.quiet or not self.accelerator.is_local_main_process
        progress = Progress(stage.name, stage.steps, first, quiet)
        with progress, self._feed(stage) as feed:
            for step in range(first, stage.steps):
                self.recent.append(self._step(stage, step, feed))
                now = time.monotonic()
                self.position = replace(
                    self.position,
                    step=step + 1,
                    total=self.position.total + 1,
                    seconds=self.position.seconds + now - clock,
                )
                clock = now
                if (step + 1) % LOG_EVERY == 0 or step + 1 == stage.steps:
                    self.waited = feed.waited
                    numbers = self._look(stage)
                    progress.update(step + 1, numbers)
                if agree(interrupted.is_set(), self.accelerator):
                    self._checkpoint(stage)
                    raise KeyboardInterrupt
                if agree(now - saved > self.options.checkpoint_seconds, self.accelerator):
                    self._checkpoint(stage)
                    saved = time.monotonic()

    def _feed(self, stage: Stage) -> Feed:
        accelerator = self.accelerator
        return Feed(
            stage,
            self.data,
            self._stage_seed(stage),
            accelerator.process_index,
            accelerator.num_processes,
            accelerator.device,
        )

    def _stage_seed(self, stage: Stage) -> int:
        return derive_seed(self.seed, "stage", stage.name)

    def _step(self, stage: Stage, step: int, feed: Feed) -> dict[str, Tensor]:
        batch = feed.batch(step)
        torch.manual_seed(
            derive_seed(self._stage_seed(stage), step, self.accelerator.process_index)
        )
        with self.accelerator.autocast():
            losses = stage.step(batch)
        for average in stage.averages:
            average.update(step)
        return losses

    def _look(self, stage: Stage) -> str:
        """Read the losses since the last look, guard them, log them; return them as text."""
        means = self._mean_losses()
        for name, mean in means.items():
            if not math.isfinite(mean) or abs(mean) > _EXPLODED:
                raise Diverged(
                    f"Training diverged in stage {stage.name} by step {self.position.step}: the "
                    f"loss {name} is {mean}; lower the learning rate with --set, or look at the "
                    "losses before in log.jsonl."
                )
        self.recent.clear()
        if self.accelerator.is_main_process:
            record = {
                "stage": stage.name,
                "step": self.position.step,
                "total": self.position.total,
                "seconds": round(self.position.seconds, 3),
                "waited": round(self.waited, 3),
            }
            append_json(self.folder / "log.jsonl", {**record, **means})
            self.accelerator.log(means, step=self.position.total)
        return " ".join(f"{name} {value:.3g}" for name, value in means.items())

    def _mean_losses(self) -> dict[str, float]:
        """Means over the steps since the last look and over all processes, by name.

        They are the same in every process, so that all of them stop when one diverges.
        """
        names = list(dict.fromkeys(name for losses in self.recent for name in losses))
        if not names:
            return {}
        means = [
            torch.stack([losses[name].float() for losses in self.recent if name in losses]).mean()
            for name in names
        ]
        shared = self.accelerator.reduce(
            torch.stack(means).to(self.accelerator.device), reduction="mean"
        )
        return dict(zip(names, shared.tolist(), strict=True))

    def _checkpoint(self, stage: Stage | None) -> None:
        """Write a checkpoint, unless the state is one that must not be continued from."""
        if stage is not None:
            if self.recent:
                self._look(stage)
            self._guard_state(stage)
        if self.accelerator.is_main_process:
            optimizers = stage.optimizers if stage is not None else {}
            position = self.reuse.noted(self.position)
            resume.save(self.folder / "checkpoint", self.method, optimizers, position)
            if self.options.on_checkpoint is not None:
                self.options.on_checkpoint(self.method)
        self.accelerator.wait_for_everyone()

    def _guard_state(self, stage: Stage) -> None:
        for name, parameter in self.method.named_parameters():
            if not torch.isfinite(parameter).all():
                raise Diverged(
                    f"Training diverged in stage {stage.name} by step {self.position.step}: "
                    f"{name} is not finite; lower the learning rate with --set."
                )
        reason = stage.collapsed()
        if reason is not None:
            raise Diverged(
                f"Training collapsed in stage {stage.name} by step {self.position.step}: {reason}."
            )

    def _forget_log_after(self, total: int) -> None:
        """Drop what a killed run logged after its last checkpoint: it will be done again."""
        log = self.folder / "log.jsonl"
        if not self.accelerator.is_main_process or not log.exists():
            return
        records = read_json_lines(log)
        kept = [record for record in records if record.get("total", 0) <= total]
        if len(kept) < len(records):
            write_json_lines(log, kept)


def _accelerator(folder: Path, options: TrainingOptions) -> Accelerator:
    check_trackers(options.trackers)
    # One process may train several runs with different settings; Accelerate keeps the first ones.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=on_cpu(options.device),
        mixed_precision="bf16" if options.precision == "bfloat16" else "no",
        log_with=list(options.trackers) or None,
        project_dir=str(folder),
    )
    if options.trackers:
        accelerator.init_trackers("bench")
    return accelerator


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that Accelerate would leave out without a word.

    Raises:
        BenchError: One is unknown or not installed.
    """
    known = [kind.value for kind in LoggerType if kind is not LoggerType.ALL]
    installed = [kind.value for kind in get_available_trackers()]
    for name in names:
        if name not in known:
            raise UnknownName("tracker", name, known, f"There are: {', '.join(known)}.")
        if name not in installed:
            package = '"gan-attribute-bench[track]"' if name == "tensorboard" else name
            raise BenchError(f"The tracker {name} is not installed; run pip install {package}.")
