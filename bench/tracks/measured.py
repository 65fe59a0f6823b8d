"""Scores as a result holds them."""

from __future__ import annotations

from collections.abc import Mapping

from leaderboard.schema import ConfidenceInterval, Measurement
from metrics.editing import EditScore


def measured(
    name: str,
    score: EditScore | None,
    higher_is_better: bool | None,
    identity: Mapping[str, str | int | float],
) -> Measurement:
    """A score with its interval; None where it does not apply to the method."""
    if score is None:
        return Measurement(
            name=name, value=None, higher_is_better=higher_is_better, identity=dict(identity)
        )
    ends = score.interval
    return Measurement(
        name=name,
        value=score.value,
        interval=ConfidenceInterval(low=ends.low, high=ends.high, level=ends.level),
        standard_error=ends.standard_error,
        higher_is_better=higher_is_better,
        identity=dict(identity),
    )
