"""Discovery runs that other runs take directions from (``--directions``): which one, and its hash.

What learns from pairs of images that differ in one direction depends on the whole discovery run:
on its specification, on what it has trained, and on the edit scale that its evaluation has found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from bench.allowed import wrong_settings_explained
from bench.errors import BenchError, MissingFile
from bench.files import sha256_of
from bench.spec import RunSpec
from bench.trained_spec import completed_spec, spec_of
from leaderboard.schema import describe_errors
from leaderboard.store import RESULT_NAME, read_result

_TRACK = "discovery"
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"pairs": 64, "codes": 8},
    "small": {"pairs": 4000, "codes": 64},
}


class DirectionOptions(BaseModel):
    """How pairs are made of a discovery run's directions (``--set directions.KEY=VALUE``).

    Attributes:
        pairs: How many different pairs there are; 240,000 in ContraFeat's program.
        codes: Codes that all directions are compared on; 512 there.
        similarity: A direction is a duplicate where its mean change of features is more similar
            than this to that of an earlier one, in the sum over the extractor's layers, each in
            [0, 1]; 0.1 as in ContraFeat's program, whose extractor has five.
        scale: How far codes are moved either way, in the discovery method's own units; None for
            the edit scale of the run's evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: PositiveInt = 240_000
    codes: PositiveInt = 512
    similarity: float = Field(0.1, gt=0.0)
    scale: PositiveFloat | None = None

    @classmethod
    def configure(cls, preset: str, settings: Mapping[str, Any]) -> DirectionOptions:
        """The options of a preset with settings on top.

        Raises:
            BenchError: A setting is unknown or out of range.
        """
        with wrong_settings_explained(cls, settings, "option of --directions"):
            return cls.model_validate({**_PRESETS.get(preset, {}), **settings})


@dataclass(frozen=True)
class DirectionRun:
    """A completed run of the track ``discovery``.

    Attributes:
        folder: Its directory.
        spec: Its specification.
        scale: The edit scale that its evaluation has found.
    """

    folder: Path
    spec: RunSpec
    scale: float

    @classmethod
    def read(cls, folder: Path) -> DirectionRun:
        """Look at a run's directory.

        Raises:
            MissingFile: There is no run.
            BenchError: It is not completed, of another track, or a file is damaged.
        """
        if not folder.is_dir():
            raise MissingFile(f"There is no run {folder}; give --directions a discovery run.")
        spec = completed_spec(folder)
        if spec.track != _TRACK:
            raise BenchError(
                f"The run in {folder} is of the track {spec.track}; --directions takes one of the "
                f"track {_TRACK}, such as `bench run --method contrafeat` makes."
            )
        path = folder / RESULT_NAME
        try:
            recorded = _Recorded.model_validate(read_result(path).protocol)
        except ValidationError as error:
            raise BenchError(
                f"{path} does not tell how far to go along its directions "
                f"({describe_errors(list(error.errors()))}); do the run again with --force."
            ) from error
        return cls(folder, spec, recorded.edit_scale)

    @classmethod
    def find(cls, folder: Path, preset: str, seed: int) -> DirectionRun:
        """The run in a folder; or, of all runs of one method below it, that of preset and seed.

        Of several, such as those of an ablation, it is the one with nothing but its preset.

        Raises:
            MissingFile: There is none.
            BenchError: There are several, or the run is none to take directions from.
        """
        if (folder / "spec.json").exists() or not folder.is_dir():
            return cls.read(folder)
        found = [path.parent for path in sorted(folder.glob(f"{preset}-s{seed}-*/spec.json"))]
        if not found:
            raise MissingFile(
                f"{folder} is no run's folder and holds no {preset} run with seed {seed}: do that "
                "discovery run first, or give --directions another one."
            )
        if len(found) > 1:
            plain = [path for path in found if not spec_of(path).overrides]
            found = plain if len(plain) == 1 else found
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise BenchError(
                f"{folder} holds several {preset} runs with seed {seed} ({names}); give "
                "--directions the one to take."
            )
        return cls.read(found[0])

    @property
    def label(self) -> str:
        """What sets it apart in tables: its method and what was changed of its preset."""
        changes = (f"{key}={value}" for key, value in sorted(self.spec.overrides.items()))
        return " ".join((self.spec.method, *changes))

    @property
    def sha256(self) -> str:
        """Stands for the directions and for how far they go."""
        weights = sorted(self.folder.glob("checkpoint/*/model.safetensors"))
        trained = [sha256_of(path) for path in weights[-1:]]  # closed-form methods leave none
        return hashlib.sha256(repr((self.spec.hash, trained, self.scale)).encode()).hexdigest()


def with_directions(spec: RunSpec) -> RunSpec:
    """A run with the directions that its discovery run has now; one without any as it is.

    Raises:
        BenchError: The discovery run is not there, or none to take directions from.
    """
    if spec.directions is None:
        return spec
    run = DirectionRun.find(Path(spec.directions), spec.preset, spec.seed)
    return spec.model_copy(
        update={
            "directions": str(run.folder.resolve()),
            "overrides": {**spec.overrides, "directions": run.label},
            "contents": {**spec.contents, "directions": run.sha256},
        }
    )


class _Recorded(BaseModel):
    """What is read here of a record's protocol."""

    edit_scale: PositiveFloat = Field(allow_inf_nan=False)
