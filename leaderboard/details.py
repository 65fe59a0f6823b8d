"""What stands behind a row of a table: its runs, what they share, and how to make them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.schema import Result
from leaderboard.store import record_path
from leaderboard.table import Row, Table, described

Command = Callable[[Result, Sequence[int]], str]
"""The command line that asks for runs like one of these seeds."""

_LONGEST = 200  # characters of a value; a protocol may hold a matrix


@dataclass(frozen=True, slots=True)
class RunOfRow:
    """What is said of one run; fields of ``leaderboard.schema.Result``, and its record's path."""

    seed: int
    status: str
    message: str
    steps: int
    seconds: float
    record: str
    figures: tuple[str, ...]
    protocol: Mapping[str, Any]
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Details:
    """What stands behind a row.

    Attributes:
        runs: Its runs, by seed.
        protocol: Settings of the evaluation that all runs share, as names and texts.
        provenance: Versions, code, machine, data and weights that all runs share.
        varying: Names of both that are not the same in all runs.
        figures: Paths of the runs' figures, relative to the folder of each run.
        command: The command line that asks for all of these runs.
    """

    runs: tuple[RunOfRow, ...]
    protocol: Mapping[str, str]
    provenance: Mapping[str, str]
    varying: tuple[str, ...]
    figures: tuple[str, ...]
    command: str


class DetailsOfRows:
    """The details of the rows of tables, made where they are asked for.

    Args:
        command: Makes the command lines.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        self._first: dict[tuple[str, ...], Result] = {}
        self._runs: dict[tuple[str, ...], dict[int, RunOfRow]] = {}

    def add(self, one: Result) -> None:
        """Take of a result what is said of its run; of several of one run, of the first."""
        row = (one.track, one.dataset, one.preset, one.method, described(one.overrides))
        first = self._first.setdefault(row, one)
        runs = self._runs.setdefault(row, {})
        if one.seed not in runs:
            runs[one.seed] = _run(one, first)

    def __call__(self, table: Table, row: Row) -> Details:
        """The details of a row of a table."""
        key = (table.track, table.dataset, table.preset, row.method, row.overrides)
        found = self._runs[key]
        runs = tuple(found[seed] for seed in sorted(set(row.seeds)))
        protocol, varying = in_common([one.protocol for one in runs])
        provenance, others = in_common([one.provenance for one in runs])
        return Details(
            runs,
            protocol,
            provenance,
            (*varying, *others),
            tuple(dict.fromkeys(figure for one in runs for figure in one.figures)),
            self._command(self._first[key], row.seeds),
        )


def _run(one: Result, first: Result) -> RunOfRow:
    """A run of a row; what it shares with the first one is in memory once."""
    return RunOfRow(
        one.seed,
        one.status,
        one.message,
        one.steps,
        one.seconds,
        record_path(Path(), one).as_posix(),
        first.figures if one.figures == first.figures else one.figures,
        first.protocol if one.protocol == first.protocol else one.protocol,
        first.provenance if one.provenance == first.provenance else one.provenance,
    )


def in_common(tables: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], list[str]]:
    """What nested tables share, as flat names and texts, and the names in which they differ."""
    first, *others = tables
    shared = dict(flat(first))
    varying: dict[str, None] = {}
    for other in others:
        if other == first:  # as most are: no need to look inside
            continue
        values = dict(flat(other))
        varying |= dict.fromkeys(name for name in shared if values.get(name) != shared[name])
        varying |= dict.fromkeys(name for name in values if name not in shared)
        shared = {name: value for name, value in shared.items() if name not in varying}
    return {name: _abridged(value) for name, value in shared.items()}, [*varying]


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested tables as names joined by dots, with their values as text."""
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _text(value)


def _text(value: Any) -> str:
    if value is None or value in ([], {}):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _abridged(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text)} characters)"
