"""What a run ends with: one ``Result``, a versioned JSON record of its scores and of their making.

``Result.model_json_schema()`` is the record's JSON Schema, with the comments of the fields below.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    StringConstraints,
    model_validator,
)

SCHEMA_VERSION: Final = 1

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\r\n]+$")]
Status = Literal["completed", "diverged", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class ConfidenceInterval(_Record):
    """Where a score lies when other samples are drawn from the same trained model."""

    low: FiniteFloat
    """Lower end."""
    high: FiniteFloat
    """Upper end."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage asked for."""

    @model_validator(mode="after")
    def _ordered(self) -> ConfidenceInterval:
        if self.low > self.high:
            raise ValueError(f"an interval from {self.low} to {self.high} is empty")
        return self


class Measurement(_Record):
    """One score of one run."""

    name: Name
    """The metric's name, such as `s_disen` or `fd:efficientnet-lite0`."""
    value: FiniteFloat | None
    """The score; null where the metric does not apply to the method."""
    interval: ConfidenceInterval | None = None
    """Bootstrap interval over samples."""
    standard_error: NonNegativeFloat | None = None
    """Standard error over samples."""
    higher_is_better: bool | None = None
    """The direction of improvement; null for informational metrics."""
    identity: dict[str, str | int | float] = {}
    """All that two values must share to be compared: extractor, predictor, sample counts ..."""


class Result(_Record):
    """What a run ends with, whether it completed or not."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Version of this schema."""
    method: Name
    """Catalog name of the method, or `package.module:Class`."""
    track: Name
    """The evaluation protocol: discovery, editing, reconstruction ..."""
    dataset: Name
    """Catalog name of the dataset."""
    preset: Name
    """smoke, small or paper."""
    seed: NonNegativeInt
    """The run's root seed."""
    overrides: dict[str, JsonValue] = {}
    """What sets the run apart from the plain one of its preset: `--set`, `--generator` ..."""
    spec_hash: Name
    """Hash of the run's specification."""
    status: Status
    """How the run ended."""
    message: str = ""
    """Why the run did not complete, or what a reader must know of it; one sentence."""
    metrics: tuple[Measurement, ...] = ()
    """The scores, most important first; those taken before a failure are kept."""
    protocol: dict[str, JsonValue] = {}
    """Settings of the evaluation that are the same for all scores."""
    steps: NonNegativeInt = 0
    """Optimiser steps taken over all stages."""
    seconds: NonNegativeFloat = 0.0
    """Wall-clock time of training and evaluation."""
    parameters: NonNegativeInt = 0
    """Trainable parameters of the method."""
    provenance: dict[str, JsonValue] = {}
    """Versions, commit, device, dataset fingerprint and sha256 of weights."""
    figures: tuple[str, ...] = ()
    """Paths of figures, relative to the record's folder."""

    @model_validator(mode="after")
    def _consistent(self) -> Result:
        names = Counter(measurement.name for measurement in self.metrics)
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise ValueError(f"measured more than once: {', '.join(twice)}")
        if self.status != "completed" and not self.message:
            raise ValueError(f"a {self.status} run needs a message that says why")
        return self

    def metric(self, name: str) -> Measurement | None:
        """The measurement of that name, or None."""
        return next((found for found in self.metrics if found.name == name), None)


def describe_errors(errors: list[Any]) -> str:
    """The errors of a pydantic ValidationError in one line: where, and what is wrong."""
    parts = []
    for error in errors:
        place = ""
        for step in error["loc"]:
            place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
        parts.append(f"{place}: {error['msg']}" if place else error["msg"])
    return "; ".join(parts)
