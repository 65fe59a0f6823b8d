"""The method of a finished run, read back as it was evaluated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from baselines.base import Method
from bench import resume
from bench.errors import BenchError
from bench.parts import Parts, load_parts
from bench.processes import process_state
from bench.resolve import load_track
from bench.run import build_method
from bench.spec import RunSpec
from leaderboard.store import RESULT_NAME, BrokenRecord, read_result


@dataclass(frozen=True)
class Trained:
    """A finished run with its method and what the method works with.

    Attributes:
        folder: The run's directory.
        spec: Its specification.
        method: In evaluation mode, on the device.
        parts: Its dataset and networks.
    """

    folder: Path
    spec: RunSpec
    method: Method
    parts: Parts


def load_trained(folder: Path, device: str | None = None) -> Trained:
    """Read back the method of a finished run.

    Args:
        folder: The run's directory.
        device: ``cpu``, ``cuda``, or None for the best one present.

    Raises:
        BenchError: It is no directory of a completed run, its checkpoint is gone, or the dataset
            or some weights changed since.
    """
    spec = _spec_of(folder)
    _require_completed(folder)
    where = process_state(device).device
    parts = load_parts(spec, where)
    method = build_method(spec, parts.training_data(), load_track(spec.track)()).to(where)
    restored = resume.load(folder / "checkpoint", method)
    if restored is None and any(True for _ in method.stages(parts.training_data())):
        raise BenchError(
            f"{folder} keeps no checkpoint of what was trained; do the run again with --force."
        )
    _require_unchanged(folder, parts)
    return Trained(folder, spec, method.eval(), parts)


def _spec_of(folder: Path) -> RunSpec:
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


def _require_unchanged(folder: Path, parts: Parts) -> None:
    before = json.loads((folder / "provenance.json").read_bytes())
    now = {"the dataset": parts.fingerprint, **parts.weights}
    recorded = {"the dataset": before["dataset"], **before["weights"]}
    changed = [name for name, value in now.items() if recorded.get(name, value) != value]
    if changed:
        raise BenchError(
            f"What the run in {folder} worked with has changed since ({', '.join(changed)}); do it "
            "again with --force."
        )
