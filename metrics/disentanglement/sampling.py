"""Codes of drawn factors: at random, with one factor held fixed, or in pairs that share one.

The FactorVAE and beta-VAE metrics look at batches in which a factor is fixed; a sampler gives them.
``GridSampler`` draws factors and has them represented, with the random numbers of
disentanglement_lib in its order, so that the same seed draws the same factors as there.
``TableSampler`` draws rows of codes that are there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from metrics.disentanglement.inputs import (
    Codes,
    codes_and_factors,
    codes_array,
    labelled_codes,
    positive,
)

_ROWS_AT_ONCE = 1024  # that a representation is asked for: 50 MB of 64 x 64 images
_REFERENCE_BATCH = 16  # factors are drawn so many at a time, column by column, in the reference

Rows = NDArray[np.int64]  # factors (N, F) of a grid, or indices (N,) into a table
Represent = Callable[[NDArray[np.int64]], Any]


class Samples(NamedTuple):
    """Codes (N, K) and the factors (N, F) they belong to."""

    codes: NDArray[Any]
    factors: NDArray[Any]


class Sampler(Protocol):
    """Draws rows that stand for samples: of factors, or of a table."""

    @property
    def num_factors(self) -> int:
        """How many factors there are."""

    def draw(self, count: int, random: np.random.RandomState) -> Rows:
        """``count`` independent rows."""

    def draw_fixed(self, factor: int, count: int, random: np.random.RandomState) -> Rows:
        """``count`` rows that all have the same value of a factor."""

    def draw_pairs(
        self, factor: int, count: int, random: np.random.RandomState
    ) -> tuple[Rows, Rows]:
        """``count`` pairs of rows; the two of a pair have the same value of a factor."""

    def codes(self, rows: Rows) -> Codes:
        """The codes (N, K) of rows, float32 or float64."""


@dataclass(frozen=True)
class GridSampler:
    """Draws from a dataset in which every combination of factors occurs once.

    Args:
        factor_sizes: How many values each of the F factors has.
        represent: Maps int64 factors (N, F), factor j in [0, factor_sizes[j]), to codes (N, K),
            array or tensor, row by row and without chance. At most 1,024 rows are asked for at
            once.

    Raises:
        ValueError: There is no factor, or one with fewer than two values.
    """

    factor_sizes: Sequence[int]
    represent: Represent

    def __post_init__(self) -> None:
        if not len(self.factor_sizes):
            raise ValueError("There is no factor to draw.")
        for j, size in enumerate(self.factor_sizes):
            if size < 2:
                raise ValueError(f"Factor {j} has {size} value(s); no code can tell them apart.")

    @property
    def num_factors(self) -> int:
        """How many factors there are, F."""
        return len(self.factor_sizes)

    def sample(self, count: int = 10_000, seed: int = 0) -> Samples:
        """Independent samples, for the metrics that take codes and factors.

        Args:
            count: How many; the published setting is the default.
            seed: Seeds numpy's ``RandomState``.

        Raises:
            ValueError: ``count`` is below 1, or the codes are no finite (N, K) numbers.
        """
        return self._sample(count, np.random.RandomState(seed))

    def train_and_test(
        self, train: int = 10_000, test: int = 5_000, seed: int = 0
    ) -> tuple[Samples, Samples]:
        """A training part, equal to ``sample`` with this seed, and a test part.

        Raises:
            ValueError: As ``sample``.
        """
        random = np.random.RandomState(seed)
        return self._sample(train, random), self._sample(test, random)

    def draw(self, count: int, random: np.random.RandomState) -> Rows:
        """Independent factors, int64 (count, F); one column after the other is drawn."""
        columns = [random.randint(size, size=count) for size in self.factor_sizes]
        return np.stack(columns, axis=1).astype(np.int64)

    def draw_fixed(self, factor: int, count: int, random: np.random.RandomState) -> Rows:
        """Independent factors (count, F), of which one has the first row's value in all rows."""
        rows = self.draw(count, random)
        rows[:, factor] = rows[0, factor]
        return rows

    def draw_pairs(
        self, factor: int, count: int, random: np.random.RandomState
    ) -> tuple[Rows, Rows]:
        """Two times independent factors (count, F) that agree in one, row by row."""
        first, second = self.draw(count, random), self.draw(count, random)
        second[:, factor] = first[:, factor]
        return first, second

    def codes(self, rows: Rows) -> Codes:
        """What ``represent`` gives for factors (N, F): (N, K), float32 or float64.

        Raises:
            ValueError: These are no finite (N, K) numbers.
        """
        starts = range(0, len(rows), _ROWS_AT_ONCE)
        return np.concatenate([self._codes(rows[at : at + _ROWS_AT_ONCE]) for at in starts])

    def _sample(self, count: int, random: np.random.RandomState) -> Samples:
        positive(count=count)
        starts = range(0, count, _REFERENCE_BATCH)
        drawn = [self.draw(min(_REFERENCE_BATCH, count - start), random) for start in starts]
        factors = np.concatenate(drawn)
        return Samples(self.codes(factors), factors)

    def _codes(self, rows: Rows) -> Codes:
        codes = codes_array(self.represent(rows), "The representation")
        if len(codes) != len(rows):
            raise ValueError(f"The representation of {len(rows)} samples has {len(codes)} rows.")
        return codes


class TableSampler:
    """Draws rows, with replacement, of codes and factors that are there already.

    With a row for each combination of factors it draws what ``GridSampler`` draws, by other random
    numbers.

    Args:
        codes: (N, K) real numbers, array or tensor.
        factors: (N, F) values of discrete factors.

    Raises:
        ValueError: As the metrics of arrays, or a value of a factor that a single row has.
    """

    def __init__(self, codes: Any, factors: Any) -> None:
        samples = labelled_codes(codes, factors)
        self._codes, self._labels = samples.codes, samples.labels
        self._groups = [_Groups.of(column) for column in samples.labels.T]
        for j, groups in enumerate(self._groups):
            lonely = np.flatnonzero(groups.counts == 1)
            if lonely.size:
                value = np.unique(codes_and_factors(codes, factors)[1][:, j])[lonely[0]]
                raise ValueError(
                    f"Factor {j} has the value {value:g} in one sample only; batches in which it "
                    "is fixed need two or more."
                )

    @property
    def num_factors(self) -> int:
        """How many factors there are, F."""
        return self._labels.shape[1]

    def draw(self, count: int, random: np.random.RandomState) -> Rows:
        """Indices of rows, int64 (count,), each row as likely as any other."""
        return random.randint(len(self._codes), size=count).astype(np.int64)

    def draw_fixed(self, factor: int, count: int, random: np.random.RandomState) -> Rows:
        """Indices (count,) of rows in which a factor has the value that it has in a drawn row."""
        first = self.draw(1, random).repeat(count)
        return self._alike(first, factor, random)

    def draw_pairs(
        self, factor: int, count: int, random: np.random.RandomState
    ) -> tuple[Rows, Rows]:
        """Two times indices (count,): any rows, and for each one that agrees in a factor."""
        first = self.draw(count, random)
        return first, self._alike(first, factor, random)

    def codes(self, rows: Rows) -> Codes:
        """The codes (N, K) of rows with these indices, float32 where they came as float32."""
        return self._codes[rows]

    def _alike(self, rows: Rows, factor: int, random: np.random.RandomState) -> Rows:
        """For each row one with the same value of the factor, itself among the candidates."""
        groups, values = self._groups[factor], self._labels[rows, factor]
        return groups.order[groups.starts[values] + random.randint(groups.counts[values])]


def split(codes: Any, factors: Any, *, seed: int = 0) -> tuple[Samples, Samples]:
    """Cut samples at random into a training part of two thirds and a test part of one third.

    Args:
        codes: (N, K) real numbers, array or tensor.
        factors: (N, F) values of discrete factors.
        seed: Seeds the order.

    Raises:
        ValueError: Fewer than three samples, different numbers of them, a factor with one value, or
            NaN or infinite entries.
    """
    checked, table = codes_and_factors(codes, factors)
    if len(checked) < 3:
        raise ValueError(f"{len(checked)} samples are too few for a training and a test part.")
    order = np.random.RandomState(seed).permutation(len(checked))
    test = np.array_split(order, 3)[-1]
    train = order[: len(order) - len(test)]
    return Samples(checked[train], table[train]), Samples(checked[test], table[test])


def fixed_batches(
    sampler: Sampler, count: int, batch_size: int, random: np.random.RandomState
) -> Iterator[tuple[Rows, Codes]]:
    """Batches in which one factor is fixed, a few at a time.

    Yields:
        The fixed factors (n,) and the codes (n, batch_size, K).
    """
    for some in _portions(count, batch_size):
        factors, rows = [], []
        for _ in range(some):
            factors.append(random.randint(sampler.num_factors))
            rows.append(sampler.draw_fixed(factors[-1], batch_size, random))
        yield np.array(factors), _batched_codes(sampler, rows)


def pair_batches(
    sampler: Sampler, count: int, batch_size: int, random: np.random.RandomState
) -> Iterator[tuple[Rows, Codes, Codes]]:
    """Batches of pairs that share the value of one factor, a few at a time.

    Yields:
        The shared factors (n,) and the codes (n, batch_size, K) of the first and the second of
        each pair.
    """
    for some in _portions(count, batch_size):
        factors, first, second = [], [], []
        for _ in range(some):
            factors.append(random.randint(sampler.num_factors))
            pair = sampler.draw_pairs(factors[-1], batch_size, random)
            first.append(pair[0])
            second.append(pair[1])
        yield np.array(factors), _batched_codes(sampler, first), _batched_codes(sampler, second)


def _portions(count: int, batch_size: int) -> Iterator[int]:
    at_once = max(1, _ROWS_AT_ONCE // batch_size)
    for start in range(0, count, at_once):
        yield min(at_once, count - start)


def _batched_codes(sampler: Sampler, batches: list[Rows]) -> Codes:
    codes = sampler.codes(np.concatenate(batches))
    return codes.reshape(len(batches), -1, codes.shape[1])


@dataclass(frozen=True, eq=False)
class _Groups:
    """Which samples have each value of a factor."""

    order: Rows  # samples by value; those of value v are counts[v] from starts[v] on
    starts: Rows
    counts: Rows

    @classmethod
    def of(cls, labels: Rows) -> _Groups:
        counts = np.bincount(labels)
        return cls(np.argsort(labels, kind="stable"), np.cumsum(counts) - counts, counts)
