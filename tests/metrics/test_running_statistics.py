"""Statistics of samples and seeds, and moments of endless data."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.moments import RunningMoments
from metrics.statistics import (
    bootstrap_interval,
    bootstrap_means,
    percentile_interval,
    spread_over_seeds,
    standard_error,
)

seeds = st.integers(0, 2**32 - 1)


def _rows(seed: int, count: int, width: int, offset: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    scales = np.logspace(0, -2, width)
    return generator.standard_normal((count, width)) * scales + offset


def _two_pass(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = rows.mean(axis=0)
    return mean, (rows - mean).T @ (rows - mean) / (len(rows) - 1)


@settings(max_examples=30, deadline=None)
@given(
    seed=seeds,
    count=st.integers(2, 60),
    width=st.integers(1, 6),
    offset=st.sampled_from([0.0, 1e3, 1e6]),
    data=st.data(),
)
def test_moments_do_not_depend_on_batches_order_or_merging(seed, count, width, offset, data):
    rows = _rows(seed, count, width, offset)
    mean, covariance = _two_pass(rows)
    cuts = sorted(data.draw(st.lists(st.integers(1, count - 1), max_size=4, unique=True)))
    order = data.draw(st.permutations(range(count)))
    batched = RunningMoments()
    merged = RunningMoments()
    for part in np.split(rows[list(order)], cuts):
        batched.update(torch.from_numpy(part))
        merged.merge(RunningMoments().update(part))
    for moments in (batched, merged):
        assert moments.count == count
        np.testing.assert_allclose(moments.mean.numpy(), mean, rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(moments.covariance().numpy(), covariance, rtol=0, atol=1e-10)


def test_moments_of_float32_blocks_larger_than_one_conversion():
    rows = _rows(0, 9000, 24, offset=50.0).astype(np.float32)
    rows.setflags(write=False)  # as a memory-mapped file has it
    mean, covariance = _two_pass(rows.astype(np.float64))
    moments = RunningMoments().update(rows[:5000]).update(torch.tensor(rows[5000:]))
    np.testing.assert_allclose(moments.mean.numpy(), mean, atol=1e-10)
    np.testing.assert_allclose(moments.covariance().numpy(), covariance, atol=1e-10)
    population = moments.covariance(ddof=0).numpy()
    np.testing.assert_allclose(population, covariance * 8999 / 9000, atol=1e-10)


def test_bad_batches_are_refused_and_leave_the_moments_as_they_were():
    moments = RunningMoments().update(_rows(1, 10, 3))
    mean, covariance = moments.mean, moments.covariance()
    spoilt = _rows(2, 5000, 3)
    spoilt[4999, 1] = np.nan
    for batch, message in [
        (spoilt, "NaN"),
        (np.full((2, 3), np.inf), "NaN or infinite"),
        (np.zeros((0, 3)), "shape"),
        (np.zeros(3), "shape"),
        (np.zeros((2, 4)), "4 columns"),
    ]:
        with pytest.raises(ValueError, match=message):
            moments.update(batch)
    with pytest.raises(ValueError, match="4 columns"):
        moments.merge(RunningMoments().update(np.zeros((2, 4))))
    assert moments.count == 10
    assert torch.equal(moments.mean, mean)
    assert torch.equal(moments.covariance(), covariance)
    with pytest.raises(ValueError, match="no rows"):
        _ = RunningMoments().mean
    with pytest.raises(ValueError, match="at least 2 rows"):
        RunningMoments().update(np.zeros((1, 3))).covariance()
    assert moments.merge(RunningMoments()).count == 10


def test_vectorised_and_general_bootstrap_draw_the_same_rows():
    rows = _rows(4, 40, 3)
    fast = bootstrap_interval(rows, resamples=200, seed=7)
    general = bootstrap_interval(rows, lambda drawn: float(drawn.mean()), resamples=200, seed=7)
    for field in ("low", "high", "standard_error"):
        assert getattr(fast, field) == pytest.approx(getattr(general, field), rel=1e-12)
    assert bootstrap_interval(rows, resamples=200, seed=7) == fast
    assert bootstrap_interval(rows, resamples=200, seed=8) != fast
    assert bootstrap_means(rows.reshape(40, 3, 1), resamples=5).shape == (5, 3, 1)


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        interval = bootstrap_interval(generator.exponential(size=80), resamples=300, seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.87 <= covered / 200 <= 0.99


def test_an_interval_around_its_score_is_moved_and_as_wide():
    values = range(11)
    plain, moved = percentile_interval(values, 0.8), percentile_interval(values, 0.8, around=9)
    assert (plain.low, plain.high) == pytest.approx((1.0, 9.0))
    assert (moved.low, moved.high) == pytest.approx((5.0, 13.0))
    assert moved.standard_error == plain.standard_error


def test_standard_error_and_spread():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    assert standard_error(values) == pytest.approx(np.sqrt(10 / 3 / 4))
    interval = bootstrap_interval(_rows(6, 4000, 1), resamples=500)
    assert interval.standard_error == pytest.approx(
        standard_error(_rows(6, 4000, 1)[:, 0]), rel=0.1
    )
    spread = spread_over_seeds([0.3, 0.5])
    assert (spread.mean, spread.count) == (pytest.approx(0.4), 2)
    assert spread.std == pytest.approx(np.sqrt(0.02))
    assert spread_over_seeds([0.3]).std is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([1.0]), "two samples"),
        (lambda: bootstrap_interval([]), "empty"),
        (lambda: bootstrap_interval([1.0, float("nan")]), r"NaN .*\(1,\)"),
        (lambda: bootstrap_interval([1.0, 2.0], level=1.0), "level"),
        (lambda: bootstrap_interval([1.0, 2.0], lambda _: float("inf")), "resampled values"),
        (lambda: percentile_interval([1.0]), "two resamples"),
        (lambda: standard_error([1.0]), "two samples"),
        (lambda: spread_over_seeds([]), "empty"),
    ],
)
def test_bad_samples_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("module", ["metrics.statistics", "metrics.discovery"])
def test_works_without_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
