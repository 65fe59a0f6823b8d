"""BCa intervals and paired comparisons, live against scipy, with their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrics.comparison import paired_comparison
from metrics.statistics import (
    bca_interval,
    bootstrap_interval,
    jackknife_means,
)

SKEWED = np.random.default_rng(0).exponential(size=30)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("statistic", [None, lambda rows: float(rows.std())])
def test_intervals_equal_scipy(method, statistic):
    found = bootstrap_interval(SKEWED, statistic, level=0.9, resamples=200, seed=4, method=method)
    wanted = stats.bootstrap(
        (SKEWED,),
        (lambda rows, axis: rows.mean(axis)) if statistic is None else np.std,
        n_resamples=200,
        confidence_level=0.9,
        method={"bca": "BCa"}.get(method, method),
        rng=np.random.default_rng(4),  # draws the same rows
    )
    interval = wanted.confidence_interval
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert found.standard_error == pytest.approx(wanted.standard_error, rel=1e-12)


def test_bca_follows_the_skew_that_the_percentile_method_ignores():
    plain, moved = (
        bootstrap_interval(SKEWED, method=method, resamples=2000)
        for method in ("percentile", "bca")
    )
    assert moved.low > plain.low
    assert moved.high > plain.high


def test_jackknife_leaves_out_each_row_once():
    rows = np.random.default_rng(1).standard_normal((5, 2, 3))
    wanted = [np.delete(rows, index, axis=0).mean(axis=0) for index in range(5)]
    np.testing.assert_allclose(jackknife_means(rows), wanted, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9])
def test_constant_samples_have_an_interval_of_one_point(value):
    interval = bootstrap_interval(np.full(7, value), method="bca", resamples=50)
    assert (interval.low, interval.high) == pytest.approx((value, value))


def test_the_sign_flip_test_equals_scipy_where_it_is_exact():
    generator = np.random.default_rng(2)
    first, second = generator.standard_normal((2, 9)).round(1)  # with ties
    found = paired_comparison(first + 0.5, second)
    wanted = stats.permutation_test(
        (first + 0.5, second),
        lambda one, other, axis: (one - other).mean(axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert found.difference == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue)
    drawn = paired_comparison(first + 0.5, second, flips=511)
    assert drawn.p_value == pytest.approx(found.p_value, abs=0.1)
    assert drawn == paired_comparison(first + 0.5, second, flips=511)
    assert drawn.p_value != paired_comparison(first + 0.5, second, flips=511, seed=1).p_value


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 20), shift=st.floats(0.0, 10.0))
def test_properties_of_comparisons(seed, count, shift):
    scores = np.random.default_rng(seed).standard_normal((2, count))
    found = paired_comparison(*scores, resamples=100, flips=500)
    swapped = paired_comparison(*scores[::-1], resamples=100, flips=500)
    assert swapped.difference == -found.difference
    assert swapped.p_value == found.p_value
    assert 0.0 < found.p_value <= 1.0
    same = paired_comparison(scores[0], scores[0], resamples=100)
    assert (same.difference, same.interval.low, same.interval.high) == (0.0, 0.0, 0.0)
    assert same.p_value == 1.0
    # What moves both methods alike is no difference between them.
    moved = paired_comparison(*(scores + shift), resamples=100, flips=500)
    assert moved.difference == pytest.approx(found.difference, abs=1e-12)
    assert moved.p_value == found.p_value


def test_a_difference_that_no_sign_explains():
    generator = np.random.default_rng(3)
    first = generator.standard_normal(40)
    found = paired_comparison(first + 1.0 + 0.1 * generator.standard_normal(40), first, flips=999)
    assert found.p_value == 1 / 1000
    assert found.interval.low < 1.0 < found.interval.high
    assert found.interval.high - found.interval.low < 0.1
    assert found.count == 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval([1.0, 2.0], method="basic"),
            "percentile' or 'bca', not 'basic",
        ),
        (lambda: bootstrap_interval([1.0, 2.0], resamples=0), "at least once, not 0 times"),
        (lambda: bca_interval([1.0, 2.0], 3.0, [1.0]), "beyond all resampled values"),
        (lambda: bca_interval([1.0, 2.0], 1.5, [np.nan]), "left out has 1 NaN"),
        (lambda: bca_interval([1.0, 2.0], 1.5, [1.0], level=0.0), "level"),
        (lambda: paired_comparison([1.0, 2.0], [1.0]), "2 scores of the first and 1 of the second"),
        (lambda: paired_comparison([1.0, np.nan], [1.0, 2.0]), "scores of the first method has 1"),
        (lambda: paired_comparison([1.0], [2.0]), "two samples"),
        (lambda: paired_comparison([1.0, 2.0], [2.0, 3.0], flips=0), "at least one flip"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
