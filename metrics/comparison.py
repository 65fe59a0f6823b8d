"""Do two methods differ on the same inputs, where much of what moves either score moves both?

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 14 (the interval of the
mean difference) and 15 (the permutation test). Needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.arrays import FloatArray, finite_array, require_finite, row_blocks
from metrics.statistics import Interval, bootstrap_interval

_ROUNDING = 1e-12  # relative; sums that differ by less than this are ties


@dataclass(frozen=True)
class PairedComparison:
    """How the scores of two methods on the same inputs differ.

    Attributes:
        difference: Mean of the first method's scores minus mean of the second's.
        interval: BCa interval of the difference.
        p_value: How often a mean difference at least as large, of either sign, comes about when
            it is chance which of the two methods has which score of an input; in (0, 1].
        count: How many inputs.
    """

    difference: float
    interval: Interval
    p_value: float
    count: int


def paired_comparison(
    first: Any,
    second: Any,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    flips: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two methods by their scores on the same inputs.

    The p-value is that of the sign-flip (paired permutation) test, two-sided. It goes through all
    2^N ways to flip the signs of the differences where there are at most ``flips``, and else draws
    so many, to which the observed one is added: it is then never below 1 / (flips + 1).

    Args:
        first: (N,), the first method's score of each input.
        second: (N,), the second method's, in the same order.
        level: Coverage asked for by the interval, in (0, 1).
        resamples: How many times the inputs are drawn anew for the interval.
        flips: How many ways to flip signs are drawn for the p-value.
        seed: Seeds both.

    Raises:
        ValueError: Fewer than two inputs, different numbers of them, NaN or infinite scores, a
            level outside (0, 1), no flips, or scores so large that sums or variances overflow.
    """
    scores, others = (
        finite_array(values, f"The scores of the {which} method", ndim=1)
        for values, which in ((first, "first"), (second, "second"))
    )
    if scores.shape != others.shape:
        raise ValueError(
            f"Methods are compared on the same inputs, but there are {len(scores)} scores of the "
            f"first and {len(others)} of the second."
        )
    if flips < 1:
        raise ValueError(f"The p-value needs at least one flip, not {flips}.")
    differences = scores - others
    require_finite(differences, "The scores are so large that their differences overflow")
    interval = bootstrap_interval(
        differences, level=level, resamples=resamples, seed=seed, method="bca"
    )
    p_value = _sign_flip_p_value(differences, flips, seed)
    return PairedComparison(float(differences.mean()), interval, p_value, len(differences))


def _sign_flip_p_value(differences: FloatArray, flips: int, seed: int) -> float:
    size = len(differences)
    observed = abs(differences.sum()) - _ROUNDING * np.abs(differences).sum()
    every_way = size <= np.log2(flips)
    count = 2**size if every_way else flips
    # The bootstrap seeds its generator by ``seed`` alone; this one shall not repeat its draws.
    generator = np.random.default_rng([seed, 1])
    as_large = 0
    for block in row_blocks(count, size):
        ways = np.arange(block.start, block.stop)
        if every_way:
            flipped = (ways[:, None] >> np.arange(size)) & 1
        else:
            flipped = generator.integers(0, 2, (len(ways), size), dtype=np.int8)
        # Flipping the signs of some takes them away twice.
        sums = differences.sum() - 2.0 * (flipped.astype(np.float64) @ differences)
        as_large += int((np.abs(sums) >= observed).sum())
    return as_large / count if every_way else (as_large + 1) / (count + 1)
