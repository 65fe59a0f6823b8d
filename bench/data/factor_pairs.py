"""Pairs of images that differ in some of their dataset's own factors, for weak supervision.

The pairs of Locatello et al., "Weakly-Supervised Disentanglement Without Compromises" (ICML 2020),
as disentanglement_lib draws them (methods/weak/train_weak_lib.py, ``simple_dynamics`` with k = -1):
of F factors, either one or K are drawn anew, where K is uniform in 1 to F - 1; a factor that is
drawn anew may keep its value. The label is the last factor drawn. The library takes all images;
here both images of a pair are of the training part.
"""

from __future__ import annotations

from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.base import DirectionPairs
from bench.data.base import Dataset

IntArray = NDArray[np.int64]


class FactorPairs:
    """Draws pairs from a dataset in which every combination of factors occurs once.

    Args:
        dataset: Its images are in the order in which the last factor changes fastest.
        sizes: How many values each of the F factors takes.
    """

    def __init__(self, dataset: Dataset, sizes: tuple[int, ...]) -> None:
        self._dataset, self._sizes = dataset, sizes

    @classmethod
    def of(cls, dataset: Dataset) -> FactorPairs | None:
        """The pairs of a dataset, or None where its images are no such grid."""
        sizes = dataset.factor_sizes
        if sizes is None or len(sizes) < 2 or min(sizes) < 2 or prod(sizes) != len(dataset):
            return None
        return cls(dataset, sizes)

    @property
    def num_directions(self) -> int:
        """The number of factors F."""
        return len(self._sizes)

    def draw(self, seed: int, count: int) -> DirectionPairs:
        """``count`` pairs, a function of ``seed`` and ``count``; labels are factors."""
        random = np.random.Generator(np.random.Philox(seed))
        places, labels = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        while len(labels) < count:
            drawn, last = self._candidates(random, count)
            kept = self._trained_on[drawn].all(axis=1)
            places, labels = np.append(places, drawn[kept], 0), np.append(labels, last[kept])
        both = torch.from_numpy(places[:count].T.reshape(-1))
        first, second = self._dataset.batch(both)[0].chunk(2)
        return DirectionPairs(first, second, torch.from_numpy(labels[:count]))

    def _candidates(self, random: np.random.Generator, count: int) -> tuple[IntArray, IntArray]:
        """Places (count, 2) of pairs anywhere in the dataset, and their labels (count,)."""
        factors = len(self._sizes)
        first, anew = random.integers(self._sizes, size=(2, count, factors))
        several = random.integers(1, factors, size=count)
        number = np.where(random.random(count) < 0.5, 1, several)
        order = random.random((count, factors)).argsort(axis=1)
        rank = order.argsort(axis=1)
        second = np.where(rank < number[:, None], anew, first)
        places = [np.ravel_multi_index(tuple(some.T), self._sizes) for some in (first, second)]
        return np.stack(places, axis=1), order[np.arange(count), number - 1]

    @cached_property
    def _trained_on(self) -> NDArray[np.bool_]:
        """Whether each image is of the training part."""
        mask = np.zeros(len(self._dataset), np.bool_)
        mask[self._dataset.split("train").numpy()] = True
        return mask
