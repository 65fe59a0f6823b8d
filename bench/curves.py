"""Training curves: what a run's ``log.jsonl`` holds, and where its points lie in a drawing.

A drawing is plain numbers and texts, of which a template makes inline SVG: its colours are those of
the page, light or dark, and its text stays text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.files import read_json_lines

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 56, 308, 8, 152  # the panel inside, in the units of the drawing

_MOST_POINTS = 400  # of a curve; longer ones show the extremes of as many halves
_OF_THE_TRAINER = {"step", "total", "seconds", "waited"}  # numbers of a record that are no losses
_DECADES = 2  # positive losses that span more have a logarithmic scale
_SMALLEST = 1e-100  # what is below is drawn as 0
_LARGEST = 1e100  # beyond, a number in a log is none that training went on with

Loss = Mapping[int, float]  # its mean since the last look, by step


@dataclass
class TrainingLog:
    """What a run has logged.

    Attributes:
        losses: By stage and name.
        artefacts: By stage that has one, ``taken`` or ``given`` if its weights come from another
            run, or ``trained``.
        traceback: Of the last fault, or empty.
    """

    losses: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    artefacts: dict[str, str] = field(default_factory=dict)
    traceback: str = ""


def read_log(path: Path) -> TrainingLog:
    """The log in a file; empty where there is none. Lines that are no records are left out."""
    log = TrainingLog()
    for record in read_json_lines(path):
        if not isinstance(record, dict):
            continue
        stage, step = record.get("stage"), record.get("step")
        if record.get("event") == "error":
            log.traceback = str(record.get("traceback", ""))
        elif isinstance(stage, str) and isinstance(step, int) and _is_number(step):
            losses = log.losses.setdefault(stage, {})
            for name, value in record.items():
                if name not in _OF_THE_TRAINER and _is_number(value):
                    losses.setdefault(name, {})[step] = float(value)
        elif isinstance(stage, str) and isinstance(note := record.get("artefact"), dict):
            log.artefacts[stage] = str(note.get("how"))
    return log


@dataclass(frozen=True)
class Curve:
    """One loss of one run.

    Attributes:
        run: The place of the run in the comparison, from 0.
        points: ``x,y x,y ...`` in the units of the drawing.
        first: Step and mean of the first look.
        lowest: Those of the lowest mean.
        highest: Those of the highest.
        last: Those of the last look.
    """

    run: int
    points: str
    first: tuple[int, float]
    lowest: tuple[int, float]
    highest: tuple[int, float]
    last: tuple[int, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it is in the drawing, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """One loss of one stage, the curves of all runs that have it."""

    loss: str
    curves: tuple[Curve, ...]
    steps: tuple[Tick, ...]
    values: tuple[Tick, ...]
    logarithmic: bool


def charts(logs: Sequence[TrainingLog]) -> dict[str, list[Chart]]:
    """By stage, a chart of each loss that any run has logged; curves of one name share a chart."""
    names: dict[str, dict[str, None]] = {}  # in the order of the first log that has them
    for log in logs:
        for stage, losses in log.losses.items():
            names.setdefault(stage, {}).update(dict.fromkeys(losses))
    return {
        stage: [
            _chart(loss, [log.losses.get(stage, {}).get(loss, {}) for log in logs])
            for loss in losses
        ]
        for stage, losses in names.items()
        if losses
    }


def _chart(loss: str, runs: Sequence[Loss]) -> Chart:
    steps = [step for run in runs for step in run]
    values = [value for run in runs for value in run.values()]
    logarithmic = min(values) > 0 and max(values) / min(values) > 10**_DECADES
    across = _Axis.over(steps, LEFT, RIGHT)
    up = _Axis.over(map(math.log10, values) if logarithmic else values, BOTTOM, TOP)

    def placed(point: tuple[int, float]) -> str:
        step, value = point
        height = up.place(math.log10(value) if logarithmic else value)
        return f"{across.place(step):.1f},{height:.1f}"

    curves = []
    for number, run in enumerate(runs):
        if run:
            points = sorted(run.items())
            curves.append(
                Curve(
                    number,
                    " ".join(map(placed, _thinned(points))),
                    points[0],
                    min(points, key=_value),
                    max(points, key=_value),
                    points[-1],
                )
            )
    return Chart(
        loss,
        tuple(curves),
        across.ticks(whole=True),
        up.powers_of_ten() if logarithmic else up.ticks(),
        logarithmic,
    )


@dataclass(frozen=True)
class _Axis:
    """From values between two ends to places in the drawing."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], begin: float, end: float) -> _Axis:
        known = list(values)
        low, high = min(known), max(known)
        largest = max(abs(low), abs(high))
        if high - low <= max(1e-9 * largest, _SMALLEST):  # a level curve, in the middle
            margin = largest / 2 if largest > _SMALLEST else 1.0
            low, high = low - margin, high + margin
        return cls(low, high, begin, end)

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, whole: bool = False) -> tuple[Tick, ...]:
        """Three to six round numbers."""
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        distance = power * min((1, 2, 5, 10), key=lambda factor: abs(factor - rough / power))
        if whole:
            distance = max(distance, 1.0)
        numbers = range(math.ceil(self.low / distance), math.floor(self.high / distance) + 1)
        return tuple(
            Tick(self.place(number * distance), f"{number * distance:.6g}") for number in numbers
        )

    def powers_of_ten(self) -> tuple[Tick, ...]:
        """Those between the ends, which are logarithms; at most six or so."""
        first, last = math.ceil(self.low), math.floor(self.high)
        every = range(first, last + 1, 1 + (last - first) // 6)
        return tuple(Tick(self.place(power), f"{10.0**power:g}") for power in every)


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Few enough points that show all peaks: of each part of a long curve, the two extremes."""
    if len(points) <= _MOST_POINTS:
        return points
    size = math.ceil(2 * len(points) / _MOST_POINTS)
    parts = (points[start : start + size] for start in range(0, len(points), size))
    return [
        point for part in parts for point in sorted({min(part, key=_value), max(part, key=_value)})
    ]


def _value(point: tuple[int, float]) -> float:
    return point[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < _LARGEST  # and no NaN
