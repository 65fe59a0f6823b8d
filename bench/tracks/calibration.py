"""Edit scales that make methods comparable: edits of equal size as a feature network sees them.

S_disen and N_discov depend on how far codes are moved, and the lengths of directions differ
between methods by orders of magnitude. The protocol ``matched`` therefore gives each method the
scale s at which the mean distance of its edits, D(G(w + s delta), G(w - s delta)), equals one
fixed value.

D is ``bench.tracks.image_comparisons.feature_distance``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from baselines.base import Discoverer, FeatureExtractor, LatentGenerator
from bench.tracks.image_comparisons import feature_distance

_WIDEN = 4.0  # factor between the scales tried while the target is not yet bracketed
_SMALLEST, _LARGEST = 4.0**-8, 4.0**8
_REFINEMENTS = 12  # a smooth distance takes two or three; a jumpy one never gets there


@dataclass(frozen=True)
class Calibration:
    """The outcome of a search for an edit scale.

    Attributes:
        scale: The edit scale found.
        distance: The mean feature distance at that scale.
        reached: Whether the distance equals the target within the tolerance; if not, ``scale`` is
            the tried one whose distance comes nearest to it.
        monotone: Whether the distance never fell from one tried scale to the next larger one.
        tried: The scales tried and their distances, by scale.
    """

    scale: float
    distance: float
    reached: bool
    monotone: bool
    tried: tuple[tuple[float, float], ...]


def calibrate(
    distance: Callable[[float], float], target: float, tolerance: float = 0.01
) -> Calibration:
    """Find the smallest bracketed scale at which ``distance`` equals ``target``.

    The scale is bracketed from 1 in factors of 4 within [4**-8, 4**8], then found by bisection
    on its logarithm. The cut is where a power law through the bracket's ends meets the target, but
    never near an end, so that the bracket shrinks even where the law is wrong; a continuous
    distance need not be monotone for that.

    Args:
        distance: From a positive scale to a distance >= 0.
        target: The distance to reach, > 0.
        tolerance: Relative to the target.
    """
    tried: dict[float, float] = {}

    def measure(scale: float) -> float:
        tried[scale] = distance(scale)
        return tried[scale]

    low, high = _bracket(measure, target)
    if low is not None and high is not None:
        for _ in range(_REFINEMENTS):
            if min(abs(tried[low] - target), abs(tried[high] - target)) <= tolerance * target:
                break
            middle = _cut(low, high, tried[low], tried[high], target)
            if measure(middle) < target:
                low = middle
            else:
                high = middle
    scale = min(tried, key=lambda s: abs(tried[s] - target))
    curve = tuple(sorted(tried.items()))
    return Calibration(
        scale=scale,
        distance=tried[scale],
        reached=abs(tried[scale] - target) <= tolerance * target,
        monotone=all(a[1] <= b[1] for a, b in pairwise(curve)),
        tried=curve,
    )


def _bracket(measure: Callable[[float], float], target: float) -> tuple[float | None, float | None]:
    """Two scales a factor apart, the smaller below the target; None for an end not found."""
    scale = 1.0
    if measure(scale) >= target:
        while scale > _SMALLEST:
            scale /= _WIDEN
            if measure(scale) < target:
                return scale, scale * _WIDEN
        return None, scale
    while scale < _LARGEST:
        scale *= _WIDEN
        if measure(scale) >= target:
            return scale / _WIDEN, scale
    return scale, None


def _cut(low: float, high: float, below: float, above: float, target: float) -> float:
    """A scale between ``low`` and ``high``, in the inner eight tenths of their logarithms."""
    share = 0.5
    if below > 0.0 and above > below:
        share = math.log(target / below) / math.log(above / below)
    share = min(max(share, 0.1), 0.9)
    return low * (high / low) ** share


def edit_pairs(
    method: Discoverer, codes: Tensor, scale: float, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Codes moved backwards and forwards, in batches.

    Every code moves along one direction, and all directions have the same share of the codes
    (give or take one).

    Args:
        method: The method whose directions are taken.
        codes: (N, L, D), layer codes of the generator.
        scale: The step along a direction, either way.
        batch_size: Codes at a time.
    """
    directions = torch.arange(len(codes), device=codes.device) * method.num_directions // len(codes)
    for ws, k in zip(codes.split(batch_size), directions.split(batch_size), strict=True):
        yield method.shift(ws, k, -scale), method.shift(ws, k, scale)


@torch.no_grad()
def mean_distance(
    generator: LatentGenerator,
    extractor: FeatureExtractor,
    pairs: Iterable[tuple[Tensor, Tensor]],
    progress: Callable[[int], None] | None = None,
) -> float:
    """The mean distance D between the images of pairs of codes, in constant memory.

    Args:
        generator: Makes the images, with constant noise.
        extractor: Its feature maps at the images' own size define the distance.
        pairs: Batches of first and of second codes, (N, L, D) each.
        progress: Called with the number of pairs done after each batch.

    Returns:
        The mean in [0, 4], whatever the sizes of the batches; NaN if a code or an image is.
    """
    total, count = 0.0, 0
    for codes in pairs:
        first, second = (generator.synthesis(ws, noise_mode="const") for ws in codes)
        distances = feature_distance(extractor, first, second)
        total += distances.double().sum().item()
        count += len(distances)
        if progress is not None:
            progress(count)
    return total / count
