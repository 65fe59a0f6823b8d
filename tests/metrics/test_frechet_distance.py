"""The Fréchet distance against golden values, and what must hold for any input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from metrics.frechet import frechet_distance, frechet_distance_from_features

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def _case(name: str) -> tuple[dict, dict, dict]:
    folder = GOLDEN / name
    meta = json.loads((folder / "meta.json").read_text())
    inputs = load_file(folder / "inputs.safetensors")
    expected = load_file(folder / "expected.safetensors")
    return inputs, expected, {"rel": meta["rtol"], "abs": meta["atol"]}


@pytest.mark.parametrize(
    "name", ["fid_dead_and_collapsed", "fid_large_offset", "fid_near_singular_256x24"]
)
def test_golden_features(name):
    inputs, expected, tolerance = _case(name)
    golden = pytest.approx(expected["fid"].item(), **tolerance)
    assert frechet_distance_from_features(inputs["x"], inputs["y"]) == golden
    assert frechet_distance_from_features(inputs["y"], inputs["x"]) == golden
    if "constant" in inputs:
        collapsed = frechet_distance_from_features(inputs["x"], inputs["constant"])
        assert collapsed == pytest.approx(expected["fid.x_vs_constant"].item(), **tolerance)


def test_golden_statistics():
    inputs, expected, tolerance = _case("fid_closed_form")
    mean1, mean2, cov1, cov2 = (inputs[key] for key in ("mu1", "mu2", "sigma1", "sigma2"))
    scaled = inputs["scale"] ** 2 * cov1
    one_d = zip(inputs["mu_1d"].reshape(2, 1), inputs["var_1d"].reshape(2, 1, 1), strict=True)
    cases = {
        "commuting": (mean1, cov1, mean2, cov2),
        "shift_only": (mean1, cov1, mean2, cov1),
        "scaled": (mean1, cov1, mean2, scaled),
        "full": (mean1, inputs["full1"], mean2, inputs["full2"]),
        "one_d": tuple(part for gaussian in one_d for part in gaussian),
    }
    for key, arguments in cases.items():
        assert frechet_distance(*arguments) == pytest.approx(expected[key].item(), **tolerance), key


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 8),
    count=st.integers(8, 40),
    scale=st.floats(0.01, 100.0),
)
def test_properties(seed, width, count, scale):
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((count, width)) @ generator.standard_normal((width, width))
    y = generator.standard_normal((count + 3, width)) + 0.5
    size = x.var(axis=0).sum() + y.var(axis=0).sum()
    distance = frechet_distance_from_features(x, y)
    close = {"abs": 1e-6 * size, "rel": 1e-6}
    assert frechet_distance_from_features(x, x[::-1].copy()) == pytest.approx(0.0, abs=1e-6 * size)
    assert frechet_distance_from_features(y, x) == pytest.approx(distance, **close)
    assert distance >= 0.0
    shift = generator.standard_normal(width)
    assert frechet_distance_from_features(x + shift, y + shift) == pytest.approx(distance, **close)
    scaled = frechet_distance_from_features(scale * x, scale * y) / scale**2
    assert scaled == pytest.approx(distance, **close)
    moved = frechet_distance_from_features(x, x + shift)
    assert moved == pytest.approx(shift @ shift, **close)


def test_few_samples_warn_and_still_give_a_number():
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 10, 16))
    with pytest.warns(UserWarning, match="10 samples of 16 features"):
        distance = frechet_distance_from_features(x, y)
    centred_x, centred_y = x - x.mean(axis=0), y - y.mean(axis=0)
    root = np.linalg.svd(centred_x @ centred_y.T, compute_uv=False).sum() / 9  # exact, from rows
    exact = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() - 2 * root
    exact += (centred_x**2).sum() / 9 + (centred_y**2).sum() / 9
    assert distance == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [[1.0]], [0.0, 0.0], np.eye(2)), "1 and 2 dimensions"),
        (([0.0], np.eye(2), [0.0], [[1.0]]), r"first covariance has shape \(2, 2\)"),
        (([0.0], [[1.0]], [np.nan], [[1.0]]), "second mean has 1 NaN"),
        (([], np.zeros((0, 0)), [], np.zeros((0, 0))), "empty"),
        (([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]], [0.0, 0.0], np.eye(2)), "not symmetric"),
        ((0.0, 1.0, 0.0, 1.0), "axes"),
    ],
)
def test_bad_statistics_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*arguments)


def test_bad_features_are_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet_distance_from_features(np.zeros((1, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        frechet_distance_from_features(np.zeros((4, 2)), np.zeros((4, 3)))
