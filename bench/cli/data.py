"""``bench data check``: what is in a folder of images, before anything is trained on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.data.check import FolderReport

_EXAMPLES = """\b
Examples:
  bench data check pictures
  bench data check pictures --size 256 --json
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Look at data before it is used."""


@command.command(epilog=_EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--size", type=click.IntRange(min=1), default=1, help="Smaller images, in pixels, are bad."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, path: Path, size: int, as_json: bool) -> None:
    """Decode every image in the folder PATH and say what can be used, and what not and why.

    Exits 2 if an image is bad or none is usable.
    """
    from bench.data.check import check_folder

    report = check_folder(path, size)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        _print(report)
    ctx.exit(2 if report.bad or not report.pictures else 0)


def _print(report: FolderReport) -> None:
    megabytes = sum(one.bytes for one in report.pictures) / 1e6
    click.echo(f"{len(report.pictures):,} usable images, {megabytes:,.1f} MB")
    click.echo(f"sizes    {_counts((f'{w} x {h}', n) for (w, h), n in report.sizes.items())}")
    click.echo(f"modes    {_counts(report.modes.items())}")
    if report.ignored:
        kinds = ((kind or "no ending", n) for kind, n in report.ignored.items())
        click.echo(f"ignored  {_counts(kinds)}: no images by their names")
    for one in report.bad:
        click.echo(f"bad      {one}")


def _counts(counts: Iterable[tuple[str, int]], shown: int = 8) -> str:
    parts = [f"{name} ({count:,})" for name, count in counts]
    more = f" and {len(parts) - shown} more" if len(parts) > shown else ""
    return ", ".join(parts[:shown]) + more or "none"
