"""The t-SNE that Chamfer distances are taken in: its settings, its reproducibility, its limits."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from bench.verify import Case, compare
from bench.verify.chamfer import tsne_case
from metrics.chamfer import chamfer_infoscc, chamfer_pytorch3d
from metrics.tsne import (
    OPENTSNE_ITERATIONS,
    SKLEARN_ITERATIONS,
    joint_opentsne,
    joint_tsne,
    opentsne_chamfer,
    tsne_chamfer,
)

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def _features(real: int = 50, fake: int = 45, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((real, width)).astype(np.float32)
    return x, 1.0 + generator.standard_normal((fake, width)).astype(np.float32)


def test_the_installed_package_minimises_what_it_should():
    golden = Case(GOLDEN / "tsne_similarities")
    compare(golden, tsne_case(golden))


def test_released_settings():
    x, y = _features()
    # The defaults of scikit-learn 0.24, by the names of today.
    released = TSNE(
        n_components=3,
        perplexity=30.0,
        early_exaggeration=12.0,
        learning_rate=200.0,
        max_iter=1000,
        n_iter_without_progress=300,
        min_grad_norm=1e-7,
        metric="euclidean",
        init="random",
        method="barnes_hut",
        angle=0.5,
        random_state=7,
    )
    with threadpool_limits(1, user_api="openmp"):
        points = released.fit_transform(np.concatenate([x, y]))
    real, fake = joint_tsne(x, y.astype(np.float64), seed=7)
    np.testing.assert_array_equal(np.concatenate([real, fake]), points)
    found = tsne_chamfer(x, y, seed=7)
    assert (found.name, found.real_points, found.fake_points) == ("tsne_chamfer", 50, 45)
    assert found.infoscc == chamfer_infoscc(points[:50], points[50:])
    assert found.pytorch3d == chamfer_pytorch3d(points[:50], points[50:])
    assert found.infoscc == pytest.approx(50 * found.real_to_fake)
    assert found.fake_to_real == chamfer_pytorch3d(
        points[50:], points[:50], single_directional=True
    )


@pytest.mark.parametrize("package", ["sklearn.manifold", "openTSNE"])
def test_no_default_is_left_to_the_package(monkeypatch, package):
    module = pytest.importorskip(package)
    given = {}

    class Recorder:
        def __init__(self, **settings):
            given.update(settings)

        def fit(self, rows):
            return rows[:, :3]

        fit_transform = fit

    # How many interpolation points there are matters to the method that is not used.
    unused = {"n_interpolation_points", "min_num_intervals", "ints_in_interval", "knn_kwargs"}
    known = set(inspect.signature(module.TSNE.__init__).parameters) - {"self"} - unused
    monkeypatch.setattr(module, "TSNE", Recorder)
    embed = joint_tsne if package == "sklearn.manifold" else joint_opentsne
    embed(*_features(), seed=3, perplexity=5.0)
    assert set(given) == known
    assert (given["random_state"], given["perplexity"]) == (3, 5.0)


def test_scikit_learn_s_progress_is_heard_and_changes_nothing(capsys):
    x, y = _features(8, 8)
    done: list[int] = []
    found = joint_tsne(x, y, perplexity=3.0, seed=7, progress=done.append)
    assert len(done) > 5
    assert sum(done) == SKLEARN_ITERATIONS
    assert capsys.readouterr().out == ""
    for heard, quiet in zip(found, joint_tsne(x, y, perplexity=3.0, seed=7), strict=True):
        np.testing.assert_array_equal(heard, quiet)


def test_two_dimensions():
    pytest.importorskip("openTSNE")
    for embed in (joint_tsne, joint_opentsne):
        real, fake = embed(*_features(8, 7), dimensions=2, perplexity=3.0)
        assert (real.shape, fake.shape) == ((8, 2), (7, 2))


def test_opentsne_reports_progress_and_repeats_itself():
    pytest.importorskip("openTSNE")
    x, y = _features()
    done: list[int] = []
    found = opentsne_chamfer(x, y, seed=1, progress=done.append)
    assert sum(done) == OPENTSNE_ITERATIONS
    assert found == opentsne_chamfer(x, y, seed=1)
    assert found != opentsne_chamfer(x, y, seed=2)
    assert (found.name, found.real_points, found.fake_points) == ("tsne_chamfer:opentsne", 50, 45)


def test_distances_grow_with_the_gap_between_the_sets():
    pytest.importorskip("openTSNE")
    x, y = _features(60, 60)
    near, far = (opentsne_chamfer(x, y - 1.0 + gap) for gap in (0.0, 10.0))
    assert far.infoscc > 2.0 * near.infoscc
    assert far.pytorch3d > 2.0 * near.pytorch3d


@pytest.mark.parametrize("embed", [joint_tsne, joint_opentsne])
def test_bad_input_is_refused(embed):
    x, y = _features()
    with pytest.raises(ValueError, match=r"perplexity of 60 rows .* at most 19\.67, not 30"):
        embed(x[:30], y[:30])
    with pytest.raises(ValueError, match="above 0"):
        embed(x, y, perplexity=0.0)
    with pytest.raises(ValueError, match="6 columns, but the set of generated features 5"):
        embed(x, y[:, :5])
    with pytest.raises(ValueError, match="generated features has 1 NaN"):
        embed(x, np.where(y == y[3, 2], np.nan, y))
    with pytest.raises(ValueError, match="real features is empty"):
        embed(x[:0], y)
    with pytest.raises(ValueError, match="All rows of both sets of features are equal"):
        embed(np.ones_like(x), np.ones_like(y))


def test_opentsne_needs_three_features_and_its_package(monkeypatch):
    x, y = _features(width=2)
    with pytest.raises(ValueError, match="3 principal components, which 2 features"):
        joint_opentsne(x, y)
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(ImportError, match=r"gan-attribute-bench\[metrics\]"):
        joint_opentsne(*_features())
