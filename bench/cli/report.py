"""``bench report``: one HTML page on a run, or on several side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  bench report runs/discovery/shapes3d/contrafeat/small-s0-3f2a90c1d4
  bench report 3f2a 9c01 77de --out contrafeat-and-sefa.html
"""
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--runs", "root", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
def command(runs: tuple[str, ...], root: Path | None, out: Path) -> None:
    """Write a page on each RUN: its folder, its result.json, or the first digits of its hash.

    The page has the scores with intervals, training curves, figures, settings, protocol, provenance
    and the command line; of several runs, all that side by side, and what differs. It is one file
    that loads nothing, to be read in any browser.
    """
    from bench.cli.finding import find_result
    from bench.cli.leaderboard import baselines
    from bench.errors import BenchError
    from bench.files import write_bytes
    from bench.report import report

    paths = {path.resolve(): path for path in (find_result(run, root) for run in runs)}
    try:
        page = report([*paths.values()], baselines())
        write_bytes(out, page.encode(errors="replace"))
    except OSError as error:
        raise BenchError(
            f"{error.filename or out} cannot be read or written ({error.strerror or error})."
        ) from error
    click.echo(out)
