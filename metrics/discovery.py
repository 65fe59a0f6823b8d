"""S_disen and N_discov: how cleanly discovered directions change attributes, and how many.

Zhu, Xu and Tao, "ContraFeat: Contrasting Deep Features for Semantic Discovery" (arXiv 2212.07277),
eqs. 15-18, and the evaluation notebooks of its released code (zhuxinqimac/stylegan2-ada-pytorch,
branch ``group``). An attribute predictor scores images before and after a step along each
direction. The paper and its code read "how much direction i changes attribute j" differently:

- ``"signed-mean"`` (released code; the default): the absolute value of the mean change, so that a
  change whose sign varies between samples cancels. The code steps both ways: ``before`` are the
  scores at ``w - s delta``, ``after`` those at ``w + s delta``.
- ``"mean-absolute"`` (printed): the mean of the absolute change. The prose compares with the
  unedited image: ``before`` are then the scores at ``w``, one row for each sample.

A direction that changes no attribute at all divides 0 by 0 in the released code and makes its
S_disen NaN. Here such a dead direction scores 0, stays in the average and discovers nothing. All
attributes that tie for a direction's largest change count as discovered, as in the released code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array, require_finite
from metrics.statistics import Interval, bootstrap_means, percentile_interval

Reading = Literal["signed-mean", "mean-absolute"]


@dataclass(frozen=True, eq=False)
class DiscoveryScores:
    """The two scores of a set of directions and the matrix behind them.

    Attributes:
        s_disen: Mean lead of a direction's largest change over its second largest, in [0, 1].
        n_discov: How many attributes are the largest change of some direction.
        discovered: bool (attributes,): which ones.
        matrix: (directions, attributes) in [0, 1], changes divided by the row's largest.
    """

    s_disen: float
    n_discov: int
    discovered: NDArray[np.bool_]
    matrix: FloatArray


class DiscoveryIntervals(NamedTuple):
    """Bootstrap intervals over samples of the two scores."""

    s_disen: Interval
    n_discov: Interval


def discovery_scores(after: Any, before: Any, reading: Reading = "signed-mean") -> DiscoveryScores:
    """S_disen and N_discov from attribute scores of edited images.

    Args:
        after: (directions, samples, attributes) predictor outputs after the step.
        before: Outputs of the same samples before it: the same shape, or (samples, attributes)
            where they do not depend on the direction.
        reading: See the module.

    Raises:
        ValueError: Shapes that do not match, NaN or infinite entries, changes that overflow, fewer
            than two attributes, or an unknown reading.
    """
    return scores_from_changes(_changes(after, before, reading).mean(axis=0))


def scores_from_changes(changes: Any) -> DiscoveryScores:
    """S_disen (eq. 17) and N_discov (eq. 18) of a matrix of changes.

    Args:
        changes: (directions, attributes), how much each direction changes each attribute; the
            sign does not count, nor does the scale of a row.

    Raises:
        ValueError: NaN or infinite entries, or fewer than two attributes.
    """
    matrix = _normalised(finite_array(changes, "The matrix of changes", ndim=2))
    discovered = _discovered(matrix)
    return DiscoveryScores(float(_s_disen(matrix)), int(discovered.sum()), discovered, matrix)


def discovery_intervals(
    after: Any,
    before: Any,
    reading: Reading = "signed-mean",
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> DiscoveryIntervals:
    """Percentile bootstrap intervals of the two scores over samples, all resamples at once.

    Every resample draws the same samples for all directions. Both scores take maxima of noisy
    means, which are noisier still on resamples, so the intervals are moved onto the scores
    (``metrics.statistics.percentile_interval``) and cut off at the smallest and the largest score
    possible. They speak of scores from as many samples; with few, these are biased themselves.

    Args:
        after: See ``discovery_scores``.
        before: Likewise.
        reading: Likewise.
        level: Coverage asked for, in (0, 1).
        resamples: How many times the samples are drawn anew.
        seed: Seeds the draws.

    Raises:
        ValueError: As ``discovery_scores``, or fewer than two samples.
    """
    changes = _changes(after, before, reading)
    scores = scores_from_changes(changes.mean(axis=0))
    matrices = _normalised(bootstrap_means(changes, resamples=resamples, seed=seed))  # R x D x A
    found = _discovered(matrices).sum(axis=-1)
    return DiscoveryIntervals(
        _interval(_s_disen(matrices), scores.s_disen, 1.0, level),
        _interval(found, scores.n_discov, float(len(scores.discovered)), level),
    )


def _interval(resampled: Any, score: float, largest: float, level: float) -> Interval:
    """The interval of one score in [0, largest]."""
    interval = percentile_interval(resampled, level, around=score)
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, largest))


def _changes(after: Any, before: Any, reading: Reading) -> FloatArray:
    """Changes of each sample, samples x directions x attributes, so that their mean is eq. 15."""
    moved = finite_array(after, "The scores after the step", ndim=3)
    unmoved = finite_array(before, "The scores before the step")
    if unmoved.shape not in (moved.shape, moved.shape[1:]):
        raise ValueError(
            f"Scores before the step have shape {unmoved.shape}, those after it {moved.shape}."
        )
    shifts = (moved - unmoved).swapaxes(0, 1)
    require_finite(shifts.sum(axis=0), "The scores are so large that their changes overflow")
    if reading == "signed-mean":
        return shifts
    if reading == "mean-absolute":
        return np.abs(shifts)
    raise ValueError(f"A reading is 'signed-mean' or 'mean-absolute', not {reading!r}.")


def _normalised(changes: FloatArray) -> FloatArray:
    """Eq. 16 on (..., directions, attributes); rows of zeros stay zero."""
    if changes.shape[-1] < 2:
        raise ValueError("S_disen compares attributes and needs at least two of them.")
    sizes = np.abs(changes)
    largest = sizes.max(axis=-1, keepdims=True)
    return np.divide(sizes, largest, out=np.zeros_like(sizes), where=largest > 0.0)


def _s_disen(matrix: FloatArray) -> FloatArray:
    ordered = np.partition(matrix, -2, axis=-1)  # the two largest come last
    return np.asarray((ordered[..., -1] - ordered[..., -2]).mean(axis=-1))


def _discovered(matrix: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((matrix == 1.0).any(axis=-2))
