"""The Fréchet distance against golden values, and what must hold for any input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from metrics.frechet import frechet_distance, frechet_distance_from_features

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"
MOMENTS = ("mu", "sigma")


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
    moments = [torch.from_numpy(expected[f"{part}_{one}"]) for one in "xy" for part in MOMENTS]
    assert frechet_distance(*moments) == golden


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
    close = {"abs": 1e-9 * size, "rel": 1e-9}
    assert frechet_distance_from_features(x, x[::-1].copy()) == pytest.approx(0.0, abs=1e-9 * size)
    assert frechet_distance_from_features(y, x) == pytest.approx(distance, **close)
    assert distance >= 0.0
    shift = generator.standard_normal(width)
    assert frechet_distance_from_features(x + shift, y + shift) == pytest.approx(distance, **close)
    scaled = frechet_distance_from_features(scale * x, scale * y) / scale**2
    assert scaled == pytest.approx(distance, **close)
    moved = frechet_distance_from_features(x, x + shift)
    assert moved == pytest.approx(shift @ shift, **close)


def _features(seed: int, count: int, deviations: np.ndarray, rotated: bool) -> np.ndarray:
    generator = np.random.default_rng(seed)
    width = len(deviations)
    rotation = np.linalg.qr(generator.standard_normal((width, width)))[0]
    rows = generator.standard_normal((count, width)) * deviations
    return (rows @ rotation if rotated else rows) + generator.standard_normal(width)


def _exact(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The distance by singular values of the rows, and the summed variances."""
    offset = x.mean(axis=0) - y.mean(axis=0)
    centred = [(rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (x, y)]
    size = sum((rows**2).sum() for rows in centred)
    root = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return offset @ offset + size - 2 * root, size


WIDTH = 48
WHITE = np.ones(WIDTH)
DECADES = np.logspace(0, -6, WIDTH)
SUBSPACE = np.where(np.arange(WIDTH) < 7, 1.0, 0.0)
DEAD = np.where(np.arange(WIDTH) % 3 == 0, 0.0, 1.0)


@pytest.mark.filterwarnings("ignore:A Fréchet distance from")
@pytest.mark.parametrize(
    ("first", "second", "rotated", "error_from_statistics"),
    [
        (WHITE, 0.5 * WHITE, True, 1e-8),
        (WHITE, SUBSPACE, True, 1e-8),
        (SUBSPACE, SUBSPACE, True, 1e-8),
        (DECADES, DECADES, True, 1e-8),
        (DECADES[::-1], DECADES[::-1], False, 1e-8),
        (WHITE, DECADES**2, True, 1e-7),  # its least variances are lost in the largest's rounding
        (WHITE, DEAD, False, 1e-8),
        (DEAD, DEAD[::-1], False, 1e-8),
        (WHITE, 0.0 * WHITE, False, 1e-8),
    ],
)
@pytest.mark.parametrize("counts", [(200, 150), (200, 30), (30, 20), (48, 48), (49, 200)])
def test_every_spectrum_and_number_of_samples(
    first, second, rotated, error_from_statistics, counts
):
    x = _features(1, counts[0], first, rotated)
    y = _features(2, counts[1], second, rotated)
    exact, size = _exact(x, y)
    assert frechet_distance_from_features(x, y) == pytest.approx(exact, abs=1e-11 * size)
    moments = [part for rows in (x, y) for part in (rows.mean(axis=0), np.cov(rows.T))]
    from_statistics = frechet_distance(*moments)
    assert from_statistics == pytest.approx(exact, abs=error_from_statistics * size)


def test_many_blocks_of_rows_of_a_singular_covariance():
    x, y = np.random.default_rng(0).standard_normal((2, 9000, 5)) * [3, 1, 1, 2, 2] + 100
    distance, size = frechet_distance_from_features(x, y), x.var(axis=0).sum() * 2
    # One feature as two that are equal, of half the variance each, is the same up to a rotation.
    split_x, split_y = (np.column_stack([one, one[:, 4]]) for one in (x, y))
    for rows in (split_x, split_y):
        rows[:, 4:] *= 0.5**0.5
    found = frechet_distance_from_features(torch.from_numpy(split_x), split_y)
    assert found == pytest.approx(distance, abs=1e-11 * size)


def test_equals_torch_fidelity():
    metric_fid = pytest.importorskip("torch_fidelity.metric_fid")
    x = _features(3, 400, np.linspace(1.0, 0.1, WIDTH), True)
    y = _features(4, 300, np.linspace(1.0, 0.2, WIDTH), True)
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(one)) for one in (x, y)]
    reference = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet_distance_from_features(x, y) == pytest.approx(
        reference["frechet_inception_distance"], rel=1e-10
    )


def test_few_samples_warn():
    x, y = np.random.default_rng(0).standard_normal((2, 10, 16))
    with pytest.warns(UserWarning, match="10 samples of 16 features"):
        frechet_distance_from_features(x, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [[1.0]], [0.0, 0.0], np.eye(2)), "1 and 2 dimensions"),
        (([0.0], np.eye(2), [0.0], [[1.0]]), r"first covariance has shape \(2, 2\)"),
        (([0.0], [[1.0]], [np.nan], [[1.0]]), "second mean has 1 NaN"),
        (([], np.zeros((0, 0)), [], np.zeros((0, 0))), "empty"),
        (([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]], [0.0, 0.0], np.eye(2)), "not symmetric"),
        ((0.0, 1.0, 0.0, 1.0), "axes"),
        (([0.0] * 2, np.eye(2), [0.0] * 2, [[1.0, 2.0], [2.0, 1.0]]), "second .* negative"),
        (([1e160], [[1.0]], [0.0], [[1.0]]), "means are so far apart"),
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
    with pytest.raises(ValueError, match="variances overflow"):
        frechet_distance_from_features(np.eye(3) * 1e160, np.eye(3))
