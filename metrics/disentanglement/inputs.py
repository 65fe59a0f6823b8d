"""What the disentanglement metrics ask of codes and factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array

Codes = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledCodes:
    """Codes of samples and which value each of their factors has.

    Attributes:
        codes: (N, K), float32 where they came as float32, else float64.
        labels: int64 (N, F). The values of a factor are numbered from 0 in ascending order; -1
            stands for a value that no training sample has.
    """

    codes: Codes
    labels: Labels


def labelled_codes(codes: Any, factors: Any) -> LabelledCodes:
    """Check codes and factors of the same samples.

    Args:
        codes: (N, K) real numbers, array or tensor.
        factors: (N, F) values of discrete factors, integers or any other numbers.

    Raises:
        ValueError: Fewer than two samples, NaN or infinite entries, different numbers of samples, a
            factor with one value, or one with another fractional value in each sample.
    """
    return _labelled(codes, factors, "")[0]


def train_and_test_codes(
    train_codes: Any, train_factors: Any, test_codes: Any, test_factors: Any
) -> tuple[LabelledCodes, LabelledCodes]:
    """Check a training and a test part; ``labelled_codes`` says what each has to be.

    Raises:
        ValueError: As ``labelled_codes`` (a factor of the test part may have one value), or parts
            with different numbers of codes or factors.
    """
    train, values = _labelled(train_codes, train_factors, "training ")
    codes, factors = _pair(test_codes, test_factors, "test ")
    if codes.shape[1] != train.codes.shape[1]:
        raise ValueError(
            f"The training part has {train.codes.shape[1]} codes, the test part {codes.shape[1]}."
        )
    if factors.shape[1] != len(values):
        raise ValueError(
            f"The training part has {len(values)} factors, the test part {factors.shape[1]}."
        )
    columns = [_numbered(factors[:, j], values[j]) for j in range(len(values))]
    return train, LabelledCodes(codes, np.stack(columns, axis=1))


def codes_and_factors(codes: Any, factors: Any, part: str = "") -> tuple[Codes, FloatArray]:
    """Check codes (N, K) and factors (N, F) of the same samples; ``part`` names them in errors.

    Raises:
        ValueError: As ``labelled_codes``, but fractional values of factors are fine.
    """
    checked, table = _pair(codes, factors, part)
    if len(checked) < 2:
        raise ValueError(f"The {part}codes have one sample; at least two are needed.")
    for j, column in enumerate(table.T):
        if (column == column[0]).all():
            raise ValueError(
                f"Factor {j} has the one value {column[0]:g} in all {part}samples; no code can "
                "tell anything of it."
            )
    return checked, table


def codes_array(values: Any, name: str, ndim: int = 2) -> Codes:
    """Finite codes; float32 stays float32, anything else becomes float64.

    The reference bins codes and takes their variances in their own precision, and a bin's edge or
    the least of two like variances can depend on it.

    Raises:
        ValueError: As ``metrics.arrays.finite_array``.
    """
    array = np.ascontiguousarray(finite_array(values, name, ndim))
    single = str(getattr(values, "dtype", "")).removeprefix("torch.") == "float32"
    return array.astype(np.float32) if single else array


def factor_labels(values: Any, name: str, num_factors: int) -> Labels:
    """Indices of factors, one for each sample.

    Raises:
        ValueError: An entry is no whole number in [0, num_factors), or there is none.
    """
    array = finite_array(values, name, ndim=1)
    wrong = np.flatnonzero((array % 1 != 0) | (array < 0) | (array >= num_factors))
    if wrong.size:
        raise ValueError(
            f"{name} must be whole numbers below {num_factors}; entry {wrong[0]} is "
            f"{array[wrong[0]]:g}."
        )
    return array.astype(np.int64)


def positive(**counts: int) -> None:
    """Check counts that have to be at least 1.

    Raises:
        ValueError: One is not.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}.")


def _labelled(codes: Any, factors: Any, part: str) -> tuple[LabelledCodes, list[FloatArray]]:
    checked, table = codes_and_factors(codes, factors, part)
    values = [np.unique(column) for column in table.T]
    for j, found in enumerate(values):
        if len(found) == len(table) and (found % 1 != 0).any():
            raise ValueError(
                f"Factor {j} has another value in each of the {part}samples; discrete factors "
                "are needed."
            )
    columns = [_numbered(table[:, j], values[j]) for j in range(len(values))]
    return LabelledCodes(checked, np.stack(columns, axis=1)), values


def _pair(codes: Any, factors: Any, part: str) -> tuple[Codes, FloatArray]:
    checked = codes_array(codes, f"The {part}codes")
    table = finite_array(factors, f"The {part}factors", ndim=2)
    if len(checked) != len(table):
        raise ValueError(
            f"There are {part}codes of {len(checked)} samples but factors of {len(table)}."
        )
    return checked, table


def _numbered(column: FloatArray, values: FloatArray) -> Labels:
    places = np.searchsorted(values, column).clip(max=len(values) - 1)
    return np.where(values[places] == column, places, -1).astype(np.int64)
