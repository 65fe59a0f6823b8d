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

Where a paper reports numbers of such settings, ``reported = ["Table 7"]`` at the top of the file
names its tables, and ``variant`` says what they call a grid's settings: the result of the sweep
then has measured and reported columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.allowed import wrong_values
from bench.errors import BenchError
from bench.processes import process_state
from bench.resolve import RunRequest, resolve_seeds
from bench.running import RunOptions, execute
from bench.spec import RunSpec, check_keys, parse_seeds, read_toml
from leaderboard.reported import load_reported
from leaderboard.schema import Result


class Grid(BaseModel):
    """One ``[[grid]]`` of a table; its single values are as for ``bench run``."""

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

    def specs(self, *, allow_absent: bool = False) -> list[RunSpec]:
        """The runs, seeds innermost; see ``resolve``."""
        seeds = parse_seeds(str(self.seeds))
        single = self.model_dump(
            exclude={"methods", "datasets", "presets", "seeds", "set", "variant"}
        )
        specs = []
        for method, dataset, preset in product(self.methods, self.datasets, self.presets):
            request = RunRequest(method, dataset, preset, settings=self.set, **single)
            specs += resolve_seeds(request, seeds, allow_absent=allow_absent)
        return specs


@dataclass(frozen=True)
class SweepTable:
    """A table of runs.

    Attributes:
        specs: The runs, in the table's order; one that several grids name comes once.
        variants: What papers call the settings of a run, by its hash.
        reported: The papers' tables whose numbers stand beside the results.
    """

    specs: list[RunSpec]
    variants: dict[str, str]
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


def read_table(path: Path, *, allow_absent: bool = False) -> SweepTable:
    """The runs of a table, and what they are compared with.

    Args:
        path: The TOML file.
        allow_absent: See ``resolve``.

    Raises:
        BenchError: The file is broken or names something unknown.
    """
    content = read_toml(path)
    check_keys(content, ["grid", "reported"], f"key in {path}")
    grids = content.get("grid")
    if not isinstance(grids, list) or not grids or not all(isinstance(one, dict) for one in grids):
        raise BenchError(f"{path} has no [[grid]]; it needs one with methods and datasets.")
    reported = content.get("reported", [])
    if not isinstance(reported, list) or not all(isinstance(one, str) for one in reported):
        raise BenchError(f'reported in {path} is no list of tables, such as ["Table 7"].')
    check_keys(reported, {number.table for number in load_reported()}, "reported table")
    specs: dict[str, RunSpec] = {}
    variants: dict[str, str] = {}
    for grid in (_grid(one, path) for one in grids):
        for spec in grid.specs(allow_absent=allow_absent):
            specs.setdefault(spec.hash, spec)
            variants.setdefault(spec.hash, grid.variant)
    return SweepTable(list(specs.values()), variants, reported)


def execute_all(specs: Sequence[RunSpec], options: RunOptions, jobs: int = 1) -> Iterator[Outcome]:
    """Run all, whatever happens to one of them; outcomes come in the order of the runs.

    Args:
        specs: The runs.
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
        workers = Parallel(return_as="generator")
        yield from workers(delayed(_in_worker)(threads, spec, quiet) for spec in specs)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """That of many runs: of a fault before that of bad input before that of divergence."""
    codes = {outcome.exit_code for outcome in outcomes}
    return next((code for code in (1, 2, 3) if code in codes), 0)


def _outcome(spec: RunSpec, options: RunOptions) -> Outcome:
    try:
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


def _grid(content: dict[str, Any], path: Path) -> Grid:
    check_keys(content, Grid.model_fields, f"key of a grid in {path}")
    try:
        return Grid.model_validate(content)
    except ValidationError as error:
        reason = wrong_values(Grid, content, error)
        raise BenchError(f"A grid in {path} is wrong: {reason}.") from error
