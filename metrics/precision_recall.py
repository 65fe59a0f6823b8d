"""Improved precision and recall, density and coverage of generated features.

Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models" (2019),
eqs. 1-2; Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models" (2020),
eqs. 5-6. A set's manifold is the union of balls around its samples, each reaching to the sample's
k-th nearest other one of the same set. A sample on a ball's surface is inside for precision and
recall (torch-fidelity), outside for density and coverage (the package prdc). Copies of samples lie
on surfaces, so distances have to be exact: matrix products find which comparisons are beyond doubt,
and all others are made with sums of squared differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, require_finite, row_blocks, two_sets


@dataclass(frozen=True)
class PrecisionRecall:
    """How far generated samples look real, and how much of the real ones they reach.

    Attributes:
        precision: Share of generated samples inside a real ball, in [0, 1].
        recall: Share of real samples inside a generated ball, in [0, 1].
        density: Mean number of real balls around a generated sample, over k. At least 0; it can
            exceed 1.
        coverage: Share of real samples whose own ball holds a generated one, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float

    @property
    def f_score(self) -> float:
        """Harmonic mean of precision and recall, 0 where both are."""
        both = self.precision + self.recall
        return 2.0 * self.precision * self.recall / max(1e-5, both)


def precision_recall(generated: Any, real: Any, *, neighbours: int = 3) -> PrecisionRecall:
    """Precision, recall, density and coverage.

    All four depend on k and on the number of samples. Time grows with the square of that number;
    memory only with the number. The order of the arguments is torch-fidelity's (its ``input1`` is
    the generated set).

    Args:
        generated: (N, D) array or tensor of features.
        real: (M, D) array or tensor of features.
        neighbours: k. Precision and recall are usual with 3 (the default), density and coverage
            with 5.

    Raises:
        ValueError: NaN or infinite entries, different widths, a set with no k-th neighbour, or
            features whose squared distances overflow.
    """
    names = ("set of generated features", "set of real features")
    fake_rows, real_rows = two_sets(generated, real, *names)
    fewest = min(len(fake_rows), len(real_rows))
    if not 1 <= neighbours < fewest:
        raise ValueError(
            f"With {fewest} samples in a set, neighbours must be from 1 to {fewest - 1}, "
            f"not {neighbours}."
        )
    fakes, reals = _distinct(fake_rows), _distinct(real_rows)
    return _scores(fakes, reals, _radii(fakes, neighbours), _radii(reals, neighbours), neighbours)


class _Samples(NamedTuple):
    """A set of features; equal ones are counted, not repeated."""

    rows: FloatArray  # distinct x D
    counts: NDArray[np.int64]  # distinct


def _scores(
    fakes: _Samples, reals: _Samples, fake_radii: FloatArray, real_radii: FloatArray, k: int
) -> PrecisionRecall:
    """The four scores; radii are squared."""
    precise, balls = 0, 0
    recalled = np.zeros(len(reals.rows), dtype=bool)
    covered = np.zeros(len(reals.rows), dtype=bool)
    centre = reals.rows.mean(axis=0)
    for block in row_blocks(len(fakes.rows), len(reals.rows)):
        rows, counts, radii = fakes.rows[block], fakes.counts[block], fake_radii[block, None]
        squares, doubt = _squared_distances(rows, reals.rows, centre)
        near = np.abs(squares - real_radii) <= doubt
        near |= np.abs(squares - radii) <= doubt
        _settle(squares, np.nonzero(near), rows, reals.rows)
        within = squares < real_radii
        precise += int(counts[(squares <= real_radii).any(axis=1)].sum())
        balls += int(counts @ (within @ reals.counts))
        recalled |= (squares <= radii).any(axis=0)
        covered |= within.any(axis=0)
    fake_count, real_count = int(fakes.counts.sum()), int(reals.counts.sum())
    return PrecisionRecall(
        precision=precise / fake_count,
        recall=int(reals.counts[recalled].sum()) / real_count,
        density=balls / (k * fake_count),
        coverage=int(reals.counts[covered].sum()) / real_count,
    )


def _distinct(rows: FloatArray) -> _Samples:
    rows = np.ascontiguousarray(rows + 0.0)  # equal numbers have equal bytes then: no -0.0
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    _, first, counts = np.unique(whole, return_index=True, return_counts=True)
    return _Samples(rows[first], counts)


def _radii(samples: _Samples, k: int) -> FloatArray:
    """Squared distance of each distinct sample to its k-th nearest other sample."""
    rows, counts = samples
    others = min(k, len(rows) - 1)  # that many distinct ones hold k samples, or all there are
    if others == 0:
        return np.zeros(1)
    centre = rows.mean(axis=0)
    radii = np.empty(len(rows))
    for block in row_blocks(len(rows), len(rows)):
        squares, doubt = _squared_distances(rows[block], rows, centre)
        own = np.arange(block.start, block.start + len(squares))
        squares[np.arange(len(squares)), own] = np.inf
        reach = np.partition(squares, others - 1, axis=1)[:, others - 1, None]
        _settle(squares, np.nonzero(squares <= reach + 2.0 * doubt), rows[block], rows)
        squares[np.arange(len(squares)), own] = 0.0
        radii[block] = _weighted_neighbour(squares, counts, own, k, others + 1)
    return radii


def _weighted_neighbour(
    squares: FloatArray, counts: NDArray[np.int64], own: NDArray[np.int64], k: int, nearest: int
) -> FloatArray:
    """The k-th smallest of each row's entries, which occur ``counts`` times, less itself."""
    columns = np.argpartition(squares, nearest - 1, axis=1)[:, :nearest]
    values = np.take_along_axis(squares, columns, axis=1)
    occurrences = counts[columns] - (columns == own[:, None])
    order = values.argsort(axis=1)
    reached = np.take_along_axis(occurrences, order, axis=1).cumsum(axis=1) >= k
    position = np.take_along_axis(order, reached.argmax(axis=1)[:, None], axis=1)
    return np.take_along_axis(values, position, axis=1)[:, 0]


def _squared_distances(
    x: FloatArray, y: FloatArray, centre: FloatArray
) -> tuple[FloatArray, float]:
    """Squared distances (N, M) by a matrix product, and by how much they may be wrong."""
    x, y = x - centre, y - centre
    lengths_x, lengths_y = (x * x).sum(axis=1), (y * y).sum(axis=1)
    squares = x @ y.T
    squares *= -2.0
    squares += lengths_x[:, None]
    squares += lengths_y
    # Each product of D terms is off by at most D epsilons of the lengths; centring adds a few.
    error = 4.0 * (x.shape[1] + 8) * float(np.finfo(np.float64).eps)
    largest = float(lengths_x.max() + lengths_y.max())
    require_finite(largest, "The features are so large that their distances overflow")
    return squares, error * largest


def _settle(
    squares: FloatArray,
    pairs: tuple[NDArray[np.int64], ...],
    x: FloatArray,
    y: FloatArray,
) -> None:
    """Put exact squared distances in the place of those of some pairs of rows."""
    for some in row_blocks(len(pairs[0]), x.shape[1]):
        i, j = (axis[some] for axis in pairs)
        differences = x[i] - y[j]
        squares[i, j] = (differences * differences).sum(axis=1)
