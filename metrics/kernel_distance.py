"""Kernel distance of two sets of features (KID when the features are Inception's).

Bińkowski et al., "Demystifying MMD GANs" (2018), section 4: the unbiased estimate of the squared
maximum mean discrepancy with a cubic polynomial kernel. Drawn subsets follow torch-fidelity, whose
arithmetic is float32; here it is float64, which moves its values by about 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, require_finite, row_blocks, two_sets

Kernel = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance over subsets.

    Attributes:
        mean: Mean of the subsets' estimates. It estimates a number of at least 0 without bias, so
            it falls below 0 for sets that are alike.
        std: Their standard deviation (divided by the number of subsets). Subsets overlap, so this
            is no standard error.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class PolynomialKernel:
    """``(scale x.y + offset)^degree``; KID's kernel by default.

    Attributes:
        degree: A whole number, at least 1.
        scale: 1 / D where None.
        offset: Any number.
    """

    degree: int = 3
    scale: float | None = None
    offset: float = 1.0

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ValueError(f"The degree of a kernel must be at least 1, not {self.degree}.")

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Values of all pairs of rows of ``x`` (N, D) and ``y`` (M, D): (N, M)."""
        base = x @ y.T
        base *= 1.0 / x.shape[1] if self.scale is None else self.scale
        base += self.offset
        values = base.copy()
        for _ in range(self.degree - 1):  # many times faster than a power
            values *= base
        return values


@dataclass(frozen=True)
class GaussianKernel:
    """``exp(-|x - y|^2 / (2 sigma^2))``.

    Attributes:
        sigma: Larger than 0, in units of the features.
    """

    sigma: float

    def __post_init__(self) -> None:
        if not self.sigma > 0.0:
            raise ValueError(f"The sigma of a kernel must be larger than 0, not {self.sigma}.")

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Values of all pairs of rows of ``x`` (N, D) and ``y`` (M, D): (N, M)."""
        centre = y.mean(axis=0)  # an offset that all features share would cancel badly
        x, y = x - centre, y - centre
        exponent = 2.0 * (x @ y.T)
        exponent -= (x * x).sum(axis=1)[:, None]
        exponent -= (y * y).sum(axis=1)
        exponent /= 2.0 * self.sigma**2
        np.minimum(exponent, 0.0, out=exponent)  # rounding may leave it above
        return np.exp(exponent, out=exponent)


_KID_KERNEL = PolynomialKernel()


def kernel_distance(
    features1: Any,
    features2: Any,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    kernel: Kernel = _KID_KERNEL,
    seed: int = 2020,
) -> KernelDistance:
    """Mean and spread of the squared MMD over drawn subsets of two sets of features.

    The number of subsets, their size, the kernel and the seed all change the result; the defaults
    are torch-fidelity's. Other packages draw otherwise: clean-fid unseeded and the second set
    first, and subsets shrink to the size of the set.

    Args:
        features1: (N, D) array or tensor.
        features2: (M, D) array or tensor.
        subsets: How many pairs of subsets are drawn.
        subset_size: Rows of each, drawn without replacement; at most N and M.
        kernel: Maps rows (n, D) and (m, D) to their kernel values (n, m).
        seed: Seeds the draws, see ``draw_subsets``.

    Raises:
        ValueError: NaN or infinite entries, different widths, no subsets, subsets of fewer than
            two rows or more than a set has, or features whose kernel overflows.
    """
    first, second = _two_sets(features1, features2)
    if subsets < 1:
        raise ValueError(f"A kernel distance needs at least one subset, not {subsets}.")
    if subset_size > min(len(first), len(second)):
        raise ValueError(
            f"Subsets of {subset_size} rows cannot be drawn from sets of {len(first)} and "
            f"{len(second)}; give a subset_size of at most {min(len(first), len(second))}."
        )
    draws = draw_subsets(len(first), len(second), subset_size, seed)
    distances = [
        _squared_mmd(first[rows_1], second[rows_2], kernel)
        for _, (rows_1, rows_2) in zip(range(subsets), draws, strict=False)
    ]
    return KernelDistance(float(np.mean(distances)), float(np.std(distances)))


def squared_mmd(features1: Any, features2: Any, kernel: Kernel = _KID_KERNEL) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy, from all rows.

    Args:
        features1: (N, D) array or tensor.
        features2: (M, D); N and M may differ. Time grows with (N + M)^2, memory does not.
        kernel: As for ``kernel_distance``.

    Returns:
        A number that falls below 0 for sets that are alike.

    Raises:
        ValueError: Fewer than two rows, NaN or infinite entries, different widths, or features
            whose kernel overflows.
    """
    return _squared_mmd(*_two_sets(features1, features2), kernel)


def draw_subsets(
    count1: int, count2: int, subset_size: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Endless rows of the first and of the second set, without replacement.

    One ``numpy.random.RandomState(seed)`` draws for both, the first set before the second.
    """
    random = np.random.RandomState(seed)
    while True:
        first = random.choice(count1, subset_size, replace=False)
        yield first, random.choice(count2, subset_size, replace=False)


def _two_sets(features1: Any, features2: Any) -> tuple[FloatArray, FloatArray]:
    return two_sets(features1, features2, "first set of features", "second set of features")


def _squared_mmd(x: FloatArray, y: FloatArray, kernel: Kernel) -> float:
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"A kernel distance needs at least two rows of each set, not {n} and {m}.")
    within_x = _sum_of_others(x, kernel) / (n * (n - 1))
    within_y = _sum_of_others(y, kernel) / (m * (m - 1))
    between = sum(float(kernel(x[rows], y).sum()) for rows in row_blocks(n, m)) / (n * m)
    squared = within_x + within_y - 2.0 * between
    require_finite(
        squared, "The kernel is NaN or infinite on these features, or they are too large"
    )
    return squared


def _sum_of_others(x: FloatArray, kernel: Kernel) -> float:
    """The sum over all pairs of different rows."""
    total = 0.0
    for rows in row_blocks(len(x), len(x)):
        values = kernel(x[rows], x)
        total += float((values.sum(axis=1) - np.diagonal(values, offset=rows.start)).sum())
    return total
