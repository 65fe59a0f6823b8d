"""Modularity and explicitness of a representation.

Ridgeway and Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss"
(arXiv 1802.05312), section 3, as disentanglement_lib computes them. Modularity asks whether each
code tells of one factor only; explicitness asks how well all codes together tell the values of
each factor to a linear classifier.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from metrics.arrays import FloatArray, finite_array, require_finite
from metrics.disentanglement.information import discretise, mutual_information
from metrics.disentanglement.inputs import (
    Codes,
    LabelledCodes,
    Labels,
    labelled_codes,
    train_and_test_codes,
)


@dataclass(frozen=True, eq=False)
class Modularity:
    """Modularity and what it is made of.

    Attributes:
        score: Mean of the codes' modularities, in [0, 1].
        per_code: (K,).
        information: (K, F), mutual information of the discretised codes and the factors, in nats.
    """

    score: float
    per_code: FloatArray
    information: FloatArray


@dataclass(frozen=True, eq=False)
class Explicitness:
    """Areas under the ROC curve of linear classifiers; 0.5 is chance, 1 perfect.

    Attributes:
        train: Mean over the factors, of the samples that the classifiers were fitted to.
        test: Mean over the factors, of the test part.
        per_factor: (F, 2), training and test part.
    """

    train: float
    test: float
    per_factor: FloatArray


def modularity(codes: Any, factors: Any, *, bins: int = 20) -> Modularity:
    """Modularity of codes. The published setting is 10,000 samples and 20 bins.

    Args:
        codes: (N, K) real numbers. float32 codes are binned in float32.
        factors: (N, F) values of discrete factors, F >= 2.
        bins: Bins of equal width between a code's smallest and largest value.

    Raises:
        ValueError: A single factor, a factor with one value, fewer than two samples, NaN or
            infinite entries, or codes whose range overflows.
    """
    samples = labelled_codes(codes, factors)
    return modularity_from_information(
        mutual_information(discretise(samples.codes, bins), samples.labels)
    )


def modularity_from_information(information: Any) -> Modularity:
    """Modularity of a matrix of mutual information.

    The score of a code is 1 less the squares of its row, the largest left out, divided by their
    number times the largest square. A code that tells nothing scores 0 and stays in the mean.

    Args:
        information: (K, F), none negative, F >= 2; in any unit.

    Raises:
        ValueError: A single factor, or negative, NaN or infinite entries.
    """
    table = finite_array(information, "The mutual information", ndim=2)
    if table.shape[1] < 2:
        raise ValueError("Modularity compares factors and needs at least two of them.")
    if (table < 0.0).any():
        raise ValueError("Mutual information is not negative.")
    largest = table.max(axis=1, keepdims=True)
    relative = np.divide(table, largest, out=np.zeros_like(table), where=largest > 0.0) ** 2
    others = (relative.sum(axis=1) - 1.0) / (table.shape[1] - 1)
    scores = np.where(largest[:, 0] > 0.0, 1.0 - others, 0.0).clip(0.0, 1.0)
    return Modularity(float(scores.mean()), scores, table)


def explicitness(
    train_codes: Any, train_factors: Any, test_codes: Any, test_factors: Any
) -> Explicitness:
    """Explicitness of codes. The published setting is 10,000 training and 5,000 test samples.

    For each factor scikit-learn's logistic regression (its defaults, multinomial) is fitted to the
    codes, standardised by mean and deviation of the training part; its score is the mean, over the
    factor's values, of the area under the ROC curve of the value's probability against all other
    values. A constant code, whose deviation 0 makes everything NaN in the reference, has no say.
    If all are constant, the areas are 0.5.

    Args:
        train_codes: (N, K) real numbers.
        train_factors: (N, F) values of discrete factors.
        test_codes: (M, K).
        test_factors: (M, F).

    Raises:
        ValueError: A factor with one value in either part or with a value that the training part
            lacks, fewer than two samples, shapes that do not match, NaN or infinite entries, or
            codes whose variance overflows.
    """
    train, test = train_and_test_codes(train_codes, train_factors, test_codes, test_factors)
    _check_values(test)
    fitted, scored = _standardised(train.codes, test.codes)
    areas = [
        _areas(fitted, train.labels[:, j], scored, test.labels[:, j])
        for j in range(train.labels.shape[1])
    ]
    table = np.array(areas)
    mean_train, mean_test = table.mean(axis=0).tolist()
    return Explicitness(mean_train, mean_test, table)


def _check_values(test: LabelledCodes) -> None:
    for j, column in enumerate(test.labels.T):
        if (column < 0).any():
            raise ValueError(f"Factor {j} has values in the test part that training never shows.")
        if (column == column[0]).all():
            raise ValueError(f"Factor {j} has one value in the test part; no curve can be drawn.")


def _standardised(train: Codes, test: Codes) -> tuple[Codes, Codes]:
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    # The rounded deviation of a constant code need not be 0, and that of a tiny code can be.
    varies = (np.ptp(train, axis=0) > 0.0) & (deviation > 0.0)
    scale = np.where(varies, deviation, train.dtype.type(1.0))
    require_finite(deviation, "The codes are so large that their variances overflow")
    standardised = [
        np.where(varies, (codes - mean) / scale, codes.dtype.type(0.0)) for codes in (train, test)
    ]
    require_finite(standardised[1], "The test part has codes too large for the training part's")
    return standardised[0], standardised[1]


def _areas(
    train_codes: Codes, train_labels: Labels, test_codes: Codes, test_labels: Labels
) -> tuple[float, float]:
    model = LogisticRegression()
    with warnings.catch_warnings():
        # scikit-learn's limit of 100 iterations is part of the definition.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train_codes, train_labels)
    return (
        _area_under_curve(model.predict_proba(train_codes), train_labels),
        _area_under_curve(model.predict_proba(test_codes), test_labels),
    )


def _area_under_curve(probabilities: FloatArray, labels: Labels) -> float:
    """Mean area, over the values that occur, from the ranks of their samples (Mann-Whitney)."""
    values = np.unique(labels)
    ranks = rankdata(probabilities[:, values], axis=0)
    members = labels[:, None] == values
    count = members.sum(axis=0)
    surplus = np.where(members, ranks, 0.0).sum(axis=0) - count * (count + 1) / 2
    return float((surplus / (count * (len(labels) - count))).mean())
