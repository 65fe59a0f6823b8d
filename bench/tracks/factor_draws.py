"""Which images the disentanglement metrics see: draws of a dataset whose factors are known.

A draw of the ``whole`` dataset is the reference's: every combination of factors can come, whenever
a metric asks for one. Draws of ``test`` images are disjoint sets of them, in which metrics that
hold a factor fixed find their batches. Both need a dataset in which every combination of factors
occurs once, in the order in which the last factor changes fastest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.randomness import derive_seed, uniforms
from bench.data.base import Dataset
from bench.data.subset import Subset
from bench.errors import BenchError
from metrics.disentanglement.inputs import Codes, labelled_codes
from metrics.disentanglement.sampling import (
    GridSampler,
    Sampler,
    Samples,
    TableSampler,
    split,
)

Source = Literal["whole", "test"]

_SEEDS = 2**32  # of numpy's RandomState


@dataclass(frozen=True)
class Draw:
    """What the metrics get to see of a representation, once.

    Attributes:
        train: What predictors are fitted to, and what is counted: two thirds of the samples.
        test: What predictors are scored on.
        sampler: Draws batches in which a factor is fixed.
        seed: For whatever else a metric draws.
    """

    train: Samples
    test: Samples
    sampler: Sampler
    seed: int


class FactorDraws:
    """Several independent draws of images of one dataset.

    Args:
        images: The test part of the dataset.
        source: Whether test images are drawn, or combinations of factors of the whole dataset.
        samples: Images of a draw; fewer where the test part has no more.
        count: How many draws.
        seed: What is drawn depends on it.

    Attributes:
        sizes: How many values each factor takes.
        samples: Images of a draw.
        places: int64, the images in the dataset whose codes are needed.

    Raises:
        BenchError: The dataset does not have all combinations of factors.
    """

    def __init__(self, images: Subset, source: Source, samples: int, count: int, seed: int) -> None:
        self.sizes = _sizes_of_grid(images.dataset)
        self._count, self._seed = count, seed
        self._whole = source == "whole"
        if self._whole:
            self.samples = samples
            self.places = torch.arange(len(images.dataset))
        else:
            self.samples = min(samples, len(images) // count)
            key = derive_seed(seed, "disentanglement", "images")
            order = uniforms(key, 0, len(images))[:, 0].argsort(stable=True)
            self.places = images.indices[order[: count * self.samples]]

    def of(self, codes: Codes) -> Iterator[Draw]:
        """The draws of codes (N, K) of the images at ``places``.

        Raises:
            ValueError: So few images show too few values of some factor.
        """
        for number in range(self._count):
            seed = derive_seed(self._seed, "disentanglement", "draw", number) % _SEEDS
            if self._whole:
                yield self._of_grid(codes, seed)
            else:
                rows = slice(number * self.samples, (number + 1) * self.samples)
                yield _of_table(codes[rows], _factors(self.places[rows], self.sizes), seed)

    def require_enough(self) -> None:
        """Refuse so few images that metrics cannot be taken of their factors.

        Raises:
            BenchError: There are.
        """
        nothing = np.zeros((len(self.places), 1), np.float32)
        try:
            for draw in self.of(nothing):
                labelled_codes(*draw.train)
        except ValueError as error:
            raise BenchError(
                f"{self.samples} images of a draw are too few to tell factors by ({error}): raise "
                "--limit or track.samples, or lower track.draws."
            ) from error

    def _of_grid(self, codes: Codes, seed: int) -> Draw:
        sampler = GridSampler(self.sizes, partial(_looked_up, codes, self.sizes))
        held_out = self.samples // 3
        train, test = sampler.train_and_test(self.samples - held_out, held_out, seed)
        return Draw(train, test, sampler, seed)


def factor_names(dataset: Dataset) -> tuple[str, ...]:
    """The names of a dataset's factors: its attributes', where these are the factors."""
    count, names = len(dataset.factor_sizes or ()), dataset.attributes.names
    return names if len(names) == count else tuple(f"factor {j}" for j in range(count))


def _sizes_of_grid(dataset: Dataset) -> tuple[int, ...]:
    sizes = dataset.factor_sizes
    if sizes is None or len(sizes) < 2 or min(sizes) < 2 or prod(sizes) != len(dataset):
        raise BenchError(
            f"The track disentanglement scores codes by factors of which every combination occurs "
            f"once, and {dataset.name} has none of that kind: take shapes3d, 3dshapes or dsprites."
        )
    return sizes


def _of_table(codes: Codes, factors: NDArray[np.int64], seed: int) -> Draw:
    train, test = split(codes, factors, seed=seed)
    return Draw(train, test, TableSampler(*_in_company(Samples(codes, factors))), seed)


def _in_company(samples: Samples) -> Samples:
    """Those samples that share the value of each factor with another one of them.

    Of few images, some have a value that no other has, and nothing can be paired with them.
    """
    codes, factors = samples
    while True:
        alone = np.zeros(len(factors), np.bool_)
        for column in factors.T:
            _, values, counts = np.unique(column, return_inverse=True, return_counts=True)
            alone |= (counts == 1)[values]
        if not alone.any():
            return Samples(codes, factors)
        codes, factors = codes[~alone], factors[~alone]


def _factors(places: Tensor, sizes: tuple[int, ...]) -> NDArray[np.int64]:
    return np.stack(np.unravel_index(places.numpy(), sizes), axis=1).astype(np.int64)


def _looked_up(codes: Codes, sizes: tuple[int, ...], factors: NDArray[np.int64]) -> Codes:
    return codes[np.ravel_multi_index(tuple(factors.T), sizes)]
