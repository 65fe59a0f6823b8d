"""Some images of a dataset, numbered anew: its training or its test part."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.base import Dataset


class Subset:
    """Some images of a dataset; every method is the dataset's, for places in the subset.

    Args:
        dataset: The images.
        indices: int64 (N,), the places in the dataset.
    """

    def __init__(self, dataset: Dataset, indices: Tensor) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images and attributes of int64 ``indices`` (N,) in [0, len(self))."""
        return self.dataset.batch(self.indices[indices])

    def labels(self, indices: Tensor) -> Tensor:
        """The attributes (N, A) alone."""
        return self.dataset.labels(self.indices[indices])

    def identities(self, indices: Tensor) -> Tensor | None:
        """Who or what the images show, int64 (N,), or None."""
        return self.dataset.identities(self.indices[indices])

    def counterfactuals(self, indices: Tensor, target: Tensor) -> Tensor | None:
        """The true images of the same scenes with the attributes ``target`` (N, A), or None."""
        return self.dataset.counterfactuals(self.indices[indices], target)

    def latents(self, indices: Tensor) -> Tensor | None:
        """What the dataset's generator made the images from, float32 (N, D), or None."""
        return self.dataset.latents(self.indices[indices])


def evenly_spread(count: int, total: int) -> Tensor:
    """``count`` of ``total`` places, or all if there are fewer: int64, ascending.

    A test set may be sorted by its factors, so that its first images are all alike. Half as many
    places are among them.
    """
    count = min(count, total)
    return torch.arange(count) * total // count
