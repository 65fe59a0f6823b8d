"""S_disen and N_discov against the released code's values, in both readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from bench.verify import Case, load_case_modules, run_case
from metrics.discovery import discovery_intervals, discovery_scores, scores_from_changes

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"
EDGES = load_file(GOLDEN / "contrafeat_edge" / "inputs.safetensors")
EDGES_EXPECTED = load_file(GOLDEN / "contrafeat_edge" / "expected.safetensors")


def test_released_code():
    inputs = load_file(GOLDEN / "contrafeat_notebook" / "inputs.safetensors")
    expected = load_file(GOLDEN / "contrafeat_notebook" / "expected.safetensors")
    scores = discovery_scores(torch.from_numpy(inputs["pred_plus"]), inputs["pred_minus"])
    assert scores.s_disen == pytest.approx(expected["s_disen"].item(), abs=1e-6)
    assert scores.n_discov == expected["n_discov"].item()
    np.testing.assert_array_equal(scores.discovered, expected["discovered"])
    np.testing.assert_allclose(scores.matrix, expected["score_matrix_normed"], atol=1e-6)
    absolute = discovery_scores(inputs["pred_plus"], inputs["pred_minus"], "mean-absolute")
    raw = expected["score_matrix_raw_mean_of_abs"]
    np.testing.assert_allclose(absolute.matrix, raw / raw.max(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(EDGES) - {"with_nan"}))
def test_edge_cases(name):
    scores = scores_from_changes(EDGES[name])
    assert scores.s_disen == pytest.approx(EDGES_EXPECTED[f"{name}.s_disen"].item(), abs=1e-12)
    assert scores.n_discov == EDGES_EXPECTED[f"{name}.n_discov"].item()
    np.testing.assert_allclose(scores.matrix, EDGES_EXPECTED[f"{name}.matrix"], rtol=1e-12)


def test_golden_edges():
    load_case_modules()
    outcome = run_case(Case(GOLDEN / "contrafeat_edge"))
    assert outcome.status == "passed", outcome.message


def _outputs(seed: int, directions: int, samples: int, attributes: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    before = generator.standard_normal((directions, samples, attributes))
    effect = generator.standard_normal((directions, 1, attributes))
    return before + effect + 0.3 * generator.standard_normal(before.shape), before


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    directions=st.integers(1, 6),
    samples=st.integers(2, 12),
    attributes=st.integers(2, 7),
    reading=st.sampled_from(["signed-mean", "mean-absolute"]),
)
def test_properties(seed, directions, samples, attributes, reading):
    after, before = _outputs(seed, directions, samples, attributes)
    scores = discovery_scores(after, before, reading)
    assert 0.0 <= scores.s_disen <= 1.0
    assert 1 <= scores.n_discov <= min(directions, attributes)
    rows = np.random.default_rng(seed).permutation(samples)
    same = discovery_scores(after[::-1][:, rows], before[::-1][:, rows], reading)
    assert same.s_disen == pytest.approx(scores.s_disen)
    reverse = discovery_scores(before, after, reading)  # a direction has no preferred sign
    assert reverse.s_disen == pytest.approx(scores.s_disen)
    twice = discovery_scores(np.concatenate([after] * 2), np.concatenate([before] * 2), reading)
    assert twice.s_disen == pytest.approx(scores.s_disen)
    assert twice.n_discov == scores.n_discov


def test_readings_differ_where_changes_cancel():
    after = np.zeros((1, 4, 2))
    after[0, :, 0] = [2.0, -2.0, 2.0, -2.0]
    after[0, :, 1] = 1.0
    before = np.zeros((4, 2))
    assert discovery_scores(after, before).discovered.tolist() == [False, True]
    absolute = discovery_scores(after, before, "mean-absolute")
    assert absolute.discovered.tolist() == [True, False]
    assert absolute.s_disen == 0.5


@pytest.mark.parametrize("reading", ["signed-mean", "mean-absolute"])
def test_intervals_are_those_of_scores_on_resampled_samples(reading):
    after, before = _outputs(3, 5, 20, 4)
    scores = discovery_scores(after, before, reading)
    intervals = discovery_intervals(after, before, reading, resamples=50, seed=9, level=0.8)
    generator = np.random.default_rng(9)
    draws = [generator.integers(0, 20, 20) for _ in range(50)]
    resampled = [discovery_scores(after[:, rows], before[:, rows], reading) for rows in draws]
    for name in ("s_disen", "n_discov"):
        low, middle, high = np.quantile([getattr(one, name) for one in resampled], [0.1, 0.5, 0.9])
        moved = getattr(scores, name) - middle
        found = getattr(intervals, name)
        assert (found.low, found.high) == pytest.approx((low + moved, high + moved))


def test_intervals_hold_their_scores_where_noise_biases_resamples():
    """Each direction changes one of six attributes, by as much as the noise of one sample."""
    generator = np.random.default_rng(0)
    effect = np.eye(6)[generator.integers(0, 6, 12)][:, None]  # 12 directions
    before = np.zeros((60, 6))
    drawn = [effect + generator.standard_normal((12, 60, 6)) for _ in range(200)]
    expected = np.mean([discovery_scores(after, before).s_disen for after in drawn])
    covered = 0
    for after in drawn[:50]:
        score = discovery_scores(after, before)
        interval = discovery_intervals(after, before, resamples=200)
        assert interval.s_disen.low <= score.s_disen <= interval.s_disen.high <= 1.0
        assert interval.n_discov.low <= score.n_discov <= interval.n_discov.high <= 6
        covered += interval.s_disen.low <= expected <= interval.s_disen.high
    assert covered >= 45


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scores_from_changes(EDGES["with_nan"]), r"NaN or infinite .*\(0, 0\)"),
        (lambda: scores_from_changes(np.ones((3, 1))), "at least two"),
        (lambda: discovery_scores(np.ones((2, 3, 4)), np.ones((2, 3, 5))), "shape"),
        (lambda: discovery_scores(np.ones((2, 0, 4)), np.ones((2, 0, 4))), "empty"),
        (lambda: discovery_scores(np.ones((3, 4)), np.ones((3, 4))), "3 axes"),
        (lambda: discovery_scores(np.ones((2, 3, 4)), np.ones((3, 4)), "median"), "reading"),
        (lambda: discovery_intervals(np.ones((2, 1, 4)), np.ones((1, 4))), "two samples"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
