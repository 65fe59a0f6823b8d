"""Fréchet distance of two Gaussians fitted to features (FID when the features are Inception's).

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(2017), eq. 6; Dowson and Landau (1982). Everything is float64, means included. The trace of the
matrix square root is a sum of singular values: with ``C1 = R1 R1^T`` and ``C2 = R2 R2^T`` the
eigenvalues of ``C1 C2`` are the squares of the singular values of ``R1^T R2``, whatever the roots.
The roots are Cholesky factors without anything added to the diagonal. A singular covariance has
none: then they come from the centred features themselves, which is exact, or from eigenvectors
where only the covariance is known. A general ``sqrtm`` gives complex or NaN values there.

All products and factorisations are numpy's, so that one library's threads do all the work.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from metrics.arrays import FloatArray, finite_array, require_finite
from metrics.moments import RunningMoments

_EPSILON = float(np.finfo(np.float64).eps)
_LEAST_PIVOT = 1e-10  # of a variance: below it the other features explain a feature entirely
_ALLOWED_FROM_STATISTICS = 1e-9  # estimated error of eigenvalues, relative to tr C1 + tr C2
_ALLOWED_FROM_FEATURES = 1e-12
_ROWS_AT_ONCE = 4096  # features converted to float64 at a time


def frechet_distance(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """Squared 2-Wasserstein distance of N(mean1, covariance1) and N(mean2, covariance2).

    ``|mean1 - mean2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``.

    Args:
        mean1: (D,) real numbers, array or tensor.
        covariance1: (D, D) symmetric positive semidefinite; may be singular.
        mean2: (D,).
        covariance2: (D, D).

    Returns:
        The distance, at least 0; what rounding leaves below 0 is set to 0. Its error is below 1e-8
        of tr C1 + tr C2, and below 1e-7 of it where a covariance is singular but for the rounding
        of its features: eigenvalues that small are noise. The distance from features is exact
        there too.

    Raises:
        ValueError: NaN or infinite entries, a covariance that is not symmetric or has negative
            eigenvalues, shapes that do not match, or numbers so large that the distance or the
            product of the covariances overflows.
    """
    mean_1, cov_1 = _gaussian(mean1, covariance1, "first")
    mean_2, cov_2 = _gaussian(mean2, covariance2, "second")
    if mean_1.shape != mean_2.shape:
        raise ValueError(f"Gaussians of {len(mean_1)} and {len(mean_2)} dimensions do not compare.")
    size = _total_variance(cov_1, cov_2)
    varying_1, varying_2 = _without_constants(cov_1, cov_2)
    product = _root(varying_1, "first").T @ _root(varying_2, "second")
    trace_of_root = _sum_of_singular_values(product, _ALLOWED_FROM_STATISTICS * size)
    return _distance(mean_1 - mean_2, size, trace_of_root)


def frechet_distance_from_features(features1: Any, features2: Any) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features.

    Where a covariance is singular (fewer samples than dimensions, features in a subspace), the
    features are decomposed instead of it; the result is then exact to about 1e-11 of the summed
    variances.

    Args:
        features1: (N, D) array or tensor.
        features2: (M, D) array or tensor.

    Returns:
        The distance, at least 0; covariances are divided by N - 1 and M - 1.

    Raises:
        ValueError: Fewer than two rows, NaN or infinite entries, different widths, or features so
            large that variances, their products or the distance overflow.

    Warns:
        UserWarning: A set has fewer rows than dimensions; the distance is then biased upwards.
    """
    first = RunningMoments().update(features1)
    second = RunningMoments().update(features2)
    mean_1, cov_1 = first.mean.numpy(), first.covariance().numpy()
    mean_2, cov_2 = second.mean.numpy(), second.covariance().numpy()
    dimensions, fewest = len(mean_1), min(first.count, second.count)
    if mean_1.shape != mean_2.shape:
        raise ValueError(f"Features of {dimensions} and {len(mean_2)} dimensions do not compare.")
    warn_of_few_samples(fewest, dimensions)
    size = _total_variance(cov_1, cov_2)
    allowed = _ALLOWED_FROM_STATISTICS
    # The covariance of as many samples as dimensions, or fewer, has no full rank.
    product = _product_of_cholesky(cov_1, cov_2) if fewest > dimensions else None
    if product is None:
        allowed = _ALLOWED_FROM_FEATURES
        product = _root_of_rows(features1, mean_1).T @ _root_of_rows(features2, mean_2)
    trace_of_root = _sum_of_singular_values(product, allowed * size)
    return _distance(mean_1 - mean_2, size, trace_of_root)


def warn_of_few_samples(samples: int, dimensions: int) -> None:
    """Say that the distance of so few samples is biased, which its moments do not show.

    Args:
        samples: Of the smaller set.
        dimensions: Features of a sample, D.

    Warns:
        UserWarning: There are fewer samples than dimensions.
    """
    if samples < dimensions:
        warnings.warn(
            f"A Fréchet distance from {samples} samples of {dimensions} features is biased "
            f"upwards; use at least {dimensions} samples, or the kernel distance.",
            stacklevel=3,
        )


def _total_variance(cov_1: FloatArray, cov_2: FloatArray) -> float:
    size = float(np.trace(cov_1) + np.trace(cov_2))
    require_finite(size, "The features are so large that their variances overflow")
    return size


def _distance(offset: FloatArray, size: float, trace_of_root: float) -> float:
    distance = float(offset @ offset) + size - 2.0 * trace_of_root
    require_finite(distance, "The means are so far apart that their distance overflows")
    return max(distance, 0.0)


def _gaussian(mean: Any, covariance: Any, which: str) -> tuple[FloatArray, FloatArray]:
    centre = finite_array(mean, f"The {which} mean", ndim=1)
    spread = finite_array(covariance, f"The {which} covariance", ndim=2)
    if spread.shape != (len(centre), len(centre)):
        raise ValueError(
            f"The {which} covariance has shape {spread.shape}, its mean {len(centre)} entries."
        )
    if (spread - spread.T).max() > 1e-6 * np.abs(np.diagonal(spread)).max():
        raise ValueError(f"The {which} covariance is not symmetric.")
    return centre, spread


def _without_constants(cov_1: FloatArray, cov_2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The covariances of those features that vary in both sets.

    The others add nothing to the trace of the root, and dead units of a network are common; with
    them no covariance would have a Cholesky factor.
    """
    varying = cov_1.any(axis=1) & cov_2.any(axis=1)
    if varying.all():
        return cov_1, cov_2
    block = np.ix_(varying, varying)
    return cov_1[block], cov_2[block]


def _product_of_cholesky(cov_1: FloatArray, cov_2: FloatArray) -> FloatArray | None:
    """R1^T R2 of Cholesky factors, None where either covariance is singular."""
    varying_1, varying_2 = _without_constants(cov_1, cov_2)
    root_1, root_2 = _cholesky(varying_1), _cholesky(varying_2)
    return None if root_1 is None or root_2 is None else root_1.T @ root_2


def _cholesky(covariance: FloatArray) -> FloatArray | None:
    try:
        root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    # The factorisation of a singular matrix may succeed when rounding happens to go upwards.
    pivots = np.diagonal(root) ** 2
    return root if (pivots > _LEAST_PIVOT * np.diagonal(covariance)).all() else None


def _root(covariance: FloatArray, which: str) -> FloatArray:
    """(D, rank) with ``root @ root.T`` the covariance."""
    root = _cholesky(covariance)
    if root is not None:
        return root
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < -1e-4 * np.abs(values).max():
        raise ValueError(
            f"The {which} covariance has a negative eigenvalue ({values[0]:.3g}, "
            f"the largest is {values[-1]:.3g}); a covariance has none."
        )
    # Smaller ones are rounding errors of zeros; each would add its root, 1e-8, to the trace.
    kept = values > len(values) * _EPSILON * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def _root_of_rows(features: Any, mean: FloatArray) -> FloatArray:
    """(D, min(N, D)) with ``root @ root.T`` the covariance, which is not formed."""
    rows = features.detach() if hasattr(features, "detach") else np.asarray(features)
    triangle = np.empty((0, len(mean)))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = finite_array(rows[start : start + _ROWS_AT_ONCE], "The features", ndim=2)
        triangle = np.concatenate([triangle, block - mean])
        if len(triangle) > len(mean):
            triangle = np.asarray(np.linalg.qr(triangle, mode="r"), dtype=np.float64)
    return triangle.T / np.sqrt(len(rows) - 1)


def _sum_of_singular_values(matrix: FloatArray, allowed: float) -> float:
    """Singular values as roots of eigenvalues, which is faster, unless that costs precision.

    An eigenvalue has an error of the machine's epsilon of the largest one, and its root more, the
    smaller it is. Singular values proper do not suffer from this.
    """
    if 0 in matrix.shape:
        return 0.0
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    product = matrix @ matrix.T
    fault = "The features are so large that the products of their covariances overflow"
    require_finite(np.diagonal(product).sum(), fault)
    squares = np.linalg.eigvalsh(product)
    noise = _EPSILON * squares[-1]
    error = (noise / (2.0 * np.sqrt(squares.clip(min=noise)))).sum() if noise > 0.0 else 0.0
    if error <= allowed:
        return float(np.sqrt(squares.clip(min=0.0)).sum())
    return float(np.linalg.svd(matrix, compute_uv=False).sum())
