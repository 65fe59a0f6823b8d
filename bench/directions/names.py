"""Names of directions by an attribute predictor: what each direction changes most.

ContraFeat (Zhu, Xu and Tao, AAAI 2023, arXiv 2212.07277) finds directions that have to be looked at
to be named, which its authors call a limitation. ``bench.word_names`` gives other names, by CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from bench.errors import BenchError
from leaderboard.schema import Result, describe_errors
from leaderboard.store import BrokenRecord, read_result
from metrics.arrays import FloatArray

_TRACK = "discovery"


@dataclass(frozen=True)
class AttributeName:
    """The attribute that a direction changes most.

    Attributes:
        attribute: Its name.
        share: Its share of the changes of all attributes, in (0, 1].
    """

    attribute: str
    share: float

    def __str__(self) -> str:
        return f"{self.attribute} {100 * self.share:.0f} %"


def attribute_names(
    changes: FloatArray, attributes: Sequence[str]
) -> tuple[AttributeName | None, ...]:
    """Name directions by what they change.

    Args:
        changes: (K, A), how much each direction changes each attribute, >= 0.
        attributes: A names.

    Returns:
        K names; None for a direction that changes nothing.
    """
    tops = changes.argmax(axis=1)
    return tuple(
        AttributeName(attributes[top], float(row[top] / row.sum())) if row[top] > 0 else None
        for row, top in zip(changes, tops, strict=True)
    )


@dataclass(frozen=True)
class NamedDirections:
    """The directions of a completed discovery run, by its record.

    Attributes:
        result: The record.
        names: The predictor's name of each direction, from the recorded changes: older records
            hold no names.
        attributes: What the predictor knows.
        scale: The edit scale that the evaluation has found.
    """

    result: Result
    names: tuple[AttributeName | None, ...]
    attributes: tuple[str, ...]
    scale: float

    @classmethod
    def read(cls, path: Path) -> NamedDirections:
        """Read a record.

        Raises:
            BenchError: It is broken, of another track, or of a run that did not complete.
        """
        try:
            result = read_result(path)
        except BrokenRecord as error:
            raise BenchError(str(error)) from error
        if result.track != _TRACK:
            raise BenchError(
                f"{path} is of the track {result.track}, which finds no directions; give a run of "
                f"the track {_TRACK}."
            )
        if result.status != "completed":
            raise BenchError(f"The run of {path} is {result.status}; give one that is completed.")
        try:
            found = _Recorded.model_validate(result.protocol)
        except ValidationError as error:
            raise BenchError(
                f"{path} does not tell what its directions change "
                f"({describe_errors(list(error.errors()))}); do the run again with --force."
            ) from error
        names = attribute_names(np.asarray(found.changes), found.attributes)
        return cls(result, names, found.attributes, found.edit_scale)


class _Recorded(BaseModel):
    """What is read here of a record's protocol."""

    attributes: tuple[str, ...]
    changes: tuple[tuple[float, ...], ...]
    edit_scale: float
