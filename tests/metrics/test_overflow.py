"""Finite numbers of any size: every metric gives finite values, or says what is too large."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from metrics.attribute_control import attribute_control_accuracy, class_control_accuracy
from metrics.chamfer import chamfer_infoscc, chamfer_pytorch3d
from metrics.classification import average_precision, roc_auc
from metrics.comparison import paired_comparison
from metrics.discovery import discovery_intervals, discovery_scores, scores_from_changes
from metrics.disentanglement.beta_vae import beta_vae_metric
from metrics.disentanglement.dci import dci_from_importance
from metrics.disentanglement.factor_vae import factor_vae_metric
from metrics.disentanglement.mig import mig
from metrics.disentanglement.modularity import (
    explicitness,
    modularity,
    modularity_from_information,
)
from metrics.disentanglement.sampling import TableSampler
from metrics.disentanglement.sap import sap, sap_continuous
from metrics.frechet import frechet_distance, frechet_distance_from_features
from metrics.inception_score import inception_score
from metrics.kernel_distance import GaussianKernel, kernel_distance, squared_mmd
from metrics.moments import RunningMoments
from metrics.monge_inception import monge_inception_distance
from metrics.perceptual import lpips_distances
from metrics.precision_recall import precision_recall
from metrics.statistics import (
    bootstrap_interval,
    bootstrap_means,
    difference_over_seeds,
    jackknife_means,
    percentile_interval,
    spread_over_seeds,
    standard_error,
)
from metrics.tsne import joint_tsne

SCALES = (1e20, 1e100, 1e160, 1.7e308)
FACTORS = np.indices((3, 4)).reshape(2, -1).T.repeat(3, axis=0)


def _within_one(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers between -1 and 1, both of which occur."""
    values = np.random.default_rng(seed).uniform(-1.0, 1.0, shape)
    values.flat[0], values.flat[1] = 1.0, -1.0
    return values


X, Y, CODES = (_within_one(shape, seed) for seed, shape in enumerate([(20, 3), (20, 3), (36, 2)]))


def _drawn(metric: Callable[..., Any], s: float, **sizes: int) -> Any:
    return metric(TableSampler(s * CODES, FACTORS), batch_size=4, **sizes)


def _activations(s: float, dtype: torch.dtype) -> list[list[torch.Tensor]]:
    return [[torch.from_numpy(s * one).to(dtype).reshape(1, 3, 4, 5)] for one in (X, Y)]


METRICS: dict[str, Callable[[float], Any]] = {
    "frechet": lambda s: frechet_distance_from_features(s * X, s * Y),
    "frechet of moments": lambda s: frechet_distance(X[0], s * np.eye(3), X[1], s * np.eye(3)),
    "frechet of means": lambda s: frechet_distance(s * X[0], np.eye(3), s * Y[1], np.eye(3)),
    "inception": lambda s: inception_score(s * X, splits=2),
    "kernel": lambda s: kernel_distance(s * X, s * Y, subsets=3, subset_size=10),
    "gaussian": lambda s: squared_mmd(s * X, s * Y, GaussianKernel(1.0)),
    "monge": lambda s: monge_inception_distance(s * X, s * Y, projections=4),
    "precision": lambda s: precision_recall(s * X, s * Y),
    "infoscc": lambda s: chamfer_infoscc(s * X, s * Y),
    "pytorch3d": lambda s: chamfer_pytorch3d(s * X, s * Y),
    "tsne": lambda s: joint_tsne(s * X, s * Y, perplexity=3.0) if s > 1e20 else 0.0,
    "discovery": lambda s: discovery_scores(s * X[None], -s * X[None]),
    "discovery intervals": lambda s: discovery_intervals(s * X[None], -s * Y[None], resamples=20),
    "changes": lambda s: scores_from_changes(s * X),
    "average precision": lambda s: average_precision(X > 0, s * X),
    "roc": lambda s: roc_auc(X > 0, s * X),
    "attributes": lambda s: attribute_control_accuracy(s * np.stack([X, Y, X])),
    "exclusive": lambda s: class_control_accuracy(s * np.stack([X, Y, X])),
    "moments": lambda s: RunningMoments().update(s * X).update(-s * X).covariance(),
    "mig": lambda s: mig(s * CODES, FACTORS),
    "modularity": lambda s: modularity(s * CODES, FACTORS),
    "information": lambda s: modularity_from_information(s * np.abs(CODES)),
    "explicitness": lambda s: explicitness(s * CODES, FACTORS, s * CODES, FACTORS),
    "explicitness of the rest": lambda s: explicitness(CODES, FACTORS, s * CODES, FACTORS),
    "sap": lambda s: sap(s * CODES, FACTORS, CODES, FACTORS),
    "correlations": lambda s: sap_continuous(s * CODES, FACTORS),
    "fvm": lambda s: _drawn(factor_vae_metric, s, train_votes=9, eval_votes=9, variance_samples=9),
    "beta-vae": lambda s: _drawn(beta_vae_metric, s, train_points=20, eval_points=9),
    "importance": lambda s: dci_from_importance(s * np.abs(CODES)),
    "interval": lambda s: bootstrap_interval(s * X[:, 0], resamples=50),
    "bca": lambda s: bootstrap_interval(s * X[:, 0], resamples=50, method="bca"),
    "means": lambda s: bootstrap_means(s * np.abs(X), resamples=5),
    "jackknife": lambda s: jackknife_means(s * np.abs(X)),
    "comparison": lambda s: paired_comparison(s * X[:, 0], s * Y[:, 0], resamples=50, flips=99),
    "standard error": lambda s: standard_error(s * X[:, 0]),
    "spread": lambda s: spread_over_seeds(s * X[:, 0]),
    "seeds": lambda s: difference_over_seeds(s * X[:5, 0], s * Y[:5, 0]),
    "percentiles": lambda s: percentile_interval(s * X[:, 0], around=s * Y[0, 0]),
    "lpips": lambda s: lpips_distances(*_activations(s, torch.float64)),
    "lpips of floats": lambda s: lpips_distances(*_activations(s, torch.float32)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of the overflow itself
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", METRICS)
def test_huge_numbers_give_finite_values_or_are_refused(name: str, scale: float) -> None:
    found, fault = None, None
    try:
        found = METRICS[name](scale)
    except ValueError as error:
        fault = f"{type(error).__name__}: {error}"
    assert all(np.isfinite(values).all() for values in _numbers(found))
    assert fault is None or re.match("ValueError: .*(overflow|too large)", fault)


def test_what_is_too_large_is_said() -> None:
    with pytest.raises(ValueError, match="features are so large that their squared differences"):
        monge_inception_distance(1e160 * X, Y, projections=2)
    with pytest.raises(ValueError, match="resampled values are so large that their variance"):
        bootstrap_interval(1e160 * X[:, 0], resamples=50)
    with pytest.raises(ValueError, match="codes are so large that their fourth powers"):
        sap(1e100 * CODES, FACTORS, CODES, FACTORS)


def _numbers(found: Any) -> Iterator[np.ndarray]:
    """All numbers in a metric's result."""
    if dataclasses.is_dataclass(found):
        found = [getattr(found, field.name) for field in dataclasses.fields(found)]
    elif isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        for part in found:
            yield from _numbers(part)
    elif found is not None:
        yield np.asarray(found, dtype=np.float64)
