"""Runs as users name them: by folder, record or the first digits of a hash."""

from __future__ import annotations

import re
from pathlib import Path

from bench.cli.options import RUNS


def find_result(run: str, runs: Path | None) -> Path:
    """The record of a run.

    Args:
        run: The run's folder, its ``result.json``, or the first digits of its hash.
        runs: Where runs lie that are named by a hash; None for ``runs``.

    Raises:
        BenchError: There is no such run, there are several, or it has no result yet.
    """
    from bench.errors import BenchError
    from leaderboard.store import RESULT_NAME

    path = Path(run)
    if path.is_file():
        return path
    if (path / RESULT_NAME).is_file():
        return path / RESULT_NAME
    if (path / "spec.json").is_file():
        raise BenchError(f"{path} has no result yet; the `bench run` that began it goes on there.")
    if not path.is_dir() and re.fullmatch("[0-9a-f]+", run):
        return _find_hash(run, runs)
    raise BenchError(
        f"{str(run)!r} is no run: give a run's folder, its {RESULT_NAME}, or the first digits of "
        "its hash."
    )


def _find_hash(start: str, runs: Path | None) -> Path:
    from bench.cli.leaderboard import records_folder
    from bench.errors import BenchError
    from leaderboard.store import RECORD_SUFFIX, RESULT_NAME

    root = runs or RUNS
    found: dict[str, Path] = {}  # the user's own runs first, then committed records of others
    for path in (
        *sorted(root.rglob(f"*-{start}*/{RESULT_NAME}")),
        *sorted(records_folder().rglob(f"*-{start}*{RECORD_SUFFIX}")),
    ):
        place = path.parent.name if path.name == RESULT_NAME else path.name
        digits = place.removesuffix(RECORD_SUFFIX).rpartition("-")[2]
        if digits.startswith(start):
            found.setdefault(digits, path)
    if not found:
        raise BenchError(f"No finished run in {root} has a hash that begins with {start}.")
    if len(found) > 1:
        places = "; ".join(map(str, found.values()))
        raise BenchError(f"{len(found)} runs begin with {start}, give more digits: {places}.")
    return next(iter(found.values()))
