"""Separated attribute predictability (SAP): the lead of the code that best predicts a factor.

Kumar, Sattigeri and Balakrishnan, "Variational Inference of Disentangled Latent Concepts from
Unlabeled Observations" (arXiv 1711.00848), section 3, as disentanglement_lib computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from metrics.arrays import FloatArray, require_finite
from metrics.disentanglement.inputs import (
    LabelledCodes,
    codes_and_factors,
    train_and_test_codes,
)

_LEAST_VARIANCE = 1e-12  # of a code; below it, the reference takes the code as constant


@dataclass(frozen=True, eq=False)
class SeparatedPredictability:
    """SAP and what it is made of.

    Attributes:
        score: Mean over factors of the best code's lead over the second best, in [0, 1].
        per_factor: (F,), the leads.
        predictability: (K, F) in [0, 1], how well each code alone predicts each factor.
    """

    score: float
    per_factor: FloatArray
    predictability: FloatArray


def sap(
    train_codes: Any, train_factors: Any, test_codes: Any, test_factors: Any
) -> SeparatedPredictability:
    """SAP of discrete factors, the published form: 10,000 training and 5,000 test samples.

    A code's score is the test accuracy of a linear support vector machine (C = 0.01, classes
    weighted to balance) that sees this code alone. scikit-learn's versions agree to about 0.01.
    A constant code has an accuracy above 0 too; if all codes are constant, none leads and SAP is 0.

    Args:
        train_codes: (N, K) real numbers, K >= 2; not standardised.
        train_factors: (N, F) values of discrete factors.
        test_codes: (M, K).
        test_factors: (M, F).

    Raises:
        ValueError: A single code, a factor with one value, fewer than two samples, shapes that do
            not match, NaN or infinite entries, or codes whose fourth powers overflow.
    """
    train, test = train_and_test_codes(train_codes, train_factors, test_codes, test_factors)
    num_codes, num_factors = train.codes.shape[1], train.labels.shape[1]
    # The machine squares products of codes; it never ends where these are infinite.
    fourth_powers = np.square(np.square(train.codes, dtype=np.float64).sum(axis=0))
    require_finite(fourth_powers, "The codes are so large that their fourth powers overflow")
    table = [
        [_accuracy(train, test, code, factor) for factor in range(num_factors)]
        for code in range(num_codes)
    ]
    return _leads(np.array(table))


def sap_continuous(codes: Any, factors: Any) -> SeparatedPredictability:
    """SAP of ordered factors: the score of a code is its squared correlation with the factor.

    A code whose variance is at most 1e-12 scores 0.

    Args:
        codes: (N, K) real numbers, K >= 2.
        factors: (N, F) values, whose size counts.

    Raises:
        ValueError: As ``sap``, or correlations that overflow.
    """
    checked, table = codes_and_factors(codes, factors)
    x = checked - checked.mean(axis=0, dtype=np.float64)
    y = table - table.mean(axis=0)
    variances = (x**2).sum(axis=0)[:, None] / (len(x) - 1)  # K x 1
    products = (x.T @ y) ** 2
    sizes = (x**2).sum(axis=0)[:, None] * (y**2).sum(axis=0)
    fault = "The codes or factors are so large that their correlations overflow"
    require_finite(sizes, fault)
    correlations = np.zeros(products.shape)
    np.divide(products, sizes, out=correlations, where=variances > _LEAST_VARIANCE)
    return _leads(correlations)


def _accuracy(train: LabelledCodes, test: LabelledCodes, code: int, factor: int) -> float:
    # With one code the primal problem is the smaller one, and nothing about it is random.
    machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
    machine.fit(train.codes[:, [code]], train.labels[:, factor])
    hits = machine.predict(test.codes[:, [code]]) == test.labels[:, factor]
    return float(hits.mean())


def _leads(table: FloatArray) -> SeparatedPredictability:
    if len(table) < 2:
        raise ValueError("SAP compares codes and needs at least two of them.")
    ordered = np.partition(table, -2, axis=0)  # the two largest come last
    leads = ordered[-1] - ordered[-2]
    return SeparatedPredictability(float(leads.mean()), leads, table)
