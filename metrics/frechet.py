"""Fréchet distance of two Gaussians fitted to features (FID when the features are Inception's).

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(2017), eq. 6; Dowson and Landau (1982). Everything is float64, means included, and the trace of
the matrix square root comes from symmetric eigenvalue problems: a general ``sqrtm`` gives complex
or NaN values on singular covariances.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from metrics.arrays import FloatArray, finite_array
from metrics.moments import RunningMoments


def frechet_distance(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> float:
    """Squared 2-Wasserstein distance of N(mean1, covariance1) and N(mean2, covariance2).

    ``|mean1 - mean2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``, with the trace of the root taken as the
    sum of the roots of the eigenvalues of the symmetric ``C1^(1/2) C2 C1^(1/2)``.

    Args:
        mean1: (D,) real numbers, array or tensor.
        covariance1: (D, D) symmetric positive semidefinite; may be singular.
        mean2: (D,).
        covariance2: (D, D).

    Returns:
        The distance, at least 0; what rounding leaves below 0 is set to 0. On singular
        covariances its error is about D x largest eigenvalue x 1e-8.

    Raises:
        ValueError: NaN or infinite entries, an asymmetric covariance, or shapes that do not match.
    """
    mean_1, cov_1 = _gaussian(mean1, covariance1, "first")
    mean_2, cov_2 = _gaussian(mean2, covariance2, "second")
    if mean_1.shape != mean_2.shape:
        raise ValueError(f"Gaussians of {len(mean_1)} and {len(mean_2)} dimensions do not compare.")
    values, vectors = np.linalg.eigh(cov_1)
    # With root = V sqrt(values), root^T C2 root has the eigenvalues of C1^(1/2) C2 C1^(1/2).
    root = vectors * np.sqrt(values.clip(min=0.0))  # D x D
    product = root.T @ cov_2 @ root
    trace_of_root = np.sqrt(np.linalg.eigvalsh(product).clip(min=0.0)).sum()
    offset = mean_1 - mean_2
    distance = offset @ offset + np.trace(cov_1) + np.trace(cov_2) - 2.0 * trace_of_root
    return max(float(distance), 0.0)


def frechet_distance_from_features(features1: Any, features2: Any) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features.

    Args:
        features1: (N, D) array or tensor.
        features2: (M, D) array or tensor.

    Returns:
        The distance, at least 0; covariances are divided by N - 1 and M - 1.

    Raises:
        ValueError: Fewer than two rows, NaN or infinite entries, or different widths.

    Warns:
        UserWarning: A set has fewer rows than dimensions; the distance is then biased upwards.
    """
    first = RunningMoments().update(features1)
    second = RunningMoments().update(features2)
    dimensions = len(first.mean)
    fewest = min(first.count, second.count)
    if fewest < dimensions:
        warnings.warn(
            f"A Fréchet distance from {fewest} samples of {dimensions} features is biased upwards; "
            f"use at least {dimensions} samples, or the kernel distance.",
            stacklevel=2,
        )
    return frechet_distance(first.mean, first.covariance(), second.mean, second.covariance())


def _gaussian(mean: Any, covariance: Any, which: str) -> tuple[FloatArray, FloatArray]:
    centre = finite_array(mean, f"The {which} mean", ndim=1)
    spread = finite_array(covariance, f"The {which} covariance", ndim=2)
    if spread.shape != (len(centre), len(centre)):
        raise ValueError(
            f"The {which} covariance has shape {spread.shape}, its mean {len(centre)} entries."
        )
    if not np.allclose(spread, spread.T, rtol=1e-6, atol=1e-9 * np.abs(spread).max()):
        raise ValueError(f"The {which} covariance is not symmetric.")
    return centre, spread
