"""Files that are either whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError

PARTIAL = ".part-"
_BLOCK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(BenchError):
    """There is no room for a file."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; on success it takes the place of ``path``.

    Raises:
        DiskFull: There is no room; ``path`` is as it was before.
    """
    # The name's ending stays, since writers of pictures choose the format by it.
    temporary = path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")
    with disk_full_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # safetensors makes files that only their owner can read
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``, which is absent; on success it becomes ``path``.

    Only one process at a time may do so.

    Raises:
        DiskFull: There is no room; ``path`` is still absent.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    shutil.rmtree(partial, ignore_errors=True)  # what a kill left
    try:
        with disk_full_explained(path):
            partial.mkdir(parents=True)
            yield partial
            for written in (*partial.iterdir(), partial):
                sync(written)
            partial.rename(path)
            sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what a kill left of unfinished files and folders; for the folder's owner only."""
    for leftover in list(folder.rglob(f"{PARTIAL}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole, with a final line break."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def append_json(path: Path, record: Any) -> None:
    """Append one record to a file of JSON lines.

    A kill can leave half a line at the end; the next record then starts on a line of its own.
    """
    line = (json.dumps(record, ensure_ascii=False) + "\n").encode()
    with disk_full_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as stream:
            if stream.tell() and not _ends_a_line(stream):
                line = b"\n" + line
            stream.write(line)


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write records as JSON lines, whole."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_bytes(path, lines.encode())


def read_json_lines(path: Path) -> list[Any]:
    """The records of a file of JSON lines; lines that a kill cut off are left out."""
    records = []
    # As bytes: a line may be cut within a letter, and only line feeds end records.
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def sha256_of(path: Path) -> str:
    """The sha256 of a file's contents, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _ends_a_line(stream: Any) -> bool:
    stream.seek(-1, os.SEEK_END)
    return bool(stream.read(1) == b"\n")


@contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn "no room" errors of any library into ``DiskFull``."""
    try:
        yield
    except Exception as error:
        if not _for_want_of_room(error, path.parent):
            raise
        message = (
            f"The disk is full: {path} was not written; nothing that was finished is lost, "
            "make room and run the same command again."
        )
        raise DiskFull(message) from error


def _for_want_of_room(error: Exception, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    # safetensors wraps the system's message; torch.save says only that it could not go on.
    if "No space left on device" in str(error):
        return True
    return isinstance(error, RuntimeError) and shutil.disk_usage(folder).free < _BLOCK


def sync(path: Path) -> None:
    """Make a file's contents, or a folder's entries, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
