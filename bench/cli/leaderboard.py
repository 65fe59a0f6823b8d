"""``bench leaderboard``: all results as tables, with the papers' own numbers beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from bench.cli.options import RUNS

if TYPE_CHECKING:
    from leaderboard.reported import ReportedNumber
    from leaderboard.schema import Result

_F = TypeVar("_F", bound=Callable[..., object])

_OUTPUT = (
    click.option("--dataset", help="Only this dataset."),
    click.option("--preset", help="Only this preset."),
    click.option(
        "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["md", "json", "csv"]),
        default="md",
        show_default=True,
        help="Markdown, JSON or comma-separated values.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
)


def output_options(command: _F) -> _F:
    """Add the options that say which results to take, and how to print what comes of them."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OUTPUT), command)


@click.command(
    epilog="""\b
Examples:
  bench leaderboard --track discovery --dataset shapes3d
  bench leaderboard --preset small --format csv > scores.csv
  bench leaderboard --preset small --record leaderboard/records
"""
)
@click.option("--track", help="Only this track.")
@output_options
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also keep the records of these runs in a folder, as leaderboard/records does.",
)
def command(
    track: str | None,
    dataset: str | None,
    preset: str | None,
    runs: Path | None,
    form: str,
    as_json: bool,
    record: Path | None,
) -> None:
    """Print the leaderboard: this folder's runs, committed records and reported numbers.

    One table for each track, dataset and preset; values that are not comparable (another
    extractor, predictor or sample count) never share a column. Reported numbers stay apart.
    """
    from leaderboard import export
    from leaderboard.reported import load_reported
    from leaderboard.table import build_tables

    results = measured(runs)
    reported = load_reported()
    check_name("track", track, results, reported)
    check_name("dataset", dataset, results, reported)
    check_name("preset", preset, results, ())
    wanted = [
        result
        for result in results
        if track in (None, result.track)
        and dataset in (None, result.dataset)
        and preset in (None, result.preset)
    ]
    beside = [
        number
        for number in reported
        if track in (None, number.track) and dataset in (None, number.dataset)
    ]
    if not wanted:
        click.echo(
            "Nothing is measured here yet; `bench run --method contrafeat --dataset shapes3d` "
            "makes a first row.",
            err=True,
        )
    if record is not None:
        _keep(wanted, record)
    write = {"md": export.to_markdown, "json": export.to_json, "csv": export.to_csv}
    tables = build_tables(wanted, beside, baselines())
    click.echo(write["json" if as_json else form](tables), nl=False)


def baselines() -> dict[str, str]:
    """From a method of the catalog to the one that its results are compared with."""
    from bench.catalog import entries

    return {entry.name: entry.baseline for entry in entries("methods") if entry.baseline}


def measured(runs: Path | None) -> list[Result]:
    """All results of a folder of runs and of the committed records.

    Args:
        runs: The folder; None for ``runs`` in the current folder, if there is one.

    Raises:
        BenchError: The folder does not exist.
    """
    from bench.errors import BenchError
    from leaderboard.store import find_results

    folders = [folder for folder in (runs or RUNS, records_folder()) if folder.is_dir()]
    if runs is not None and not runs.is_dir():
        raise BenchError(f"There is no folder {runs} to read runs from; name one by --runs.")
    return find_results(*folders)


def _keep(results: Iterable[Result], folder: Path) -> None:
    from bench.errors import BenchError
    from leaderboard.store import record_path, write_result

    for result in results:
        path = record_path(folder, result)
        try:
            write_result(path, result)
        except OSError as error:
            raise BenchError(
                f"{path} cannot be written ({error.strerror or error}); name another folder by "
                "--record."
            ) from error
        click.echo(f"kept {path}", err=True)


def records_folder() -> Path:
    """The folder of committed records, part of the package ``leaderboard``."""
    from leaderboard.store import RECORDS

    return RECORDS


def check_name(
    kind: str, name: str | None, results: Iterable[Result], reported: Iterable[ReportedNumber]
) -> None:
    """Refuse a name that neither the catalog nor any record knows."""
    from bench.catalog import entries
    from bench.errors import UnknownName

    if name is None:
        return
    if kind == "preset":
        known = {"smoke", "small", "paper"}
    else:
        known = {entry.name for entry in entries(f"{kind}s")}
    known |= {str(getattr(record, kind)) for record in (*results, *reported)}
    if name not in known:
        raise UnknownName(kind, name, known, f"There are numbers of {', '.join(sorted(known))}.")
