"""``bench list``: the names that the other commands take."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.catalog import Entry

_COLUMNS = ("name", "track", "title", "needs")


@click.command(
    epilog="""\b
Examples:
  bench list methods
  bench list generators --json
"""
)
@click.argument("kind", metavar="KIND")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with papers and aliases.")
def command(kind: str, as_json: bool) -> None:
    """List what there is of a KIND.

    A KIND is methods, datasets, generators, extractors, predictors, metrics or tracks. Plain
    names, one a line, when the output is not a terminal.
    """
    from dataclasses import asdict

    from bench.catalog import entries

    found = entries(kind)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found], indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        click.echo("\n".join(entry.name for entry in found))


def _print_table(found: tuple[Entry, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = [name for name in _COLUMNS if any(getattr(entry, name) for entry in found)]
    table = Table(*columns, box=None, header_style="bold")
    for entry in found:
        names = ", ".join((entry.name, *entry.aliases))
        table.add_row(names, *(getattr(entry, column) for column in columns[1:]))
    Console().print(table)
