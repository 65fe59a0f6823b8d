"""What datasets of classes have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, listed


def require_every_class(
    names: Sequence[str], classes: NDArray[np.int64], where: str, remedy: str
) -> None:
    """Refuse images among which a class has none: it could be neither learnt nor judged.

    Args:
        names: The classes.
        classes: int64 (N,) in [0, len(names)), the class of each image.
        where: What lacks the class, the beginning of the sentence.
        remedy: What to do about it, its end.

    Raises:
        BenchError: A class has no image.
    """
    counts = np.bincount(classes, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise BenchError(f"{where} no image of {listed(empty)}: {remedy}.")
