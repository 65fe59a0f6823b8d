"""The kernel distance: golden values, torch-fidelity live, what must hold for any input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, distributions, run_case
from metrics import arrays
from metrics.kernel_distance import (
    GaussianKernel,
    PolynomialKernel,
    draw_subsets,
    kernel_distance,
    squared_mmd,
)

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def _sets(seed: int, count: int = 40, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((count, width))
    return x, generator.standard_normal((count + 5, width)) * 1.2 + 0.3


def test_golden():
    assert distributions
    outcome = run_case(Case(GOLDEN / "kid"))
    assert outcome.status == "passed", outcome.message


def test_equals_torch_fidelity():
    metric_kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = _sets(1, 60, 16)
    for seed in (0, 2020):
        reference = metric_kid.kid_features_to_metric(
            *(torch.from_numpy(one) for one in (x, y)),
            kid_subsets=7,
            kid_subset_size=30,
            rng_seed=seed,
            verbose=False,
        )
        ours = kernel_distance(x, torch.from_numpy(y), subsets=7, subset_size=30, seed=seed)
        assert ours.mean == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-12)
        assert ours.std == pytest.approx(reference["kernel_inception_distance_std"], rel=1e-12)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    kernel=st.sampled_from(
        [PolynomialKernel(), PolynomialKernel(1), PolynomialKernel(2, 0.1, -0.5), GaussianKernel(2)]
    ),
)
def test_the_estimate_is_its_definition_in_any_order_and_blocks(seed, kernel):
    x, y = _sets(seed, 9, 3)
    pairs = [(a, b) for a in range(len(x)) for b in range(len(x)) if a != b]
    within_x = np.mean([kernel(x[a : a + 1], x[b : b + 1]) for a, b in pairs])
    pairs = [(a, b) for a in range(len(y)) for b in range(len(y)) if a != b]
    within_y = np.mean([kernel(y[a : a + 1], y[b : b + 1]) for a, b in pairs])
    expected = within_x + within_y - 2 * kernel(x, y).mean()
    assert squared_mmd(x, y, kernel) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert squared_mmd(y[::-1], x, kernel) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_ENTRIES_AT_ONCE", 30)
        assert squared_mmd(x, y, kernel) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_sets_that_differ_more_are_farther_apart_and_equal_ones_are_below_zero():
    x, y = _sets(2, 200)
    distances = [squared_mmd(x, y + shift) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert distances == sorted(distances)
    assert squared_mmd(x, x) < 0.0
    whole = kernel_distance(x, y[:200], subsets=2, subset_size=200)
    assert whole.mean == pytest.approx(squared_mmd(x, y[:200]), rel=1e-10)
    assert whole.std == pytest.approx(0.0, abs=1e-12)


def test_an_offset_of_all_features_does_not_matter_to_a_gaussian_kernel():
    x, y = _sets(3)
    kernel = GaussianKernel(1.0)
    expected = squared_mmd(x, y, kernel)
    assert squared_mmd(x + 1e6, y + 1e6, kernel) == pytest.approx(expected, abs=1e-7)


def test_one_generator_draws_for_both_sets():
    random = np.random.RandomState(5)
    draws = draw_subsets(20, 12, 4, seed=5)
    for _ in range(3):
        first, second = next(draws)
        np.testing.assert_array_equal(first, random.choice(20, 4, replace=False))
        np.testing.assert_array_equal(second, random.choice(12, 4, replace=False))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: kernel_distance(x, y), "subset_size of at most 40"),
        (lambda x, y: kernel_distance(x, y, subset_size=1), "at least two rows"),
        (lambda x, y: kernel_distance(x, y, subset_size=9, subsets=0), "at least one subset"),
        (lambda x, y: squared_mmd(x, y[:, :2]), "has 6 columns, but the second .* 2"),
        (lambda x, y: squared_mmd(x, y * np.nan), "second set of features has .* NaN"),
        (lambda x, y: squared_mmd(x[:1], y), "not 1 and 45"),
        (lambda x, y: squared_mmd(x[:0], y), "empty"),
        (lambda x, y: PolynomialKernel(0), "degree"),
        (lambda x, y: GaussianKernel(0.0), "sigma"),
        (lambda x, y: squared_mmd(x * 1e150, y), "too large"),
        (lambda x, y: squared_mmd(x, y, PolynomialKernel(scale=np.nan)), "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*_sets(0))
