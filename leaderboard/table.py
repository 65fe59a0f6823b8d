"""From results to tables: one table for each track, dataset and preset, one row for each method.

A score's mean and sample standard deviation are taken over seeds; its interval is the mean of the
runs' own bootstrap intervals, which speak of samples and not of seeds. Only values of one metric
identity (extractor, predictor, sample counts ...) share a column: where results differ in one,
they go to separate tables, and the notes say in what. Reported numbers stay apart from measured
ones. ``leaderboard.export`` prints the tables.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from types import MappingProxyType

from pydantic import JsonValue

from leaderboard.reported import ReportedNumber
from leaderboard.schema import Measurement, Result
from metrics.statistics import SeedDifference, difference_over_seeds, spread_over_seeds

_PRESETS = ("paper", "small", "smoke")  # the order of tables; other names follow


@dataclass(frozen=True)
class Cell:
    """One score of one method.

    Attributes:
        mean: Mean over the seeds of completed runs.
        std: Sample standard deviation over the seeds, or None for a single one.
        seeds: How many runs the score comes from.
        low: Mean of the lower ends of the runs' intervals; None where a run has none, or where
            the runs' levels differ.
        high: Mean of their upper ends, or None.
        level: The level of the intervals, or None.
    """

    mean: float
    std: float | None
    seeds: int
    low: float | None = None
    high: float | None = None
    level: float | None = None


@dataclass(frozen=True)
class Column:
    """One metric of a table, with all that its values have in common."""

    metric: str
    higher_is_better: bool | None
    identity: dict[str, str | int | float]


@dataclass(frozen=True)
class Row:
    """One method with one set of overrides.

    Attributes:
        method: Its name.
        overrides: What sets its runs apart from the preset's, as ``key=value, ...``; may be empty.
        seeds: The seeds of all its runs, completed or not.
        status: How the runs ended, such as ``completed`` or ``2 completed, 1 diverged``.
        cells: By metric; None where it does not apply, left out where no completed run has it.
    """

    method: str
    overrides: str
    seeds: tuple[int, ...]
    status: str
    cells: dict[str, Cell | None]


@dataclass(frozen=True)
class Difference:
    """A method against the one that it extends, over the seeds that both have completed.

    Attributes:
        method: The method.
        baseline: What its scores are compared with, trained as long.
        cells: By metric that has a direction: method minus baseline.
    """

    method: str
    baseline: str
    cells: dict[str, SeedDifference]


@dataclass(frozen=True)
class Table:
    """Results that may be compared with each other, and the reported numbers beside them.

    Attributes:
        track: The evaluation protocol.
        dataset: The dataset.
        preset: The preset; empty for a table of reported numbers only.
        columns: The metrics.
        rows: The methods, best first by the first metric that has a direction.
        differences: Methods against those that they extend.
        reported: Numbers from papers on this dataset.
        notes: Sentences that a reader needs: why tables were split, which records differ,
            why runs did not complete.
    """

    track: str
    dataset: str
    preset: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    differences: tuple[Difference, ...] = ()
    reported: tuple[ReportedNumber, ...] = ()
    notes: tuple[str, ...] = ()


def build_tables(
    results: Iterable[Result],
    reported: Iterable[ReportedNumber] = (),
    baselines: Mapping[str, str] = MappingProxyType({}),
) -> list[Table]:
    """Tables of all results by track, dataset and preset, then those of reported numbers only.

    Args:
        results: In any order; a run that occurs twice counts once.
        reported: Numbers from papers. They stand under the first table of their track and
            dataset, or in a table of their own where nothing was measured.
        baselines: From a method to the one that it is compared with, seed by seed.
    """
    pending: dict[tuple[str, str], list[ReportedNumber]] = {}
    for number in reported:
        pending.setdefault((number.track, number.dataset), []).append(number)
    tables = []
    ordered = sorted(results, key=lambda result: (_place(result), _run(result)))
    for (track, dataset, _, preset), members in groupby(ordered, key=_place):
        groups = _comparable(list(members))
        for group in groups:
            runs, notes = _distinct(sorted(group.results, key=_run))
            if group is not groups[0]:
                notes.insert(0, _why_split(group, groups[0]))
            notes += [
                f"{run.method}, seed {run.seed}: {run.message}" for run in runs if run.message
            ]
            numbers = pending.pop((track, dataset), [])
            columns = tuple(group.columns.values())
            rows = _ranked(_rows(runs), columns)
            table = Table(
                track,
                dataset,
                preset,
                columns,
                rows,
                _differences(runs, columns, baselines),
                tuple(numbers),
                tuple(notes),
            )
            tables.append(table)
    tables += [
        Table(track, dataset, "", reported=tuple(numbers))
        for (track, dataset), numbers in pending.items()
    ]
    return sorted(tables, key=lambda table: (table.preset == "", table.track, table.dataset))


@dataclass
class _Group:
    """Results whose metrics have one identity each."""

    columns: dict[str, Column] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    configurations: set[tuple[str, str]] = field(default_factory=set)

    def accepts(self, result: Result) -> bool:
        return all(
            self.columns.get(measured.name, _column(measured)) == _column(measured)
            for measured in result.metrics
        )

    def add(self, result: Result) -> None:
        self.results.append(result)
        self.configurations.add(_configuration(result))
        for measured in result.metrics:
            self.columns.setdefault(measured.name, _column(measured))


def _place(result: Result) -> tuple[str, str, int, str]:
    rank = _PRESETS.index(result.preset) if result.preset in _PRESETS else len(_PRESETS)
    return result.track, result.dataset, rank, result.preset


def _column(measured: Measurement) -> Column:
    return Column(measured.name, measured.higher_is_better, measured.identity)


def _configuration(result: Result) -> tuple[str, str]:
    return result.method, described(result.overrides)


def _run(result: Result) -> tuple[str, str, int]:
    return *_configuration(result), result.seed


def _distinct(results: Iterable[Result]) -> tuple[list[Result], list[str]]:
    """Each run once, the first record of it; and notes on records that contradict each other."""
    kept: dict[tuple[str, str, int], Result] = {}
    notes = []
    for result in results:
        first = kept.setdefault(_run(result), result)
        if (first.status, first.metrics) != (result.status, result.metrics):
            notes.append(
                f"Two records of {result.method}, seed {result.seed}, differ "
                f"({first.spec_hash}, {result.spec_hash}); the first one found is shown."
            )
    return list(kept.values()), notes


def _comparable(results: Sequence[Result]) -> list[_Group]:
    """Split results by the identities of their metrics, the largest group first."""
    groups: list[_Group] = []
    for result in results:
        if result.metrics:
            _group_of(result, groups).add(result)
    groups.sort(key=lambda group: -len(group.results))
    for result in results:
        if not result.metrics:  # failed early: beside the method's other seeds, or in the first
            _group_of(result, groups).add(result)
    return groups


def _group_of(result: Result, groups: list[_Group]) -> _Group:
    accepting = [group for group in groups if group.accepts(result)]
    kin = [group for group in accepting if _configuration(result) in group.configurations]
    if not accepting:
        groups.append(_Group())
    return (kin or accepting or groups[-1:])[0]


def _why_split(group: _Group, first: _Group) -> str:
    reasons: dict[str, list[str]] = {}
    for metric, column in group.columns.items():
        other = first.columns.get(metric, column)
        for key in sorted({*column.identity, *other.identity}):
            here, there = column.identity.get(key, "unstated"), other.identity.get(key, "unstated")
            if here != there:
                difference = f"{key} is {abbreviated(here)} here and {abbreviated(there)} there"
                reasons.setdefault(difference, []).append(metric)
        if column.higher_is_better != other.higher_is_better:
            reasons.setdefault("the direction of improvement differs", []).append(metric)
    parts = [f"{difference} ({', '.join(metrics)})" for difference, metrics in reasons.items()]
    return "Not comparable with the first table of this preset: " + "; ".join(parts) + "."


def abbreviated(value: str | int | float) -> str:
    """An identity's value as text, hashes cut to 12 digits."""
    text = str(value)
    return text[:12] if re.fullmatch("[0-9a-f]{40,}", text) else text


def described(settings: Mapping[str, JsonValue]) -> str:
    """Settings as ``key=value, ...``, by key, the values as JSON."""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(settings.items()))


def _rows(ordered: Iterable[Result]) -> list[Row]:
    return [
        _row(method, overrides, list(runs))
        for (method, overrides), runs in groupby(ordered, key=_configuration)
    ]


def _differences(
    runs: Iterable[Result], columns: Sequence[Column], baselines: Mapping[str, str]
) -> tuple[Difference, ...]:
    """Each method against its baseline with the same settings, where two seeds or more allow it."""
    completed = [run for run in runs if run.status == "completed"]
    by_configuration: dict[tuple[str, str], dict[int, Result]] = {}
    for run in completed:
        by_configuration.setdefault(_configuration(run), {})[run.seed] = run
    found = []
    for (method, overrides), own in by_configuration.items():
        others = by_configuration.get((baselines.get(method, ""), overrides), {})
        seeds = sorted(own.keys() & others.keys())
        directed = [column.metric for column in columns if column.higher_is_better is not None]
        cells = {
            metric: difference_over_seeds(*scores)
            for metric in directed
            if len((scores := _paired(metric, seeds, own, others))[0]) > 1
        }
        if cells:
            name = f"{method} ({overrides})" if overrides else method
            found.append(Difference(name, baselines[method], cells))
    return tuple(found)


def _paired(
    metric: str, seeds: Sequence[int], own: Mapping[int, Result], others: Mapping[int, Result]
) -> tuple[list[float], list[float]]:
    """The scores of a method and its baseline for the seeds where both have one."""
    pairs = [(own[seed].metric(metric), others[seed].metric(metric)) for seed in seeds]
    values = [
        (one.value, other.value)
        for one, other in pairs
        if one and other and one.value is not None and other.value is not None
    ]
    return [one for one, _ in values], [other for _, other in values]


def _ranked(rows: Sequence[Row], columns: Iterable[Column]) -> tuple[Row, ...]:
    """Best first by the first metric that has a direction; rows without it come last."""
    leading = next((one for one in columns if one.higher_is_better is not None), None)
    if leading is None:
        return tuple(rows)
    sign = -1.0 if leading.higher_is_better else 1.0

    def rank(row: Row) -> tuple[bool, float]:
        cell = row.cells.get(leading.metric)
        return (True, 0.0) if cell is None else (False, sign * cell.mean)

    return tuple(sorted(rows, key=rank))


def _row(method: str, overrides: str, runs: Sequence[Result]) -> Row:
    completed = [run for run in runs if run.status == "completed"]
    metrics = dict.fromkeys(measured.name for run in completed for measured in run.metrics)
    cells: dict[str, Cell | None] = {}
    for metric in metrics:
        found = [measured for run in completed if (measured := run.metric(metric))]
        applicable = [measured for measured in found if measured.value is not None]
        cells[metric] = _cell(applicable) if applicable else None
    counts = Counter(run.status for run in runs)
    status = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    seeds = tuple(run.seed for run in runs)
    return Row(method, overrides, seeds, status if len(counts) > 1 else runs[0].status, cells)


def _cell(measured: Sequence[Measurement]) -> Cell:
    spread = spread_over_seeds([one.value for one in measured])
    cell = Cell(spread.mean, spread.std, spread.count)
    intervals = [one.interval for one in measured if one.interval is not None]
    if len(intervals) < len(measured) or len({interval.level for interval in intervals}) > 1:
        return cell
    low = sum(interval.low for interval in intervals) / len(intervals)
    high = sum(interval.high for interval in intervals) / len(intervals)
    return replace(cell, low=low, high=high, level=intervals[0].level)
