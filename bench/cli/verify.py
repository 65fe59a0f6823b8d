"""``bench verify``: golden cases, the suite against stored values of the references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bench.verify import Outcome


@click.command(
    epilog="""\b
Examples:
  bench verify tests/data
  bench verify tests/data/discovery --json
"""
)
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Rebuild the golden cases below PATH and compare.

    The values to compare with are those of the references. Every folder with a meta.json is a case.
    Unknown kinds are listed as unsupported. Exits 0 if every supported case passes, 1 if one fails.
    """
    from bench.verify import verify

    report = verify(path, None if as_json else _print)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        counts = (f"{report.count(s)} {s}" for s in ("passed", "failed", "unsupported"))
        click.echo(", ".join(counts))
    ctx.exit(1 if report.count("failed") else 0)


def _print(outcome: Outcome) -> None:
    error = "" if outcome.max_error is None else f"max error {outcome.max_error:.2e}"
    message = f"{outcome.status}: {outcome.message}" if outcome.message else outcome.status
    click.echo(f"{outcome.name:<40} {outcome.kind:<45} {error:<20} {message}".rstrip())
