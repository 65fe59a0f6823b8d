"""Random numbers by axis: a draw is a function of a seed and an index, not of the order of calls.

A run has one root seed. ``derive_seed`` turns it, with the names of what is drawn, into
independent seeds; ``normals`` and ``uniforms`` then give row ``i`` of an endless table, so that
latents do not depend on the batch size, on the number of processes or on where a run was resumed.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

_WORDS_PER_BLOCK = 4  # Philox-4x64 gives four 64-bit words for every value of its counter


def derive_seed(root: int, *purpose: str | int) -> int:
    """Derive a seed from a root seed and the names of what it is for.

    Args:
        root: The run's seed.
        purpose: Names and indices, for example ``("latents", 3)``.

    Returns:
        A seed in [0, 2**63).
    """
    text = "/".join(str(part) for part in (root, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def uniforms(seed: int, start: int, count: int, dim: int = 1) -> Tensor:
    """Rows ``start`` to ``start + count`` of an endless table of uniform numbers.

    Returns:
        float32 tensor (count, dim) in (0, 1); row ``i`` depends on ``seed`` and ``i`` only.
    """
    return torch.from_numpy(_table(seed, start, count, dim).astype(np.float32)).clamp_(
        2.0**-24, 1.0 - 2.0**-24
    )


def normals(seed: int, start: int, count: int, dim: int) -> Tensor:
    """Rows ``start`` to ``start + count`` of an endless table of standard normal numbers.

    Returns:
        float32 tensor (count, dim); row ``i`` depends on ``seed`` and ``i`` only.
    """
    return torch.from_numpy(ndtri(_table(seed, start, count, dim)).astype(np.float32))


def integers(seed: int, start: int, count: int, high: int) -> Tensor:
    """Entries ``start`` to ``start + count`` of an endless list of integers in [0, high).

    Returns:
        int64 tensor (count,).
    """
    return torch.from_numpy((_table(seed, start, count, 1)[:, 0] * high).astype(np.int64))


def data_order(seed: int, start: int, count: int, size: int) -> Tensor:
    """Places ``start`` to ``start + count`` of an endless shuffled reading of ``size`` items.

    Returns:
        int64 tensor (count,); every epoch is a permutation of its own, and nothing depends on
        batch sizes.
    """
    positions = np.arange(start, start + count)
    return torch.tensor(
        [int(_epoch(seed, int(p // size), size)[p % size]) for p in positions], dtype=torch.int64
    )


@lru_cache(maxsize=2)  # a batch may reach from one epoch into the next
def _epoch(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    stream = np.random.Generator(np.random.Philox(derive_seed(seed, "epoch", epoch)))
    return stream.permutation(size)


def _table(seed: int, start: int, count: int, dim: int) -> NDArray[np.float64]:
    blocks_per_row = -(-dim // _WORDS_PER_BLOCK)
    stream = np.random.Philox(key=seed).advance(start * blocks_per_row)
    words = stream.random_raw(count * blocks_per_row * _WORDS_PER_BLOCK)
    rows = words.reshape(count, blocks_per_row * _WORDS_PER_BLOCK)[:, :dim]
    # The top 53 bits, moved by half a step: uniform in the open interval (0, 1).
    return ((rows >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


class Draws:
    """The random numbers of one training step or one evaluation batch.

    Row ``i`` of ``normal`` and its siblings belongs to sample ``start + i`` of the whole run, so a
    purpose has to ask for the same ``count`` at every step: otherwise rows come twice.
    """

    def __init__(
        self, seed: int, step: int, rank: int, processes: int, device: torch.device | str = "cpu"
    ) -> None:
        self._seed = seed
        self._position = step * processes + rank
        self._device = device

    def normal(self, purpose: str, count: int, dim: int) -> Tensor:
        """float32 (count, dim), standard normal."""
        return normals(*self._rows(purpose, count), dim).to(self._device)

    def uniform(self, purpose: str, count: int, dim: int = 1) -> Tensor:
        """float32 (count, dim) in (0, 1)."""
        return uniforms(*self._rows(purpose, count), dim).to(self._device)

    def integer(self, purpose: str, count: int, high: int) -> Tensor:
        """int64 (count,) in [0, high)."""
        return integers(*self._rows(purpose, count), high).to(self._device)

    def _rows(self, purpose: str, count: int) -> tuple[int, int, int]:
        return derive_seed(self._seed, purpose), self._position * count, count


def mirrored(images: Tensor, draws: Draws) -> Tensor:
    """Images (N, C, H, W), each mirrored with probability 1/2 by the draws named ``flip``."""
    chosen = draws.uniform("flip", len(images))[:, :, None, None] < 0.5
    return torch.where(chosen, images.flip(3), images)
