"""The four ways in which CelebA is split into training and test images.

``official`` follows ``list_eval_partition.txt``: its parts 0 and 2; the validation part 1 is left
out. ``stargan`` ignores it and shuffles the rows of the attribute file (yunjey/stargan,
data_loader.py), so that most of its test images are officially training images. ``attgan``
(elvisyjlin/AttGAN-PyTorch, data.py) and ``icgan`` (Guim3/IcGAN) cut the rows in their order.
"""

from __future__ import annotations

import random
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

CelebASplit = Literal["official", "stargan", "attgan", "icgan"]
IntArray = NDArray[np.int64]

STARGAN_SEED = 1234
STARGAN_TEST = 1999  # the program means 2000 and compares strictly

CELEBA_ROWS = 202_599

# Rows of training and of test images; AttGAN's validation images lie between.
_ROWS = {
    "attgan": (range(0, 182_000), range(182_637, 202_599)),
    "icgan": (range(0, 182_638), range(182_638, 202_599)),
}
_OFFICIAL = "take --set dataset.split=official."


def split_rows(
    name: CelebASplit, count: int, partition: NDArray[np.int64] | None = None
) -> tuple[IntArray, IntArray]:
    """The rows of the attribute file that are for training and for testing.

    Args:
        name: The split.
        count: How many rows the attribute file has.
        partition: (count,) of 0, 1 and 2, the official part of each row; for ``official`` alone.

    Returns:
        Training rows and test rows, int64, each ascending.

    Raises:
        ValueError: There is no such split.
        BenchError: A part is empty, or the split is one of rows of a file that is not CelebA's.
    """
    if name not in get_args(CelebASplit):
        raise ValueError(f"split is one of {', '.join(get_args(CelebASplit))}, not {name!r}.")
    if name == "official":
        assert partition is not None
        train, test = np.flatnonzero(partition == 0), np.flatnonzero(partition == 2)
    elif name == "stargan":
        order = stargan_order(count)
        train, test = np.sort(order[STARGAN_TEST:]), np.sort(order[:STARGAN_TEST])
    elif count == CELEBA_ROWS:
        train, test = (np.arange(part.start, part.stop) for part in _ROWS[name])
    else:
        raise BenchError(
            f"The split {name} counts the {CELEBA_ROWS:,} rows of CelebA's attribute file, and this"
            f" one has {count:,}: {_OFFICIAL}"
        )
    if not len(train) or not len(test):
        part, remedy = ("train on" if not len(train) else "test on"), _OFFICIAL
        if name == "official":
            remedy = "mend the partition file."
        raise BenchError(f"Of {count:,} rows, the split {name} leaves none to {part}: {remedy}")
    return train, test


def stargan_order(count: int, seed: int = STARGAN_SEED) -> IntArray:
    """StarGAN's order of the rows: the first ``STARGAN_TEST`` are its test images.

    Args:
        count: How many rows the attribute file has.
        seed: The seed of Python's own generator.

    Returns:
        int64 (count,), 0-based rows.
    """
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return np.array(order, np.int64)
