"""``bench sweep``: all runs of a table, and one leaderboard at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import RUNS
from bench.cli.run import print_outcomes, say_what_paper_costs

if TYPE_CHECKING:
    from bench.sweep import Outcome, SweepTable


@click.command(
    epilog="""\b
Examples:
  bench sweep tables/discovery.toml
  bench sweep tables/contrafeat-table2.toml --jobs 2 --table subspaces.md
  bench sweep tables/leaderboard-small.toml --jobs 2
"""
)
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Runs at a time, each in a process with its share of the CPU's threads.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=RUNS,
    show_default=True,
    help="The folder of all runs, which directions of grids are relative to.",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option("--force", is_flag=True, help="Start all runs over.")
@click.option(
    "--table",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the table of the results to a file, as markdown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    table: Path,
    jobs: int,
    out: Path,
    device: str | None,
    force: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Run all grids of TABLE and print one leaderboard.

    TABLE is a TOML file of [[grid]]s; finished runs are only read. A grid lists methods, datasets,
    presets and seeds, and may hold a table [grid.set]; a grid with directions of discovery runs
    waits for the grids before it. TABLE may include other tables. Where it names tables of a paper,
    their numbers stand in columns beside the measured ones. A run that goes wrong stops no other;
    the exit code is 1, 2 or 3 if one did, as for `bench run`.
    """
    from bench.errors import BenchError
    from bench.running import RunOptions
    from bench.sweep import execute_all, exit_code, read_table

    if file is not None and not file.parent.is_dir():
        raise BenchError(f"There is no folder {file.parent} to write --table to; make it first.")
    sweep = read_table(table, out)
    specs = sweep.specs
    say_what_paper_costs(specs, out)
    outcomes = []
    for number, outcome in enumerate(execute_all(specs, RunOptions(out, device, force), jobs), 1):
        ended = outcome.result.status if outcome.result else "not done"
        click.echo(f"[{number}/{len(specs)}] {outcome.spec}: {ended}", err=True)
        outcomes.append(outcome)
    text = _table_of(sweep, outcomes)
    print_outcomes(outcomes, out, as_json, text)
    if file is not None:
        _write(file, text)
    ctx.exit(exit_code(outcomes))


def _table_of(sweep: SweepTable, outcomes: list[Outcome]) -> str:
    """The leaderboard of the results; with columns of reported numbers if the sweep names any."""
    from leaderboard.comparison import beside_reported
    from leaderboard.export import to_markdown
    from leaderboard.reported import load_reported
    from leaderboard.table import build_tables, described

    results = [outcome.result for outcome in outcomes if outcome.result]
    tables = build_tables(results)
    if sweep.reported:
        methods = {spec.method for spec in sweep.specs}
        numbers = [
            number
            for number in load_reported()
            if number.table in sweep.reported and number.method in methods
        ]
        variants = {
            (outcome.result.method, described(outcome.result.overrides)): variant
            for outcome, variant in zip(outcomes, sweep.variants, strict=True)
            if outcome.result
        }
        tables = beside_reported(tables, numbers, variants)
    return to_markdown(tables)


def _write(file: Path, text: str) -> None:
    """Of several processes that train together, one writes."""
    from accelerate import PartialState

    from bench.errors import BenchError

    if not PartialState().is_main_process:
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(
            f"{file} cannot be written ({error.strerror or error}); name another file by --table."
        ) from error
