"""What must hold for any codes, scikit-learn's own numbers, and input that is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score

from metrics.disentanglement import dci as dci_module
from metrics.disentanglement.dci import dci, dci_from_importance
from metrics.disentanglement.information import discretise, entropies, mutual_information
from metrics.disentanglement.mig import mig
from metrics.disentanglement.modularity import (
    explicitness,
    modularity,
    modularity_from_information,
)
from metrics.disentanglement.sap import sap, sap_continuous

SIZES = (4, 3, 5)
GRID = np.array(list(product(*map(range, SIZES))))  # every combination of three factors
seeds = st.integers(0, 2**32 - 1)


def _representation(kind: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes that hold one factor each, leak a bit of the others, or mix all of them."""
    generator = np.random.default_rng(seed)
    factors = np.stack([generator.integers(0, size, count) for size in SIZES], axis=1)
    centred = factors / (np.array(SIZES) - 1) - 0.5
    mixing = np.random.default_rng(5).standard_normal((3, 5))
    clean = np.eye(3, 5)
    weights = {"clean": clean, "medium": clean + 0.6 * mixing, "entangled": mixing}[kind]
    codes = centred @ weights + 0.05 * generator.standard_normal((count, 5))
    return codes.astype(np.float32), factors


def _parts(kind: str = "medium", train: int = 300, test: int = 150) -> tuple[np.ndarray, ...]:
    return _representation(kind, train, 0) + _representation(kind, test, 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, count=st.integers(20, 60), bins=st.integers(2, 20))
def test_information_is_that_of_scikit_learn_in_any_order(seed, count, bins):
    generator = np.random.default_rng(seed)
    codes = generator.standard_normal((count, 4)).astype(np.float32)
    codes[:, 3] = 0.1
    factors = GRID[generator.permutation(len(GRID))[:count]]
    factors[:2] = [[0, 0, 0], [1, 1, 1]]
    gap = mig(codes, factors, bins=bins)
    for k, j in product(range(4), range(3)):
        edges = np.histogram(codes[:, k], bins)[1][:-1]
        theirs = mutual_info_score(factors[:, j], np.digitize(codes[:, k], edges))
        assert gap.information[k, j] == pytest.approx(theirs, abs=1e-12)
    assert (gap.information[3] == 0.0).all()
    rows, columns = generator.permutation(count), generator.permutation(4)
    values = 0.1 * (7 - factors[rows])  # other names for the same values
    moved = mig(torch.from_numpy(codes[rows][:, columns]), values, bins=bins)
    np.testing.assert_allclose(moved.per_factor, gap.per_factor, atol=1e-12)
    same = modularity(codes[rows][:, columns], values, bins=bins).score
    assert same == pytest.approx(modularity(codes, factors, bins=bins).score)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, scale=st.floats(1e-3, 1e3), offset=st.floats(-10.0, 10.0))
def test_perfect_codes_have_all_scores_1_and_codes_twice_none(seed, scale, offset):
    order = np.random.default_rng(seed).permutation(3)
    codes = GRID[:, order] * np.array([scale, -scale, 1.0]) + offset
    assert mig(codes, GRID).score == pytest.approx(1.0, abs=1e-12)
    assert modularity(codes, GRID).score == pytest.approx(1.0, abs=1e-12)
    assert sap_continuous(codes, GRID).score == pytest.approx(1.0, abs=1e-9)
    areas = explicitness(codes, GRID, codes, GRID)
    assert areas.train == areas.test > 0.75  # a linear model does not single out middle values
    twice = np.concatenate([codes, codes], axis=1)
    assert mig(twice, GRID).score == 0.0
    assert sap_continuous(twice, GRID).score == pytest.approx(0.0, abs=1e-12)
    assert modularity(twice, GRID).score == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_constant_codes_score_0_and_chance(value):
    codes = np.full((len(GRID), 3), value, dtype=np.float32)
    assert mig(codes, GRID).score == 0.0
    assert modularity(codes, GRID).score == 0.0
    assert sap(codes, GRID, codes, GRID).score == 0.0
    assert sap_continuous(codes, GRID).score == 0.0
    areas = explicitness(codes, GRID, codes, GRID)
    assert (areas.train, areas.test) == (0.5, 0.5)


@pytest.mark.parametrize("booster", ["gradient-boosting", "lightgbm"])
def test_constant_codes_have_a_dci_of_0(booster):
    pytest.importorskip("lightgbm")
    codes = np.full((len(GRID), 3), 0.1)
    scores = dci(codes, GRID, codes, GRID, booster=booster)
    assert (scores.disentanglement, scores.completeness) == (0.0, 0.0)
    assert scores.informativeness_test == pytest.approx((1 / 4 + 1 / 3 + 1 / 5) / 3)


def test_codes_that_vary_by_rounding_only_are_binned():
    codes = np.float32(1.0) + np.float32(1.2e-7) * (GRID % 2)
    assert np.unique(discretise(codes)[:, 0]).size == 2
    assert mig(codes, GRID).score >= 0.0


def test_a_constant_code_does_not_change_explicitness():
    train_codes, train_factors, test_codes, test_factors = _parts()
    bare = explicitness(train_codes, train_factors, test_codes, test_factors)
    wider = [np.insert(codes, 2, 0.1, axis=1) for codes in (train_codes, test_codes)]
    same = explicitness(wider[0], train_factors, wider[1], test_factors)
    np.testing.assert_allclose(same.per_factor, bare.per_factor, atol=1e-4)
    mean, deviation = train_codes.mean(axis=0), train_codes.std(axis=0)
    model = LogisticRegression().fit((train_codes - mean) / deviation, train_factors[:, 0])
    probabilities = model.predict_proba((test_codes - mean) / deviation)
    theirs = roc_auc_score(np.eye(4)[test_factors[:, 0]], probabilities)
    assert bare.per_factor[0, 1] == pytest.approx(theirs, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, codes=st.integers(2, 6), factors=st.integers(2, 5), scale=st.floats(0.5, 1e4))
def test_dci_formulas(seed, codes, factors, scale):
    generator = np.random.default_rng(seed)
    matrix = generator.random((codes, factors)) ** 4
    scores = dci_from_importance(matrix)
    assert 0.0 <= scores.disentanglement <= 1.0
    assert 0.0 <= scores.completeness <= 1.0
    rows, columns = generator.permutation(codes), generator.permutation(factors)
    moved = dci_from_importance(scale * matrix[rows][:, columns])
    assert moved.disentanglement == pytest.approx(scores.disentanglement, abs=1e-6)
    assert moved.completeness == pytest.approx(scores.completeness, abs=1e-6)
    turned = dci_from_importance(matrix.T)
    assert turned.completeness == pytest.approx(scores.disentanglement)
    perfect = dci_from_importance(np.eye(codes) * generator.uniform(0.5, 2.0, codes))
    assert perfect.disentanglement == pytest.approx(1.0, abs=1e-8)
    assert perfect.completeness == pytest.approx(1.0, abs=1e-8)


def test_dci_is_that_of_scikit_learn_in_any_number_of_processes():
    train_codes, train_factors, test_codes, test_factors = _parts(train=120, test=60)
    train_factors[:, 1] //= 2  # two values make one tree a round
    test_factors[:, 1] //= 2
    parts = train_codes, train_factors, test_codes, test_factors
    random = np.random.RandomState(0)
    models = [GradientBoostingClassifier(random_state=random) for _ in SIZES]
    for j, model in enumerate(models):
        model.fit(train_codes, train_factors[:, j])
    importance = np.stack([model.feature_importances_ for model in models], axis=1)
    accuracy = [model.score(test_codes, test_factors[:, j]) for j, model in enumerate(models)]
    scores = dci(*parts)
    np.testing.assert_array_equal(scores.importance, importance)
    assert scores.informativeness_test == pytest.approx(np.mean(accuracy), abs=1e-12)
    assert scores.informativeness_train == 1.0
    assert scores.name == "dci"
    parallel = dci(*parts, n_jobs=2)
    np.testing.assert_array_equal(parallel.importance, importance)
    assert parallel.disentanglement == scores.disentanglement
    assert parallel.informativeness_test == scores.informativeness_test


def test_boosters_rank_representations_alike():
    pytest.importorskip("lightgbm")
    for booster, name in (("gradient-boosting", "dci"), ("lightgbm", "dci:lightgbm")):
        kinds = ("clean", "medium", "entangled")
        results = [dci(*_parts(kind, 200), booster=booster) for kind in kinds]
        clean, medium, entangled = (result.disentanglement for result in results)
        assert clean > medium + 0.05 > entangled + 0.1
        assert results[0].completeness > 0.8
        assert results[0].informativeness_test > 0.9
        assert {result.name for result in results} == {name}


def test_lightgbm_is_named_where_it_is_missing(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(dci_module.importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"gan-attribute-bench\[metrics\]"):
        dci(*_parts(), booster="lightgbm")


def test_sap_prefers_the_code_that_holds_the_factor():
    clean = sap(*_parts("clean"))
    assert clean.predictability.argmax(axis=0).tolist() == [0, 1, 2]
    assert clean.score > sap(*_parts("entangled")).score + 0.1
    codes, factors, _, _ = _parts()
    theirs = np.corrcoef(codes[:, 1], factors[:, 2])[0, 1] ** 2
    assert sap_continuous(codes, factors).predictability[1, 2] == pytest.approx(theirs, abs=1e-9)


def test_modularity_of_a_matrix():
    table = [[3.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2e-200, 1e-200, 0.0]]
    scores = modularity_from_information(table)
    np.testing.assert_allclose(scores.per_code, [1.0, 0.0, 0.0, 0.875])


def test_information_of_labels_with_themselves_is_their_entropy():
    shares = np.bincount(GRID[:, 1]) / len(GRID)
    entropy = -(shares * np.log(shares)).sum()
    assert entropies(GRID)[1] == pytest.approx(entropy)
    assert mutual_information(GRID, GRID)[0, 1] == 0.0


GOOD = np.random.default_rng(0).standard_normal((len(GRID), 3))
NAN = np.where(np.arange(len(GRID))[:, None] == 2, np.nan, GOOD)
ONE_VALUE = np.where([False, True, False], 7, GRID)
TEST_ONLY = np.where(np.arange(len(GRID))[:, None] == 0, 99, GRID)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mig(NAN, GRID), r"codes has 3 NaN .*\(2, 0\)"),
        (lambda: mig(GOOD[:0], GRID[:0]), "empty"),
        (lambda: mig(GOOD[:1], GRID[:1]), "one sample"),
        (lambda: mig(GOOD, GRID[1:]), "codes of 60 samples but factors of 59"),
        (lambda: mig(GOOD, ONE_VALUE), "Factor 1 has the one value 7"),
        (lambda: mig(GOOD, GOOD), "Factor 0 has another value in each"),
        (lambda: mig(GOOD[:, :1], GRID), "at least two"),
        (lambda: mig(GOOD, GRID, bins=0), "at least one bin"),
        (lambda: mig(GOOD[:, 0], GRID), "2 axes"),
        (lambda: modularity(GOOD, GRID[:, :1]), "at least two"),
        (lambda: modularity_from_information([[0.1, -0.1]]), "not negative"),
        (lambda: sap(GOOD[:, :1], GRID, GOOD[:, :1], GRID), "at least two"),
        (lambda: sap_continuous(GOOD, ONE_VALUE), "Factor 1 has the one value 7"),
        (lambda: sap_continuous(GOOD * 1e160, GRID), "correlations overflow"),
        (lambda: sap(GOOD, GRID, GOOD[:, :2], GRID), "3 codes, the test part 2"),
        (lambda: sap(GOOD, GRID, GOOD, GRID[:, :2]), "3 factors, the test part 2"),
        (lambda: sap(GOOD, GRID, NAN, GRID), "test codes has 3 NaN"),
        (lambda: explicitness(GOOD, GRID, GOOD, TEST_ONLY), "training never shows"),
        (lambda: explicitness(GOOD, GRID, GOOD, 0 * GRID), "one value in the test part"),
        (lambda: dci(GOOD, GRID[:, :1], GOOD, GRID[:, :1]), "3 codes and 1 factors"),
        (lambda: dci(GOOD, ONE_VALUE, GOOD, GRID), "all training samples"),
        (lambda: dci(GOOD, GRID, GOOD, GRID, booster="xgboost"), "'xgboost'"),
        (lambda: dci_from_importance([[0.1, -0.1], [0.2, 0.2]]), "not negative"),
        (lambda: dci_from_importance([[0.1, 0.1]]), "1 codes and 2 factors"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
