"""Tables as text: markdown to read, JSON and CSV to compute with, all from the same tables.

pandas and tabulate are imported when a table is printed, not with the module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from leaderboard.reported import ReportedNumber
from leaderboard.table import Cell, Column, Row, Table, abbreviated

_MOST_COLUMNS = 12  # metrics side by side; with more, each gets a line
_ORIGINS = {
    "paper": "paper",
    "authors-notebook": "authors' notebook",
    "third-party": "third party",
}
_CSV_COLUMNS = (
    "track",
    "dataset",
    "preset",
    "table",
    "method",
    "settings",
    "metric",
    "value",
    "std",
    "low",
    "high",
    "seeds",
    "status",
    "origin",
    "source",
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Tables as GitHub markdown, measured numbers first and reported ones in a table of their own.

    A cell reads ``mean ± sample standard deviation over seeds [interval over samples]``.
    """
    return "\n\n".join(_section(table) for table in tables) + "\n"


def to_json(tables: Sequence[Table]) -> str:
    """Tables as a JSON list, with the fields of ``leaderboard.table.Table``."""
    return json.dumps([asdict(table) for table in tables], indent=2, ensure_ascii=False) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """Tables as CSV, one line for each score; ``origin`` is ``measured`` or that of a report.

    ``table`` counts the tables, whose values must not be compared with each other.
    """
    import pandas

    records = []
    for number, table in enumerate(tables, start=1):
        place = {
            "track": table.track,
            "dataset": table.dataset,
            "preset": table.preset,
            "table": number,
        }
        records += [place | record for row in table.rows for record in _measured(row)]
        records += [place | _reported(one) for one in table.reported]
    return pandas.DataFrame(records, columns=list(_CSV_COLUMNS)).to_csv(index=False)


def _measured(row: Row) -> list[dict[str, object]]:
    shared: dict[str, object] = {
        "method": row.method,
        "settings": row.overrides,
        "status": row.status,
        "origin": "measured",
    }
    scores = [
        {
            "metric": metric,
            "value": cell.mean,
            "std": cell.std,
            "low": cell.low,
            "high": cell.high,
            "seeds": cell.seeds,
        }
        for metric, cell in row.cells.items()
        if cell is not None
    ]
    return [shared | score for score in scores] or [shared]


def _reported(number: ReportedNumber) -> dict[str, object]:
    return {
        "method": number.method,
        "settings": number.variant,
        "metric": number.metric,
        "value": number.value,
        "std": number.spread,
        "origin": number.origin,
        "source": f"{number.citation}, {number.table}",
    }


def _section(table: Table) -> str:
    place = [table.track, table.dataset] + ([table.preset] if table.preset else [])
    parts = [f"### {' / '.join(map(plain, place))}"]
    if table.rows:
        parts += [_measured_table(table), _legend(table)]
    parts += [plain(note) for note in table.notes]
    if table.differences:
        parts += _difference_table(table)
    if table.reported:
        parts += _reported_tables(table.reported)
    return "\n\n".join(parts)


def _measured_table(table: Table) -> str:
    """A line for each method; for each metric where there are too many for one line."""
    header = ["method", *map(_header, table.columns), "seeds", "status"]
    lines = []
    for row in table.rows:
        method = f"{row.method} ({row.overrides})" if row.overrides else row.method
        scores = [_score(row, column.metric) for column in table.columns]
        lines.append([plain(method), *scores, str(len(row.seeds)), row.status])
    return _fitting(header, lines, len(table.columns))


def _fitting(header: Sequence[str], lines: Sequence[Sequence[str]], metrics: int) -> str:
    """A table as it is, or with its lines as columns if it has too many metrics."""
    if metrics <= _MOST_COLUMNS:
        return markdown_table(header, lines)
    turned = list(zip(header, *lines, strict=True))
    return markdown_table(turned[0], turned[1:])


def _difference_table(table: Table) -> list[str]:
    """Methods less their baselines, and whether the interval leaves out zero."""
    columns = [column for column in table.columns if column.higher_is_better is not None]
    lines = []
    for difference in table.differences:
        cells = [difference.cells.get(column.metric) for column in columns]
        texts = [
            "-" if cell is None else f"{cell.mean:+.3g} [{cell.low:+.3g}, {cell.high:+.3g}]"
            for cell in cells
        ]
        pair = f"{difference.method} less {difference.baseline}"
        lines.append([plain(pair), *texts])
    some = next(iter(table.differences[0].cells.values()))
    return [
        f"Differences over paired seeds [{some.level:.0%} Student interval, which is wide for few "
        "seeds]; an interval that holds 0 shows no difference:",
        _fitting(["difference", *map(_header, columns)], lines, len(columns)),
    ]


def _header(column: Column) -> str:
    arrow = {True: " ↑", False: " ↓", None: ""}[column.higher_is_better]
    return plain(column.metric) + arrow


def _score(row: Row, metric: str) -> str:
    if metric not in row.cells:
        return "-"
    cell = row.cells[metric]
    return "n/a" if cell is None else _numbers(cell)


def _numbers(cell: Cell) -> str:
    text = f"{cell.mean:.4g}"
    if cell.std is not None:
        text += f" ± {cell.std:.2g}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.4g}, {cell.high:.4g}]"
    return text


def _legend(table: Table) -> str:
    """How to read the cells, and what the values of each metric have in common."""
    cells = [cell for row in table.rows for cell in row.cells.values() if cell is not None]
    levels = sorted({cell.level for cell in cells if cell.level is not None})
    percent = " and ".join(f"{level:.0%} " for level in levels)
    lines = [
        "Mean over seeds ± sample standard deviation over seeds "
        f"[mean of the runs' {percent}bootstrap intervals over samples]."
    ]
    sharing: dict[str, list[str]] = {}
    for column in table.columns:
        settings = ", ".join(
            f"{key} {abbreviated(value)}" for key, value in column.identity.items()
        )
        if settings:
            sharing.setdefault(settings, []).append(column.metric)
    most = max(sharing.values(), key=len, default=[])
    for settings, metrics in sorted(sharing.items(), key=lambda group: group[1] is most):
        named = "all others" if metrics is most and len(sharing) > 1 else ", ".join(metrics)
        lines.append(plain(f"{named}: {settings}."))
    return "  \n".join(lines)


def _reported_tables(numbers: Sequence[ReportedNumber]) -> list[str]:
    """Reported numbers, a line for each row of a source, with the sources listed below."""
    metrics = list(dict.fromkeys(number.metric for number in numbers))
    sources: dict[tuple[str, ...], int] = {}
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for number in numbers:
        source = (number.citation, number.url, number.table, str(number.page), number.protocol)
        mark = f"{_ORIGINS[number.origin]} ({sources.setdefault(source, len(sources) + 1)})"
        line = cells.setdefault((number.method, number.variant, mark), {})
        spread = "" if number.spread is None else f" ± {number.spread:g}"
        line[number.metric] = f"{number.value:g}{spread}"
    lines = [
        [*map(plain, key), *(values.get(metric, "-") for metric in metrics)]
        for key, values in cells.items()
    ]
    notes = [
        f"({mark}) {plain(citation)}, {plain(place)}{'' if page == 'None' else f', p. {page}'}: "
        f"{plain(protocol)}.{f' <{url}>' if url else ''}"
        for (citation, url, place, page, protocol), mark in sources.items()
    ]
    return [
        "Reported, not measured here:",
        markdown_table(["method", "settings", "reported by", *map(plain, metrics)], lines),
        "  \n".join(notes),
    ]


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A GitHub markdown table of cells that are markdown already."""
    import pandas

    frame = pandas.DataFrame(list(lines), columns=list(header))
    return str(frame.to_markdown(index=False, tablefmt="github", disable_numparse=True))


def plain(text: str) -> str:
    """Text that markdown shows as it stands: no markup, no HTML, one line."""
    # An underscore inside a word is no markup, and names of metrics should stay readable.
    return re.sub(r"([\\`*|<>\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
