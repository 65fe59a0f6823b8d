"""Pairs of images with equal attributes and different identities, for contrastive losses.

The pairs of "Contrastive Representation Learning For Image Attribute Manipulation" (section 3):
both images of a pair show the same attributes on different individuals, and no two pairs of a batch
share an attribute vector, so that every other pair is a negative.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.subset import Subset

IntArray = NDArray[np.int64]


class AttributePairs:
    """Draws pairs from the labels of a training set.

    Vectors are drawn without replacement in proportion to how many images have them, as if images
    were drawn one after the other and those of a vector already seen were passed over.

    Args:
        labels: (N, A) of 0 and 1.
        identities: int64 (N,).
    """

    def __init__(self, labels: Tensor, identities: Tensor) -> None:
        self._labels, self._identities = labels, identities

    @classmethod
    def of(cls, images: Subset) -> AttributePairs | None:
        """The pairs of a training set, or None where identities are unknown."""
        everything = torch.arange(len(images))
        if len(images) == 0 or images.identities(everything[:1]) is None:
            return None
        identities = images.identities(everything)
        assert identities is not None
        return cls(images.labels(everything), identities)

    @property
    def most(self) -> int:
        """How many pairs can be drawn at once: the attribute vectors that two identities share."""
        return len(self._groups)

    def draw(self, seed: int, count: int) -> Tensor:
        """Draw pairs.

        Args:
            seed: The same seed gives the same pairs.
            count: How many.

        Returns:
            int64 (count, 2), places in the training set.

        Raises:
            ValueError: Fewer attribute vectors than ``count`` are shared by two identities.
        """
        if count > self.most:
            raise ValueError(
                f"InfoNCE asks for {count} pairs with attribute vectors of their own, but the "
                f"training set has {self.most} vectors that two identities share: lower "
                "pair_count with --set, or select more attributes by "
                '--set dataset.attributes=["...", ...].'
            )
        random = np.random.Generator(np.random.Philox(seed))
        sizes = np.array([len(group) for group in self._groups])
        chosen = random.choice(len(sizes), size=count, replace=False, p=sizes / sizes.sum())
        return torch.tensor([self._pair(random, self._groups[number]) for number in chosen])

    def _pair(self, random: np.random.Generator, group: IntArray) -> tuple[int, int]:
        """Two places of a group, which is sorted by identity, with different ones."""
        identities = self._identities.numpy()[group]
        first = int(random.integers(len(group)))
        start, stop = np.searchsorted(identities, [identities[first], identities[first] + 1])
        second = int(random.integers(len(group) - (stop - start)))
        second += (stop - start) if second >= start else 0
        return int(group[first]), int(group[second])

    @cached_property
    def _groups(self) -> list[IntArray]:
        """For each attribute vector that two identities share: the places, sorted by identity."""
        identities = self._identities.numpy()
        vectors = np.unique(self._labels.numpy() > 0.5, axis=0, return_inverse=True)[1].ravel()
        order = np.lexsort((identities, vectors))
        starts = np.flatnonzero(np.diff(vectors[order])) + 1
        groups = np.split(order, starts)
        return [group for group in groups if identities[group[0]] != identities[group[-1]]]
