"""Results on disk: one JSON record a run, written whole, found again in any folder.

A record is a file ``result.json`` (in a run directory) or ``*.result.json`` (in a folder of
committed records, laid out by ``record_path``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from leaderboard.schema import SCHEMA_VERSION, Result, describe_errors

RESULT_NAME = "result.json"
RECORD_SUFFIX = ".result.json"
RECORDS = Path(__file__).parent / "records"  # the committed ones, part of this package


class BrokenRecord(ValueError):
    """A file that should hold a result and does not; the message names it."""


def write_result(path: Path, result: Result) -> None:
    """Write a result to a file, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(result.model_dump_json(indent=2) + "\n")
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
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenRecord(f"{path} holds no JSON record ({error}).") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BrokenRecord(
            f"{path} has schema version {version}; this suite reads up to {SCHEMA_VERSION}: "
            "update it."
        )
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        raise BrokenRecord(
            f"{path} is not a result ({describe_errors(list(error.errors()))})."
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
        for path in _records(folder):
            try:
                results.append(read_result(path))
            except BrokenRecord as error:
                warnings.warn(f"Left out: {error}", stacklevel=2)
    return results


def _records(folder: Path) -> Iterator[Path]:
    for root, subfolders, files in os.walk(folder):
        subfolders.sort()
        for name in sorted(files):
            if name == RESULT_NAME or name.endswith(RECORD_SUFFIX):
                yield Path(root, name)
