"""Control over attributes: golden values, hand-made edits, properties, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, load_case_modules, run_case
from metrics.attribute_control import (
    attribute_control_accuracy,
    class_control_accuracy,
    editing_accuracy,
    preservation_error,
)

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


@pytest.mark.parametrize(
    "name",
    [
        "attribute_control",
        "infoscc_attribute_control_accuracy_multi_label",
        "infoscc_attribute_control_accuracy_one_hot",
    ],
)
def test_golden(name):
    load_case_modules()
    outcome = run_case(Case(GOLDEN / name))
    assert outcome.status == "passed", outcome.message


def test_four_edits_by_hand():
    source = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]])
    edited = [0, 0, 2, 2]  # attribute 1 is never asked for
    predicted = [[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 1]]
    accuracy = editing_accuracy(predicted, source, edited)
    assert accuracy.each.tolist() == [1, 0, 1, 1]
    assert accuracy.mean == 0.75
    assert accuracy.by_attribute == {0: 0.5, 2: 1.0}
    error = preservation_error(predicted, source, edited)
    assert error.each.tolist() == [0, 1, 0.5, 0]
    assert error.mean == 0.375
    assert error.by_attribute == {0: 0.0, 1: 0.5, 2: 0.5}
    alone = preservation_error(predicted, source, [1, 1, 1, 1])
    assert list(alone.by_attribute) == [0, 2]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), samples=st.integers(1, 20), attributes=st.integers(2, 6))
def test_properties_of_edits(seed, samples, attributes):
    generator = np.random.default_rng(seed)
    source = generator.integers(0, 2, (samples, attributes))
    edited = generator.integers(0, attributes, samples)
    wanted = source.copy()
    wanted[np.arange(samples), edited] ^= 1
    assert editing_accuracy(wanted, source, edited).mean == 1.0
    assert preservation_error(wanted, source, edited).mean == 0.0
    assert editing_accuracy(source, source, edited).mean == 0.0  # an editor that does nothing
    assert preservation_error(1 - source, source, edited).mean == 1.0
    predicted = generator.integers(0, 2, source.shape)
    rows = generator.permutation(samples)
    for score in (editing_accuracy, preservation_error):
        rates = score(predicted, source, edited)
        moved = score(predicted[rows], source[rows], edited[rows])
        assert moved.by_attribute == rates.by_attribute
        assert moved.mean == pytest.approx(rates.mean)
        assert rates.mean == pytest.approx(rates.each.mean())


def test_requests_at_thresholds():
    logits = np.full((2, 3, 2), -1.0)  # probability 0.27 of every attribute
    assert attribute_control_accuracy(logits).mean == 1.0
    assert attribute_control_accuracy(logits, threshold=0.5).mean == 0.0
    logits[1, 0, 1] = -2.0
    rates = attribute_control_accuracy(torch.from_numpy(logits))
    assert rates.by_attribute == {0: 1.0, 1: pytest.approx(2 / 3)}
    assert rates.each.tolist() == [1, 1, 1, 0, 1, 1]
    assert attribute_control_accuracy(np.zeros((2, 3, 2)), threshold=0.5).mean == 0.0  # exclusive
    logits[0, :2, 0], logits[1, :, 1] = 3.0, 3.0
    assert class_control_accuracy(logits).by_attribute == {0: 1.0, 1: 1.0}  # the first of equals
    assert class_control_accuracy(logits[:, :, ::-1]).by_attribute == {
        0: pytest.approx(1 / 3),
        1: 0,
    }


LABELS = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: editing_accuracy(LABELS, LABELS + 2, [0, 1, 0]), "before the edit .* is 2.0"),
        (lambda: editing_accuracy(LABELS[:2], LABELS, [0, 1]), r"\(2, 2\), but those before"),
        (lambda: editing_accuracy(LABELS, LABELS, [0, 1]), "3 images were edited, but 2 edits"),
        (lambda: editing_accuracy(LABELS, LABELS, [0, 2, 0]), "0 to 1, but edit 1 asks for 2"),
        (lambda: editing_accuracy(LABELS, LABELS, [0, 0.5, 0]), "edit 1 asks for 0.5"),
        (lambda: preservation_error(LABELS[:, :1], LABELS[:, :1], [0, 0, 0]), "only one"),
        (lambda: attribute_control_accuracy(np.zeros((2, 3))), "first axis"),
        (lambda: attribute_control_accuracy(np.full((1, 1, 1), np.nan)), "NaN"),
        (lambda: attribute_control_accuracy(np.zeros((2, 3, 2)), 1.0), "threshold"),
        (lambda: class_control_accuracy(np.zeros((2, 3, 4))), r"shape \(2, 3, 4\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
