"""Stored baselines: the scores that ``bench check`` holds results against.

A baseline is a JSON file: tolerances, which a maintainer edits; the history of what was accepted
and why; and rows of scores, one a line, which the command writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    FiniteFloat,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from leaderboard.schema import Name, Status, describe_errors
from leaderboard.summary import AnyResult, AnyScore
from leaderboard.table import described, run_of

BASELINES = Path(__file__).parent / "baselines"  # the committed ones, part of this package

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class BrokenBaseline(ValueError):
    """A file that should hold a baseline and does not; the message names it."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Tolerance(_Part):
    """How far a score may move: as far as the largest of the three allows."""

    absolute: NonNegativeFloat = 1e-6
    """In units of the score."""
    relative: NonNegativeFloat = 0.02
    """As a share of the baseline's score."""
    deviations: NonNegativeFloat = 3.0
    """In sample standard deviations over the baseline's seeds; nothing where it has one seed."""


class Tolerances(_Part):
    """Tolerances by metric."""

    default: Tolerance = Tolerance()
    """For metrics that have a direction of improvement."""
    metrics: dict[Name, Tolerance] = {}
    """For single metrics, by name; what an entry leaves out is the default's."""

    def of(self, metric: str, *, directed: bool) -> Tolerance | None:
        """A metric's tolerance; None for an informational one without an entry of its own."""
        entry = self.metrics.get(metric)
        if entry is None:
            return self.default if directed else None
        return self.default.model_copy(update=entry.model_dump(exclude_unset=True))


class Acceptance(_Part):
    """Why a baseline is what it is."""

    date: str
    """Day of the change, as 2026-01-31."""
    reason: Reason
    """What was given by ``--reason``."""
    changes: str
    """What was accepted, in numbers."""


class Run(_Part):
    """How one run ended."""

    status: Status
    """completed, diverged or failed."""
    spec_hash: Name
    """Hash of its specification, which its record is named after; to trace it, never compared."""
    message: str = ""
    """Why it did not complete; never compared either."""


class ScoreOverSeeds(_Part):
    """One metric of one identity, over seeds."""

    metric: Name
    """The metric's name."""
    higher_is_better: bool | None
    """The direction of improvement; null for informational metrics."""
    identity: dict[str, str | int | float]
    """All that two values must share to be compared."""
    values: dict[NonNegativeInt, FiniteFloat]
    """By seed, those of completed runs; left out where the metric does not apply."""

    @property
    def kind(self) -> tuple[Any, ...]:
        """What another score must have in common with this one to be compared with it."""
        return _kind(self.metric, self)


class ScoreRow(_Part):
    """One method with one set of overrides in one table."""

    track: Name
    """The evaluation protocol."""
    dataset: Name
    """The dataset."""
    preset: Name
    """The preset."""
    method: Name
    """The method."""
    overrides: dict[str, JsonValue] = {}
    """What sets its runs apart from the plain ones of the preset."""
    runs: dict[NonNegativeInt, Run]
    """By seed."""
    scores: tuple[ScoreOverSeeds, ...]
    """Most important first."""

    @property
    def key(self) -> tuple[str, ...]:
        """What names the row."""
        settings = described(self.overrides)
        return self.track, self.dataset, self.preset, self.method, settings

    @property
    def label(self) -> str:
        """The row's name for readers."""
        settings = f" ({described(self.overrides)})" if self.overrides else ""
        return f"{self.track}/{self.dataset}/{self.preset} {self.method}{settings}"

    @property
    def judged(self) -> dict[str, Any]:
        """All that checks look at: what its runs are traced by is left out."""
        return self.model_dump(exclude={"runs": {"__all__": {"spec_hash", "message"}}})


class Baseline(_Part):
    """What results are held against."""

    schema_version: Literal[1] = 1
    """Version of this schema."""
    tolerances: Tolerances = Tolerances()
    """How far scores may move."""
    history: tuple[Acceptance, ...] = ()
    """Why it is what it is, oldest first."""
    rows: tuple[ScoreRow, ...] = ()
    """In the order of their keys."""

    @model_validator(mode="after")
    def _each_row_once(self) -> Baseline:
        keys = set()
        for row in self.rows:
            if row.key in keys:
                raise ValueError(f"{row.label} has two rows")
            keys.add(row.key)
        return self


def read_baseline(path: Path) -> Baseline:
    """Read a baseline from a file.

    Raises:
        BrokenBaseline: The file is unreadable, no JSON, or not a baseline.
    """
    try:
        return Baseline.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        described_errors = describe_errors(list(error.errors()))
        raise BrokenBaseline(f"{path} is not a baseline ({described_errors}).") from error
    except (OSError, ValueError) as error:
        raise BrokenBaseline(f"{path} holds no baseline ({error}).") from error


def baseline_text(baseline: Baseline) -> str:
    """A baseline as the text of its file: JSON, each score on one line, for diffs to be read."""
    content = baseline.model_dump(mode="json", exclude={"rows"})
    entries = baseline.tolerances.metrics
    content["tolerances"]["metrics"] = {
        metric: entry.model_dump(exclude_unset=True) for metric, entry in entries.items()
    }
    head = json.dumps(content, indent=2, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n".join(map(_row_text, baseline.rows))
    return f'{head},\n  "rows": [\n{rows}\n  ]\n}}\n'


def rows_of(results: Iterable[AnyResult]) -> list[ScoreRow]:
    """Results, each run once as ``leaderboard.merging`` gives them, as rows in tables' order."""
    runs = sorted(map(run_of, results), key=itemgetter(0, 1, 2))
    rows = groupby(runs, key=itemgetter(0, 1))
    return [_row([run.result for run in members]) for _, members in rows]


def with_further_seeds(row: ScoreRow, other: ScoreRow) -> ScoreRow:
    """A row with the runs and values that only another row of its key has the seeds of."""
    values: dict[tuple[Any, ...], tuple[ScoreOverSeeds, dict[int, float]]] = {}
    for score in other.scores:  # its order stays, so that accepting a part again changes nothing
        further = {seed: one for seed, one in score.values.items() if seed not in row.runs}
        values[score.kind] = score, further
    for score in row.scores:
        values.setdefault(score.kind, (score, {}))[1].update(score.values)
    scores = [
        score.model_copy(update={"values": dict(sorted(of_seeds.items()))})
        for score, of_seeds in values.values()
        if of_seeds
    ]
    runs = dict(sorted({**other.runs, **row.runs}.items()))
    return row.model_copy(update={"runs": runs, "scores": tuple(scores)})


def _kind(metric: str, score: ScoreOverSeeds | AnyScore) -> tuple[Any, ...]:
    return metric, score.higher_is_better, *sorted(score.identity.items())


def _row(runs: Sequence[AnyResult]) -> ScoreRow:
    """The row of runs of one key and different seeds."""
    scores: dict[tuple[Any, ...], tuple[AnyScore, dict[int, float]]] = {}
    for run in runs:
        for measured in run.metrics if run.status == "completed" else ():
            if measured.value is not None:
                kind = _kind(measured.name, measured)
                scores.setdefault(kind, (measured, {}))[1][run.seed] = measured.value
    first = runs[0]
    return ScoreRow(
        track=first.track,
        dataset=first.dataset,
        preset=first.preset,
        method=first.method,
        overrides=first.overrides,
        runs={run.seed: _ended(run) for run in runs},
        scores=tuple(_score(*score) for score in scores.values()),
    )


def _ended(run: AnyResult) -> Run:
    message = "" if run.status == "completed" else run.message
    return Run(status=run.status, spec_hash=run.spec_hash, message=message)


def _score(measured: AnyScore, values: dict[int, float]) -> ScoreOverSeeds:
    return ScoreOverSeeds(
        metric=measured.name,
        higher_is_better=measured.higher_is_better,
        identity=measured.identity,
        values=values,
    )


def _row_text(row: ScoreRow) -> str:
    content = row.model_dump(mode="json", exclude={"scores", "runs"})
    content["runs"] = {
        str(seed): run.model_dump(exclude_defaults=True) for seed, run in row.runs.items()
    }
    head = json.dumps(content, ensure_ascii=False).removesuffix("}")
    scores = [json.dumps(one.model_dump(mode="json"), ensure_ascii=False) for one in row.scores]
    return f'    {head}, "scores": [' + ",".join(f"\n      {one}" for one in scores) + "\n    ]}"
