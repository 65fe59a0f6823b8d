"""``bench leaderboard``: all results as tables, with the papers' own numbers beside them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from bench.cli.options import RUNS
from leaderboard.vocabulary import PRESETS

if TYPE_CHECKING:
    from leaderboard.details import DetailsOfRows
    from leaderboard.merging import Merged
    from leaderboard.reported import ReportedNumber
    from leaderboard.schema import Result
    from leaderboard.summary import AnyResult, Summary
    from leaderboard.table import Table

_F = TypeVar("_F", bound=Callable[..., object])
_Any = TypeVar("_Any")
_Record = TypeVar("_Record", "Result", "Summary")

_FORMATS = {
    "md": "Markdown",
    "json": "JSON",
    "csv": "comma-separated values",
    "latex": "LaTeX with booktabs",
    "html": "one HTML page",
}


def output_options(*more_formats: str) -> Callable[[_F], _F]:
    """Options that say which results to take, and how to print what comes of them.

    Args:
        more_formats: Formats besides markdown, JSON and CSV.
    """
    formats = ("md", "json", "csv", *more_formats)
    options = (
        click.option("--dataset", help="Only this dataset."),
        click.option("--preset", help="Only this preset."),
        click.option(
            "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(formats),
            default="md",
            show_default=True,
            help=f"{', '.join(_FORMATS[one] for one in formats)}.",
        ),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    )

    def decorated(command: _F) -> _F:
        return reduce(lambda inner, option: option(inner), reversed(options), command)

    return decorated


@click.command(
    epilog="""\b
Examples:
  bench leaderboard --track discovery --dataset shapes3d
  bench leaderboard --preset small --format csv > scores.csv
  bench leaderboard theirs leaderboard/records --merge all.jsonl
  bench leaderboard all.jsonl --format latex > tables.tex
  bench leaderboard --preset small --format html > leaderboard.html
"""
)
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path))
@click.option("--track", help="Only this track.")
@output_options("latex", "html")
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also keep the records of these runs in a folder, as leaderboard/records does.",
)
@click.option(
    "--merge",
    "merge_into",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write all these records to one FILE.jsonl, which is read much faster.",
)
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[Path, ...],
    track: str | None,
    dataset: str | None,
    preset: str | None,
    runs: Path | None,
    form: str,
    as_json: bool,
    record: Path | None,
    merge_into: Path | None,
) -> None:
    """Print the leaderboard of SOURCES: folders of results, or files that --merge has written.

    Without any, it is of this folder's runs and the committed records. Each run counts once;
    records that contradict each other, or are broken, are named.

    One table for each track, dataset and preset; values that are not comparable (another
    extractor, predictor or sample count) never share a column. Reported numbers stay apart.

    On a terminal and without --format, tables are laid out for its width in place of markdown.
    """
    from bench.command_line import command_line
    from leaderboard import export, latex
    from leaderboard.details import DetailsOfRows
    from leaderboard.merging import merge, merge_summaries
    from leaderboard.reported import load_reported
    from leaderboard.table import build_tables
    from leaderboard.terminal import to_terminal

    width = _terminal_width()
    if width is not None and ctx.get_parameter_source("form") is ParameterSource.DEFAULT:
        form = "terminal"
    folders = _sources(sources, runs)
    form = "json" if as_json else form
    # What is written, or shown in full, is what the tables are made of.
    in_full = record is not None or merge_into is not None
    complete = _read(merge, folders, say_duplicates=bool(sources)) if in_full else None
    details = DetailsOfRows(command_line)
    summed_up = partial(merge_summaries, shown=details.add if form == "html" else None)
    found: Merged[Result] | Merged[Summary]
    found = complete or _read(summed_up, folders, say_duplicates=bool(sources))
    for result in complete.results if complete and form == "html" else ():
        details.add(result)
    results: Sequence[AnyResult] = found.results
    reported = load_reported()
    check_name("track", track, results, reported)
    check_name("dataset", dataset, results, reported)
    check_name("preset", preset, results, ())
    names = {"track": track, "dataset": dataset, "preset": preset}
    wanted = _named(results, names)
    if not wanted:
        click.echo(
            "Nothing is measured here yet; `bench run --method contrafeat --dataset shapes3d` "
            "makes a first row.",
            err=True,
        )
    records = _named(complete.results, names) if complete else []
    if merge_into is not None and len(records) < len(results):
        _refuse_part(merge_into, folders)
    if record is not None:
        _keep(records, record, found.incomplete)
    if merge_into is not None:
        _write_merged(records, merge_into, found.incomplete)
    write: dict[str, Callable[[Sequence[Table]], str]] = {
        "md": export.to_markdown,
        "json": export.to_json,
        "csv": export.to_csv,
        "latex": latex.to_latex,
        "terminal": partial(to_terminal, width=width or 0),
        "html": partial(_html, results=wanted, details=details, track=track, preset=preset),
    }
    beside = _named(reported, names | {"preset": None})
    left_out = [conflict.result for conflict in found.conflicts]
    tables = build_tables(wanted, beside, baselines(), left_out)
    click.echo(write[form](tables), nl=False)


def _terminal_width() -> int | None:
    """How many characters a line has where tables are printed; None if not to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _html(
    tables: Sequence[Table],
    results: Sequence[AnyResult],
    details: DetailsOfRows,
    track: str | None,
    preset: str | None,
) -> str:
    """The page of tables, with the verdicts on the claims that speak of a track."""
    from leaderboard.claims import load_claims
    from leaderboard.html import to_html
    from leaderboard.verdicts import judge_papers

    judged = [
        (paper, about)
        for paper, verdicts in judge_papers(load_claims().values(), results, preset)
        if (about := [one for one in verdicts if track in (None, one.claim.track)])
    ]
    return to_html(tables, details, judged)


def _named(records: Iterable[_Any], names: Mapping[str, str | None]) -> list[_Any]:
    """The records that have all given names."""
    given = {kind: name for kind, name in names.items() if name is not None}
    return [
        record
        for record in records
        if all(getattr(record, kind) == name for kind, name in given.items())
    ]


def baselines() -> dict[str, str]:
    """From a method of the catalog to the one that its results are compared with."""
    from bench.catalog import entries

    return {entry.name: entry.baseline for entry in entries("methods") if entry.baseline}


def measured(runs: Path | None) -> list[Result]:
    """All results of a folder of runs and of the committed records, each run once.

    Says what is left out, and why.

    Args:
        runs: The folder; None for ``runs`` in the current folder, if there is one.

    Raises:
        BenchError: The folder does not exist.
    """
    from leaderboard.merging import merge

    return _read(merge, _own_folders(runs), say_duplicates=False).results


def _own_folders(runs: Path | None) -> list[Path]:
    from bench.errors import BenchError

    if runs is not None and not runs.is_dir():
        raise BenchError(f"There is no folder {runs} to read runs from; name one by --runs.")
    return [folder for folder in (runs or RUNS, records_folder()) if folder.is_dir()]


def _sources(sources: Sequence[Path], runs: Path | None) -> Sequence[Path]:
    from bench.errors import BenchError

    if sources and runs is not None:
        raise BenchError("Sources replace --runs; name the folder of runs among the sources.")
    return sources or _own_folders(runs)


def _read(
    merge: Callable[..., Merged[_Record]], sources: Sequence[Path], say_duplicates: bool
) -> Merged[_Record]:
    """Each run once, and the records that contradict those; says what is left out, and why."""
    from bench.errors import BenchError, counted, listed
    from leaderboard.export import printable

    try:
        merged = merge(*sources)
    except ValueError as error:
        raise BenchError(str(error)) from error
    for reason in merged.broken:
        click.echo(f"Left out: {printable(reason)}", err=True)
    for conflict in merged.conflicts:
        click.echo(printable(str(conflict)), err=True)
    if say_duplicates and merged.duplicates:
        pairs = listed([f"{other} is as {kept}" for kept, other in merged.duplicates])
        extra = counted(len(merged.duplicates), "further record")
        click.echo(printable(f"{extra} of the same runs: {pairs}."), err=True)
    return merged


def _write_merged(results: Sequence[Result], path: Path, incomplete: Container[Path]) -> None:
    from bench.errors import BenchError, counted
    from leaderboard.store import MERGED_SUFFIX, write_merged

    if path.suffix != MERGED_SUFFIX:
        raise BenchError(f"--merge writes a file that ends in {MERGED_SUFFIX}, not {path}.")
    _refuse_loss(path, incomplete, "file by --merge")
    try:
        write_merged(path, results)
    except OSError as error:
        raise BenchError(
            f"{path} cannot be written ({error.strerror or error}); name another file by --merge."
        ) from error
    click.echo(f"merged {counted(len(results), 'record')} into {path}", err=True)


def _refuse_part(path: Path, sources: Iterable[Path]) -> None:
    """Refuse to write some of the records over a source that may hold others."""
    from bench.errors import BenchError

    if path.resolve() in {source.resolve() for source in sources}:
        raise BenchError(
            f"{path} is a source too, and would lose what --track, --dataset and --preset leave "
            "out; leave those options out, or name another file by --merge."
        )


def _refuse_loss(path: Path, incomplete: Container[Path], other: str) -> None:
    """Refuse to write over a source with records that were left out as broken."""
    from bench.errors import BenchError

    if path.resolve() in incomplete:
        raise BenchError(
            f"{path} holds what is left out as broken, and would lose it; mend it, or name another "
            f"{other}."
        )


def _keep(results: Sequence[Result], folder: Path, incomplete: Container[Path]) -> None:
    from bench.errors import BenchError
    from leaderboard.store import record_path, write_result

    paths = [record_path(folder, result) for result in results]
    for path in paths:
        _refuse_loss(path, incomplete, "folder by --record")
    for path, result in zip(paths, results, strict=True):
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
    kind: str, name: str | None, results: Iterable[AnyResult], reported: Iterable[ReportedNumber]
) -> None:
    """Refuse a name that neither the catalog nor any record knows."""
    from bench.catalog import entries
    from bench.errors import UnknownName
    from leaderboard.export import printable

    if name is None:
        return
    if kind == "preset":
        known: set[str] = {*PRESETS}
    else:
        known = {entry.name for entry in entries(f"{kind}s")}
    known |= {str(getattr(record, kind)) for record in (*results, *reported)}
    if name not in known:
        shown = sorted(map(printable, known))
        raise UnknownName(kind, name, shown, f"There are numbers of {', '.join(shown)}.")
