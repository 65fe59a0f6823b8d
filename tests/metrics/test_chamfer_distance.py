"""Chamfer distances against chamferdist's and pytorch3d's values, and what holds for any points."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, compare
from bench.verify.chamfer import chamfer_case
from metrics.chamfer import chamfer_infoscc, chamfer_pytorch3d, nearest_squared_distances

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def test_golden_values():
    golden = Case(GOLDEN / "infoscc_chamfer")
    compare(golden, chamfer_case(golden))


def _points(seed: int, first: int, second: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((first, width)), generator.standard_normal((second, width))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    first=st.integers(1, 40),
    second=st.integers(1, 40),
    width=st.integers(1, 6),
)
def test_properties(seed, first, second, width):
    x, y = _points(seed, first, second, width)
    squared = np.square(x[:, None] - y[None]).sum(axis=2)
    there, back = squared.min(axis=1), squared.min(axis=0)
    np.testing.assert_allclose(nearest_squared_distances(x, y), there, rtol=1e-12)
    assert chamfer_infoscc(x, y) == pytest.approx(there.sum())
    assert chamfer_pytorch3d(x, y) == pytest.approx(there.mean() + back.mean())
    assert chamfer_pytorch3d(x, y, point_reduction="sum") == pytest.approx(there.sum() + back.sum())
    assert chamfer_pytorch3d(x, y, point_reduction="max") == max(there.max(), back.max())
    assert chamfer_pytorch3d(x, y, single_directional=True) == pytest.approx(there.mean())
    assert chamfer_pytorch3d(y, x) == pytest.approx(chamfer_pytorch3d(x, y))
    shuffled = np.random.default_rng(seed).permutation(x)
    assert chamfer_infoscc(x, shuffled) == chamfer_pytorch3d(shuffled, x) == 0.0
    assert chamfer_infoscc(3.0 * x, 3.0 * y) == pytest.approx(9.0 * there.sum())


def test_only_one_definition_sees_fakes_that_are_far_away():
    x, _ = _points(0, 50, 1, 3)
    fakes = np.concatenate([x, x + 100.0])
    assert chamfer_infoscc(x, fakes) == 0.0
    assert chamfer_pytorch3d(x, fakes) > 1000.0
    assert chamfer_infoscc(fakes, x) > 100_000.0


@pytest.mark.parametrize("reduction", ["mean", "sum", "max"])
@pytest.mark.parametrize("single", [False, True])
def test_equal_to_pytorch3d(reduction, single):
    loss = pytest.importorskip("pytorch3d.loss")
    x, y = (torch.from_numpy(points).float() for points in _points(1, 300, 200, 3))
    settings = {"point_reduction": reduction, "single_directional": single}
    reference, _ = loss.chamfer_distance(x[None], y[None], **settings)
    assert chamfer_pytorch3d(x, y, **settings) == pytest.approx(reference.item(), rel=1e-5)
    backend = chamfer_pytorch3d(x, y, backend="pytorch3d", **settings)
    assert backend == pytest.approx(chamfer_pytorch3d(x, y, **settings), rel=1e-5)


def test_backends_and_threads_agree():
    pytest.importorskip("pytorch3d")
    for scale in (0.01, 1.0, 100.0):
        x, y = (scale * points for points in _points(2, 500, 400, 3))
        expected = nearest_squared_distances(x, y)
        found = nearest_squared_distances(x, y, backend="pytorch3d")
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * scale**2)
        np.testing.assert_array_equal(nearest_squared_distances(x, y, workers=2), expected)
        released = chamfer_infoscc(x, y, backend="pytorch3d")
        assert released == pytest.approx(chamfer_infoscc(x, y), rel=1e-5)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((0, 3)), np.zeros((4, 3)), "set of points is empty"),
        (np.zeros((4, 3)), np.zeros((0, 3)), "set of other points is empty"),
        (np.zeros(3), np.zeros((4, 3)), "must have 2 axes"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "set of points has 12 NaN"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "points has 3 columns, but the set of other points 2"),
        (np.zeros((4, 3)), np.full((4, 3), 1e200), "squared distances overflow"),
    ],
)
def test_bad_input_is_refused(real, fake, message):
    for function in (chamfer_infoscc, chamfer_pytorch3d):
        with pytest.raises(ValueError, match=message):
            function(real, fake)


def test_unknown_choices_are_refused():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="mean, sum, max, not 'median'"):
        chamfer_pytorch3d(x, x, point_reduction="median")
    with pytest.raises(ValueError, match="'kdtree' or 'pytorch3d', not 'faiss'"):
        chamfer_infoscc(x, x, backend="faiss")


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d.ops", None)
    with pytest.raises(ImportError, match=r"gan-attribute-bench\[pytorch3d\]"):
        chamfer_infoscc(np.zeros((2, 3)), np.zeros((2, 3)), backend="pytorch3d")
