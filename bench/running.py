"""The one road of every method in every track: a specification goes in, a result comes out.

The parts are loaded and checked first, so that nothing is trained in vain; then the method is
trained or continued, evaluated by its track, and the result written. However a run ends, its
directory says so: completed, diverged, or failed with the traceback in its log.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import PartialState

from baselines.base import Method, TrainingData
from baselines.randomness import derive_seed
from bench.artefacts import RunArtefacts
from bench.checkpoints.states import read_states
from bench.errors import BenchError, Diverged
from bench.figures import captioned
from bench.files import read_json_lines
from bench.parts import Parts, load_parts
from bench.processes import process_state
from bench.progress import Progress
from bench.provenance import collect
from bench.resolve import load_method, load_track
from bench.rundir import RunDirectory
from bench.spec import RunSpec
from bench.stored_artefact import RunOrigin
from bench.tracks import Evaluation, EvaluationContext, ProgressCallback, Track
from bench.trainer import TrainingOptions, TrainingSummary, train
from leaderboard.schema import Result, Status

_NOTHING = Evaluation([], {}, [])


class RunFailed(BenchError):
    """A run ended by a fault of the program or of a method; the log has the traceback."""

    exit_code = 1


@dataclass(frozen=True)
class RunOptions:
    """How to run; nothing here changes what is computed, but for the device.

    Attributes:
        root: The folder of all run directories.
        device: ``cpu``, ``cuda``, or None for the best one present.
        force: Start over, whatever is there; artefacts of finished stages are still taken.
        trackers: Experiment trackers, such as ``tensorboard``.
        quiet: Show no progress.
    """

    root: Path
    device: str | None = None
    force: bool = False
    trackers: tuple[str, ...] = ()
    quiet: bool = False


def execute(spec: RunSpec, options: RunOptions) -> Result:
    """Run to the end, from wherever an earlier call stopped; a finished run is only read.

    Returns:
        The result; its status is ``completed`` or ``diverged``.

    Raises:
        BenchError: Something of the input is missing or wrong, and a run that had not begun leaves
            nothing; ``Locked`` if another process
            works on the run; ``RunFailed`` after any other fault.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint.
    """
    state = process_state(options.device)
    run = RunDirectory(options.root, spec)
    with run.lock() if state.is_main_process else nullcontext():
        if options.force and state.is_main_process:
            run.clear()
        state.wait_for_everyone()
        finished = run.result()
        state.wait_for_everyone()
        if finished is not None:
            return finished
        if state.is_main_process:
            run.open()
        result = _attempt(spec, options, run, state)
        if state.is_main_process:
            run.write_result(result)
    if result.status == "failed":
        raise RunFailed(
            f"The run failed ({result.message}); the traceback is in {run.path / 'log.jsonl'}, "
            "and the same command goes on from the last checkpoint."
        )
    return result


def _attempt(spec: RunSpec, options: RunOptions, run: RunDirectory, state: PartialState) -> Result:
    """Walk the road and say how it ended."""
    walk = _Walk(spec, options, run, state)
    try:
        walk.go()
        return walk.result("completed")
    except Diverged as error:
        return walk.result("diverged", str(error))
    except BenchError:
        if state.is_main_process:
            run.abandon()
        raise
    except Exception as error:
        # Where every fault ends up: kept in the log, recorded, and told in one sentence.
        run.log("error", traceback=traceback.format_exc())
        walk.evaluation = _NOTHING  # it may be what cannot be recorded
        reason = " ".join(str(error).split())
        return walk.result("failed", f"{type(error).__name__}: {reason}")


class _Walk:
    """One run under way; a result can be made of what is known at any time."""

    def __init__(
        self, spec: RunSpec, options: RunOptions, run: RunDirectory, state: PartialState
    ) -> None:
        self.spec, self.options, self.run, self.state = spec, options, run, state
        self.method: Method | None = None
        self.artefacts: RunArtefacts | None = None
        self.training: TrainingSummary | None = None
        self.evaluation = _NOTHING
        self.evaluation_seconds = 0.0
        self.provenance: dict[str, Any] = {}

    def go(self) -> None:
        """Load, train, evaluate."""
        spec, main = self.spec, self.state.is_main_process
        parts = load_parts(spec, self.state.device)
        track = load_track(spec.track)()
        _check_needs(spec, track)
        options = track.configure(spec.preset, spec.track_options)
        track.check(parts.images("test"), parts.predictor, options)
        extractor = parts.extractor(spec.extractor) if spec.extractor else None
        data = parts.training_data()
        self.method = build_method(spec, data, track)
        self._note_provenance(parts)
        processes = self.state.num_processes
        self.artefacts = stage_artefacts(spec, parts, data, self.options.root, processes)
        self.artefacts.require_fit(self.method.stages(data))
        try:
            self.training = train(
                self.method,
                data,
                seed=spec.seed,
                folder=self.run.path,
                options=self._training(),
                artefacts=self.artefacts,
            )
        finally:  # of a training that ended badly, too, it is told what it used
            self._note_provenance(parts)
        with (
            _progress(self.options.quiet or not main) as progress,
            self._figures() as folder,
            captioned(self._caption()),
        ):
            context = EvaluationContext(
                dataset=parts.images("test"),
                generator=parts.generator,
                extractor=extractor,
                predictor=parts.predictor,
                seed=spec.seed,
                preset=spec.preset,
                folder=folder,
                device=self.state.device,
                options=spec.track_options,
                progress=progress,
            )
            started = time.monotonic()
            self.evaluation = track.evaluate(self.method, context)
            self.evaluation_seconds = time.monotonic() - started

    def result(self, status: Status, message: str = "") -> Result:
        """What the run has come to."""
        spec = self.spec
        parameters = self.method.parameters() if self.method else ()
        training = self.training or self._logged_training()
        return Result(
            method=spec.method,
            track=spec.track,
            dataset=spec.dataset,
            preset=spec.preset,
            seed=spec.seed,
            overrides=spec.overrides,
            spec_hash=spec.hash,
            status=status,
            message=message,
            metrics=tuple(self.evaluation.metrics),
            protocol=self._protocol(),
            steps=training.steps,
            seconds=round(training.seconds + self.evaluation_seconds, 3),
            parameters=sum(p.numel() for p in parameters if p.requires_grad),
            provenance=self.provenance,
            figures=tuple(self.evaluation.figures),
        )

    def _caption(self) -> str:
        """What figures are of, so that those of several methods can be compared."""
        steps = self.training.steps if self.training else 0
        return f"{self.spec}, {steps:,} training steps" if steps else str(self.spec)

    def _protocol(self) -> dict[str, Any]:
        note = judged_unasked(self.spec)
        return {**self.evaluation.protocol, **({"judged_by": note} if note else {})}

    def _training(self) -> TrainingOptions:
        return TrainingOptions(
            device=self.options.device,
            precision=self.spec.precision,
            trackers=self.options.trackers,
            quiet=self.options.quiet,
        )

    def _note_provenance(self, parts: Parts) -> None:
        self.provenance = collect(
            type(self.method),
            self.state.device,
            parts.fingerprint,
            dict(parts.weights),
            self.state.num_processes,
            self.artefacts.used if self.artefacts else None,
        )
        if self.state.is_main_process:
            self.run.check_provenance(self.provenance)

    def _logged_training(self) -> TrainingSummary:
        """How far a training came that did not end."""
        records = read_json_lines(self.run.path / "log.jsonl")
        steps = max((record.get("total", 0) for record in records), default=0)
        seconds = max((record.get("seconds", 0.0) for record in records), default=0.0)
        return TrainingSummary(steps, seconds)

    @contextmanager
    def _figures(self) -> Iterator[Path]:
        """Where the evaluation may write: only one process writes to the run's directory."""
        if self.state.is_main_process:
            yield self.run.path
        else:
            with TemporaryDirectory() as folder:
                yield Path(folder)


def judged_unasked(spec: RunSpec) -> str:
    """That a predictor nobody named judges images of a generator's file; empty if it does not."""
    needs = load_track(spec.track).needs
    if "generator" not in spec.contents or not {"generator", "predictor"} <= {*needs}:
        return ""
    if spec.predictor is None or "predictor" in spec.overrides:
        return ""
    return (
        f"{spec.predictor}, the predictor of the dataset {spec.dataset}, whatever "
        f"{spec.overrides['generator']} makes: scores mean something only if its images are of "
        "that kind; otherwise give another --dataset or --predictor"
    )


def build_method(spec: RunSpec, data: TrainingData, track: Track) -> Method:
    """The method of a run, its first weights drawn from the run's seed.

    Raises:
        BenchError: The track cannot evaluate it, or it cannot work on the data.
    """
    kind = load_method(spec.method)
    if not issubclass(kind, track.capability):
        raise BenchError(
            f"{spec.method} cannot run on the track {spec.track}: it has to be a "
            f"{track.capability.__name__}."
        )
    torch.manual_seed(derive_seed(spec.seed, "method"))
    try:
        method = kind(kind.Config.model_validate(spec.config), data)
        if spec.checkpoint is not None:
            method.load_reference(read_states(spec.method, Path(spec.checkpoint)))
        return method
    except ValueError as error:
        raise BenchError(str(error)) from error


def stage_artefacts(
    spec: RunSpec, parts: Parts, data: TrainingData, root: Path, processes: int
) -> RunArtefacts:
    """What a run takes and leaves of artefacts below the folder of all runs.

    Raises:
        BenchError: One that was given is missing or damaged.
    """
    origin = RunOrigin.of(spec, data, parts.fingerprint, parts.weights, processes)
    return RunArtefacts(root, origin, map(Path, spec.artefacts))


def _check_needs(spec: RunSpec, track: Track) -> None:
    for part in track.needs:
        if getattr(spec, part) is None:
            raise BenchError(
                f"The track {spec.track} needs the {part} that {spec.dataset} does not imply; "
                f"name one with --{part}."
            )


@contextmanager
def _progress(quiet: bool) -> Iterator[ProgressCallback]:
    """Shows each task of an evaluation that says how much there is to do."""
    with ExitStack() as shown:
        current: tuple[str, Progress] | None = None

        def report(task: str, done: int, total: int) -> None:
            nonlocal current
            if not total:
                return
            if current is None or current[0] != task:
                shown.close()
                current = (task, shown.enter_context(Progress(task, total, quiet=quiet)))
            current[1].update(done)

        yield report
