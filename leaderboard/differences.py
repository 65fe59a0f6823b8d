"""Differences of one score between two methods, with intervals, and the seeds they would need.

Over two seeds or more, the interval is Student's over paired seeds. Runs of one seed have only
their own intervals, which speak of samples and not of trainings; those of two runs combine to an
interval of their difference as Zou and Donner do ("Construction of confidence limits about effect
measures", Statistics in Medicine, 2008): the distances of the ends from the scores add in squares.
That takes the runs for independent, which is cautious where both see the same images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Literal

import numpy as np

from leaderboard.summary import AnyScore
from metrics.statistics import difference_over_seeds

Basis = Literal["seeds", "samples", "none"]
MOST_SEEDS = 1000  # beyond, no number of seeds is named

_ROUNDING = 1e-9  # relative to the scores; an interval narrower than this has no width


@dataclass(frozen=True)
class Difference:
    """One score of a method less that of another.

    Attributes:
        mean: Mean over the seeds that both have.
        low: Lower end of its interval; None where there is none.
        high: Upper end, or None.
        level: The interval's level, or None.
        basis: Whether the interval is over ``seeds`` or over ``samples``; ``none`` without one.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    level: float | None = None
    basis: Basis = "none"

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out 0 on that side, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def difference_of(left: Sequence[AnyScore], right: Sequence[AnyScore]) -> Difference:
    """Left less right, both in the order of the same seeds, all with values, of one identity.

    Equal differences of all seeds, as counts often have them, do not show how far differences
    spread: their interval is over samples.
    """
    scores, others = (
        [one.value for one in side if one.value is not None] for side in (left, right)
    )
    mean = fmean(scores) - fmean(others)
    if len(left) > 1:
        over = difference_over_seeds(scores, others)
        largest = max(map(abs, (*scores, *others)))
        if over.high - over.low > _ROUNDING * largest:
            return Difference(over.mean, over.low, over.high, over.level, "seeds")
    ends = [_reaches(side) for side in (left, right)]
    levels = {one.interval.level for one in (*left, *right) if one.interval is not None}
    if ends[0] is None or ends[1] is None or len(levels) > 1:
        return Difference(mean)
    (below, above), (others_below, others_above) = ends[0], ends[1]
    low = mean - math.hypot(below, others_above)
    high = mean + math.hypot(above, others_below)
    return Difference(mean, low, high, levels.pop(), "samples")


def more_seeds(difference: Difference, seeds: int) -> int | None:
    """About how many more seeds an interval over seeds would need to leave out 0.

    That is if mean and spread of the difference stay what they are. Where the interval is over
    samples, its reach stands for the spread over seeds, which may be larger.

    Args:
        difference: A difference whose interval holds 0.
        seeds: How many seeds it rests on.

    Returns:
        The number; 1 for a single seed without any interval; None if it is not known, or would
        exceed ``MOST_SEEDS``.
    """
    from scipy.special import stdtrit  # scipy takes long to import

    if difference.low is None or difference.high is None or difference.level is None:
        return 1 if seeds == 1 else None
    share = (1.0 + difference.level) / 2.0
    if difference.basis == "seeds":
        reach = (difference.high - difference.low) / 2.0
        spread = reach * math.sqrt(seeds) / float(stdtrit(seeds - 1, share))
    else:
        end = difference.low if difference.mean > 0 else difference.high
        spread = abs(difference.mean - end) / NormalDist().inv_cdf(share)
    counts = np.arange(max(seeds, 1) + 1, MOST_SEEDS + 1)
    reaches = stdtrit(counts - 1, share) * spread / np.sqrt(counts)
    enough = counts[reaches < abs(difference.mean)]
    return int(enough[0]) - seeds if len(enough) else None


def _reaches(side: Sequence[AnyScore]) -> tuple[float, float] | None:
    """How far the runs' own intervals reach below and above their scores, in the mean."""
    ends = [
        (max(one.value - one.interval.low, 0.0), max(one.interval.high - one.value, 0.0))
        for one in side
        if one.interval is not None and one.value is not None
    ]
    if len(ends) < len(side):
        return None
    return fmean(below for below, _ in ends), fmean(above for _, above in ends)
