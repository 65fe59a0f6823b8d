"""Results on disk: one JSON record a run, written whole, found again in any folder.

A record is a file ``result.json`` (in a run directory) or ``*.result.json`` (in a folder of
committed records, laid out by ``record_path``). Many records can also be merged into one file
``*.jsonl`` of a line each, which tables read fast (``leaderboard.merging``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from leaderboard.schema import SCHEMA_VERSION, Result, describe_errors

RESULT_NAME = "result.json"
RECORD_SUFFIX = ".result.json"
MERGED_SUFFIX = ".jsonl"
RECORDS = Path(__file__).parent / "records"  # the committed ones, part of this package


class BrokenRecord(ValueError):
    """A file that should hold a result and does not; the message names it."""


def write_result(path: Path, result: Result) -> None:
    """Write a result to a file, whole or not at all; missing folders are made."""
    write_whole(path, [result.model_dump_json(indent=2).encode() + b"\n"])


def write_merged(path: Path, results: Iterable[Result]) -> None:
    """Write results to one file, a line each, whole or not at all; missing folders are made.

    Each is validated once more: who reads the file for tables need not do it again.

    Raises:
        ValueError: A result was changed so that it is none any more.
    """
    write_whole(path, map(_line, results))


def _line(result: Result) -> bytes:
    line = result.model_dump_json().encode() + b"\n"
    Result.model_validate_json(line)
    return line


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_result(path: Path) -> Result:
    """Read a result from a file.

    Raises:
        BrokenRecord: The file is unreadable, no JSON, of a newer schema, or not a result.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenRecord(f"{path} holds no JSON record ({error}).") from error
    return parse_result(content, str(path))


def parse_result(content: bytes, place: str) -> Result:
    """A result from its JSON.

    Raises:
        BrokenRecord: It is no JSON, of a newer schema, or not a result; the message names the
            place.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BrokenRecord(f"{place} holds no JSON record ({error}).") from error
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BrokenRecord(
            f"{place} has schema version {version}; this suite reads up to {SCHEMA_VERSION}: "
            "update it."
        )
    try:
        return Result.model_validate(fields)
    except ValidationError as error:
        raise BrokenRecord(
            f"{place} is not a result ({describe_errors(list(error.errors()))})."
        ) from error


def record_path(folder: Path, result: Result) -> Path:
    """Where a result lies in a folder of committed records.

    ``<folder>/<track>/<dataset>/<method>/<preset>-s<seed>-<spec hash>.result.json``, with
    characters that file systems may refuse replaced by ``_``.
    """
    name = f"{result.preset}-s{result.seed}-{result.spec_hash}{RECORD_SUFFIX}"
    parts = (result.track, result.dataset, result.method, name)
    return folder.joinpath(*(re.sub(r"^\.|[^\w.+-]", "_", part) for part in parts))


def find_results(*folders: Path) -> list[Result]:
    """All results below the folders, in the order of the folders and of the paths in them.

    Warns:
        UserWarning: A record is broken; it is named and left out.

    Raises:
        ValueError: A folder does not exist.
    """
    results = []
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"There is no folder {folder} to read results from.")
        for path in record_files(folder):
            try:
                results.append(read_result(path))
            except BrokenRecord as error:
                warnings.warn(f"Left out: {error}", stacklevel=2)
    return results


def record_files(folder: Path) -> Iterator[Path]:
    """The records below a folder, in the order of their paths."""
    for root, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name == RESULT_NAME or name.endswith(RECORD_SUFFIX):
                yield Path(root, name)
