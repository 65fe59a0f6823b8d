"""What every metric asks of its input: numbers of the right shape, none missing, none infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


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
