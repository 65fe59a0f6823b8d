"""How different two images of the same label are: samples, and real images as their measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from baselines.base import FeatureExtractor
from bench.extractors.lpips import Lpips
from bench.tracks.image_comparisons import Comparisons, feature_distance
from bench.tracks.label_requests import LabelRequests, same_label_pairs
from bench.tracks.sampling import Sampler
from metrics.editing import Bootstrap, EditScore

_LEAST = 2  # pairs that an interval needs


@dataclass(frozen=True)
class Diversity:
    """Distances within pairs of images whose labels are equal in all columns.

    The pairs of samples have the labels of the pairs of real images, so that the two compare.
    Where no two test images have equal labels, samples get those of single ones.

    Attributes:
        sampler: The method.
        requests: Holds the test images.
        extractor: Its feature maps are compared.
        lpips: LPIPS on AlexNet, or None where its weights are missing.
        pairs: How many at most.
        batch_size: Pairs at a time.
        seed: Draws the pairs of real images.
        bootstrap: How intervals are made.
        report: Is told how many pairs are compared, and of how many.
    """

    sampler: Sampler
    requests: LabelRequests
    extractor: FeatureExtractor
    lpips: Lpips | None
    pairs: int
    batch_size: int
    seed: int
    bootstrap: Bootstrap
    report: Callable[[int, int], None]

    @property
    def names(self) -> list[str]:
        """Of the distances."""
        return [self.extractor.name, *(["lpips"] if self.lpips else [])]

    def of_samples(self) -> dict[str, EditScore]:
        """The mean distances of pairs of samples, with intervals over pairs."""
        batches = zip(
            self.sampler.samples(self._labels, "first of pair"),
            self.sampler.samples(self._labels, "second of pair"),
            strict=True,
        )
        return self._compared(batches, len(self._labels)).means(self.bootstrap)

    def of_real_images(self) -> dict[str, float]:
        """The mean distances of pairs of test images; empty where there are no such pairs."""
        if len(self._real_pairs) < _LEAST:
            return {}
        images, device = self.requests.images, self.sampler.device
        batches = (
            (images.batch(part[:, 0])[0].to(device), images.batch(part[:, 1])[0].to(device))
            for part in self._real_pairs.split(self.batch_size)
        )
        return self._compared(batches, len(self._real_pairs)).averages()

    @cached_property
    def _real_pairs(self) -> Tensor:
        return same_label_pairs(self.requests.of_images, self.pairs, self.seed)

    @cached_property
    def _labels(self) -> Tensor:
        """The label (P, A) of each pair."""
        if len(self._real_pairs) < _LEAST:
            return self.requests.rows(self.pairs, "pairs")
        return self.requests.of_images[self._real_pairs[:, 0]]

    def _compared(self, batches: Iterable[tuple[Tensor, Tensor]], total: int) -> Comparisons:
        comparisons = Comparisons(None)
        done = 0
        for first, second in batches:
            distances = feature_distance(self.extractor, first, second).double().cpu().numpy()
            named = {self.extractor.name: distances}
            if self.lpips is not None:
                named["lpips"] = self.lpips(first, second).double().cpu().numpy()
            comparisons.add(torch.arange(done, done + len(first)), named)
            done += len(first)
            self.report(done, total)
        return comparisons
