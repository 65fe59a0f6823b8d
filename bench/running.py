"""The one road of every method in every track: a specification goes in, a result comes out.

The parts are loaded and checked first, so that nothing is trained in vain and a refused run neither
makes nor removes anything; then the method is trained or continued, evaluated by its track, and the
result written. However a run ends, its directory says so: completed, diverged, or failed with the
traceback in its log.
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
from bench.extractors import load_extractor
from bench.figures import captioned
from bench.files import read_json_lines
from bench.parts import Parts, load_parts
from bench.processes import by_main_process, process_state
from bench.progress import Progress
from bench.provenance import collect
from bench.resolve import load_method, load_track
from bench.rundir import RunDirectory
from bench.spec import RunSpec
from bench.stored_artefact import RunOrigin
from bench.tracks import Evaluation, EvaluationContext, ProgressCallback, Track
from bench.trainer import TrainingOptions, TrainingSummary, check_trackers, train
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
        BenchError: Something of the input is missing or wrong, and all is as it was before;
            ``Locked`` if another process works on the run; ``RunFailed`` after any other fault.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint.
    """
    state = process_state(options.device)
    run = RunDirectory(options.root, spec)

    def finished() -> Result | None:
        return None if options.force else by_main_process(run.result, state)

    if (before := finished()) is not None:
        return before
    prepared = _prepare(spec, options, state)
    with run.lock() if state.is_main_process else nullcontext():
        if (meanwhile := finished()) is not None:  # by another process
            return meanwhile
        # A fault on the way to a run that is to start over leaves the one before as it is.
        begins = not (options.force and isinstance(prepared, Exception))
        if begins and state.is_main_process:
            if options.force:
                run.clear()
            run.open()
        state.wait_for_everyone()
        result = _attempt(_Walk(spec, options, run, state, prepared))
        if begins and state.is_main_process:
            run.write_result(result)
    if result.status == "failed":
        raise RunFailed(
            f"The run failed ({result.message}); the traceback is in {run.path / 'log.jsonl'}, "
            "and the same command goes on from the last checkpoint."
        )
    return result


@dataclass(frozen=True)
class _Prepared:
    """What a run works with, loaded and checked."""

    parts: Parts
    track: Track
    extractor: Any
    data: TrainingData
    method: Method
    artefacts: RunArtefacts


def _prepare(spec: RunSpec, options: RunOptions, state: PartialState) -> _Prepared | Exception:
    """Load and check everything; a fault is returned, since only the run's owner may note it.

    Raises:
        BenchError: Something of the input is missing or wrong.
    """
    try:
        check_trackers(options.trackers)
        parts = load_parts(spec, state.device)
        track = load_track(spec.track)()
        track_options = track.configure(spec.preset, spec.track_options)
        # First, since no predictor helps where there is nothing to predict.
        track.check(parts.images("test"), parts.predictor, track_options)
        _check_needs(spec, track)
        extractor = parts.extractor(spec.extractor) if spec.extractor else None
        data = parts.training_data()
        if options.force and spec.checkpoint is None:  # stages load theirs, after the clearing
            kind = load_method(spec.method)
            for name in kind.extractors_of(kind.Config.model_validate(spec.config)):
                load_extractor(name, str(state.device))
        method = build_method(spec, data, track)
        artefacts = stage_artefacts(spec, parts, data, options.root, state.num_processes)
        artefacts.require_fit(method.stages(data))
        return _Prepared(parts, track, extractor, data, method, artefacts)
    except BenchError:
        raise
    except Exception as fault:
        return fault


def _attempt(walk: _Walk) -> Result:
    """Walk the road and say how it ended."""
    try:
        walk.go()
        return walk.result("completed")
    except Diverged as error:
        return walk.result("diverged", str(error))
    except BenchError:
        raise
    except Exception as error:
        # Where every fault ends up: kept in the log, recorded, and told in one sentence.
        walk.run.log("error", traceback=traceback.format_exc())
        walk.evaluation = _NOTHING  # it may be what cannot be recorded
        reason = " ".join(str(error).split())
        return walk.result("failed", f"{type(error).__name__}: {reason}")


class _Walk:
    """One run under way; a result can be made of what is known at any time."""

    def __init__(
        self,
        spec: RunSpec,
        options: RunOptions,
        run: RunDirectory,
        state: PartialState,
        prepared: _Prepared | Exception,
    ) -> None:
        self.spec, self.options, self.run, self.state = spec, options, run, state
        self.prepared = prepared
        self.training: TrainingSummary | None = None
        self.evaluation = _NOTHING
        self.evaluation_seconds = 0.0
        self.provenance: dict[str, Any] = {}

    def go(self) -> None:
        """Train, evaluate."""
        if isinstance(self.prepared, Exception):
            raise self.prepared
        spec, main, ready = self.spec, self.state.is_main_process, self.prepared
        self._note_provenance(ready)
        try:
            self.training = train(
                ready.method,
                ready.data,
                seed=spec.seed,
                folder=self.run.path,
                options=self._training(),
                artefacts=ready.artefacts,
            )
        finally:  # of a training that ended badly, too, it is told what it used
            self._note_provenance(ready)
        with (
            _progress(self.options.quiet or not main) as progress,
            self._figures() as folder,
            captioned(self._caption()),
        ):
            context = EvaluationContext(
                dataset=ready.parts.images("test"),
                generator=ready.parts.generator,
                extractor=ready.extractor,
                predictor=ready.parts.predictor,
                seed=spec.seed,
                preset=spec.preset,
                folder=folder,
                device=self.state.device,
                options=spec.track_options,
                progress=progress,
            )
            started = time.monotonic()
            self.evaluation = ready.track.evaluate(ready.method, context)
            self.evaluation_seconds = time.monotonic() - started

    def result(self, status: Status, message: str = "") -> Result:
        """What the run has come to."""
        spec = self.spec
        prepared = self.prepared
        parameters = () if isinstance(prepared, Exception) else prepared.method.parameters()
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

    def _note_provenance(self, ready: _Prepared) -> None:
        self.provenance = collect(
            type(ready.method),
            self.state.device,
            ready.parts.fingerprint,
            dict(ready.parts.weights),
            self.state.num_processes,
            ready.artefacts.used,
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
            make = "make one by bench train-predictor and " if part == "predictor" else ""
            raise BenchError(
                f"The track {spec.track} needs the {part} that {spec.dataset} does not imply; "
                f"{make}name one with --{part}."
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
