"""Inception Score: how sure a classifier is of single images, and how varied all of them are.

Salimans et al., "Improved Techniques for Training GANs" (2016), section 4. The rows are shuffled
and split as in torch-fidelity. Other implementations give other numbers: torchmetrics shuffles
with torch and divides the variance by one split less.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array, require_finite


@dataclass(frozen=True)
class InceptionScore:
    """An Inception Score over splits.

    Attributes:
        mean: Mean over the splits, between 1 and the number of classes.
        std: Their standard deviation, divided by the number of splits.
    """

    mean: float
    std: float


def inception_score(logits: Any, *, splits: int = 10, seed: int | None = 2020) -> InceptionScore:
    """``exp`` of the mean Kullback-Leibler divergence of a row's classes from all rows' classes.

    The score depends on the classifier, on the number of rows in a split, and, for the InceptionV3
    of the original, on which logits are taken (torch-fidelity: those without the bias).

    Args:
        logits: (N, classes) array or tensor, before the softmax. Probabilities become float64; a
            class of probability 0 adds nothing.
        splits: How many parts of N // splits rows, or one more, are scored; none is dropped.
        seed: Shuffles the rows first, see ``shuffled_rows``; None leaves them in order.

    Raises:
        ValueError: NaN or infinite entries, no splits, more splits than rows, or logits whose
            differences overflow.
    """
    rows = finite_array(logits, "The logits", ndim=2)
    count = len(rows)
    if not 1 <= splits <= count:
        raise ValueError(
            f"{count} rows cannot be split into {splits} parts; give 1 to {count} splits."
        )
    if seed is not None:
        rows = rows[shuffled_rows(count, seed)]
    bounds = [part * count // splits for part in range(splits + 1)]
    scores = [_score(rows[start:end]) for start, end in pairwise(bounds)]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def shuffled_rows(count: int, seed: int) -> NDArray[np.int64]:
    """The order that a seed gives ``count`` rows, from ``numpy.random.RandomState``."""
    return np.random.RandomState(seed).permutation(count)


def _score(logits: FloatArray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_probabilities = shifted - log_sums
    probabilities = np.exp(log_probabilities)
    shares = probabilities.mean(axis=0)
    log_shares = np.log(shares, out=np.zeros_like(shares), where=shares > 0.0)
    divergences = (probabilities * (log_probabilities - log_shares)).sum(axis=1)
    require_finite(divergences, "The logits are so large that their differences overflow")
    return float(np.exp(divergences.mean()))
