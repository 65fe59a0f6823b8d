"""The Inception Score: golden values, torch-fidelity live, limits, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, distributions, run_case
from metrics.inception_score import inception_score

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


@pytest.mark.parametrize("name", ["inception_score", "inception_score_edge"])
def test_golden(name):
    assert distributions
    outcome = run_case(Case(GOLDEN / name))
    assert outcome.status == "passed", outcome.message


def test_equals_torch_fidelity():
    metric_isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = torch.from_numpy(np.random.default_rng(0).standard_normal((57, 9)) * 3).float()
    for splits, seed in ((1, 0), (4, 2020), (57, 3)):
        reference = metric_isc.isc_features_to_metric(logits, splits, True, seed)
        ours = inception_score(logits, splits=splits, seed=seed)
        assert ours.mean == pytest.approx(reference["inception_score_mean"], rel=1e-12)
        assert ours.std == pytest.approx(reference["inception_score_std"], abs=1e-12)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 40),
    classes=st.integers(1, 8),
    scale=st.sampled_from([0.0, 1.0, 1e3, 1e300]),
)
def test_properties(seed, count, classes, scale):
    generator = np.random.default_rng(seed)
    logits = generator.uniform(-1, 1, (count, classes)) * scale
    score = inception_score(logits, splits=1)
    assert 1.0 - 1e-12 <= score.mean <= classes + 1e-9
    assert score.std == 0.0
    order = generator.permutation(count)
    shifted = logits[order] + (generator.standard_normal((count, 1)) if scale < 1e300 else 0.0)
    same = inception_score(shifted[:, ::-1], splits=1, seed=None)
    assert same.mean == pytest.approx(score.mean, rel=1e-9)


def test_sure_and_varied_classes_score_their_number():
    sure = np.eye(5)[np.arange(50) % 5] * 1e4  # the other classes have probability 0 exactly
    assert inception_score(sure, splits=10, seed=None).mean == pytest.approx(5.0)
    unused = np.column_stack([sure, np.full((50, 3), -1e4)])
    assert inception_score(unused, splits=1).mean == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.zeros((4, 3)), 5, "4 rows cannot be split into 5 parts; give 1 to 4"),
        (np.zeros((4, 3)), 0, "0 parts"),
        (np.array([[0.0, np.inf]]), 1, r"logits has 1 NaN or infinite .*\(0, 1\)"),
        (np.zeros((0, 3)), 1, "empty"),
        (np.zeros(3), 1, "2 axes"),
    ],
)
def test_bad_input_is_refused(logits, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(logits, splits=splits)
