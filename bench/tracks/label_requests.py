"""Which labels the conditional track asks for: those of the dataset, or as InfoSCC-GAN's code does.

``dataset`` asks for labels that images have: those of the test images. ``released`` draws uniform
classes, or a fair coin for each attribute, whatever occurs together: two colours of hair, or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from baselines.randomness import derive_seed, integers, uniforms
from bench.data.subset import Subset, evenly_spread

Source = Literal["dataset", "released"]


@dataclass(frozen=True)
class LabelRequests:
    """Draws labels.

    Attributes:
        source: Where labels come from.
        images: The test images.
        seed: All draws derive from it.
    """

    source: Source
    images: Subset
    seed: int

    @property
    def attributes(self) -> Attributes:
        return self.images.dataset.attributes

    @cached_property
    def of_images(self) -> Tensor:
        """The labels (N, A) of all test images."""
        return self.images.labels(torch.arange(len(self.images))).cpu().float()

    def rows(self, count: int, purpose: str) -> Tensor:
        """``count`` labels, float32 (N, A): of evenly spread test images, or drawn.

        Labels of the dataset do not depend on ``purpose``, and as many of them as there are test
        images are those of all test images.
        """
        if self.source == "dataset":
            chosen = evenly_spread(count, len(self.images))
            return self.of_images[chosen[torch.arange(count) % len(chosen)]]
        seed = derive_seed(self.seed, "conditional", "labels", purpose)
        width = len(self.attributes.names)
        if self.attributes.classes:
            return functional.one_hot(integers(seed, 0, count, width), width).float()
        return (uniforms(seed, 0, count, width) < 0.5).float()

    def present(self, column: int, count: int) -> Tensor:
        """Labels with an attribute, (N, A).

        Classes have no other; of attributes, the column is set. Labels of the dataset then lose
        the others of its exclusive groups, as no image has two of them.
        """
        name = self.attributes.names[column]
        labels = self.rows(count, name)
        if self.attributes.classes:
            labels = torch.zeros_like(labels)
        elif self.source == "dataset":
            for group in self.attributes.exclusive:
                if name in group:
                    labels[:, [self.attributes.names.index(other) for other in group]] = 0.0
        labels[:, column] = 1.0
        return labels

    def absent(self, column: int, count: int) -> Tensor:
        """Labels without an attribute, (N, A): of test images that lack it, where some do."""
        labels = self.rows(count, self.attributes.names[column])
        if self.source == "dataset":
            lacking = self.of_images[self.of_images[:, column] < 0.5]
            if len(lacking):
                return lacking[torch.arange(count) * len(lacking) // count]
        labels[:, column] = 0.0
        return labels


def same_label_pairs(labels: Tensor, count: int, seed: int) -> Tensor:
    """Pairs of images with equal labels; no image is in two.

    Args:
        labels: (N, A).
        count: How many are asked for; there may be fewer.
        seed: Draws them.

    Returns:
        int64 (P, 2), places of the images, each label as often as images allow.
    """
    kinds = labels.unique(dim=0, return_inverse=True)[1]
    order = uniforms(seed, 0, len(labels))[:, 0].argsort(stable=True)
    order = order[kinds[order].argsort(stable=True)]  # by kind, shuffled within
    sizes = kinds.bincount()
    starts = sizes.cumsum(0) - sizes
    within = torch.arange(len(order)) - starts[kinds[order]]
    first = (within % 2 == 0) & (within + 1 < sizes[kinds[order]])
    places = first.nonzero()[:, 0]
    pairs = torch.stack([order[places], order[places + 1]], dim=1)
    return pairs[evenly_spread(count, len(pairs))]
