"""From results to tables: one table for each track, dataset and preset, one row for each method.

A score's mean and sample standard deviation are taken over seeds; its interval is the mean of the
runs' own bootstrap intervals, which speak of samples and not of seeds. Only values of one metric
identity (extractor, predictor, sample counts ...) share a column: where results differ in one,
they go to separate tables, and the notes say in what. Reported numbers stay apart from measured
ones: a measured cell comes from run records and from nothing else. ``leaderboard.ties`` says how
cells stand in their column; ``leaderboard.export`` and ``leaderboard.latex`` print the tables.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Literal

from pydantic import JsonValue

from leaderboard.garbage import no_search_for_cycles
from leaderboard.grouping import Configuration, Group, Run, comparable, contradiction, distinct
from leaderboard.reported import Origin, ReportedNumber
from leaderboard.summary import AnyResult, AnyScore
from leaderboard.ties import Standing, standings
from leaderboard.vocabulary import PRESETS
from metrics.statistics import SeedDifference, difference_over_seeds, spread_over_seeds

Identity = Mapping[str, str | int | float]

_OVER_SAMPLES = (
    "rows whose difference from the best mean is the same on all seeds are told apart from it, or "
    "tied with it, by the runs' intervals over samples, which say nothing of other trainings."
)

_Scores = dict[str, dict[int, AnyScore]]  # of one row's completed runs, by metric and seed


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
        standing: How the mean stands in its column; None where the metric has no direction.
    """

    mean: float
    std: float | None
    seeds: int
    low: float | None = None
    high: float | None = None
    level: float | None = None
    standing: Standing | None = None


@dataclass(frozen=True)
class Column:
    """One metric of a table, with all that its values have in common.

    Attributes:
        metric: Its name.
        higher_is_better: The direction of improvement; None for informational metrics.
        identity: What the values share.
        origin: ``measured``, or who reports them.
    """

    metric: str
    higher_is_better: bool | None
    identity: dict[str, str | int | float]
    origin: Literal["measured"] | Origin = "measured"


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
            why runs did not complete, where samples in place of seeds tell rows apart.
    """

    track: str
    dataset: str
    preset: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    differences: tuple[Difference, ...] = ()
    reported: tuple[ReportedNumber, ...] = ()
    notes: tuple[str, ...] = ()

    def row(self, method: str, overrides: str = "") -> Row | None:
        """The row of a method with these overrides, or None."""
        found = (row for row in self.rows if (row.method, row.overrides) == (method, overrides))
        return next(found, None)


@no_search_for_cycles()
def build_tables(
    results: Iterable[AnyResult],
    reported: Iterable[ReportedNumber] = (),
    baselines: Mapping[str, str] = MappingProxyType({}),
    contradicting: Iterable[AnyResult] = (),
) -> list[Table]:
    """Tables of all results by track, dataset and preset, then those of reported numbers only.

    Args:
        results: In any order; a run that occurs twice counts once.
        reported: Numbers from papers. They stand under the first table of their track and
            dataset, or in a table of their own where nothing was measured.
        baselines: From a method to the one that it is compared with, seed by seed.
        contradicting: Further records of these runs, which say something else: a note beside the
            run names each, and nothing else comes of them.
    """
    others: dict[tuple[object, ...], list[Run]] = {}
    for other in map(run_of, contradicting):
        others.setdefault(other[:3], []).append(other)
    pending: dict[tuple[str, str], list[ReportedNumber]] = {}
    for number in reported:
        pending.setdefault((number.track, number.dataset), []).append(number)
    tables = []
    ordered = sorted(map(run_of, results), key=itemgetter(0, 1, 2))
    for (track, dataset, _, preset), members in groupby(ordered, key=itemgetter(0)):
        groups = comparable(list(members))
        for group in groups:
            runs, notes = distinct(sorted(group.runs, key=itemgetter(1, 2)))
            if group is not groups[0]:
                notes.insert(0, _why_split(group, groups[0]))
            notes += [
                contradiction(run, other) for run in runs for other in others.get(run[:3], ())
            ]
            notes += [
                f"{run.result.method}, seed {run.seed}: {run.result.message}"
                for run in runs
                if run.result.message
            ]
            columns = tuple(map(_column, group.columns.values()))
            rows, differences, over_samples = _rows(runs, columns, baselines)
            if over_samples:
                notes.append(f"{', '.join(over_samples)}: {_OVER_SAMPLES}")
            numbers = tuple(pending.pop((track, dataset), ()))
            tables.append(
                Table(track, dataset, preset, columns, rows, differences, numbers, tuple(notes))
            )
    tables += [
        Table(track, dataset, "", reported=tuple(numbers))
        for (track, dataset), numbers in pending.items()
    ]
    return sorted(tables, key=lambda table: (table.preset == "", table.track, table.dataset))


def run_of(result: AnyResult) -> Run:
    """A result with what orders it: place, method and overrides, which name its row, and seed."""
    rank = PRESETS.index(result.preset) if result.preset in PRESETS else len(PRESETS)
    place = (result.track, result.dataset, rank, result.preset)
    return Run(place, (result.method, described(result.overrides)), result.seed, result)


def _column(measured: AnyScore) -> Column:
    return Column(measured.name, measured.higher_is_better, measured.identity)


def _why_split(group: Group, first: Group) -> str:
    reasons: dict[str, list[str]] = {}
    for metric, own in group.columns.items():
        other = first.columns.get(metric, own)
        for key, here, there in identity_changes(own.identity, other.identity):
            reasons.setdefault(f"{key} is {here} here and {there} there", []).append(metric)
        if own.higher_is_better != other.higher_is_better:
            reasons.setdefault("the direction of improvement differs", []).append(metric)
    parts = [f"{difference} ({', '.join(metrics)})" for difference, metrics in reasons.items()]
    return "Not comparable with the first table of this preset: " + "; ".join(parts) + "."


def identity_changes(first: Identity, second: Identity) -> Iterator[tuple[str, str, str]]:
    """In what two identities differ: the key, and what each has for it."""
    for key in sorted({*first, *second}):
        one, other = first.get(key, "unstated"), second.get(key, "unstated")
        if one != other:
            yield key, _abbreviated(one), _abbreviated(other)


def identity_text(identity: Identity) -> str:
    """An identity as ``key value, ...``, hashes cut to 12 digits."""
    return ", ".join(f"{key} {_abbreviated(value)}" for key, value in identity.items())


def _abbreviated(value: str | int | float) -> str:
    text = str(value)
    return text[:12] if re.fullmatch("[0-9a-f]{40,}", text) else text


def described(settings: Mapping[str, JsonValue]) -> str:
    """Settings as ``key=value, ...``, by key, the values as JSON."""
    if not settings:  # as for most of very many results
        return ""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(settings.items()))


def _rows(
    runs: Iterable[Run], columns: Sequence[Column], baselines: Mapping[str, str]
) -> tuple[tuple[Row, ...], tuple[Difference, ...], list[str]]:
    """A row for each configuration, best first; differences; metrics judged over samples."""
    members: dict[Configuration, list[AnyResult]] = {}
    scores: dict[Configuration, _Scores] = {}
    for run in runs:
        members.setdefault(run.configuration, []).append(run.result)
        own = scores.setdefault(run.configuration, {})
        for measured in run.result.metrics if run.result.status == "completed" else ():
            by_seed = own.setdefault(measured.name, {})
            if measured.value is not None:
                by_seed[run.seed] = measured
    stand = {
        column.metric: standings(
            [own.get(column.metric, {}) for own in scores.values()], column.higher_is_better
        )
        for column in columns
        if column.higher_is_better is not None
    }
    rows = []
    for place, (configuration, results) in enumerate(members.items()):
        cells = {
            metric: _cell(
                list(found.values()), stand[metric].rows[place] if metric in stand else None
            )
            for metric, found in scores[configuration].items()
        }
        rows.append(_row(configuration, results, cells))
    over_samples = [metric for metric, found in stand.items() if found.over_samples]
    return _ranked(rows, columns), _differences(scores, columns, baselines), over_samples


def _row(
    configuration: Configuration, runs: Sequence[AnyResult], cells: dict[str, Cell | None]
) -> Row:
    counts = Counter(run.status for run in runs)
    status = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    seeds = tuple(run.seed for run in runs)
    return Row(*configuration, seeds, status if len(counts) > 1 else runs[0].status, cells)


def _cell(measured: Sequence[AnyScore], standing: Standing | None) -> Cell | None:
    if not measured:
        return None
    spread = spread_over_seeds([one.value for one in measured])
    cell = Cell(spread.mean, spread.std, spread.count, standing=standing)
    intervals = [one.interval for one in measured if one.interval is not None]
    if len(intervals) < len(measured) or len({interval.level for interval in intervals}) > 1:
        return cell
    low = sum(interval.low for interval in intervals) / len(intervals)
    high = sum(interval.high for interval in intervals) / len(intervals)
    return replace(cell, low=low, high=high, level=intervals[0].level)


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


def _differences(
    scores: Mapping[Configuration, _Scores],
    columns: Iterable[Column],
    baselines: Mapping[str, str],
) -> tuple[Difference, ...]:
    """Each method against its baseline with the same settings, where two seeds or more allow it."""
    directed = [column.metric for column in columns if column.higher_is_better is not None]
    found = []
    for (method, overrides), own in scores.items():
        others = scores.get((baselines.get(method, ""), overrides), {})
        cells = {
            metric: difference_over_seeds(*pairs)
            for metric in directed
            if len((pairs := _paired(own.get(metric, {}), others.get(metric, {})))[0]) > 1
        }
        if cells:
            name = f"{method} ({overrides})" if overrides else method
            found.append(Difference(name, baselines[method], cells))
    return tuple(found)


def _paired(
    own: Mapping[int, AnyScore], others: Mapping[int, AnyScore]
) -> tuple[list[float | None], list[float | None]]:
    """The scores of a method and its baseline for the seeds where both have one."""
    seeds = sorted(own.keys() & others.keys())
    return [own[seed].value for seed in seeds], [others[seed].value for seed in seeds]
