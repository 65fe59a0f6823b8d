"""What a run would do, need and cost, without starting it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench import resume
from bench.checkpoints.states import read_states
from bench.contents import ABSENT
from bench.directions.runs import DirectionRun
from bench.downloads import Download, downloads, present
from bench.errors import BenchError
from bench.generators import load_generator
from bench.parts import load_parts, open_dataset
from bench.predictors import load_predictor
from bench.resolve import load_method, load_track
from bench.rundir import RunDirectory
from bench.running import build_method, stage_artefacts
from bench.spec import RunSpec
from leaderboard.schema import Result
from leaderboard.store import RECORDS, find_results


@dataclass(frozen=True)
class Need:
    """A file that a run needs and that is fetched rather than shipped.

    Attributes:
        name: What ``bench fetch`` calls it.
        present: Whether it is on this machine.
        path: Where it is or belongs.
        size: Its size in bytes, or None if that is not stated.
        sha256: Its hash, the beginning of it, or None if none is stated.
    """

    name: str
    present: bool
    path: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Plan:
    """What one run would do.

    Attributes:
        spec: The run.
        folder: Its directory.
        state: ``new``, ``continues`` from a checkpoint, or ``finished``: nothing is left to do.
        needs: What has to be there first.
        obstacles: Why the run cannot start, as far as that is known, each with its remedy.
        track_needs: Which networks the track cannot do without.
        stages: Names and steps of the training stages; None if they cannot be known yet.
        reached: Number of the stage and step within it that the run continues from, or None.
        seconds: How long all of it is expected to take, or None.
        basis: What that expectation rests on.
    """

    spec: RunSpec
    folder: Path
    state: Literal["new", "continues", "finished"]
    needs: tuple[Need, ...]
    obstacles: tuple[str, ...]
    track_needs: tuple[str, ...]
    stages: tuple[tuple[str, int], ...] | None
    reached: tuple[int, int] | None
    seconds: float | None
    basis: str

    @property
    def steps(self) -> int | None:
        """Steps of all stages."""
        return None if self.stages is None else sum(steps for _, steps in self.stages)

    @property
    def remaining(self) -> int | None:
        """Steps from the checkpoint that the run continues from to the end."""
        if self.stages is None or self.reached is None:
            return None
        stage, step = self.reached
        return sum(steps for _, steps in self.stages[stage:]) - step

    @property
    def settled(self) -> bool:
        """Whether the folder is final: its name has the hashes of all files given by path."""
        return ABSENT not in self.spec.contents.values()


def plan(spec: RunSpec, root: Path) -> Plan:
    """Look at one run.

    Args:
        spec: The run.
        root: The folder of all runs; those that are finished tell how long others take. Where it
            has none of the method on the dataset, the committed records do.
    """
    run = RunDirectory(root, spec)
    needs = tuple(_needs(spec))
    if all(need.present for need in needs):
        stages, obstacles = _stages(spec, root)
    else:
        stages, obstacles = None, tuple(_obstacles(spec, needs))
    steps = None if stages is None else sum(steps for _, steps in stages)
    seconds, basis = _expectation(spec, steps, _results(root))
    if seconds is None:
        seconds, basis = _expectation(spec, steps, _results(RECORDS), " committed with the suite")
    state: Literal["new", "continues", "finished"] = "new"
    reached = None
    if run.result() is not None:
        state = "finished"
    elif (reached := resume.reached(run.path / "checkpoint")) is not None:
        state = "continues"
    track = load_track(spec.track)
    return Plan(
        spec, run.path, state, needs, obstacles, track.needs, stages, reached, seconds, basis
    )


def _needs(spec: RunSpec) -> Iterator[Need]:
    """Entries of the table of downloads that the run names, the method's own extractor included."""
    names = {spec.dataset, spec.generator, spec.predictor}
    method = load_method(spec.method)
    own = method.extractors_of(method.Config.model_validate(spec.config))
    for extractor in (spec.extractor, *own):
        names.add(str(extractor).partition(":")[0])  # NAME:VARIANT has the weights of NAME
    if spec.data is not None:
        names.discard(spec.dataset)
    for entry in downloads():
        if entry.name in names:
            yield _need(entry)


def _need(entry: Download) -> Need:
    found = present(entry)
    return Need(entry.name, found is not None, str(found or entry.path), entry.size, entry.sha256)


def _obstacles(spec: RunSpec, needs: Sequence[Need] = ()) -> Iterator[str]:
    """Why each part of the run that cannot be had is not there, but for what is to be fetched."""
    for load in _loaders(spec, {need.name for need in needs}):
        try:
            load()
        except BenchError as error:
            yield str(error)


def _loaders(spec: RunSpec, fetched: set[str]) -> Iterator[Callable[[], object]]:
    path = Path(spec.data) if spec.data else None
    yield lambda: open_dataset(spec.dataset, path, spec.dataset_options)
    if (generator := spec.generator) and generator not in fetched:
        yield lambda: load_generator(generator)
    if (predictor := spec.predictor) and predictor not in fetched:
        yield lambda: load_predictor(predictor)
    if (checkpoint := spec.checkpoint) is not None:
        yield lambda: read_states(spec.method, Path(checkpoint))
    if (directions := spec.directions) is not None:
        yield lambda: DirectionRun.find(Path(directions), spec.preset, spec.seed)


def _stages(
    spec: RunSpec, root: Path
) -> tuple[tuple[tuple[str, int], ...] | None, tuple[str, ...]]:
    """The training stages of a method that is built but not trained, and why a run cannot start."""
    track = load_track(spec.track)()
    stages = None
    try:
        parts = load_parts(spec, torch.device("cpu"))
        data = parts.training_data()
        method = build_method(spec, data, track)
        stages = tuple((stage.name, stage.steps) for stage in method.stages(data))
        options = track.configure(spec.preset, spec.track_options)
        track.check(parts.images("test"), parts.predictor, options)
        if spec.artefacts:
            artefacts = stage_artefacts(spec, parts, data, root, processes=1)
            artefacts.require_fit(method.stages(data))
    except (BenchError, ValueError) as error:
        return stages, tuple(_obstacles(spec)) or (str(error),)
    return stages, ()


def _results(root: Path) -> list[Result]:
    if not root.is_dir():
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken records are not this command's business
        return [result for result in find_results(root) if result.status == "completed"]


def _expectation(
    spec: RunSpec, steps: int | None, results: Sequence[Result], whose: str = ""
) -> tuple[float | None, str]:
    """Seconds, from finished runs of the method on the dataset, and from which.

    Only those of the same preset count: in a run of few steps, most of the time goes elsewhere.
    """
    asked = (spec.method, spec.dataset, spec.preset)
    alike = [r for r in results if (r.method, r.dataset, r.preset) == asked]
    same = [r for r in alike if r.overrides == spec.overrides]
    if same:
        mean = sum(result.seconds for result in same) / len(same)
        return mean, f"the mean of {_runs(len(same), 'such ')}{whose}"
    taken = sum(result.steps for result in alike)
    if steps and taken:
        each = sum(result.seconds for result in alike) / taken
        runs = f"{_runs(len(alike))}{whose} with other settings"
        return each * steps, f"{each:.2g} s a step in {runs}"
    return None, f"no {spec.preset} run of this method on this dataset is finished here"


def _runs(count: int, kind: str = "") -> str:
    return f"{count} {kind}run{'' if count == 1 else 's'}"
