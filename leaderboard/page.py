"""A table of results as it is read: grids and sentences, before a format escapes them.

``leaderboard.export`` and ``leaderboard.latex`` write the same pages. Text of results and papers is
never trusted: it stays plain here, and each format escapes all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.comparison import Deviation, deviations
from leaderboard.reported import ReportedNumber
from leaderboard.table import Cell, Column, Row, Table, identity_text

TIED = "≈"

_MOST_COLUMNS = 12  # metrics side by side; with more, each gets a line
_ORIGINS = {
    "paper": "paper",
    "authors-notebook": "authors' notebook",
    "third-party": "third party",
}


@dataclass(frozen=True)
class Entry:
    """What stands in one place of a grid.

    Attributes:
        text: Plain text in one line.
        bold: Whether it is the best of its column.
        ours: Whether the suite made it, of numbers and words that are no markup in markdown.
    """

    text: str
    bold: bool = False
    ours: bool = False


Line = tuple[Entry, ...]


@dataclass(frozen=True)
class Section:
    """A grid with what is said before and after it.

    Attributes:
        title: What the grid is, without a full stop; empty for measured results.
        header: Its header.
        lines: Its lines, as long as the header.
        notes: Sentences below.
        reported: Whether it has what others report, and nothing that was measured here.
    """

    title: str
    header: Line
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    reported: bool = False


@dataclass(frozen=True)
class Page:
    """One table of results with all that belongs to it."""

    heading: str
    sections: tuple[Section, ...]


def page(table: Table) -> Page:
    """A table to be read: measured results, differences, reported numbers, deviations."""
    measured = (_measured(table),) if table.rows else ()
    place = " / ".join(filter(None, (table.track, table.dataset, table.preset)))
    return Page(place, (*measured, *beside(table)))


def beside(table: Table) -> tuple[Section, ...]:
    """What belongs to the measured results: differences, reported numbers, deviations."""
    sections = []
    if table.differences:
        sections.append(_differences(table))
    if table.reported:
        sections.append(_reported(table.reported))
    found = deviations(table)
    if found:
        sections.append(_deviations(found))
    return (*sections,)


def _measured(table: Table) -> Section:
    """A line for each method; for each metric where there are too many for one line."""
    header = [Entry("method"), *map(_header, table.columns), Entry("seeds"), Entry("status")]
    lines = [
        (
            Entry(f"{row.method} ({row.overrides})" if row.overrides else row.method),
            *(_score(row, column.metric) for column in table.columns),
            Entry(str(len(row.seeds)), ours=True),
            Entry(row.status, ours=True),
        )
        for row in table.rows
    ]
    notes = (*legend(table), *table.notes)
    return _fitting("", header, lines, notes, len(table.columns))


def _fitting(
    title: str, header: Sequence[Entry], lines: Sequence[Line], notes: tuple[str, ...], metrics: int
) -> Section:
    """A grid as it is, or with its lines as columns if it has too many metrics."""
    if metrics <= _MOST_COLUMNS:
        return Section(title, (*header,), (*lines,), notes)
    first, *others = zip(header, *lines, strict=True)
    return Section(title, first, (*others,), notes)


def _differences(table: Table) -> Section:
    """Methods less their baselines, and whether the interval leaves out zero."""
    columns = [column for column in table.columns if column.higher_is_better is not None]
    lines = []
    for difference in table.differences:
        cells = [difference.cells.get(column.metric) for column in columns]
        texts = [
            "-" if cell is None else f"{cell.mean:+.3g} [{cell.low:+.3g}, {cell.high:+.3g}]"
            for cell in cells
        ]
        pair = Entry(f"{difference.method} less {difference.baseline}")
        lines.append((pair, *(Entry(text, ours=True) for text in texts)))
    some = next(iter(table.differences[0].cells.values()))
    title = (
        f"Differences over paired seeds [{some.level:.0%} Student interval, which is wide for few "
        "seeds]; an interval that holds 0 shows no difference"
    )
    return _fitting(title, [Entry("difference"), *map(_header, columns)], lines, (), len(columns))


def _header(column: Column) -> Entry:
    return Entry(titled(column.metric, column.higher_is_better))


def _score(row: Row, metric: str) -> Entry:
    if metric not in row.cells:
        return Entry("-", ours=True)
    cell = row.cells[metric]
    if cell is None:
        return Entry("n/a", ours=True)
    mark = f" {TIED}" if cell.standing == "tied" else ""
    return Entry(_numbers(cell) + mark, bold=cell.standing == "best", ours=True)


def _numbers(cell: Cell) -> str:
    text = f"{cell.mean:.4g}"
    if cell.std is not None:
        text += f" ± {cell.std:.2g}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.4g}, {cell.high:.4g}]"
    return text


def titled(metric: str, higher_is_better: bool | None) -> str:
    """A metric's name with an arrow to where it improves, if it has a direction."""
    return metric + {True: " ↑", False: " ↓", None: ""}[higher_is_better]


def legend(table: Table) -> list[str]:
    """How to read the cells, and what the values of each metric have in common."""
    cells = [cell for row in table.rows for cell in row.cells.values() if cell is not None]
    levels = sorted({cell.level for cell in cells if cell.level is not None})
    percent = " and ".join(f"{level:.0%} " for level in levels)
    lines = [
        "Mean over seeds ± sample standard deviation over seeds "
        f"[mean of the runs' {percent}bootstrap intervals over samples].",
        *_marks({cell.standing for cell in cells}),
    ]
    sharing: dict[str, list[str]] = {}
    for column in table.columns:
        settings = identity_text(column.identity)
        if settings:
            sharing.setdefault(settings, []).append(column.metric)
    most = max(sharing.values(), key=len, default=[])
    for settings, metrics in sorted(sharing.items(), key=lambda group: group[1] is most):
        named = "all others" if metrics is most and len(sharing) > 1 else ", ".join(metrics)
        lines.append(f"{named}: {settings}.")
    return lines


def _marks(standings: set[str | None]) -> list[str]:
    """What bold and the mark of ties mean, as far as they occur; and where no test is possible."""
    test = "the 95% interval of the paired difference over seeds"
    sentences = []
    if "best" in standings:
        sentences.append(f"Bold: best of its column, told apart from all others by {test}.")
    if "tied" in standings:
        sentences.append(f"{TIED}: the best mean, or not told apart from it by {test}.")
    if "untested" in standings:
        sentences.append(
            "A row with fewer than two seeds in common with the best mean cannot be tested against "
            "it: a column with such a row has no bold."
        )
    return [" ".join(sentences)] if sentences else []


def _reported(numbers: Sequence[ReportedNumber]) -> Section:
    """Reported numbers, a line for each row of a source, with the sources listed below."""
    metrics = list(dict.fromkeys(number.metric for number in numbers))
    sources: dict[str, int] = {}
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for number in numbers:
        place = sources.setdefault(number.source, len(sources) + 1)
        mark = f"{_ORIGINS[number.origin]} ({place})"
        line = cells.setdefault((number.method, number.variant, mark), {})
        line[number.metric] = _value(number)
    lines = [
        (
            *map(Entry, key),
            *(Entry(values.get(metric, "-"), ours=True) for metric in metrics),
        )
        for key, values in cells.items()
    ]
    notes = [f"({place}) {source}" for source, place in sources.items()]
    header = (*map(Entry, ("method", "settings", "reported by", *metrics)),)
    return Section("Reported, not measured here", header, (*lines,), (*notes,), reported=True)


def _deviations(found: Sequence[Deviation]) -> Section:
    lines = [
        (
            *map(Entry, (one.reported.method, one.reported.variant, one.reported.metric)),
            Entry(f"{one.difference:+.3g}", ours=True),
            Entry(f"{_ORIGINS[one.reported.origin]}, {one.reported.table}"),
        )
        for one in found
    ]
    title = "Measured less reported, where the protocols are the same"
    header = (*map(Entry, ("method", "settings", "metric", "difference", "reported by")),)
    return Section(title, header, (*lines,))


def _value(number: ReportedNumber) -> str:
    spread = "" if number.spread is None else f" ± {number.spread:g}"
    return f"{number.value:g}{spread}"
