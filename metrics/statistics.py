"""How sure a number is: bootstrap intervals, and spread and differences over seeds.

Different things that tables must not confuse: an ``Interval`` says how a score would move had other
samples been drawn from the same trained model; a ``Spread`` says how it moves when the model is
trained again with another seed. Whether two methods differ on the same inputs is the subject of
``metrics.comparison``.

The bootstrap follows Efron and Tibshirani, "An Introduction to the Bootstrap" (1993): the
percentile method of chapter 13, with the estimate of bias of chapter 10 where
``percentile_interval`` is given the score, and BCa of chapter 14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array, require_finite, row_blocks

Method = Literal["percentile", "bca"]

_ROUNDING = 1e-12  # relative; values that differ by less than this are ties


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


@dataclass(frozen=True)
class SeedDifference:
    """How the scores of two methods differ over runs of the same seeds.

    Attributes:
        mean: Mean of the first method's scores minus mean of the second's.
        low: Lower end of the interval of that difference.
        high: Its upper end.
        level: Its level, in (0, 1).
        count: How many seeds.
    """

    mean: float
    low: float
    high: float
    level: float
    count: int


def bootstrap_interval(
    samples: Any,
    statistic: Callable[[FloatArray], float] | None = None,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    method: Method = "percentile",
) -> Interval:
    """Bootstrap interval of a statistic of independent samples.

    Args:
        samples: (N, ...) array; rows are resampled together.
        statistic: Maps (N, ...) resampled rows to a number. None stands for the mean over all
            entries, which is computed for all resamples by one matrix product.
        level: Coverage asked for, in (0, 1).
        resamples: How many times the N rows are drawn anew.
        seed: Seeds the draws; the same seed draws the same rows for any statistic.
        method: ``"percentile"``, or ``"bca"``: closer to the coverage asked for where the
            statistic is biased or skewed, but with a statistic of one's own it costs N further
            calls.

    Raises:
        ValueError: Fewer than two samples, NaN or infinite entries, a level outside (0, 1), an
            unknown method, a statistic that is not finite on some resample, or values so large
            that sums or variances overflow.
    """
    if method not in ("percentile", "bca"):
        raise ValueError(f"An interval's method is 'percentile' or 'bca', not {method!r}.")
    rows = _rows(samples)
    values: Any
    if statistic is None:
        values = _row_means(bootstrap_means(rows, resamples=resamples, seed=seed))
    else:
        draws = _resampled(len(rows), resamples, seed)
        values = [statistic(rows[chosen]) for chosen in draws]
    if method == "percentile":
        return percentile_interval(values, level)
    if statistic is None:
        return bca_interval(values, float(rows.mean()), _row_means(jackknife_means(rows)), level)
    one_left_out = [statistic(np.delete(rows, index, axis=0)) for index in range(len(rows))]
    return bca_interval(values, statistic(rows), one_left_out, level)


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
        ValueError: Fewer than two samples, NaN or infinite entries, or sums that overflow.
    """
    rows = _rows(samples)
    flat = rows.reshape(len(rows), -1)  # N x everything else
    draws = _resampled(len(rows), resamples, seed)
    blocks = []
    for block in row_blocks(resamples, len(rows)):
        wanted = islice(draws, block.stop - block.start)
        counts = np.stack([np.bincount(chosen, minlength=len(rows)) for chosen in wanted])
        blocks.append(counts.astype(np.float64) @ flat / len(rows))
    means = np.concatenate(blocks).reshape(resamples, *rows.shape[1:])
    require_finite(means, "The samples are so large that their sums overflow")
    return means


def jackknife_means(samples: Any) -> FloatArray:
    """Means over all rows but one, for each row that is left out.

    Args:
        samples: (N, ...) array.

    Returns:
        (N, ...) float64.

    Raises:
        ValueError: Fewer than two samples, NaN or infinite entries, or sums that overflow.
    """
    rows = _rows(samples)
    means = np.asarray((rows.sum(axis=0) - rows) / (len(rows) - 1))
    require_finite(means, "The samples are so large that their sums overflow")
    return means


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
        ValueError: Fewer than two values, NaN or infinite ones, a level outside (0, 1), or values
            whose variance overflows.
    """
    resampled = _resampled_values(values, level)
    low, middle, high = np.quantile(resampled, [(1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0])
    if around is not None:
        low, high = around + (low - middle), around + (high - middle)
    return _interval(low, high, level, resampled)


def bca_interval(values: Any, score: float, jackknife: Any, level: float = 0.95) -> Interval:
    """Bias-corrected and accelerated interval (BCa) from resampled values.

    Its ends are quantiles of the resampled values, too, but others: they are moved by how many of
    the values lie below the score (bias; ties count half), and by how skewed the influence of
    single samples on it is (acceleration).

    Args:
        values: (R,), the score of each resample.
        score: The score of the samples themselves.
        jackknife: (N,), the score of the samples without each one of them.
        level: Coverage asked for, in (0, 1).

    Raises:
        ValueError: Fewer than two values, NaN or infinite ones, a level outside (0, 1), a score
            beyond all resampled values, whose bias cannot be told, or values whose variance
            overflows.
    """
    resampled = _resampled_values(values, level)
    left_out = finite_array(jackknife, "The scores with one sample left out", ndim=1)
    rounding = _ROUNDING * max(abs(score), float(np.abs(resampled).max()))
    ties = np.abs(resampled - score) <= rounding
    below = float(((resampled < score) & ~ties).mean() + ties.mean() / 2.0)
    if not 0.0 < below < 1.0:
        raise ValueError(
            f"The score {score:g} lies beyond all resampled values, where BCa is not defined: take "
            "the percentile interval."
        )
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    acceleration = _acceleration(left_out)
    shares = []
    for share in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        moved = bias + normal.inv_cdf(share)
        shares.append(normal.cdf(bias + moved / (1.0 - acceleration * moved)))
    low, high = np.quantile(resampled, shares)
    return _interval(low, high, level, resampled)


def difference_over_seeds(first: Any, second: Any, level: float = 0.95) -> SeedDifference:
    """Compare two methods by their scores in runs of the same seeds.

    The interval is Student's, of the paired differences; with few seeds it is wide.

    Args:
        first: (S,), the first method's score for each seed, S >= 2.
        second: (S,), the second method's, in the same order.
        level: Coverage asked for, in (0, 1).

    Raises:
        ValueError: Fewer than two seeds, different numbers of them, NaN or infinite scores, a level
            outside (0, 1), or differences that overflow.
    """
    from scipy.special import stdtrit  # scipy.stats has it too, but takes long to import

    scores, others = (
        finite_array(values, f"The scores of the {which} method", ndim=1)
        for values, which in ((first, "first"), (second, "second"))
    )
    if scores.shape != others.shape or len(scores) < 2:
        raise ValueError(
            "Methods are compared over the same seeds, at least two, but there are "
            f"{len(scores)} scores of the first and {len(others)} of the second."
        )
    if not 0.0 < level < 1.0:
        raise ValueError(f"The level of an interval lies between 0 and 1, not at {level}.")
    differences = scores - others
    require_finite(differences, "The scores are so large that their differences overflow")
    mean = float(differences.mean())
    quantile = float(stdtrit(len(scores) - 1, (1.0 + level) / 2.0))
    reach = quantile * standard_error(differences)
    low, high = mean - reach, mean + reach
    require_finite((low, high), "The scores are so large that their differences overflow")
    return SeedDifference(mean, low, high, level, len(scores))


def standard_error(samples: Any) -> float:
    """Standard error of the mean of independent samples (N,): s / sqrt(N), s with N - 1.

    Raises:
        ValueError: Fewer than two samples, NaN or infinite ones, or a variance that overflows.
    """
    values = finite_array(samples, "The samples", ndim=1)
    if len(values) < 2:
        raise ValueError("A standard error needs at least two samples.")
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    require_finite(error, "The samples are so large that their variance overflows")
    return error


def spread_over_seeds(values: Any) -> Spread:
    """Mean and sample standard deviation of one score over seeds (S,).

    Raises:
        ValueError: No values, NaN or infinite ones, or a variance that overflows.
    """
    scores = finite_array(values, "The scores over seeds", ndim=1)
    mean = float(scores.mean())
    std = float(scores.std(ddof=1)) if len(scores) > 1 else None
    require_finite((mean, std or 0.0), "The scores are so large that their variance overflows")
    return Spread(mean, std, len(scores))


def _rows(samples: Any) -> FloatArray:
    rows = finite_array(samples, "The samples")
    if rows.ndim == 0 or len(rows) < 2:
        raise ValueError("A bootstrap needs at least two samples.")
    return rows


def _row_means(values: FloatArray) -> FloatArray:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1))


def _resampled_values(values: Any, level: float) -> FloatArray:
    resampled = finite_array(values, "The resampled values", ndim=1)
    if not 0.0 < level < 1.0:
        raise ValueError(f"The level of an interval lies between 0 and 1, not at {level}.")
    if len(resampled) < 2:
        raise ValueError("An interval needs at least two resamples.")
    return resampled


def _interval(low: float, high: float, level: float, resampled: FloatArray) -> Interval:
    error = float(resampled.std(ddof=1))
    fault = "The resampled values are so large that their variance overflows"
    require_finite((low, high, error), fault)
    return Interval(float(low), float(high), level, error)


def _acceleration(left_out: FloatArray) -> float:
    """A sixth of the skewness of the influence that single samples have on a score."""
    influence = left_out.mean() - left_out
    largest = float(np.abs(influence).max())
    require_finite(largest, "The scores with one sample left out are too large for their mean")
    if largest == 0.0:
        return 0.0
    influence /= largest  # the skewness has no scale, and powers of such numbers cannot overflow
    return float((influence**3).sum()) / (6.0 * float((influence**2).sum()) ** 1.5)


def _resampled(size: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    if resamples < 1:
        raise ValueError(f"A bootstrap draws samples anew at least once, not {resamples} times.")
    generator = np.random.default_rng(seed)
    return (generator.integers(0, size, size) for _ in range(resamples))
