"""Tables and verdicts as one HTML page that loads nothing: to be sorted, filtered and opened.

The page is complete without its script, which adds the sorting and filtering. All of results and
papers is untrusted: the templates escape every text, and the page's own policy lets no script run
but the one that is named in it by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from leaderboard.claims_export import Judged
from leaderboard.claims_page import claims_page
from leaderboard.details import Details, DetailsOfRows
from leaderboard.page import Section, beside, legend
from leaderboard.table import Column, Row, Table
from leaderboard.templating import environment


@dataclass(frozen=True)
class Place:
    """One table with all that belongs to it.

    Attributes:
        table: The table.
        rows: Its rows, with what stands behind each.
        leading: The column that it is sorted by; None where no column has a direction.
        legend: How to read its cells, and what the values of each metric have in common.
        sections: Differences, reported numbers and deviations, each with its notes apart.
    """

    table: Table
    rows: tuple[tuple[Row, Details], ...]
    leading: Column | None
    legend: tuple[str, ...]
    sections: tuple[tuple[Section, tuple[str, ...]], ...]


def to_html(tables: Sequence[Table], details: DetailsOfRows, judged: Judged) -> str:
    """Tables and verdicts as one HTML page.

    Args:
        tables: As ``leaderboard.table.build_tables`` makes them.
        details: Of all results that they are made of; there may be others among them.
        judged: Papers and the verdicts on their claims.

    Returns:
        The page, complete in itself. Its size grows with the rows, and not with their runs.
    """
    from markupsafe import Markup

    templates = environment("leaderboard")
    places = sorted((_place(table, details) for table in tables), key=lambda one: one.table.track)
    script = templates.get_template("leaderboard.js").render()
    text = templates.get_template("leaderboard.html.j2").render(
        tracks=[(name, [*some]) for name, some in groupby(places, lambda one: one.table.track)],
        choices=_choices(tables),
        claims=[claims_page(*one) for one in judged],
        runs=sum(len(row.seeds) for table in tables for row in table.rows),
        rows=sum(len(table.rows) for table in tables),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return text.lstrip()


def _place(table: Table, details: DetailsOfRows) -> Place:
    return Place(
        table,
        tuple((row, details(table, row)) for row in table.rows),
        next((one for one in table.columns if one.higher_is_better is not None), None),
        tuple(legend(table)) if table.rows else (),
        tuple((replace(section, notes=()), section.notes) for section in beside(table)),
    )


def _choices(tables: Iterable[Table]) -> dict[str, list[str]]:
    """What the filters offer, by their names."""
    choices: dict[str, set[str]] = {"track": set(), "dataset": set(), "preset": set()}
    for table in tables:
        for kind, names in choices.items():
            names.add(getattr(table, kind))
    choices["method"] = {method for table in tables for method in _methods(table)}
    return {kind: sorted(names - {""}) for kind, names in choices.items()}


def _methods(table: Table) -> Iterator[str]:
    yield from (row.method for row in table.rows)
    yield from (number.method for number in table.reported)
