"""``bench claims``: what papers say of the order of methods, judged on measured results."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.leaderboard import check_name, measured, output_options


@click.command(
    epilog="""\b
Examples:
  bench claims contrafeat
  bench claims crg --dataset digiface --format csv > verdicts.csv
"""
)
@click.argument("paper", required=False)
@output_options()
def command(
    paper: str | None,
    dataset: str | None,
    preset: str | None,
    runs: Path | None,
    form: str,
    as_json: bool,
) -> None:
    """Judge the claims of a PAPER, or of all: held, not held or undecided.

    Differences are of this folder's runs and committed records, paired by seed; a claim is decided
    if their interval leaves out zero. Undecided ones say about how many more seeds they need. Runs
    of the preset smoke count only if --preset asks for them.
    """
    from bench.errors import UnknownName
    from leaderboard import claims_export
    from leaderboard.claims import load_claims
    from leaderboard.verdicts import judge_papers

    papers = load_claims()
    if paper is not None and paper not in papers:
        raise UnknownName("paper", paper, papers, f"There are claims of {', '.join(papers)}.")
    results = measured(runs)
    check_name("dataset", dataset, results, ())
    check_name("preset", preset, results, ())
    wanted = [result for result in results if dataset in (None, result.dataset)]
    judged = judge_papers(
        [one for name, one in papers.items() if paper in (None, name)], wanted, preset
    )
    write = {
        "md": claims_export.to_markdown,
        "json": claims_export.to_json,
        "csv": claims_export.to_csv,
    }
    click.echo(write["json" if as_json else form](judged), nl=False)
