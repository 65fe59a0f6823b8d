"""``bench fetch``: pretrained weights and datasets, checked and continued where they stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from bench.downloads import Download
    from bench.fetch import Bar, Fetched


@click.command(
    epilog="""\b
Examples:
  bench fetch stylegan2-ffhq-256 alexnet
  bench fetch --offline inception-v3-tf    # check a file that was put in place by hand
"""
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--offline", is_flag=True, help="Connect to nothing; only check what is there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(names: tuple[str, ...], offline: bool, as_json: bool) -> None:
    """Fetch weights and datasets by NAME; without a name, show all that there are.

    A download that was interrupted goes on where it stopped, and a file is used only when its
    sha256 is the stated one; where none is stated, that of the first fetch counts from then on.
    Nothing else in the suite connects to the network.
    """
    from bench.downloads import downloads

    if not names:
        _show(downloads(), as_json)
        return
    entries = [entry for name in names if (entry := _entry(name)) is not None]
    fetched = _fetch_all(entries, offline)
    if as_json:
        click.echo(json.dumps([_record(file) for file in fetched], indent=2))


def _entry(name: str) -> Download | None:
    """The download of a name; None if the catalog's thing of that name needs none."""
    from bench.catalog import entries
    from bench.downloads import download, downloads

    if name not in {entry.name for entry in downloads()}:
        for kind in ("generators", "extractors", "predictors", "datasets"):
            for entry in entries(kind):
                if name == entry.name and "bench fetch" not in entry.needs:
                    needs = f"it needs {entry.needs}" if entry.needs else "it comes with the suite"
                    click.echo(f"{name}: nothing to fetch, {needs}", err=True)
                    return None
    return download(name)


def _fetch_all(entries: list[Download], offline: bool) -> list[Fetched]:
    """Fetch each; what fails does not keep the others from coming, and is raised at the end."""
    from bench.errors import BenchError
    from bench.fetch import fetch

    fetched: list[Fetched] = []
    failures: list[BenchError] = []
    for entry in entries:
        try:
            file = fetch(entry, offline, _progress if sys.stderr.isatty() else None)
        except BenchError as error:
            failures.append(error)
            continue
        fetched.append(file)
        said = f"{file.name}: {file.status} {file.path} (sha256 {file.sha256})"
        if file.recorded:
            said += "; no source states this sha256, so it is recorded now and checked from here on"
        click.echo(said, err=True)
    for failure in failures[:-1]:
        click.echo(f"Error: {failure}", err=True)
    if failures:
        raise failures[-1]
    return fetched


def _show(entries: tuple[Download, ...], as_json: bool) -> None:
    from bench.downloads import present
    from bench.fetch import recorded_hash

    records: list[dict[str, Any]] = []
    for entry in entries:
        records.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "present": present(entry) is not None,
                "path": str(present(entry) or entry.path),
                "sha256": entry.sha256 or recorded_hash(entry),
                "size": entry.size,
                "note": entry.note,
            }
        )
    if as_json:
        click.echo(json.dumps(records, indent=2))
    elif not sys.stdout.isatty():
        click.echo("\n".join(entry.name for entry in entries))
    else:
        width = max(len(record["name"]) for record in records)
        for record in records:
            state = "present" if record["present"] else "absent "
            click.echo(f"{record['name']:{width}}  {state}  {record['path']}  ({record['note']})")


def _record(file: Fetched) -> dict[str, Any]:
    return {
        "name": file.name,
        "path": str(file.path),
        "sha256": file.sha256,
        "status": file.status,
        "recorded": file.recorded,
    }


@contextmanager
def _progress(entry: Download) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _RichBar(progress, progress.add_task(entry.name, total=entry.size))


class _RichBar:
    """Shows what pooch tells about a download."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    @property
    def total(self) -> int:
        return int(self._progress.tasks[0].total or 0)

    @total.setter
    def total(self, count: int) -> None:
        self._progress.update(self._task, total=count)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.refresh()
