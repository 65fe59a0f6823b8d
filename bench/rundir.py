"""The directory of one run: what it holds, who may write to it, and whether the run is over."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bench.errors import BenchError, Locked
from bench.files import (
    append_json,
    disk_full_explained,
    remove_partial_files,
    write_bytes,
    write_json,
)
from bench.spec import RunSpec
from leaderboard.schema import Result
from leaderboard.store import RESULT_NAME, BrokenRecord, read_result

_LOCK, _OWNER, _LOG = ".lock", ".owner", "log.jsonl"


class RunDirectory:
    """``runs/<track>/<dataset>/<method>/<preset>-s<seed>-<hash>/`` with everything of one run.

    It holds ``spec.json``, ``provenance.json``, ``log.jsonl``, ``checkpoint/``, ``result.json``
    and ``figures/``. Only the holder of ``lock()`` may write.

    Attributes:
        path: The directory; it is made by ``lock``.
        spec: The run's specification.
    """

    def __init__(self, root: Path, spec: RunSpec) -> None:
        self.path = root / spec.folder
        self.spec = spec

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the directory; see ``owned``."""
        with owned(self.path):
            yield

    def open(self) -> None:
        """Write ``spec.json`` where it is absent and check it where it is present.

        Raises:
            BenchError: The directory belongs to another specification.
        """
        path = self.path / "spec.json"
        if not path.exists():
            write_json(path, self.spec.model_dump(mode="json"))
        elif _hash_in(path) != self.spec.hash:
            raise BenchError(f"{path} is of another run; use --force to start over.")

    def clear(self) -> None:
        """Remove everything that the run has made, so that it starts from nothing.

        Raises:
            BenchError: Something cannot be removed.
        """
        try:
            for item in self.path.iterdir() if self.path.exists() else ():
                if item.is_dir() and not item.is_symlink():
                    shutil.rmtree(item)
                elif item.name not in (_LOCK, _OWNER):
                    item.unlink()
        except OSError as error:
            raise BenchError(
                f"{self.path} cannot be emptied ({error}); remove it by hand, or name another "
                "folder with --out."
            ) from error

    def result(self) -> Result | None:
        """The result that the run ended with, or None if it has not ended.

        A failed run counts as not ended: the fault may be gone, and the next call goes on from
        its last checkpoint.

        Raises:
            BenchError: ``result.json`` is broken.
        """
        path = self.path / RESULT_NAME
        if not path.exists():
            return None
        try:
            result = read_result(path)
        except BrokenRecord as error:
            raise BenchError(f"{error} Use --force to start over.") from error
        return None if result.status == "failed" else result

    def write_result(self, result: Result) -> None:
        """Write ``result.json``, which ends the run."""
        write_bytes(self.path / RESULT_NAME, (result.model_dump_json(indent=2) + "\n").encode())

    def check_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Write ``provenance.json``; on a run that goes on, its inputs have to be the same.

        Raises:
            BenchError: The dataset, some weights or the number of processes changed since the run
                was started.
        """
        path = self.path / "provenance.json"
        if path.exists():
            before = json.loads(path.read_bytes())
            changed = [
                f"the weights of {name}"
                for name, sha256 in provenance["weights"].items()
                if before["weights"].get(name, sha256) != sha256
            ]
            for key, what in (("dataset", "the dataset"), ("processes", "the number of processes")):
                if before[key] != provenance[key]:
                    changed.append(what)
            if changed:
                raise BenchError(
                    f"{' and '.join(changed).capitalize()} changed since the run in {self.path} "
                    "was started; use --force to start over."
                )
        write_json(path, provenance)

    def log(self, event: str, **fields: Any) -> None:
        """Append one record to ``log.jsonl``."""
        append_json(self.path / _LOG, {"event": event, "time": time.time(), **fields})


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Work in a folder alone, free of what a kill left; the lock ends with the process.

    Args:
        folder: It is made where it is absent.

    Raises:
        Locked: Another process works there; the message names its process id.
        BenchError: The folder cannot be made or written to, or the disk is full.
    """
    lock, owner = FileLock(folder / _LOCK), folder / _OWNER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        message = f"Process {_process_named_in(owner)} works in {folder}; wait until it has ended."
        raise Locked(message) from error
    except OSError as error:
        reason = error.strerror or error
        raise BenchError(
            f"{folder} cannot be made or written to ({reason}); name another folder with --out."
        ) from error
    try:
        with disk_full_explained(owner):
            owner.write_text(str(os.getpid()))
        remove_partial_files(folder)
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _hash_in(path: Path) -> str | None:
    """The hash of the specification in a file; None if it is damaged or of another version."""
    try:
        return RunSpec.model_validate_json(path.read_bytes()).hash
    except ValidationError:
        return None


def _process_named_in(owner: Path) -> str:
    try:
        return owner.read_text() or "(unknown)"
    except OSError:
        return "(unknown)"
