"""The sliced distance: golden values and draws, what must hold for any input, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, distributions, run_case
from metrics import arrays
from metrics.monge_inception import monge_inception_distance, sliced_distance

GOLDEN = Path(__file__).parents[1] / "data" / "metrics" / "sliced_wasserstein_mind"


def test_golden():
    assert distributions
    outcome = run_case(Case(GOLDEN))
    assert outcome.status == "passed", outcome.message


def test_rows_and_directions_are_drawn_as_by_the_reference():
    case = Case(GOLDEN)
    x, y, config = case.inputs["x"], case.inputs["y"], case.config
    protocol = {"projections": config["projections"], "seed": config["seed"]}
    for sets, key in (((x[: len(y)], y), "equal_size"), ((x, y), "unequal_size")):
        expected = pytest.approx(case.expected[key].item(), rel=1e-5)
        assert monge_inception_distance(*sets, **protocol) == expected
        if key == "equal_size":
            assert monge_inception_distance(*sets[::-1], **protocol) == expected


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 20),
    width=st.integers(1, 6),
    scale=st.floats(0.1, 10.0),
)
def test_properties(seed, count, width, scale):
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((2, count, width))
    directions = generator.standard_normal((5, width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distance = sliced_distance(x, y, directions)
    assert distance >= 0.0
    assert sliced_distance(x, x[::-1], directions) == pytest.approx(0.0, abs=1e-12)
    assert sliced_distance(torch.from_numpy(y), x, directions) == pytest.approx(distance)
    assert sliced_distance(scale * x, scale * y, directions) == pytest.approx(scale**2 * distance)
    shift = generator.standard_normal(width)
    moved = 3 * width * ((directions @ shift) ** 2).mean()
    assert sliced_distance(x, x + shift, directions) == pytest.approx(moved)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_ENTRIES_AT_ONCE", 2 * count)
        assert sliced_distance(x, y, directions) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: monge_inception_distance(x, x, projections=0), "at least one projection"),
        (
            lambda x: monge_inception_distance(x, x[:, :2], projections=1),
            "3 columns, but the second set of features 2",
        ),
        (lambda x: monge_inception_distance(x, x[:0], projections=1), "empty"),
        (lambda x: sliced_distance(x, x[:2], np.eye(3)), r"\(4, 3\) and \(2, 3\)"),
        (lambda x: sliced_distance(x, x, np.eye(2)), "Directions of 2 dimensions"),
        (lambda x: sliced_distance(x, x * np.nan, np.eye(3)), "second set of features has 12 NaN"),
        (lambda x: monge_inception_distance(1e160 * x, x, projections=2), "differences overflow"),
        (lambda x: sliced_distance(1e308 * x, x, np.ones((1, 3))), "differences overflow"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 3)))
