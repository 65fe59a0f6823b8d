"""How sure a number is: bootstrap intervals over samples, and the spread over seeds.

Two different things that tables must not confuse: an ``Interval`` says how a score would move had
other samples been drawn from the same trained model; a ``Spread`` says how it moves when the model
is trained again with another seed. The bootstrap is the percentile method of Efron and Tibshirani,
"An Introduction to the Bootstrap" (1993), chapter 13, with the estimate of bias of chapter 10 where
``percentile_interval`` is given the score. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array

_COUNTS_AT_ONCE = 4_000_000  # resampling counts held in memory at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval.

    Attributes:
        low: Lower end.
        high: Upper end.
        level: The share of the resampled values between the two, in (0, 1).
        standard_error: Sample standard deviation of the resampled values.
    """

    low: float
    high: float
    level: float
    standard_error: float


@dataclass(frozen=True)
class Spread:
    """What repeating a run with other seeds gives.

    Attributes:
        mean: Mean over the seeds.
        std: Sample standard deviation (divided by count - 1), or None for a single seed.
        count: How many seeds.
    """

    mean: float
    std: float | None
    count: int


def bootstrap_interval(
    samples: Any,
    statistic: Callable[[FloatArray], float] | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of a statistic of independent samples.

    Args:
        samples: (N, ...) array; rows are resampled together.
        statistic: Maps (N, ...) resampled rows to a number. None stands for the mean over all
            entries, which is computed for all resamples by one matrix product.
        level: Coverage asked for, in (0, 1).
        resamples: How many times the N rows are drawn anew.
        seed: Seeds the draws; the same seed draws the same rows for any statistic.

    Raises:
        ValueError: Fewer than two samples, NaN or infinite entries, a level outside (0, 1), or a
            statistic that is not finite on some resample.
    """
    rows = _rows(samples)
    if statistic is None:
        values = bootstrap_means(rows, resamples=resamples, seed=seed)
        return percentile_interval(values.reshape(resamples, -1).mean(axis=1), level)
    draws = _resampled(len(rows), resamples, seed)
    return percentile_interval([statistic(rows[chosen]) for chosen in draws], level)


def bootstrap_means(samples: Any, *, resamples: int = 1000, seed: int = 0) -> FloatArray:
    """Means over resampled rows, by matrix products instead of copies of the rows.

    Statistics that are functions of means follow by applying them to each entry of the result.

    Args:
        samples: (N, ...) array; rows are resampled together.
        resamples: How many times the N rows are drawn anew.
        seed: Seeds the draws.

    Returns:
        (resamples, ...) float64.

    Raises:
        ValueError: Fewer than two samples, or NaN or infinite entries.
    """
    rows = _rows(samples)
    flat = rows.reshape(len(rows), -1)  # N x everything else
    draws = _resampled(len(rows), resamples, seed)
    block = max(1, _COUNTS_AT_ONCE // len(rows))
    means = []
    for start in range(0, resamples, block):
        wanted = islice(draws, min(block, resamples - start))
        counts = np.stack([np.bincount(chosen, minlength=len(rows)) for chosen in wanted])
        means.append(counts.astype(np.float64) @ flat / len(rows))
    return np.concatenate(means).reshape(resamples, *rows.shape[1:])


def percentile_interval(
    values: Any, level: float = 0.95, *, around: float | None = None
) -> Interval:
    """The interval that holds the middle ``level`` of resampled values.

    A resample is noisier than the samples themselves. A statistic that takes maxima of noisy
    numbers is then biased on resamples, and the interval can miss the very score that it belongs
    to. Given the score, the interval is moved so that the middle of the resampled values, their
    median, falls on it: what it covers is the score that so many samples give on average.

    Args:
        values: (R,), the score of each resample.
        level: The share of them that the interval holds, in (0, 1).
        around: The score of the samples themselves, which the interval then contains; None leaves
            the interval where the resampled values are.

    Raises:
        ValueError: Fewer than two values, NaN or infinite ones, or a level outside (0, 1).
    """
    resampled = finite_array(values, "The resampled values", ndim=1)
    if not 0.0 < level < 1.0:
        raise ValueError(f"The level of an interval lies between 0 and 1, not at {level}.")
    if len(resampled) < 2:
        raise ValueError("An interval needs at least two resamples.")
    low, middle, high = np.quantile(resampled, [(1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0])
    if around is not None:
        low, high = around + (low - middle), around + (high - middle)
    return Interval(float(low), float(high), level, float(resampled.std(ddof=1)))


def standard_error(samples: Any) -> float:
    """Standard error of the mean of independent samples (N,): s / sqrt(N), s with N - 1.

    Raises:
        ValueError: Fewer than two samples, or NaN or infinite ones.
    """
    values = finite_array(samples, "The samples", ndim=1)
    if len(values) < 2:
        raise ValueError("A standard error needs at least two samples.")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def spread_over_seeds(values: Any) -> Spread:
    """Mean and sample standard deviation of one score over seeds (S,).

    Raises:
        ValueError: No values, or NaN or infinite ones.
    """
    scores = finite_array(values, "The scores over seeds", ndim=1)
    std = float(scores.std(ddof=1)) if len(scores) > 1 else None
    return Spread(float(scores.mean()), std, len(scores))


def _rows(samples: Any) -> FloatArray:
    rows = finite_array(samples, "The samples")
    if rows.ndim == 0 or len(rows) < 2:
        raise ValueError("A bootstrap needs at least two samples.")
    return rows


def _resampled(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    return (generator.integers(0, size, size) for _ in range(resamples))
