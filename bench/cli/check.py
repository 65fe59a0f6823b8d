"""``bench check``: results against a stored baseline, for people and for continuous integration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.leaderboard import check_name
from bench.cli.options import RUNS

if TYPE_CHECKING:
    from leaderboard.baseline import Baseline, ScoreRow
    from leaderboard.check import Check
    from leaderboard.merging import Merged
    from leaderboard.schema import Result


@click.command(
    epilog="""\b
Examples:
  bench check
  bench check my-runs --track editing --allow-missing --format md
  bench check leaderboard/records --accept --reason "StarGAN trains twice as long"

\b
Exit codes:
  0  nothing got worse
  3  regression: a score got worse, or a run no longer completes
  4  nothing got worse, but results are missing or not comparable
"""
)
@click.argument("sources", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    default="small",
    show_default=True,
    help="A name in leaderboard/baselines, or a .json file.",
)
@click.option("--track", help="Only this track.")
@click.option("--dataset", help="Only this dataset.")
@click.option("--preset", help="Only this preset.  [default: those of the baseline]")
@click.option(
    "--allow-missing", is_flag=True, help="Let rows and seeds be missing; --accept keeps them."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "json"]),
    default="text",
    show_default=True,
    help="For a terminal, a pull request or a program.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--accept", is_flag=True, help="Make these results the baseline.")
@click.option("--reason", help="Why they are accepted; kept in the baseline.")
@click.pass_context
def command(
    ctx: click.Context,
    sources: tuple[Path, ...],
    baseline: str,
    track: str | None,
    dataset: str | None,
    preset: str | None,
    allow_missing: bool,
    form: str,
    as_json: bool,
    accept: bool,
    reason: str | None,
) -> None:
    """Compare the results in SOURCES with a baseline: what got worse, better, is missing or new.

    SOURCES are folders of results or files that `bench leaderboard --merge` has written; without
    any, the runs of this folder and the committed records. A run that has several records counts
    by the first, so that one made again here stands for its committed record.
    """
    from bench.errors import BenchError
    from leaderboard import check_export
    from leaderboard.baseline import Baseline, rows_of
    from leaderboard.check import EXIT_CODES, Check, compare

    if accept != bool(reason and reason.strip()):
        raise BenchError("--accept and --reason go together; the reason is kept in the baseline.")
    path = _path(baseline)
    stored = _read(path, baseline) if path.exists() or not accept else Baseline()
    merged = _merged(sources)
    results = merged.results
    check_name("track", track, results, ())
    check_name("dataset", dataset, results, ())
    check_name("preset", preset, results, ())
    presets = {preset} if preset else {row.preset for row in stored.rows}

    def wanted(row: ScoreRow | Result) -> bool:
        return (
            track in (None, row.track)
            and dataset in (None, row.dataset)
            and (not presets or row.preset in presets)
        )

    found = rows_of(result for result in results if wanted(result))
    expected = [row for row in stored.rows if wanted(row)]
    findings = tuple(compare(expected, found, stored.tolerances))
    conflicts = [str(conflict) for conflict in merged.conflicts if wanted(conflict.result)]
    left_out = [f"Left out: {reason}" for reason in merged.broken]
    check = Check(findings, allow_missing, (*conflicts, *left_out))
    if accept:
        for note in check_export.notes(check):
            click.echo(note, err=True)
        if merged.broken:
            raise BenchError(
                "Broken records are not accepted, nor left out: mend, make again or delete "
                f"{len(merged.broken)} (see the notes)."
            )
        _accept(path, stored, found, lambda row: allow_missing or not wanted(row), check, reason)
        return
    write = {
        "text": check_export.to_text,
        "md": check_export.to_markdown,
        "json": check_export.to_json,
    }
    click.echo(write["json" if as_json else form](check, baseline), nl=False)
    ctx.exit(EXIT_CODES[check.verdict])


def _path(baseline: str) -> Path:
    """The file of a baseline that is given by its name or by the file."""
    from leaderboard.baseline import BASELINES

    return Path(baseline) if baseline.endswith(".json") else BASELINES / f"{baseline}.json"


def _read(path: Path, baseline: str) -> Baseline:
    from bench.errors import BenchError, UnknownName
    from leaderboard.baseline import BASELINES, BrokenBaseline, read_baseline

    if not path.exists():
        names = sorted(file.stem for file in BASELINES.glob("*.json"))
        hint = f"There are {', '.join(names) or 'none'}; --accept --reason TEXT makes a new one."
        raise UnknownName("baseline", baseline, names, hint)
    try:
        return read_baseline(path)
    except BrokenBaseline as error:
        raise BenchError(f"{error} Mend it, or take back the last change to it.") from error


def _merged(sources: Sequence[Path]) -> Merged[Result]:
    """The results of the sources, or of this folder's runs and the committed records."""
    from bench.errors import BenchError
    from leaderboard import store
    from leaderboard.merging import merge

    usual = [folder for folder in (RUNS, store.RECORDS) if folder.is_dir()]
    try:
        return merge(*(sources or usual))
    except ValueError as error:
        raise BenchError(str(error)) from error


def _accept(
    path: Path,
    stored: Baseline,
    found: Sequence[ScoreRow],
    keep: Callable[[ScoreRow], bool],
    check: Check,
    reason: str | None,
) -> None:
    """Write the new baseline, unless it would be what it is."""
    from datetime import UTC, datetime

    from bench.errors import BenchError
    from bench.files import write_bytes
    from leaderboard.baseline import Acceptance, baseline_text
    from leaderboard.check import accepted
    from leaderboard.check_export import changes

    if not found:
        raise BenchError("There are no results to accept; name their folder or file.")
    today = datetime.now(UTC).date().isoformat()
    acceptance = Acceptance(date=today, reason=reason or "", changes=changes(check))
    new = accepted(stored, found, keep, acceptance)
    if [row.judged for row in new.rows] == [row.judged for row in stored.rows]:
        click.echo(f"{path} has these results already; it stays as it is.", err=True)
        return
    try:
        write_bytes(path, baseline_text(new).encode())
    except OSError as error:
        raise BenchError(
            f"{path} cannot be written ({error.strerror or error}); name another file by "
            "--baseline."
        ) from error
    click.echo(f"accepted {path}: {acceptance.changes}", err=True)
