"""Monge Inception Distance (MIND): a scaled sliced Wasserstein distance of two sets of features.

Berthet et al., "MIND: Monge Inception Distance for Generative Models Evaluation" (arXiv
2605.06797). Along a direction the optimal transport pairs the projections in order; the mean of
their squared differences over random directions, times 3 x the number of dimensions, is the
distance. Subsets and directions are drawn as by torch-fidelity's development version, whose
projections are float32; here they are float64, which moves its values by about 1e-6 of themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from metrics.arrays import finite_array, require_finite, row_blocks, two_sets

_NAMES = ("first set of features", "second set of features")


def monge_inception_distance(
    features1: Any, features2: Any, *, projections: int, seed: int = 2020
) -> float:
    """The distance along random directions.

    Of sets of different sizes as many rows of the larger are drawn as the smaller has. The number
    of rows, of projections and the seed change the result.

    Args:
        features1: (N, D) array or tensor.
        features2: (M, D) array or tensor.
        projections: How many directions are drawn.
        seed: Seeds a ``torch.Generator`` for the rows, then for the directions.

    Returns:
        A number of at least 0, in squared units of the features.

    Raises:
        ValueError: NaN or infinite entries, different widths, no projections, or features whose
            squared differences overflow.
    """
    first, second = two_sets(features1, features2, *_NAMES)
    if projections < 1:
        raise ValueError(f"A sliced distance needs at least one projection, not {projections}.")
    generator = torch.Generator().manual_seed(seed)
    fewest = min(len(first), len(second))
    if len(first) > fewest:
        first = first[torch.randperm(len(first), generator=generator)[:fewest].numpy()]
    if len(second) > fewest:
        second = second[torch.randperm(len(second), generator=generator)[:fewest].numpy()]
    directions = torch.randn(projections, first.shape[1], generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    return sliced_distance(first, second, directions)


def sliced_distance(features1: Any, features2: Any, directions: Any) -> float:
    """``3 D`` times the mean squared difference of sorted projections.

    Args:
        features1: (N, D) array or tensor.
        features2: (N, D); sets of different sizes have no one-to-one transport.
        directions: (P, D) rows of length 1.

    Returns:
        A number of at least 0.

    Raises:
        ValueError: NaN or infinite entries, shapes that do not match, or features whose squared
            differences overflow.
    """
    first, second = two_sets(features1, features2, *_NAMES)
    slices = finite_array(directions, "The directions", ndim=2)
    if first.shape != second.shape:
        raise ValueError(
            f"A sliced distance pairs sets of one shape, not of {first.shape} and {second.shape}."
        )
    if slices.shape[1] != first.shape[1]:
        raise ValueError(
            f"Directions of {slices.shape[1]} dimensions do not go with features of "
            f"{first.shape[1]}."
        )
    total = 0.0
    for some in row_blocks(len(slices), len(first)):
        block = slices[some].T  # D x P
        difference = np.sort(first @ block, axis=0) - np.sort(second @ block, axis=0)
        total += float((difference**2).sum())
    distance = 3.0 * first.shape[1] * total / (len(first) * len(slices))
    require_finite(distance, "The features are so large that their squared differences overflow")
    return distance
