"""Tables as text: markdown to read, JSON and CSV to compute with, all from the same tables.

``docs/leaderboard.md`` lists the columns. pandas and tabulate are imported when a table is printed,
not with the module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from leaderboard.comparison import deviations
from leaderboard.page import Entry, Section, page
from leaderboard.table import Table

_CSV_COLUMNS = (  # others read files of these columns: new ones go to the end
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
    "higher_is_better",
    "standing",
    "identity",
    "deviation",
)


def to_markdown(tables: Sequence[Table]) -> str:
    """Tables as GitHub markdown, measured numbers first and reported ones in a table of their own.

    A cell reads ``mean ± sample standard deviation over seeds [interval over samples]``; bold and
    ``≈`` are explained below the table where they occur.
    """
    return "\n\n".join(map(_markdown, tables)) + "\n"


def to_json(tables: Sequence[Table]) -> str:
    """Tables as a JSON list, with the fields of ``leaderboard.table.Table`` and ``deviations``."""
    pages = [
        asdict(table) | {"deviations": [asdict(one) for one in deviations(table)]}
        for table in tables
    ]
    return json.dumps(pages, indent=2, ensure_ascii=False) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """Tables as CSV, one line for each score; ``origin`` is ``measured`` or that of a report.

    ``table`` counts the tables, whose values must not be compared with each other; ``identity`` is
    that of the line's metric.
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
        records += [place | record for record in (*_measured(table), *_reported(table))]
    return pandas.DataFrame(records, columns=list(_CSV_COLUMNS)).to_csv(index=False)


def _measured(table: Table) -> Iterator[dict[str, object]]:
    """A line for each score; for a row without any, one that says how its runs ended."""
    columns = {column.metric: column for column in table.columns}
    identities = {metric: _identity(column.identity) for metric, column in columns.items()}
    for row in table.rows:
        shared: dict[str, object] = {
            "method": row.method,
            "settings": row.overrides,
            "status": row.status,
        }
        cells = {metric: cell for metric, cell in row.cells.items() if cell is not None}
        for metric, cell in cells.items():
            yield shared | {
                "metric": metric,
                "value": cell.mean,
                "std": cell.std,
                "low": cell.low,
                "high": cell.high,
                "seeds": cell.seeds,
                "origin": columns[metric].origin,
                "higher_is_better": columns[metric].higher_is_better,
                "standing": cell.standing,
                "identity": identities[metric],
            }
        if not cells:
            yield shared | {"origin": "measured"}


def _reported(table: Table) -> Iterator[dict[str, object]]:
    deviating = {id(one.reported): one.difference for one in deviations(table)}
    for number in table.reported:
        yield {
            "method": number.method,
            "settings": number.variant,
            "metric": number.metric,
            "value": number.value,
            "std": number.spread,
            "origin": number.origin,
            "source": f"{number.citation}, {number.table}",
            "identity": _identity(number.identity),
            "deviation": deviating.get(id(number)),
        }


def _identity(identity: dict[str, str | int | float]) -> str:
    return json.dumps(identity, sort_keys=True, ensure_ascii=False)


def _markdown(table: Table) -> str:
    content = page(table)
    parts = [f"### {plain(content.heading)}"]
    for section in content.sections:
        if section.title:
            parts.append(f"{plain(section.title)}:")
        parts.append(grid(section))
        if section.notes:
            parts.append("  \n".join(map(_sentence, section.notes)))
    return "\n\n".join(parts)


def grid(section: Section) -> str:
    """A section's grid as a GitHub markdown table."""
    return markdown_table(
        [_entry(entry) for entry in section.header],
        [[_entry(entry) for entry in line] for line in section.lines],
    )


def _entry(entry: Entry) -> str:
    text = entry.text if entry.ours else plain(entry.text)
    return f"**{text}**" if entry.bold else text


def _sentence(text: str) -> str:
    """Text at the start of a line, where a few more characters make headings and lists."""
    return re.sub(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=#]))", r"\1\\", plain(text))


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A GitHub markdown table of cells that are markdown already."""
    from tabulate import tabulate

    return str(tabulate([*lines], [*header], tablefmt="github", disable_numparse=True))


def plain(text: str) -> str:
    """Text that markdown shows as it stands: no markup, no HTML, one line."""
    # An underscore inside a word is no markup, and names of metrics should stay readable.
    return re.sub(r"([\\`*|<>\[\]&~$]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))


def printable(text: str) -> str:
    """Text in one line, without characters that a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))
