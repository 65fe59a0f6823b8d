"""Many runs: one after another or in several processes, each resumable, none stopped by another.

A table of runs is a TOML file of grids. Every ``[[grid]]`` is the product of its lists of methods,
datasets, presets and seeds, all with the same settings::

    [[grid]]
    methods = ["contrafeat", "sefa"]
    datasets = ["shapes3d"]
    presets = ["small"]
    seeds = "0..2"
    variant = "ten directions"
    [grid.set]
    num_directions = 10

``include = ["discovery.toml"]`` at the top of the file takes in other tables, before its own grids;
the names are relative to the file's folder.

``directions`` of a grid is relative to the folder of all runs. Such a grid begins when all before
it have ended: the discovery runs that it learns from may be of the same table.

Where a paper reports numbers of such settings, ``reported = ["Table 7"]`` at the top of the file
names its tables, and ``variant`` says what they call a grid's settings: the result of the sweep
then has measured and reported columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.allowed import wrong_values
from bench.directions.runs import with_directions
from bench.errors import BenchError
from bench.processes import process_state
from bench.resolve import RunRequest, resolve, resolve_seeds
from bench.running import RunOptions, execute
from bench.spec import RunSpec, check_keys, parse_seeds, read_toml
from leaderboard.reported import load_reported
from leaderboard.schema import Result

_TO_COME = Path("a run of the same table")  # a folder that is not there


class Grid(BaseModel):
    """One ``[[grid]]`` of a table; its single values are as for ``bench run``.

    But for ``directions``, which is relative to the folder of all runs.
    """

    model_config = ConfigDict(extra="forbid")

    methods: list[str] = Field(min_length=1)
    datasets: list[str] = Field(min_length=1)
    presets: list[str] = Field([RunRequest.preset], min_length=1)
    seeds: int | str = 0
    set: dict[str, Any] = {}
    variant: str = ""
    generator: str | None = None
    predictor: str | None = None
    extractor: str | None = None
    limit: int | None = Field(None, ge=1)
    precision: str = RunRequest.precision
    data: Path | None = None
    directions: Path | None = None

    def specs(
        self, root: Path, before: Sequence[RunSpec] = (), *, allow_absent: bool = False
    ) -> list[RunSpec]:
        """The runs, seeds innermost; see ``resolve``.

        Args:
            root: The folder of all runs.
            before: Runs that will have ended: if directions are theirs, they may be absent yet.
            allow_absent: See ``resolve``.
        """
        seeds = parse_seeds(str(self.seeds))
        single = self.model_dump(
            exclude={"methods", "datasets", "presets", "seeds", "set", "variant", "directions"}
        )
        specs = []
        for method, dataset, preset in product(self.methods, self.datasets, self.presets):
            request = RunRequest(method, dataset, preset, settings=self.set, **single)
            if self.directions is None:
                specs += resolve_seeds(request, seeds, allow_absent=allow_absent)
                continue
            asked = root / self.directions
            for seed in seeds:
                made = _made(asked, preset, seed, root, before)
                if made is None:
                    along = replace(request, directions=asked)
                    specs.append(resolve(along, seed, allow_absent=allow_absent))
                else:  # `with_directions` looks at it when it has ended, whatever is there now
                    later = resolve(replace(request, directions=_TO_COME), seed, allow_absent=True)
                    specs.append(later.model_copy(update={"directions": str(made.resolve())}))
        return specs


@dataclass(frozen=True)
class SweepTable:
    """A table of runs.

    Attributes:
        specs: The runs, in the table's order; one that several grids name comes once.
        variants: What papers call the settings of each of these runs.
        reported: The papers' tables whose numbers stand beside the results.
    """

    specs: list[RunSpec]
    variants: list[str]
    reported: list[str]


@dataclass(frozen=True)
class Outcome:
    """How one run of many ended: with a result or with an error."""

    spec: RunSpec
    result: Result | None
    error: BenchError | None

    @property
    def exit_code(self) -> int:
        """0 for a completed run, 3 for a diverged one, that of the error otherwise."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.result is not None and self.result.status == "completed" else 3


def read_table(path: Path, root: Path, *, allow_absent: bool = False) -> SweepTable:
    """The runs of a table, and what they are compared with.

    Args:
        path: The TOML file.
        root: The folder of all runs.
        allow_absent: See ``resolve``.

    Raises:
        BenchError: The file, or one that it includes, is broken or names something unknown.
    """
    grids, reported = _read(path, ())
    specs: list[RunSpec] = []
    variants: list[str] = []
    known = set()
    for grid in grids:
        for spec in grid.specs(root, specs, allow_absent=allow_absent):
            key = spec.hash, spec.directions  # those that are absent share a hash
            if key not in known:
                known.add(key)
                specs.append(spec)
                variants.append(grid.variant)
    return SweepTable(specs, variants, reported)


def execute_all(specs: Sequence[RunSpec], options: RunOptions, jobs: int = 1) -> Iterator[Outcome]:
    """Run all, whatever happens to one of them; outcomes come in the order of the runs.

    Args:
        specs: The runs; one with directions begins when all those without before it have ended.
        options: How to run them.
        jobs: How many processes work at a time; the CPU's threads are divided among them.

    Raises:
        BenchError: Something went wrong in a run that several processes train together.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    jobs = min(jobs, len(specs))
    if jobs <= 1:
        yield from (_outcome(spec, options) for spec in specs)
        return
    from joblib import Parallel, delayed, parallel_config

    threads = max(1, (os.cpu_count() or 1) // jobs)
    quiet = replace(options, quiet=True)
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=threads):
        for _, some in groupby(specs, lambda spec: spec.directions is None):
            workers = Parallel(return_as="generator")
            yield from workers([delayed(_in_worker)(threads, spec, quiet) for spec in some])


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """That of many runs: of a fault before that of bad input before that of divergence."""
    codes = {outcome.exit_code for outcome in outcomes}
    return next((code for code in (1, 2, 3) if code in codes), 0)


def _outcome(spec: RunSpec, options: RunOptions) -> Outcome:
    try:
        spec = with_directions(spec)
        return Outcome(spec, execute(spec, options), None)
    except BenchError as error:
        if process_state(options.device).num_processes > 1:
            raise  # the others do not know of it; their launcher ends them
        return Outcome(spec, None, error)


def _in_worker(threads: int, spec: RunSpec, options: RunOptions) -> Outcome:
    torch.set_num_threads(threads)
    outcome = _outcome(spec, options)
    if outcome.error is None:
        return outcome
    # Between processes only the message and the code travel: not every error can be pickled.
    error = BenchError(str(outcome.error))
    error.exit_code = outcome.error.exit_code
    return replace(outcome, error=error)


def _made(asked: Path, preset: str, seed: int, root: Path, runs: Sequence[RunSpec]) -> Path | None:
    """Where the run that directions name will lie, if it is one of these.

    Of several it is the one with nothing but its preset, as ``DirectionRun.find`` has it.
    """
    found = [
        run
        for run in runs
        if root / run.folder == asked
        or (root / run.folder.parent == asked and (run.preset, run.seed) == (preset, seed))
    ]
    plain = [run for run in found if not run.overrides] or found
    return root / plain[0].folder if len(plain) == 1 else None


def _read(path: Path, within: tuple[Path, ...]) -> tuple[list[Grid], list[str]]:
    """The grids of a table and of those that it includes; the papers' tables that they name."""
    if path.resolve() in within:
        raise BenchError(f"{path} includes itself; leave it out of one include.")
    content = read_toml(path)
    check_keys(content, ["grid", "include", "reported"], f"key in {path}")
    include, reported = (
        _texts(content, key, path, such_as)
        for key, such_as in (("include", "discovery.toml"), ("reported", "Table 7"))
    )
    check_keys(reported, {number.table for number in load_reported()}, "reported table")
    own = content.get("grid", [])
    tables = isinstance(own, list) and all(isinstance(one, dict) for one in own)
    if not tables or not (own or include):
        raise BenchError(f"{path} has no [[grid]]; it needs one with methods and datasets.")
    grids = []
    for name in include:
        further, named = _read(path.parent / name, (*within, path.resolve()))
        grids += further
        reported = [*reported, *named]
    return [*grids, *(_grid(one, path) for one in own)], reported


def _texts(content: dict[str, Any], key: str, path: Path, such_as: str) -> list[str]:
    texts = content.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise BenchError(f'{key} in {path} is no list of tables, such as ["{such_as}"].')
    return texts


def _grid(content: dict[str, Any], path: Path) -> Grid:
    check_keys(content, Grid.model_fields, f"key of a grid in {path}")
    try:
        return Grid.model_validate(content)
    except ValidationError as error:
        reason = wrong_values(Grid, content, error)
        raise BenchError(f"A grid in {path} is wrong: {reason}.") from error
