"""Samplers, and the two metrics that look at batches with a fixed factor."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from metrics.disentanglement.beta_vae import (
    beta_vae_metric,
    beta_vae_metric_from_points,
    pair_difference,
)
from metrics.disentanglement.factor_vae import (
    factor_vae_metric,
    factor_vae_metric_from_batches,
    least_varying_codes,
)
from metrics.disentanglement.mig import mig
from metrics.disentanglement.sampling import GridSampler, TableSampler, split

SIZES = (4, 3, 5)
GRID = np.array(list(product(*map(range, SIZES))))
FEW = {"batch_size": 16, "train_votes": 120, "eval_votes": 60, "variance_samples": 100}
MIXING = np.random.default_rng(3).standard_normal((3, 5)).astype(np.float32)


def _mixed(factors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.tanh(factors.astype(np.float32) @ MIXING))


def _perfect(factors: np.ndarray) -> np.ndarray:
    return factors[:, [2, 0, 1]] * np.array([0.5, -2.0, 1.0])


def _factors(count: int, random: np.random.RandomState) -> np.ndarray:
    """The order of the reference: a column for each factor."""
    return np.stack([random.randint(size, size=count) for size in SIZES], axis=1)


def test_samples_are_drawn_in_the_order_of_the_reference():
    sampler = GridSampler(SIZES, _mixed)
    random = np.random.RandomState(4)
    expected = np.concatenate([_factors(16, random), _factors(16, random), _factors(8, random)])
    train, test = sampler.train_and_test(40, 20, seed=4)
    np.testing.assert_array_equal(train.factors, expected)
    np.testing.assert_array_equal(test.factors[:16], _factors(16, random))
    np.testing.assert_array_equal(train.codes, _mixed(expected).numpy())
    assert train.codes.dtype == np.float32
    np.testing.assert_array_equal(sampler.sample(40, seed=4).factors, expected)
    assert mig(*GridSampler(SIZES, _perfect).sample(3000)).score > 0.98


def test_factor_vae_votes_are_those_of_the_reference():
    random = np.random.RandomState(7)
    variances = _mixed(_factors(100, random)).numpy().var(axis=0, ddof=1)
    tables = []
    for count in (120, 60):
        votes = np.zeros((3, 5), dtype=int)
        for _ in range(count):
            fixed = random.randint(3)
            factors = _factors(16, random)
            factors[:, fixed] = factors[0, fixed]
            spread = _mixed(factors).numpy().var(axis=0, ddof=1)
            votes[fixed, np.argmin(spread / variances)] += 1
        tables.append(votes)
    scores = factor_vae_metric(GridSampler(SIZES, _mixed), **FEW, seed=7)
    np.testing.assert_array_equal(scores.train_votes, tables[0])
    np.testing.assert_array_equal(scores.eval_votes, tables[1])
    best = tables[0].argmax(axis=0)
    assert scores.score == tables[1][best, range(5)].sum() / 60
    assert scores.train_accuracy == tables[0].max(axis=0).sum() / 120


def test_beta_vae_points_are_those_of_the_reference():
    random = np.random.RandomState(7)
    parts = []
    for count in (90, 40):
        points, labels = [], []
        for _ in range(count):
            labels.append(random.randint(3))
            first, second = _factors(16, random), _factors(16, random)
            second[:, labels[-1]] = first[:, labels[-1]]
            points.append((_mixed(first) - _mixed(second)).abs().numpy().mean(axis=0))
        parts += [np.array(points), labels]
    expected = beta_vae_metric_from_points(*parts, num_factors=3)
    sampler = GridSampler(SIZES, _mixed)
    scores = beta_vae_metric(sampler, batch_size=16, train_points=90, eval_points=40, seed=7)
    assert scores == expected


@pytest.mark.parametrize("kind", ["grid", "table"])
def test_perfect_and_constant_codes(kind):
    def sampler(represent):
        if kind == "grid":
            return GridSampler(SIZES, represent)
        return TableSampler(represent(GRID), GRID / 10)

    perfect = factor_vae_metric(sampler(_perfect), **FEW)
    assert (perfect.score, perfect.train_accuracy) == (1.0, 1.0)
    assert perfect.classifier.tolist() == [2, 0, 1]
    points = {"batch_size": 32, "train_points": 200, "eval_points": 100}
    assert beta_vae_metric(sampler(_perfect), **points).score > 0.95
    constant = factor_vae_metric(sampler(np.ones_like), **FEW)
    assert (constant.score, constant.active.any(), constant.eval_votes.sum()) == (0.0, False, 0)
    assert beta_vae_metric(sampler(np.ones_like), **points).score < 0.5


def test_a_table_is_sampled_with_the_factor_fixed():
    codes = np.arange(len(GRID))[:, None] * np.ones(3)
    sampler = TableSampler(torch.from_numpy(codes), GRID)
    random = np.random.RandomState(0)
    for factor in range(3):
        batch = GRID[sampler.draw_fixed(factor, 200, random)]
        assert np.unique(batch[:, factor]).size == 1
        assert [np.unique(column).size for column in np.delete(batch, factor, axis=1).T] == [
            size for other, size in enumerate(SIZES) if other != factor
        ]
        first, second = (GRID[rows] for rows in sampler.draw_pairs(factor, 400, random))
        np.testing.assert_array_equal(first[:, factor], second[:, factor])
        assert np.unique(first[:, factor]).size == SIZES[factor]
        assert (first != second).any(axis=0).sum() == 2


def test_unused_codes_never_vote():
    def represent(factors):
        noise = 1e-3 * factors[:, [0]]  # holds factor 0, far below the threshold
        return np.concatenate([_mixed(factors), noise, np.full_like(noise, 0.3)], axis=1)

    sampler = GridSampler(SIZES, represent)
    plain = factor_vae_metric(GridSampler(SIZES, _mixed), **FEW)
    pruned = factor_vae_metric(sampler, **FEW)
    assert pruned.active.tolist() == [True] * 5 + [False] * 2
    np.testing.assert_array_equal(pruned.eval_votes[:, :5], plain.eval_votes)
    assert pruned.score == plain.score
    unpruned = factor_vae_metric(sampler, **FEW, prune_threshold=0.0)
    assert unpruned.active.tolist() == [True] * 6 + [False]
    assert unpruned.eval_votes[0, 5] == unpruned.eval_votes[0].sum() > 0
    assert unpruned.score > pruned.score


def test_representations_are_asked_for_in_blocks():
    sizes = []

    def represent(factors):
        sizes.append(len(factors))
        return _perfect(factors)

    factor_vae_metric(
        GridSampler(SIZES, represent),
        batch_size=100,
        train_votes=25,
        eval_votes=5,
        variance_samples=2500,
    )
    assert max(sizes) <= 1024
    assert sum(sizes) == 2500 + 3000


def test_a_split_has_each_sample_once():
    codes = np.arange(20.0).reshape(10, 2)
    factors = np.arange(20).reshape(10, 2) % 7
    train, test = split(codes, factors)
    assert (len(train.codes), len(test.codes)) == (7, 3)
    order = np.concatenate([train.codes, test.codes])[:, 0].astype(int) // 2
    assert sorted(order) == list(range(10))
    np.testing.assert_array_equal(np.concatenate([train.factors, test.factors]), factors[order])


GOOD = np.random.default_rng(0).standard_normal((6, 8, 3))
FIXED = np.arange(6) % 2
POINTS = GOOD[:, 0]


def _from_batches(variance=GOOD[0], train=GOOD, fixed=FIXED, evaluation=GOOD, threshold=0.05):
    return factor_vae_metric_from_batches(
        variance, train, fixed, evaluation, FIXED, num_factors=2, prune_threshold=threshold
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _from_batches(variance=GOOD[0, :1]), "at least two samples"),
        (lambda: _from_batches(train=GOOD * np.nan), "training batches has 144 NaN"),
        (lambda: _from_batches(train=GOOD[:, :1]), "batch of one sample"),
        (lambda: _from_batches(evaluation=GOOD[:, :, :2]), "batches have 2 codes"),
        (lambda: _from_batches(fixed=FIXED[:4]), "6 training batches have 4"),
        (lambda: _from_batches(fixed=FIXED + 1), "entry 1 is 2"),
        (lambda: _from_batches(fixed=FIXED + 0.5), "entry 0 is 0.5"),
        (lambda: _from_batches(threshold=-1.0), "threshold"),
        (lambda: _from_batches(threshold=float("nan")), "threshold"),
        (lambda: least_varying_codes(GOOD, [1.0, 1.0], [True, True]), "batches have 3 codes"),
        (lambda: GridSampler((4, 1), _mixed), "Factor 1 has 1 value"),
        (lambda: GridSampler((), _mixed), "no factor"),
        (lambda: GridSampler(SIZES, lambda rows: GOOD[0]).sample(4), "4 samples has 8 rows"),
        (lambda: GridSampler(SIZES, lambda rows: rows * np.nan).sample(4), "representation has"),
        (lambda: GridSampler(SIZES, _mixed).sample(0), "count must be at least 1"),
        (lambda: TableSampler(GOOD[0], np.arange(8)[:, None] // 7), "value 1 in one sample"),
        (lambda: split(GOOD[0, :2], [[0], [1]]), "too few"),
        (lambda: factor_vae_metric(TableSampler(GRID, GRID), train_votes=0), "train_votes"),
        (lambda: factor_vae_metric(TableSampler(GRID, GRID), batch_size=1), "one sample"),
        (lambda: beta_vae_metric(TableSampler(GRID, GRID), batch_size=0), "batch_size"),
        (lambda: pair_difference(GOOD, GOOD[:, :4]), "shapes"),
        (
            lambda: beta_vae_metric_from_points(POINTS, FIXED, POINTS[:, :2], FIXED, num_factors=2),
            "3 codes, evaluation points 2",
        ),
        (
            lambda: beta_vae_metric_from_points(POINTS, FIXED[:3], POINTS, FIXED, num_factors=2),
            "6 training points have 3",
        ),
        (
            lambda: beta_vae_metric_from_points(POINTS, 0 * FIXED, POINTS, FIXED, num_factors=2),
            "share factor 0",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
