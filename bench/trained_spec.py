"""The specification of a finished run, read back from its directory."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from bench.errors import BenchError
from bench.spec import RunSpec
from leaderboard.store import RESULT_NAME, BrokenRecord, read_result


def completed_spec(folder: Path) -> RunSpec:
    """The specification of a completed run.

    Args:
        folder: The run's directory.

    Raises:
        BenchError: It is no directory of a run, the run is not completed, or a file is damaged.
    """
    spec = spec_of(folder)
    _require_completed(folder)
    return spec


def spec_of(folder: Path) -> RunSpec:
    """The specification of a run, whatever became of it.

    Raises:
        BenchError: It is no directory of a run, or the file is damaged.
    """
    path = folder / "spec.json"
    try:
        return RunSpec.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BenchError(f"{folder} is no run's folder: it has no spec.json.") from None
    except ValidationError as error:
        raise BenchError(f"{path} is damaged or of another version; do the run again.") from error


def _require_completed(folder: Path) -> None:
    path = folder / RESULT_NAME
    try:
        status = read_result(path).status if path.exists() else "unfinished"
    except BrokenRecord as error:
        raise BenchError(str(error)) from error
    if status != "completed":
        raise BenchError(f"The run in {folder} is {status}; give one that is completed.")
