"""beta-VAE metric: does the mean difference of codes in pairs tell which factor the pairs share?

Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework"
(ICLR 2017), section 3, as disentanglement_lib computes it: a point is the mean, over a batch of
pairs that share one factor, of the absolute difference of their codes, and the score is the
accuracy with which scikit-learn's logistic regression (its defaults) tells the shared factor.

Published runs used a scikit-learn whose default was one-vs-rest; today's is multinomial, so that
published numbers can differ slightly. Points are not standardised, and codes far smaller than 1
therefore score low.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from metrics.arrays import finite_array, require_finite
from metrics.disentanglement.inputs import Codes, Labels, codes_array, factor_labels, positive
from metrics.disentanglement.sampling import Sampler, pair_batches


@dataclass(frozen=True)
class BetaVaeScore:
    """The beta-VAE metric.

    Attributes:
        score: Accuracy on the evaluation points, in [0, 1]; chance is 1 / number of factors.
        train_accuracy: Accuracy on the points that the classifier was fitted to.
    """

    score: float
    train_accuracy: float


def beta_vae_metric(
    sampler: Sampler,
    *,
    batch_size: int = 64,
    train_points: int = 10_000,
    eval_points: int = 5_000,
    seed: int = 0,
) -> BetaVaeScore:
    """The beta-VAE metric with the published settings as defaults.

    Args:
        sampler: ``GridSampler`` or ``TableSampler``, of two factors or more.
        batch_size: Pairs of a point.
        train_points: Points that the classifier is fitted to.
        eval_points: Points that it is scored with.
        seed: Seeds numpy's ``RandomState``, with the reference's order of draws.

    Raises:
        ValueError: A single factor, codes that are no finite (N, K) numbers or whose differences
            overflow, or a number below 1.
    """
    positive(batch_size=batch_size, train_points=train_points, eval_points=eval_points)
    random = np.random.RandomState(seed)
    train = _points(sampler, train_points, batch_size, random)
    evaluation = _points(sampler, eval_points, batch_size, random)
    return beta_vae_metric_from_points(*train, *evaluation, num_factors=sampler.num_factors)


def beta_vae_metric_from_points(
    train_points: Any, train_factors: Any, eval_points: Any, eval_factors: Any, *, num_factors: int
) -> BetaVaeScore:
    """The beta-VAE metric of points that were made already.

    Args:
        train_points: (N, K), see ``pair_difference``.
        train_factors: (N,), the index of the factor that the pairs of each point share.
        eval_points: (M, K).
        eval_factors: (M,).
        num_factors: How many factors there are.

    Raises:
        ValueError: NaN or infinite entries, shapes that do not match, an index that is no factor,
            or training points of one factor only.
    """
    points, labels = _checked(train_points, train_factors, "training", num_factors)
    held_out, wanted = _checked(eval_points, eval_factors, "evaluation", num_factors)
    if points.shape[1] != held_out.shape[1]:
        raise ValueError(
            f"Training points have {points.shape[1]} codes, evaluation points {held_out.shape[1]}."
        )
    if (labels == labels[0]).all():
        raise ValueError(f"All training points share factor {labels[0]}; two or more are needed.")
    model = LogisticRegression()
    with warnings.catch_warnings():
        # scikit-learn's limit of 100 iterations is part of the definition.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(points, labels)
    return BetaVaeScore(
        score=float((model.predict(held_out) == wanted).mean()),
        train_accuracy=float((model.predict(points) == labels).mean()),
    )


def pair_difference(first: Any, second: Any) -> Codes:
    """The points of batches of pairs: the mean absolute difference of the pairs' codes.

    Args:
        first: (V, B, K) codes of the first of each pair, B pairs in each of V batches.
        second: (V, B, K), of the second.

    Returns:
        (V, K), float32 where the codes are, else float64.

    Raises:
        ValueError: NaN or infinite entries, shapes that do not match, or differences that overflow.
    """
    one = codes_array(first, "The first codes", ndim=3)
    other = codes_array(second, "The second codes", ndim=3)
    if one.shape != other.shape:
        raise ValueError(f"Pairs of codes have shapes {one.shape} and {other.shape}.")
    points = np.abs(one - other).mean(axis=1)
    require_finite(points, "The codes are so large that their differences overflow")
    return points


def _points(
    sampler: Sampler, count: int, batch_size: int, random: np.random.RandomState
) -> tuple[Codes, Labels]:
    points, labels = [], []
    for factors, first, second in pair_batches(sampler, count, batch_size, random):
        points.append(pair_difference(first, second))
        labels.append(factors)
    return np.concatenate(points), np.concatenate(labels)


def _checked(values: Any, factors: Any, part: str, num_factors: int) -> tuple[Codes, Labels]:
    # The reference collects points in float64, whatever the codes are.
    points = finite_array(values, f"The {part} points", ndim=2)
    labels = factor_labels(factors, f"The shared factors of {part}", num_factors)
    if len(labels) != len(points):
        raise ValueError(f"{len(points)} {part} points have {len(labels)} shared factors.")
    return points, labels
