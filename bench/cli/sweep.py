"""``bench sweep``: all runs of a table, and one leaderboard at the end."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import RUNS
from bench.cli.run import print_outcomes, say_what_paper_costs


@click.command(
    epilog="""\b
Examples:
  bench sweep tables/discovery.toml
  bench sweep tables/discovery.toml --jobs 2 --out runs
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
    help="The folder of all runs.",
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option("--force", is_flag=True, help="Start all runs over.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    table: Path,
    jobs: int,
    out: Path,
    device: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Run all grids of TABLE and print one leaderboard.

    TABLE is a TOML file of [[grid]]s; finished runs are only read. A grid lists methods, datasets,
    presets and seeds, and may hold a table [grid.set]. A run that goes wrong stops no other; the
    exit code is 1, 2 or 3 if one did, as for `bench run`.
    """
    from bench.run import RunOptions
    from bench.sweep import execute_all, exit_code, read_table

    specs = read_table(table)
    say_what_paper_costs(specs, out)
    outcomes = []
    for number, outcome in enumerate(execute_all(specs, RunOptions(out, device, force), jobs), 1):
        ended = outcome.result.status if outcome.result else "not done"
        click.echo(f"[{number}/{len(specs)}] {outcome.spec}: {ended}", err=True)
        outcomes.append(outcome)
    print_outcomes(outcomes, out, as_json)
    ctx.exit(exit_code(outcomes))
