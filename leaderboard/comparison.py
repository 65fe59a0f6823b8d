"""Measured tables with the numbers that papers report in columns beside them.

A reported number stands in the row of its method and variant, as far as that was run, and in a
column of its source: no column holds measured and reported values. Numbers whose settings were not
run have rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from leaderboard.reported import ReportedNumber
from leaderboard.table import Cell, Column, Row, Table

Configuration = tuple[str, str]  # a method and its overrides, as ``leaderboard.table.Row`` has them


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
    sources: dict[str, int] = {}
    columns: dict[str, Column] = {}
    reported: dict[Configuration, dict[str, Cell | None]] = {}
    for number in numbers:
        mark = f"{number.origin} ({sources.setdefault(_source(number), len(sources) + 1)})"
        name = f"{number.metric}, reported: {mark}"
        identity = {"dataset": number.dataset, **number.identity}
        columns.setdefault(name, Column(name, better.get(number.metric), identity))
        cells = reported.setdefault((number.method, number.variant), {})
        cells[name] = Cell(number.value, number.spread, 0)
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
        notes=(*table.notes, *(f"({place}) {source}" for source, place in sources.items())),
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


def _source(number: ReportedNumber) -> str:
    place = number.table if number.page is None else f"{number.table}, p. {number.page}"
    return f"Reported by {number.citation}, {place}: {number.protocol}. {number.url}".rstrip()
