"""Many runs: one after another or in several processes, each resumable, none stopped by another.

A table of runs is a TOML file of grids. Every ``[[grid]]`` is the product of its lists of methods,
datasets, presets and seeds, all with the same settings::

    [[grid]]
    methods = ["contrafeat", "sefa"]
    datasets = ["shapes3d"]
    presets = ["small"]
    seeds = "0..2"
    [grid.set]
    num_directions = 10
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.errors import BenchError
from bench.resolve import RunRequest, resolve
from bench.run import RunOptions, execute
from bench.spec import RunSpec, check_keys, parse_seeds, read_toml
from leaderboard.schema import Result

_LISTS = ("methods", "datasets", "presets")
_SINGLE = ("generator", "predictor", "extractor", "limit", "precision", "data")


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


def read_table(path: Path) -> list[RunSpec]:
    """The runs of a table, in its order; a run that several grids name comes once.

    Raises:
        BenchError: The file is broken or names something unknown.
    """
    content = read_toml(path)
    check_keys(content, ["title", "grid"], f"key of {path}")
    grids = content.get("grid")
    if not isinstance(grids, list) or not grids:
        raise BenchError(f"{path} has no [[grid]]; it needs one with methods and datasets.")
    specs = [spec for grid in grids for spec in _expand(grid, path)]
    return list({spec.hash: spec for spec in specs}.values())


def execute_all(specs: Sequence[RunSpec], options: RunOptions, jobs: int = 1) -> Iterator[Outcome]:
    """Run all, whatever happens to one of them; outcomes come in the order of the runs.

    Args:
        specs: The runs.
        options: How to run them.
        jobs: How many processes work at a time; the CPU's threads are divided among them.

    Raises:
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


def _expand(grid: dict[str, Any], path: Path) -> list[RunSpec]:
    check_keys(grid, [*_LISTS, *_SINGLE, "seeds", "set"], f"key of a grid in {path}")
    for name in ("methods", "datasets"):
        if not grid.get(name):
            raise BenchError(f"A grid in {path} has no {name}; list at least one.")
    axes = (grid["methods"], grid["datasets"], grid.get("presets", [RunRequest.preset]))
    seeds = parse_seeds(str(grid.get("seeds", 0)))
    single = {name: grid[name] for name in _SINGLE if name in grid}
    if "data" in single:
        single["data"] = Path(single["data"])
    return [
        resolve(RunRequest(method, dataset, preset, settings=grid.get("set", {}), **single), seed)
        for method, dataset, preset in itertools.product(*axes)
        for seed in seeds
    ]
