"""What a run would do, need and cost, without starting it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench.downloads import Download, downloads, present
from bench.errors import BenchError
from bench.parts import load_parts, open_dataset
from bench.resolve import load_track
from bench.run import build_method
from bench.rundir import RunDirectory
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
        obstacle: Why the run cannot start, as far as that is known, or None.
        track_needs: Which networks the track cannot do without.
        stages: Names and steps of the training stages; None if they cannot be known yet.
        seconds: How long it is expected to take, or None.
        basis: What that expectation rests on.
    """

    spec: RunSpec
    folder: Path
    state: Literal["new", "continues", "finished"]
    needs: tuple[Need, ...]
    obstacle: str | None
    track_needs: tuple[str, ...]
    stages: tuple[tuple[str, int], ...] | None
    seconds: float | None
    basis: str

    @property
    def steps(self) -> int | None:
        """Steps of all stages."""
        return None if self.stages is None else sum(steps for _, steps in self.stages)


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
        stages, obstacle = _stages(spec)
    else:
        stages, obstacle = None, _obstacle(spec)
    steps = None if stages is None else sum(steps for _, steps in stages)
    seconds, basis = _expectation(spec, steps, _results(root))
    if seconds is None:
        seconds, basis = _expectation(spec, steps, _results(RECORDS), " committed with the suite")
    state: Literal["new", "continues", "finished"] = "new"
    if run.result() is not None:
        state = "finished"
    elif (run.path / "checkpoint").exists():
        state = "continues"
    track = load_track(spec.track)
    return Plan(spec, run.path, state, needs, obstacle, track.needs, stages, seconds, basis)


def _needs(spec: RunSpec) -> Iterator[Need]:
    """Entries of the table of downloads that the run names, the method's own extractor included."""
    names = {spec.dataset, spec.generator, spec.predictor}
    for extractor in (spec.extractor, spec.config.get("extractor")):
        names.add(str(extractor).partition(":")[0])  # NAME:VARIANT has the weights of NAME
    if spec.data is not None:
        names.discard(spec.dataset)
    for entry in downloads():
        if entry.name in names:
            yield _need(entry)


def _need(entry: Download) -> Need:
    found = present(entry)
    return Need(entry.name, found is not None, str(found or entry.path), entry.size, entry.sha256)


def _obstacle(spec: RunSpec) -> str | None:
    """Why the dataset cannot be opened, or None."""
    try:
        open_dataset(spec.dataset, Path(spec.data) if spec.data else None, spec.dataset_options)
    except BenchError as error:
        return str(error)
    return None


def _stages(spec: RunSpec) -> tuple[tuple[tuple[str, int], ...] | None, str | None]:
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
    except (BenchError, ValueError) as error:
        return stages, str(error)
    return stages, None


def _results(root: Path) -> list[Result]:
    if not root.is_dir():
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken records are not this command's business
        return [result for result in find_results(root) if result.status == "completed"]


def _expectation(
    spec: RunSpec, steps: int | None, results: Sequence[Result], whose: str = ""
) -> tuple[float | None, str]:
    """Seconds, from finished runs of the method on the dataset, and from which."""
    alike = [r for r in results if (r.method, r.dataset) == (spec.method, spec.dataset)]
    same = [r for r in alike if (r.preset, r.overrides) == (spec.preset, spec.overrides)]
    if same:
        mean = sum(result.seconds for result in same) / len(same)
        return mean, f"the mean of {_runs(len(same), 'such ')}{whose}"
    taken = sum(result.steps for result in alike)
    if steps and taken:
        each = sum(result.seconds for result in alike) / taken
        runs = f"{_runs(len(alike))}{whose} with other settings"
        return each * steps, f"{each:.2g} s a step in {runs}"
    return None, "no run of this method on this dataset is finished here"


def _runs(count: int, kind: str = "") -> str:
    return f"{count} {kind}run{'' if count == 1 else 's'}"
