"""Records of runs in which a test spells out only what it is about."""

from __future__ import annotations

from typing import Any

from leaderboard.schema import ConfidenceInterval, Measurement, Result


def score(
    value: float | None, reach: float | tuple[float, float] | None = None, **fields: Any
) -> Measurement:
    """An s_disen; its interval reaches so far below and above it, which may be two numbers."""
    interval = None
    if value is not None and reach is not None:
        below, above = reach if isinstance(reach, tuple) else (reach, reach)
        interval = ConfidenceInterval(low=value - below, high=value + above)
    return Measurement(
        **{
            "name": "s_disen",
            "value": value,
            "interval": interval,
            "higher_is_better": True,
            **fields,
        }
    )


def record(method: str, seed: int = 0, *metrics: Measurement, **fields: Any) -> Result:
    """A completed run of the preset small on shapes3d."""
    return Result(
        **{
            "method": method,
            "track": "discovery",
            "dataset": "shapes3d",
            "preset": "small",
            "seed": seed,
            "spec_hash": f"{method}{seed}",
            "status": "completed",
            "metrics": metrics,
            **fields,
        }
    )
