"""Chamfer distance of two sets of points, in the two definitions that papers call by that name.

- ``chamfer_infoscc``: what Kinakh, Drozdova, Quétant, Golling and Voloshynovskiy, "InfoSCC-GAN"
  (2021) report. Their released code calls the package chamferdist 1.0.0 with its defaults: squared
  distances from each real point to its nearest fake one, summed. Only missing modes cost; fakes
  that are far from any real point are free, and the sum grows with the number of real points.
- ``chamfer_pytorch3d``: the default of ``pytorch3d.loss.chamfer_distance`` (Ravi et al., 2020):
  both directions, each a mean over its points, added.

Neither is comparable with the other, nor with itself at another number of points: a result states
how many there were. Nearest neighbours come from a k-d tree in float64, which is exact; pytorch3d
itself, where it is installed, gives the same in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from metrics.arrays import FloatArray, finite_array, require_finite, two_sets

Backend = Literal["kdtree", "pytorch3d"]
PointReduction = Literal["mean", "sum", "max"]

_REDUCTIONS: dict[str, Callable[[FloatArray], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
}
_OVERFLOW = "The points are so far apart that their squared distances overflow"


def chamfer_infoscc(
    real: Any, fake: Any, *, backend: Backend = "kdtree", workers: int = 1
) -> float:
    """Sum over the real points of the squared distance to the nearest fake point.

    Args:
        real: (N, D) points.
        fake: (M, D) points.
        backend: See ``nearest_squared_distances``.
        workers: Likewise.

    Returns:
        The sum of N terms, at least 0, in units of the coordinates squared.

    Raises:
        ValueError: As ``nearest_squared_distances``.
        ImportError: Likewise.
    """
    distances = nearest_squared_distances(real, fake, backend=backend, workers=workers)
    return _reduced(distances, "sum")


def chamfer_pytorch3d(
    first: Any,
    second: Any,
    *,
    point_reduction: PointReduction = "mean",
    single_directional: bool = False,
    backend: Backend = "kdtree",
    workers: int = 1,
) -> float:
    """Squared distances to the nearest point of the other set, reduced as pytorch3d does.

    Each set is a batch of one, for which pytorch3d's batch reductions change nothing. Its point
    reduction None gives what ``nearest_squared_distances`` gives.

    Args:
        first: (N, D) points.
        second: (M, D) points.
        point_reduction: "mean" or "sum" over the points of each direction, whose results are
            added; or "max", whose larger result counts (the squared Hausdorff distance).
        single_directional: Only from the first set to the second.
        backend: See ``nearest_squared_distances``.
        workers: Likewise.

    Returns:
        The distance, at least 0.

    Raises:
        ValueError: An unknown reduction, and as ``nearest_squared_distances``.
        ImportError: As there.
    """
    if point_reduction not in _REDUCTIONS:
        raise ValueError(
            f"A reduction over points is one of {', '.join(_REDUCTIONS)}, not {point_reduction!r}."
        )

    def one_way(points: Any, others: Any) -> float:
        distances = nearest_squared_distances(points, others, backend=backend, workers=workers)
        return _reduced(distances, point_reduction)

    there = one_way(first, second)
    if single_directional:
        return there
    back = one_way(second, first)
    return max(there, back) if point_reduction == "max" else there + back


def nearest_squared_distances(
    points: Any, others: Any, *, backend: Backend = "kdtree", workers: int = 1
) -> FloatArray:
    """Squared Euclidean distance from each point to the nearest of the others.

    Args:
        points: (N, D), array or tensor.
        others: (M, D).
        backend: "kdtree" (scipy, float64; made for few dimensions, and correct in any) or
            "pytorch3d" (float32, so points that differ by less than 1e-7 of their size coincide).
        workers: Threads that search the tree; -1 for one per processor.

    Returns:
        (N,) float64; exactly 0 for points that are among the others.

    Raises:
        ValueError: No points, NaN or infinite coordinates, different numbers of dimensions, points
            so far apart that squared distances overflow, or an unknown backend.
        ImportError: pytorch3d is asked for and not installed.
    """
    sources, targets = two_sets(points, others, "set of points", "set of other points")
    if backend == "pytorch3d":
        return _by_pytorch3d(sources, targets)
    if backend != "kdtree":
        raise ValueError(f"A backend is 'kdtree' or 'pytorch3d', not {backend!r}.")
    distances, nearest = cKDTree(targets).query(sources, workers=workers)
    require_finite(distances, _OVERFLOW)
    return np.square(sources - targets[nearest]).sum(axis=1)


def _reduced(distances: FloatArray, reduction: PointReduction) -> float:
    value = float(_REDUCTIONS[reduction](distances))
    require_finite(value, _OVERFLOW)
    return value


def _by_pytorch3d(sources: FloatArray, targets: FloatArray) -> FloatArray:
    try:
        from pytorch3d.ops import knn_points
    except ImportError as error:
        raise ImportError(
            "This backend needs pytorch3d: pip install 'gan-attribute-bench[pytorch3d]'."
        ) from error
    import torch

    clouds = (torch.from_numpy(points).float()[None] for points in (sources, targets))
    return finite_array(knn_points(*clouds, K=1).dists[0, :, 0], "The distances of pytorch3d")
