"""The method of a finished run, read back as it was evaluated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from baselines.base import Discoverer, Method
from bench import resume
from bench.errors import BenchError
from bench.parts import Parts, load_parts
from bench.processes import process_state
from bench.resolve import load_track
from bench.running import build_method
from bench.spec import RunSpec
from bench.trained_spec import completed_spec


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
    spec = completed_spec(folder)
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


def discoverer_of(trained: Trained) -> Discoverer:
    """The method of a run of the track discovery.

    Raises:
        BenchError: It finds no directions.
    """
    if not isinstance(trained.method, Discoverer):
        raise BenchError(
            f"{trained.spec.method} finds no directions; give a run of the track discovery."
        )
    return trained.method


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
