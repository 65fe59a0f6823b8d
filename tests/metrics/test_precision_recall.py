"""Precision, recall, density and coverage: golden values, the definition, ties, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verify import Case, distributions, run_case
from metrics import arrays
from metrics.precision_recall import precision_recall

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def test_golden():
    assert distributions
    outcome = run_case(Case(GOLDEN / "precision_recall_density_coverage"))
    assert outcome.status == "passed", outcome.message


def test_equals_torch_fidelity():
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    generator = np.random.default_rng(0)
    generated, real = generator.standard_normal((80, 7)), generator.standard_normal((90, 7)) * 1.3
    for k in (1, 3, 10):
        reference = metric_prc.prc_features_to_metric(
            torch.from_numpy(generated), torch.from_numpy(real), prc_neighborhood=k, verbose=False
        )
        scores = precision_recall(torch.from_numpy(generated), real, neighbours=k)
        for name, value in reference.items():
            assert getattr(scores, name) == pytest.approx(value, rel=1e-6)


def _by_definition(generated: np.ndarray, real: np.ndarray, k: int) -> tuple[float, ...]:
    def squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return ((x[:, None] - y[None]) ** 2).sum(axis=-1)

    fake_radii = np.sort(squares(generated, generated), axis=1)[:, k]
    real_radii = np.sort(squares(real, real), axis=1)[:, k]
    between = squares(generated, real)
    return (
        (between <= real_radii).any(axis=1).mean(),
        (between <= fake_radii[:, None]).any(axis=0).mean(),
        (between < real_radii).sum(axis=1).mean() / k,
        (between < real_radii).any(axis=0).mean(),
    )


def _generated(kind: str, real: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    rows = generator.standard_normal((15, real.shape[1]))
    return {
        "other": rows,
        "lattice": np.round(rows),
        "copies": real[generator.integers(0, len(real), 15)],
        "collapsed": np.repeat(rows[:2], [9, 6], axis=0),
        "nearly collapsed": rows[0] + 1e-9 * rows,
        "far": rows + 1e6,
    }[kind]


@settings(max_examples=120)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["other", "lattice", "copies", "collapsed", "nearly collapsed", "far"]),
    count=st.integers(6, 30),
    width=st.integers(1, 20),
    k=st.integers(1, 5),
    entries=st.sampled_from([7, 100, 4_000_000]),
)
def test_the_definition_with_ties_in_any_blocks(seed, kind, count, width, k, entries):
    generator = np.random.default_rng(seed)
    real = generator.standard_normal((count, width))
    if kind == "lattice":
        real = np.round(real)
    generated = _generated(kind, real, generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_ENTRIES_AT_ONCE", entries)
        scores = precision_recall(generated, real, neighbours=k)
    found = (scores.precision, scores.recall, scores.density, scores.coverage)
    assert found == pytest.approx(_by_definition(generated, real, k), rel=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 5))
def test_a_set_against_itself_and_against_a_far_one(seed, k):
    real = np.random.default_rng(seed).standard_normal((20, 8)).astype(np.float32)
    same = precision_recall(real[::-1], real, neighbours=k)
    assert (same.precision, same.recall, same.density, same.coverage) == (1.0, 1.0, 1.0, 1.0)
    assert same.f_score == 1.0
    far = precision_recall(real + 100, real, neighbours=k)
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)
    assert far.f_score == 0.0


def test_a_collapsed_generator_is_precise_and_recalls_little():
    real = np.random.default_rng(0).standard_normal((100, 4))
    scores = precision_recall(np.repeat(real[:1], 50, axis=0), real, neighbours=3)
    assert scores.precision == 1.0
    assert scores.recall == 0.01
    assert scores.coverage < 0.2


@pytest.mark.parametrize(
    ("generated", "real", "neighbours", "message"),
    [
        (np.zeros((5, 2)), np.zeros((4, 3)), 1, "has 2 columns, but the set of real features 3"),
        (np.zeros((5, 2)), np.zeros((3, 2)), 3, "from 1 to 2, not 3"),
        (np.zeros((5, 2)), np.zeros((5, 2)), 0, "not 0"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), 1, "generated features has 10 NaN"),
        (np.zeros((5, 2)), np.zeros((0, 2)), 1, "real features is empty"),
        (np.eye(5) * 1e160, np.eye(5) * 1e160, 1, "distances overflow"),
    ],
)
def test_bad_input_is_refused(generated, real, neighbours, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(generated, real, neighbours=neighbours)
