"""What ``bench score`` hands out, and how bad input becomes one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.errors import BenchError
from leaderboard.schema import ConfidenceInterval, Measurement
from metrics.arrays import FloatArray
from metrics.statistics import bootstrap_interval, standard_error

Identity = Mapping[str, str | int | float]

_MOST_ROWS = 40  # longer tables are left to --json


@dataclass(frozen=True)
class Report:
    """The scores of some files.

    Attributes:
        scores: The measurements; the identity of each says what the number depends on.
        inputs: What was read, ready for JSON.
        rows_of: What there is a row of: ``pairs`` or ``attributes``; empty where there are none.
        rows: The rows, all with the same columns. Mappings among their values are for JSON only.
    """

    scores: list[Measurement]
    inputs: dict[str, Any]
    rows_of: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        scores = [measured.model_dump(mode="json") for measured in self.scores]
        rows = {self.rows_of: self.rows} if self.rows_of else {}
        return {"scores": scores, "inputs": self.inputs, **rows}

    def as_text(self) -> str:
        """Tables of the scores, of the rows if they are not too many, and of what all share."""
        first = self.scores[0].identity
        shared = {
            key: value
            for key, value in first.items()
            if all(measured.identity.get(key) == value for measured in self.scores)
        }
        rows = [_row(measured, shared) for measured in self.scores]
        columns = [name for name in rows[0] if any(row[name] for row in rows)]
        parts = [_table(columns, ([row[name] for name in columns] for row in rows))]
        if 1 < len(self.rows) <= _MOST_ROWS:
            shown = [name for name, of in self.rows[0].items() if not isinstance(of, Mapping)]
            each = ([_text(row[name]) for name in shown] for row in self.rows)
            parts.append(_table(shown, each))
        elif self.rows[1:]:
            parts.append(f"--json has the numbers of each of {len(self.rows):,} {self.rows_of}.")
        if shared:
            same = _table([], ([key, str(value)] for key, value in shared.items()))
            parts.append(f"comparable only with scores of the same\n{indent(same, '  ')}")
        return "\n\n".join(parts)


def mean_score(
    name: str,
    samples: FloatArray,
    *,
    value: float | None = None,
    higher_is_better: bool,
    identity: Identity,
) -> Measurement:
    """A score that is the mean over samples, with its standard error and its BCa interval.

    Args:
        name: The metric's name.
        samples: (N,), the finite score of each; a single one has neither error nor interval.
        value: The score where a metric gave it; the mean if None.
        higher_is_better: The direction of improvement.
        identity: What the number depends on.
    """
    several: dict[str, Any] = {}
    if len(samples) > 1:
        found = bootstrap_interval(samples, method="bca")
        several = {
            "interval": ConfidenceInterval(low=found.low, high=found.high, level=found.level),
            "standard_error": standard_error(samples),
        }
    return Measurement(
        name=name,
        value=float(samples.mean()) if value is None else value,
        higher_is_better=higher_is_better,
        identity=dict(identity),
        **several,
    )


@contextmanager
def blamed_on(inputs: str, remedy: str) -> Iterator[None]:
    """Turn what a metric or a network says of bad input into one sentence that names it.

    Args:
        inputs: The files that it comes from; begins the sentence.
        remedy: What to do; ends it.

    Raises:
        BenchError: In the place of a ValueError or another BenchError, or of an ImportError, whose
            own remedy is kept.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # metrics refuse what overflowed
            yield
    except (ValueError, BenchError) as error:
        raise BenchError(f"{inputs}: {str(error).rstrip('.')}; {remedy}.") from error
    except ImportError as error:
        raise BenchError(str(error)) from error


def _row(measured: Measurement, shared: Mapping[str, Any]) -> dict[str, str]:
    interval = measured.interval
    own = (f"{key} {value}" for key, value in measured.identity.items() if key not in shared)
    return {
        "score": measured.name,
        "value": "n/a" if measured.value is None else _text(measured.value),
        "interval": f"[{interval.low:.6g}, {interval.high:.6g}] ({interval.level:.0%})"
        if interval
        else "",
        "with": ", ".join(own),
    }


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _table(headers: list[str], rows: Iterable[list[str]]) -> str:
    return tabulate(list(rows), headers, tablefmt="plain", disable_numparse=True)
