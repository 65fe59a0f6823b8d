"""Mean and covariance of endless data in constant memory.

Blocks of rows are centred on their own mean in float64 and merged by the update of Chan, Golub and
LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), so
that nothing cancels, whatever the offset of the data. The same update merges the moments of
several processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.arrays import require_finite

_ROWS_AT_ONCE = 4096  # rows converted to float64 at a time: 16 MB for 512 columns


class RunningMoments:
    """Streaming mean and covariance, in float64.

    Attributes:
        count: Rows seen so far.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """``device`` holds the moments and does the sums; batches are moved to it."""
        self.count = 0
        self._device = torch.device(device)
        self._mean: Tensor | None = None  # D
        self._scatter: Tensor | None = None  # D x D, sum of outer products about the mean

    def update(self, batch: Any) -> RunningMoments:
        """Take in rows (N, D) of a tensor or an array; returns itself.

        Raises:
            ValueError: The batch is empty, has other than two axes, another width than those
                before, NaN or infinite entries, or sums that overflow; the moments are then as
                they were before.
        """
        rows = batch.detach() if isinstance(batch, Tensor) else np.asarray(batch)
        if rows.ndim != 2 or 0 in rows.shape:
            raise ValueError(
                f"A batch must have shape (N, D) with N, D > 0, not {tuple(rows.shape)}."
            )
        self._check_width(rows.shape[1])
        seen = RunningMoments(self._device)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            block = rows[start : start + _ROWS_AT_ONCE]
            seen._merge(*_moments_of(_own_float64(block).to(self._device)))
        return self.merge(seen)

    def merge(self, other: RunningMoments) -> RunningMoments:
        """Take in the rows that ``other`` has seen, which stays as it is; returns itself.

        Raises:
            ValueError: The two have seen rows of different widths.
        """
        if other._mean is not None and other._scatter is not None:
            self._check_width(len(other._mean))
            self._merge(other.count, other._mean, other._scatter)
        return self

    @property
    def mean(self) -> Tensor:
        """(D,) float64.

        Raises:
            ValueError: No rows yet.
        """
        if self._mean is None:
            raise ValueError("The mean of no rows is undefined.")
        return self._mean.clone()

    def covariance(self, ddof: int = 1) -> Tensor:
        """(D, D) float64, the scatter divided by ``count - ddof``.

        Raises:
            ValueError: Fewer than ``ddof + 1`` rows, or variances that overflow.
        """
        if self._scatter is None or self.count <= ddof:
            raise ValueError(
                f"A covariance with ddof {ddof} needs at least {ddof + 1} rows, not {self.count}."
            )
        variances = self._scatter.diagonal().cpu().numpy()
        require_finite(variances, "The features are so large that their variances overflow")
        return self._scatter / (self.count - ddof)

    def _check_width(self, width: int) -> None:
        if self._mean is not None and len(self._mean) != width:
            raise ValueError(f"Rows of {width} columns do not go with those of {len(self._mean)}.")

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        mean, scatter = mean.to(self._device), scatter.to(self._device)
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = count, mean.clone(), scatter.clone()
            return
        total = self.count + count
        offset = mean - self._mean
        self._scatter += scatter
        self._scatter.addr_(offset, offset, alpha=self.count * count / total)
        self._mean += offset * (count / total)
        self.count = total


def _own_float64(block: Tensor | NDArray[Any]) -> Tensor:
    if isinstance(block, Tensor):
        return block.to(torch.float64, copy=True)
    return torch.from_numpy(np.array(block, dtype=np.float64))


def _moments_of(rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """Count, mean and scatter of float64 rows (n, D), which are overwritten."""
    mean = rows.mean(dim=0)
    if not torch.isfinite(mean).all():  # a NaN or an infinity anywhere in a column reaches its mean
        raise ValueError("A batch has NaN or infinite entries, or its sum overflows.")
    rows -= mean
    if rows.is_cuda:
        return len(rows), mean, rows.T @ rows
    # numpy sees that the product is symmetric and computes half of it; torch computes it all.
    centred = rows.numpy()
    return len(rows), mean, torch.from_numpy(centred.T @ centred)
