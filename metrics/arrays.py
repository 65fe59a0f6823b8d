"""What every metric asks of numbers: the right shape, none missing, none infinite; in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_ENTRIES_AT_ONCE = 4_000_000  # float64 numbers held in memory at a time: 32 MB


def finite_array(values: Any, name: str, ndim: int | None = None) -> FloatArray:
    """Take an array, a sequence or a torch tensor (of any device) as a float64 array.

    Args:
        values: Real numbers.
        name: What the values are; begins the error messages.
        ndim: How many axes they must have; any number where None.

    Raises:
        ValueError: ``values`` is empty, has NaN or infinite entries, or other than ``ndim`` axes.
    """
    if hasattr(values, "detach"):  # a torch tensor; torch itself need not be imported here
        values = values.detach().cpu().double()  # numpy has no bfloat16
    array = np.asarray(values, dtype=np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, not shape {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}.")
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = f" (first at index {tuple(bad[0].tolist())})" if array.ndim else ""
        raise ValueError(f"{name} has {len(bad)} NaN or infinite entries{where}.")
    return array


def two_sets(first: Any, second: Any, name: str, other: str) -> tuple[FloatArray, FloatArray]:
    """Take two sets of rows as ``finite_array`` does, (N, D) and (M, D).

    Args:
        first: (N, D) real numbers.
        second: (M, D) real numbers.
        name: What the first set is; begins the error messages after "The".
        other: What the second set is.

    Raises:
        ValueError: As ``finite_array``, or rows of different widths.
    """
    one = finite_array(first, f"The {name}", ndim=2)
    another = finite_array(second, f"The {other}", ndim=2)
    if one.shape[1] != another.shape[1]:
        raise ValueError(
            f"The {name} has {one.shape[1]} columns, but the {other} {another.shape[1]}; they do "
            "not compare."
        )
    return one, another


def require_finite(values: Any, fault: str) -> None:
    """Make sure that what was computed from finite numbers did not overflow.

    Args:
        values: One number or many.
        fault: What overflowed, and of what; the message without its full stop.

    Raises:
        ValueError: An entry is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{fault}.")


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Neighbouring rows of a table that is too large to be held in memory.

    Args:
        rows: How many rows there are.
        columns: How many float64 numbers each of them takes, at least 1.

    Yields:
        Slices that cover all rows, in order, with at least one row each.
    """
    size = max(_ENTRIES_AT_ONCE // columns, 1)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
