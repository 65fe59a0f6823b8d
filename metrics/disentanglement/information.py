"""Mutual information of discretised codes and factors, for MIG and modularity.

The reference takes equal-width bins between the smallest and the largest value of each code and the
empirical mutual information, in nats, of each pair of a code and a factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, require_finite
from metrics.disentanglement.inputs import Codes, Labels, codes_array


def discretise(codes: Any, bins: int = 20) -> Labels:
    """The bin of each code.

    Args:
        codes: (N, K) real numbers; float32 codes are binned in float32, as in the reference.
        bins: How many bins of equal width lie between the smallest and the largest value of a
            code. A bin holds its lower edge, the last one also the largest value.

    Returns:
        int64 (N, K) in 1..bins. All values of a constant code are in one bin.

    Raises:
        ValueError: NaN or infinite entries, codes whose range overflows, or fewer than one bin.
    """
    table = codes_array(codes, "The codes")
    if bins < 1:
        raise ValueError(f"There must be at least one bin, not {bins}.")
    return np.stack([_binned(column, bins) for column in table.T], axis=1)


def mutual_information(binned: Labels, labels: Labels) -> FloatArray:
    """Mutual information of every code with every factor.

    Args:
        binned: int64 (N, K), the bins of the codes, none negative.
        labels: int64 (N, F), the values of the factors, none negative.

    Returns:
        (K, F) in nats, at least 0; exactly 0 for a constant code.
    """
    columns = [_with_factor(binned, labels[:, j]) for j in range(labels.shape[1])]
    return np.stack(columns, axis=1)


def entropies(labels: Labels) -> FloatArray:
    """Entropy (F,), in nats, of the values that each factor has in the samples (N, F)."""
    return np.diag(mutual_information(labels, labels))


def _binned(column: Codes, bins: int) -> Labels:
    low, high = column.min(), column.max()
    require_finite(high - low, "The codes are so large that their range overflows")
    if low == high:
        low, high = low - column.dtype.type(0.5), high + column.dtype.type(0.5)
    # numpy.histogram has the same edges, but refuses codes that vary by rounding only.
    edges = np.linspace(low, high, bins + 1, dtype=column.dtype)
    return np.searchsorted(edges[:-1], column, side="right").astype(np.int64)


def _with_factor(binned: Labels, label: NDArray[np.int64]) -> FloatArray:
    """Mutual information (K,) of all codes with one factor, from one count of joint values."""
    codes, rows, columns = binned.shape[1], int(binned.max()) + 1, int(label.max()) + 1
    cells = (np.arange(codes) * rows + binned) * columns + label[:, None]  # N x K
    counts = np.bincount(cells.ravel(), minlength=codes * rows * columns)
    joint = counts.reshape(codes, rows, columns)
    expected = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    # Whole numbers are divided before the logarithm, so that independence gives log 1 = 0 exactly.
    ratio = np.divide(len(label) * joint, expected, out=np.ones(joint.shape), where=joint > 0)
    information = (joint * np.log(ratio)).sum(axis=(1, 2)) / len(label)
    return np.asarray(information.clip(min=0.0))
