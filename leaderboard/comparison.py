"""Measured results against the numbers that papers report, which never share a column with them.

``beside_reported`` gives reported numbers columns of their own, one for each metric and source, in
the rows of their method and variant; numbers whose settings were not run have rows of their own.
A deviation, measured less reported, is stated only of the preset ``paper``, which has the papers'
settings, and where method, settings, dataset, metric and the metric's whole identity are the same:
what a paper does not say of its protocol cannot match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leaderboard.grouping import Configuration
from leaderboard.reported import ReportedNumber
from leaderboard.table import Cell, Column, Row, Table


@dataclass(frozen=True)
class Deviation:
    """A measured mean beside the number that a paper reports of the same thing.

    Attributes:
        measured: Mean over seeds.
        reported: The number with its source.
        difference: Measured less reported.
    """

    measured: float
    reported: ReportedNumber
    difference: float


def deviations(table: Table) -> tuple[Deviation, ...]:
    """Of a table's reported numbers those that are measured by the same protocol."""
    found = []
    for number in table.reported:
        mean = _measured(table, number, number.variant)
        if mean is not None:
            found.append(Deviation(mean, number, mean - number.value))
    return tuple(found)


def _measured(table: Table, number: ReportedNumber, overrides: str) -> float | None:
    """The mean that a number may be held against, of the row with these overrides."""
    place = (table.track, table.dataset, table.preset)
    comparable = place == (number.track, number.dataset, "paper") and any(
        column.metric == number.metric and column.identity == number.identity and column.identity
        for column in table.columns
    )
    row = table.row(number.method, overrides) if comparable else None
    cell = row.cells.get(number.metric) if row else None
    return cell.mean if cell else None


def beside_reported(
    tables: Iterable[Table],
    numbers: Sequence[ReportedNumber],
    variants: Mapping[Configuration, str],
) -> list[Table]:
    """Tables whose last columns are reported, a pair of metric and source each.

    Args:
        tables: Measured ones.
        numbers: Those of a table's track are taken.
        variants: What papers call the settings of a method's runs, as in the numbers' ``variant``;
            in the order that rows are to have.
    """
    return [
        _beside(table, [number for number in numbers if number.track == table.track], variants)
        for table in tables
    ]


def _beside(
    table: Table, numbers: Sequence[ReportedNumber], variants: Mapping[Configuration, str]
) -> Table:
    better = {column.metric: column.higher_is_better for column in table.columns}
    overrides = {
        (row.method, variants.get((row.method, row.overrides), row.overrides)): row.overrides
        for row in table.rows
    }
    sources: dict[str, int] = {}
    columns: dict[str, Column] = {}
    deviating: list[str] = []
    reported: dict[Configuration, dict[str, Cell | None]] = {}
    for number in numbers:
        mark = f"{number.origin} ({sources.setdefault(number.source, len(sources) + 1)})"
        name = f"{number.metric}, reported: {mark}"
        identity = {"dataset": number.dataset, **number.identity}
        column = Column(name, better.get(number.metric), identity, number.origin)
        columns.setdefault(name, column)
        configuration = (number.method, number.variant)
        reported.setdefault(configuration, {})[name] = Cell(number.value, number.spread, 0)
        settings = overrides.get(configuration)
        mean = None if settings is None else _measured(table, number, settings)
        if mean is not None:
            named = f"{number.method}, {number.variant}" if number.variant else number.method
            difference = f"{mean - number.value:+.3g}"
            deviating.append(f"{named}: {number.metric} is measured {difference} off {mark}.")
    rows = [_named(row, variants, reported) for row in _ordered(table.rows, variants)]
    run = {(row.method, variants.get((row.method, row.overrides), "")) for row in table.rows}
    rows += [
        Row(method, variant, (), "not run", cells)
        for (method, variant), cells in reported.items()
        if (method, variant) not in run
    ]
    return replace(
        table,
        columns=(*table.columns, *columns.values()),
        rows=tuple(rows),
        notes=(
            *table.notes,
            *deviating,
            *(f"({place}) Reported by {source}" for source, place in sources.items()),
        ),
    )


def _ordered(rows: Iterable[Row], variants: Mapping[Configuration, str]) -> list[Row]:
    places = {configuration: place for place, configuration in enumerate(variants)}
    return sorted(rows, key=lambda row: places.get((row.method, row.overrides), len(places)))


def _named(
    row: Row,
    variants: Mapping[Configuration, str],
    reported: Mapping[Configuration, Mapping[str, Cell | None]],
) -> Row:
    """A measured row with its variant's name and what is reported of it."""
    variant = variants.get((row.method, row.overrides), "")
    settings = "; ".join(part for part in (variant, row.overrides) if part)
    return replace(
        row, overrides=settings, cells={**row.cells, **reported.get((row.method, variant), {})}
    )
