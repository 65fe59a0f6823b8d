"""What the tests of artefacts share: a method of three stages, and what its runs leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from bench.resolve import RunRequest, resolve
from bench.running import RunOptions, execute
from bench.spec import RunSpec
from leaderboard.schema import Result

TOY = RunRequest("toy_stages:StagesMethod", "toy_parts:ToyDataset", "smoke")
KEPT = ["classify", "encode"]


def spec(seed: int = 0, artefact: tuple[Path, ...] = (), **settings: Any) -> RunSpec:
    return resolve(replace(TOY, settings=settings, artefact=artefact), seed)


def run(root: Path, spec: RunSpec, **changes: Any) -> Result:
    return execute(spec, RunOptions(root, device="cpu", **{"quiet": True, **changes}))


def kept(root: Path, stage: str = "") -> list[Path]:
    found = (root / "artefacts").glob(f"*/{stage}*")
    return sorted(path for path in found if not path.name.startswith("."))  # locks stay


def weights(root: Path, spec: RunSpec) -> dict[str, Tensor]:
    (path,) = (root / spec.folder / "checkpoint").rglob("model.safetensors")
    return load_file(path)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not one[name].equal(other[name])] == []


def how(result: Result) -> dict[str, Any]:
    artefacts: Any = result.provenance["artefacts"]
    return {stage: used["how"] for stage, used in artefacts.items()}
