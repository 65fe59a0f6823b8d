"""Scores of attributes and classes: golden values, scikit-learn live, properties, bad input."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from bench.verify import Case, load_case_modules, run_case
from metrics.classification import (
    SCORES,
    average_precision,
    averages_by_name,
    hamming_accuracy,
    multiclass_scores,
    multilabel_scores,
    roc_auc,
    subset_accuracy,
)

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


@pytest.mark.parametrize("name", ["classification", "classification_metrics"])
def test_golden(name):
    load_case_modules()
    outcome = run_case(Case(GOLDEN / name))
    assert outcome.status == "passed", outcome.message


def _labels(seed: int, samples: int, attributes: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels, with columns and rows of one value only."""
    generator = np.random.default_rng(seed)
    prevalence = generator.choice([0.0, 0.1, 0.5, 1.0], size=attributes)
    truth = (generator.random((samples, attributes)) < prevalence).astype(np.int64)
    flips = generator.random(truth.shape) < generator.choice([0.0, 0.3, 1.0], size=attributes)
    empty = generator.random((samples, 1)) < 0.8
    return truth * empty, np.where(flips, 1 - truth, truth) * empty


def _equal_to_scikit_learn(scores, truth, predicted, zero_division):
    labels = {"y_true": truth, "y_pred": predicted, "zero_division": zero_division}
    for (score, average), value in averages_by_name(scores).items():
        assert value == getattr(sklearn, f"{score}_score")(**labels, average=average)
    for score in SCORES:
        wanted = getattr(sklearn, f"{score}_score")(**labels, average=None)
        np.testing.assert_array_equal(getattr(scores, score).per_attribute, wanted)


@settings(max_examples=15)  # scikit-learn takes milliseconds for each number
@given(
    seed=st.integers(0, 2**32 - 1),
    samples=st.integers(1, 30),
    attributes=st.integers(2, 6),  # scikit-learn takes a single column for classes
    zero_division=st.sampled_from([0, 1]),
)
def test_attributes_equal_scikit_learn(seed, samples, attributes, zero_division):
    truth, predicted = _labels(seed, samples, attributes)
    scores = multilabel_scores(torch.from_numpy(truth), predicted.astype(bool), zero_division)
    _equal_to_scikit_learn(scores, truth, predicted, zero_division)
    assert len(averages_by_name(scores)) == 16
    assert scores.subset_accuracy == sklearn.accuracy_score(truth, predicted)
    assert scores.hamming_accuracy == pytest.approx(1 - sklearn.hamming_loss(truth, predicted))
    for column in range(attributes):
        pair = truth[:, column], predicted[:, column]
        assert scores.accuracy_per_attribute[column] == sklearn.accuracy_score(*pair)
        with warnings.catch_warnings():  # of columns with one value only
            warnings.simplefilter("ignore")
            wanted = sklearn.balanced_accuracy_score(*pair)
        assert scores.balanced_accuracy_per_attribute[column] == wanted


@settings(max_examples=15)  # scikit-learn takes milliseconds for each number
@given(
    seed=st.integers(0, 2**32 - 1),
    samples=st.integers(1, 40),
    zero_division=st.sampled_from([0, 1]),
)
def test_classes_equal_scikit_learn(seed, samples, zero_division):
    generator = np.random.default_rng(seed)
    truth = generator.choice([-3, 0, 4, 9], size=samples)
    predicted = np.where(generator.random(samples) < 0.5, truth, generator.choice([0, 4, 7]))
    scores = multiclass_scores(truth, torch.from_numpy(predicted), zero_division)
    _equal_to_scikit_learn(scores, truth, predicted, zero_division)
    assert len(averages_by_name(scores)) == 12
    np.testing.assert_array_equal(scores.classes, np.unique([*truth, *predicted]))
    assert scores.accuracy == scores.f1.micro == sklearn.accuracy_score(truth, predicted)
    assert scores.f1.samples is None
    with warnings.catch_warnings():  # of classes that are predicted only, or of a single one
        warnings.simplefilter("ignore")
        confusion = sklearn.confusion_matrix(truth, predicted)
        wanted = sklearn.balanced_accuracy_score(truth, predicted)
    np.testing.assert_array_equal(scores.confusion, confusion)
    assert scores.balanced_accuracy == wanted


@settings(max_examples=15)  # scikit-learn takes milliseconds for each number
@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(2, 40), ties=st.booleans())
def test_ranking_equals_scikit_learn(seed, samples, ties):
    generator = np.random.default_rng(seed)
    truth = generator.random((samples, 4)) < 0.4
    truth[0], truth[1] = False, True
    scores = generator.standard_normal((samples, 4)).astype(np.float32)
    scores = scores.round(0 if ties else 6)
    precision, area = average_precision(truth, scores), roc_auc(truth, scores)
    for column in range(4):
        pair = truth[:, column], scores[:, column]
        wanted = sklearn.average_precision_score(*pair)
        assert precision[column] == pytest.approx(wanted, abs=1e-12)
        assert area[column] == pytest.approx(sklearn.roc_auc_score(*pair), abs=1e-12)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(1, 20), attributes=st.integers(1, 5))
def test_properties(seed, samples, attributes):
    truth, predicted = _labels(seed, samples, attributes)
    scores = multilabel_scores(truth, predicted)
    assert scores.subset_accuracy == subset_accuracy(truth, predicted) <= scores.hamming_accuracy
    assert scores.hamming_accuracy == hamming_accuracy(truth, predicted)
    rows = np.random.default_rng(seed).permutation(samples)
    moved = multilabel_scores(truth[rows], predicted[rows])
    np.testing.assert_array_equal(moved.f1.per_attribute, scores.f1.per_attribute)
    assert moved.f1.samples == pytest.approx(scores.f1.samples)
    perfect = multilabel_scores(truth, truth, zero_division=1)
    assert perfect.subset_accuracy == perfect.hamming_accuracy == 1.0
    for averages in (perfect.precision, perfect.recall, perfect.f1, perfect.jaccard):
        assert averages.macro == averages.micro == averages.weighted == averages.samples == 1.0
    # F1 = 2 J / (1 + J), and J cannot exceed it.
    jaccard = scores.jaccard.per_attribute
    np.testing.assert_allclose(scores.f1.per_attribute, 2 * jaccard / (1 + jaccard))


def test_an_attribute_that_no_sample_has():
    truth, scores = np.zeros((3, 2)), np.arange(6.0).reshape(3, 2)
    truth[0, 1] = 1
    assert average_precision(truth, scores).tolist() == [0.0, pytest.approx(1 / 3)]
    with pytest.raises(ValueError, match="attribute 0 has only samples without it"):
        roc_auc(truth, scores)


ONES = np.ones((3, 2))
WITH_NAN = np.array([[0.0, 1.0], [1.0, np.nan]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: multilabel_scores(ONES, 2 * ONES), r"predicted labels .* attribute 0 is 2.0 in"),
        (
            lambda: multilabel_scores(WITH_NAN, ONES),
            "true labels .* attribute 1 is nan in sample 1",
        ),
        (lambda: multilabel_scores(torch.tensor([[0, -1]]), ONES), "attribute 1 is -1 in sample 0"),
        (
            lambda: multilabel_scores(ONES, ONES[:, :1]),
            r"\(3, 2\), but the predicted ones \(3, 1\)",
        ),
        (lambda: multilabel_scores(ONES[0], ONES[0]), r"true labels must have the shape .*\(2,\)"),
        (lambda: multilabel_scores(ONES[:0], ONES[:0]), r"not \(0, 2\)"),
        (lambda: multilabel_scores(ONES, ONES, 0.5), "0 or 1, not as 0.5"),
        (lambda: multiclass_scores([0, 1], [0, 1, 2]), "2 true classes, but 3 predicted"),
        (lambda: multiclass_scores([0, 1], [0, 0.5]), "predicted classes .* sample 1 is 0.5"),
        (lambda: multiclass_scores([0, np.nan], [0, 1]), "true classes has 1 NaN"),
        (lambda: average_precision(ONES, np.full((3, 2), np.inf)), "scores has 6 NaN or infinite"),
        (lambda: roc_auc(ONES, ONES[:2]), r"\(3, 2\), but the scores \(2, 2\)"),
        (lambda: roc_auc(ONES, ONES), "attribute 0 has only samples with it"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
