"""``bench cache``: what the suite keeps for later, and removing it."""

from __future__ import annotations

import fnmatch
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import click

from bench.cli.options import RUNS


@click.group(
    epilog="""\b
Examples:
  bench cache ls
  bench cache rm weights/ffhq.pkl
  bench cache rm "artefacts/infoscc/*"
"""
)
def command() -> None:
    """Show or remove fetched weights, datasets, features and what else is kept for later.

    They lie in $BENCH_WEIGHTS, in $BENCH_DATA and in the folder bench of the user's cache; what
    finished training stages left to later runs, in the folder artefacts of all runs.
    """


_out = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=RUNS,
    show_default=True,
    help="The folder of all runs, for the artefacts of their stages.",
)


@command.command(
    "ls",
    epilog="""\b
Examples:
  bench cache ls
  bench cache ls --json
""",
)
@_out
@click.option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
def list_cache(out: Path, as_json: bool) -> None:
    """List what is kept, with sizes; the names are those that `bench cache rm` takes."""
    found = [(name, path, _size(path)) for name, path in _entries(out)]
    if as_json:
        records = [{"name": name, "path": str(path), "bytes": size} for name, path, size in found]
        click.echo(json.dumps(records, indent=2))
        return
    for name, path, size in found:
        click.echo(f"{_readable(size):>10}  {name}  ({path})")
    click.echo(f"{_readable(sum(size for *_, size in found)):>10}  in all")


@command.command(
    "rm",
    epilog="""\b
Examples:
  bench cache rm weights/ffhq.pkl
  bench cache rm data/3dshapes --yes
  bench cache rm "features/shapes3d-*"
""",
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_out
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_from_cache(names: tuple[str, ...], out: Path, yes: bool) -> None:
    """Remove what `bench cache ls` lists under these names, and nothing else.

    A name may be a pattern with * and ?, in quotation marks.
    """
    from bench.errors import BenchError

    known = dict(_entries(out))
    chosen = [found for name in names for found in _matching(name, known)]
    for name in dict.fromkeys(chosen):
        path = known[name]
        if not yes:
            click.confirm(f"Remove {path} ({_readable(_size(path))})?", abort=True)
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()  # of a link only the link goes, not what it leads to
        except OSError as error:
            raise BenchError(f"{path} cannot be removed: {error.strerror or error}.") from error
        click.echo(f"removed {path}", err=True)


def _matching(name: str, known: Collection[str]) -> list[str]:
    """The names that a name or pattern stands for, at least one."""
    from bench.errors import UnknownName

    found = [name] if name in known else fnmatch.filter(known, name)
    if not found:
        raise UnknownName("entry in the cache", name, known, "`bench cache ls` shows them all.")
    return found


def _entries(runs: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of what is kept: the direct contents of the suite's own folders.

    Args:
        runs: The folder of all runs.
    """
    from bench.downloads import (
        artefacts_folder,
        cache_folder,
        data_folder,
        features_folder,
        weights_folder,
    )

    folders = {"weights": weights_folder(), "data": data_folder(), "features": features_folder()}
    for kind, folder in folders.items():
        for path in _contents(folder):
            yield f"{kind}/{path.name}", path
    for path in _contents(cache_folder()):
        if path not in folders.values():
            yield path.name, path
    for method in _contents(artefacts_folder(runs)):
        for path in _contents(method):
            yield f"artefacts/{method.name}/{path.name}", path


def _contents(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # Hidden files are locks, which are empty and may be in use.
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(_size(inner) for inner in path.iterdir())


def _readable(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
