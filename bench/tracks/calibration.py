"""Edit scales that make methods comparable: edits of equal size as a feature network sees them.

S_disen and N_discov depend on how far codes are moved, and the lengths of directions differ
between methods by orders of magnitude. The protocol ``matched`` therefore gives each method the
scale s at which the mean distance of its edits, D(G(w + s delta), G(w - s delta)), equals one
fixed value.

D compares feature maps as LPIPS does, without its learned weights (Zhang et al., "The Unreasonable
Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, equation 1 with w = 1): channel
vectors of unit length, squared difference, mean over positions, mean over layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Discoverer, FeatureExtractor, LatentGenerator

_WIDEN = 4.0  # factor between the scales tried while the target is not yet bracketed
_SMALLEST, _LARGEST = 4.0**-10, 4.0**10
_REFINEMENTS = 24  # far more than the interpolation needs; bisection alone would reach 1e-6


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
    distance: Callable[[float], float], target: float, tolerance: float = 0.005
) -> Calibration:
    """Find the smallest bracketed scale at which ``distance`` equals ``target``.

    The scale is bracketed from 1 in factors of 4 within [4**-10, 4**10], then found by bisection
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


@torch.no_grad()
def mean_edit_distance(
    method: Discoverer,
    generator: LatentGenerator,
    extractor: FeatureExtractor,
    codes: Tensor,
    scale: float,
    batch_size: int = 64,
) -> float:
    """The mean feature distance between codes moved forwards and backwards by ``scale``.

    Every code moves along one direction, and all directions have the same share of the codes
    (give or take one).

    Args:
        method: The method whose directions are measured.
        generator: Makes the images, with constant noise.
        extractor: Its feature maps at the images' own size define the distance.
        codes: (N, L, D), layer codes of the generator.
        scale: The step along a direction, either way.
        batch_size: Pairs of images at a time; the mean does not depend on it.

    Returns:
        The mean distance in [0, 4]; NaN or infinite if the method's edits are.
    """
    count = len(codes)
    directions = torch.arange(count, device=codes.device) * method.num_directions // count
    batches = zip(codes.split(batch_size), directions.split(batch_size), strict=True)
    pairs = ((method.shift(ws, k, -scale), method.shift(ws, k, scale)) for ws, k in batches)
    return _summed_distance(generator, extractor, pairs) / count


@torch.no_grad()
def mean_sample_distance(
    generator: LatentGenerator, extractor: FeatureExtractor, codes: Tensor, batch_size: int = 64
) -> float:
    """The mean feature distance between unrelated images, which edit distances compare with.

    Args:
        generator: Makes the images, with constant noise.
        extractor: As for ``mean_edit_distance``.
        codes: (N, L, D), N >= 2; each of the first half is paired with one of the second.
        batch_size: Pairs of images at a time.
    """
    half = len(codes) // 2
    pairs = zip(
        codes[:half].split(batch_size), codes[half : 2 * half].split(batch_size), strict=True
    )
    return _summed_distance(generator, extractor, pairs) / half


def feature_distance(extractor: FeatureExtractor, first: Tensor, second: Tensor) -> Tensor:
    """The distance D of the module's docstring between two batches of images.

    Args:
        extractor: The feature maps of all its layers, at the images' own size, are compared.
        first: (N, C, H, W) in [-1, 1].
        second: Likewise.

    Returns:
        float32 (N,) in [0, 4].
    """
    maps = extractor.feature_maps(torch.cat([first, second]))
    per_layer = []
    for features in maps:
        one, other = functional.normalize(features, dim=1, eps=1e-6).chunk(2)  # N x C x h x w
        per_layer.append((one - other).square().sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(per_layer).mean(dim=0)


def _summed_distance(
    generator: LatentGenerator, extractor: FeatureExtractor, pairs: Iterable[tuple[Tensor, Tensor]]
) -> float:
    """The sum of the feature distances of pairs of codes, batch by batch."""
    total = 0.0
    for first, second in pairs:
        images = [generator.synthesis(codes, noise_mode="const") for codes in (first, second)]
        total += feature_distance(extractor, *images).double().sum().item()
    return total
