"""``bench run``: one method on one dataset, from nothing to a leaderboard row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import run_options, specs_from

if TYPE_CHECKING:
    from pathlib import Path

    from bench.spec import RunSpec
    from bench.sweep import Outcome
    from leaderboard.schema import Result


@click.command(
    epilog="""\b
Examples:
  bench run --method contrafeat --dataset shapes3d
  bench run --method sefa --dataset shapes3d --seeds 0..2 --set track.protocol=released
"""
)
@run_options
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Where to compute.  [default: the best]"
)
@click.option(
    "--force",
    is_flag=True,
    help="Start over, whatever is there; finished stages' artefacts are still taken.",
)
@click.option("--track-with", multiple=True, metavar="TRACKER", help="Such as tensorboard.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    device: str | None,
    force: bool,
    track_with: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Train a method, evaluate it and print its leaderboard row.

    A run that was interrupted goes on where it stopped; a finished one is only read. Exits 2 on
    wrong input, 3 if training diverged, 1 on a fault, whose traceback is in the run's log.
    """
    from bench.running import RunOptions
    from bench.sweep import execute_all, exit_code

    specs = specs_from(options)
    say_what_paper_costs(specs, options["out"])
    how = RunOptions(options["out"], device, force, track_with)
    outcomes = list(execute_all(specs, how))
    if len(outcomes) == 1 and outcomes[0].error:
        raise outcomes[0].error
    print_outcomes(outcomes, options["out"], as_json)
    ctx.exit(exit_code(outcomes))


def print_outcomes(
    outcomes: list[Outcome], root: Path, as_json: bool, table: str | None = None
) -> None:
    """The table of the results on stdout; what went wrong, and where runs lie, on stderr.

    Of several processes that train together, one prints.

    Args:
        outcomes: How the runs ended.
        root: The folder of all runs.
        as_json: Print the results as JSON instead.
        table: The table of the results; by default their leaderboard.
    """
    from accelerate import PartialState

    from bench.running import judged_unasked

    if not PartialState().is_main_process:
        return
    for outcome in outcomes:
        if note := judged_unasked(outcome.spec):
            click.echo(f"{outcome.spec} is judged by {note}.", err=True)
        if outcome.error:
            click.echo(f"Error: {outcome.spec}: {outcome.error}", err=True)
        elif outcome.result and outcome.result.message:
            click.echo(f"{outcome.spec}: {outcome.result.message}", err=True)
    results = [outcome.result for outcome in outcomes if outcome.result]
    if as_json:
        records = [result.model_dump(mode="json") for result in results]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
    elif results:
        click.echo(_leaderboard(results) if table is None else table, nl=False)
        for outcome in outcomes:
            if outcome.result:
                click.echo(f"{root / outcome.spec.folder}", err=True)


def say_what_paper_costs(specs: list[RunSpec], root: Path) -> None:
    """Steps and expected time of each run with the preset ``paper``, on stderr."""
    from bench.cli.plan import duration
    from bench.plan import plan

    for spec in specs:
        if spec.preset != "paper":
            continue
        found = plan(spec, root)
        steps = "an unknown number of" if found.steps is None else f"{found.steps:,}"
        click.echo(
            f"{spec} takes {steps} training steps; expected time: {duration(found.seconds)} "
            f"({found.basis}). It is meant for a GPU.",
            err=True,
        )


def _leaderboard(results: list[Result]) -> str:
    from leaderboard.export import to_markdown
    from leaderboard.table import build_tables

    return to_markdown(build_tables(results))
