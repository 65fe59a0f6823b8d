"""The conditional track on bands, which are known to obey their labels, or not to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from baselines.base import Attributes, LatentAxis
from baselines.randomness import Draws
from bench.data.base import Dataset
from bench.data.subset import Subset, evenly_spread
from bench.errors import BenchError, Diverged
from bench.figures import PointCloud
from bench.tracks import Evaluation, EvaluationContext
from bench.tracks.conditional import ConditionalTrack
from bench.tracks.label_requests import LabelRequests, same_label_pairs
from leaderboard.schema import Measurement
from tests.bench.extractors.toy import Quarters
from tests.bench.tracks.bands import (
    BANDS,
    COUNT,
    NAMES,
    BandPredictor,
    Bands,
    Bright,
    Deaf,
    Encoding,
    FreeBands,
    Obedient,
    Plain,
    bands,
    seen,
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> EvaluationContext:
    data = Bands()
    return EvaluationContext(
        dataset=Subset(data, data.split("test")),
        generator=None,
        extractor=Quarters(),
        predictor=BandPredictor(),
        seed=0,
        preset="smoke",
        folder=tmp_path_factory.mktemp("run"),
        device=torch.device("cpu"),
        options={
            "distribution_samples": COUNT,
            "control_samples": 5,
            "diversity_pairs": 6,
            "batch_size": 7,
            "tsne": "none",
        },
    )


def free(context: EvaluationContext, **options: object) -> EvaluationContext:
    data = FreeBands()
    images = Subset(data, data.split("test"))
    return replace(context, dataset=images, options={**context.options, **options})


def scores(found: Evaluation) -> dict[str, Measurement]:
    return {measured.name: measured for measured in found.metrics}


@pytest.fixture(scope="module")
def obedient(context: EvaluationContext) -> Evaluation:
    return ConditionalTrack().evaluate(Obedient(), context)


def test_an_obedient_generator(obedient: Evaluation) -> None:
    found = scores(obedient)
    assert [one.name for one in obedient.metrics[:3]] == [
        "fd:quarters",
        "kd:quarters",
        "is:quarters",
    ]
    for name in ("control_accuracy", "own_control_accuracy"):
        assert found[name].value == 1.0
        assert found[name].interval is not None
        assert {found[f"{name}:{attribute}"].value for attribute in NAMES} == {1.0}
    assert found["control_accuracy"].identity["predictor"] == "b" * 12
    assert found["control_accuracy"].identity["labels"] == "dataset"
    assert "predictor" not in found["own_control_accuracy"].identity
    assert "control_accuracy_absent" not in found  # of classes, one is always there
    protocol = obedient.protocol
    assert protocol["labels"]["samples"] == dict.fromkeys(NAMES, COUNT // BANDS)
    assert protocol["labels"]["control"] == dict.fromkeys(NAMES, 5)
    assert protocol["predictor_on_real"] == {"control_accuracy": dict.fromkeys(NAMES, 1.0)}
    assert protocol["speed"]["sample_images_per_second"] > 0
    # Samples and real images vary alike, so that pairs of either are as far apart.
    real = protocol["diversity"]["real"]["quarters"]
    assert found["diversity:quarters"].value == pytest.approx(real, rel=0.8)
    assert found["diversity:quarters"].higher_is_better is None
    assert found["fd:quarters"].value < 0.05


def test_a_disobedient_and_constant_one(context: EvaluationContext) -> None:
    found = ConditionalTrack().evaluate(Plain(), context)
    values = scores(found)
    assert values["control_accuracy"].value == 0.0
    assert values["own_control_accuracy"].value is None  # it has no classifier
    assert values["diversity:quarters"].value == pytest.approx(0.0, abs=1e-6)
    assert found.figures == ["figures/samples.png"]  # it has no axes


def test_what_asks_for_labels_is_not_applicable_without_them(context: EvaluationContext) -> None:
    found = scores(ConditionalTrack().evaluate(Deaf(), context))
    for name in ("control_accuracy", "own_control_accuracy", "diversity:quarters"):
        assert found[name].value is None
    assert not any(name.startswith("control_accuracy:") for name in found)
    assert found["fd:quarters"].value is not None


def test_attributes_have_two_directions_and_two_thresholds(context: EvaluationContext) -> None:
    good, bright = (
        scores(ConditionalTrack().evaluate(method, free(context)))
        for method in (Obedient(), Bright())
    )
    for name in ("control_accuracy", "control_accuracy_absent", "own_control_accuracy"):
        assert good[name].value == 1.0
    assert bright["control_accuracy"].value == 1.0
    assert bright["control_accuracy_absent"].value == 0.0
    assert bright["control_accuracy_absent:south"].value == 0.0
    # The released threshold lets 0.3 pass for presence.
    assert bright["own_control_accuracy"].value == 1.0
    assert bright["own_control_accuracy"].identity["threshold"] == 0.2
    strict = ConditionalTrack().evaluate(Bright(), free(context, threshold=0.5))
    assert scores(strict)["own_control_accuracy"].value == 0.0


def test_scores_repeat_and_do_not_depend_on_the_batch(
    obedient: Evaluation, context: EvaluationContext
) -> None:
    again = ConditionalTrack().evaluate(Obedient(), context)
    assert again.metrics == obedient.metrics
    whole = replace(context, options={**context.options, "batch_size": 64})
    for one, other in zip(
        ConditionalTrack().evaluate(Obedient(), whole).metrics, obedient.metrics, strict=True
    ):
        assert one.value == pytest.approx(other.value, rel=1e-4, abs=1e-6), one.name


def test_released_labels_are_drawn(context: EvaluationContext) -> None:
    released = replace(context, options={**context.options, "labels": "released"})
    found = ConditionalTrack().evaluate(Obedient(), released)
    counts = found.protocol["labels"]["samples"]
    assert sum(counts.values()) == COUNT
    assert set(counts.values()) != {COUNT // BANDS}
    assert scores(found)["fd:quarters"].identity["labels"] == "released"
    coins = LabelRequests("released", free(context).dataset, 0).rows(400, "x")
    assert ((coins.mean(dim=0) - 0.5).abs() < 0.1).all()
    assert (coins[:, :2].sum(dim=1) == 2).any()  # whatever excludes what


@pytest.mark.parametrize("package", ["opentsne", "scikit-learn"])
def test_chamfer_names_its_features(context: EvaluationContext, package: str) -> None:
    pytest.importorskip("openTSNE")
    options = {**context.options, "tsne": package, "tsne_points": 12, "perplexity": 5.0}
    told: list[tuple[str, int, int]] = []
    asked = replace(context, options=options, progress=lambda *what: told.append(what))
    found = ConditionalTrack().evaluate(Encoding(), asked)
    name = "tsne_chamfer:own" if package == "scikit-learn" else "tsne_chamfer:opentsne:own"
    values = {key: one.value for key, one in scores(found).items() if key.startswith("tsne")}
    total, forward, backward, both = (
        values[f"{name}.{part}"]
        for part in ("infoscc", "real_to_fake", "fake_to_real", "pytorch3d")
    )
    assert total == pytest.approx(12 * forward)
    assert both == pytest.approx(forward + backward)
    identity = scores(found)[f"{name}.infoscc"].identity
    assert identity["features"] == "the method's own encoder"
    assert (identity["real_points"], identity["fake_points"]) == (12, 12)
    assert found.figures[-1] == "figures/tsne.png"
    assert max(done for task, done, _ in told if "three dimensions" in task) in (750, 1000)
    shared = f"{name.removesuffix('own')}quarters"
    assert scores(found)[f"{shared}.infoscc"].identity["features"] == f"quarters:{'d' * 12}"
    assert len(found.protocol["tsne"]["features"]) == 2
    # What all methods share does not depend on whether one has an encoder.
    without = scores(ConditionalTrack().evaluate(Obedient(), asked))
    assert f"{name}.infoscc" not in without
    assert without[f"{shared}.infoscc"] == scores(found)[f"{shared}.infoscc"]


@pytest.mark.parametrize("source", ["dataset", "released"])
def test_points_of_the_tsne_have_their_own_classes(
    context: EvaluationContext, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    clouds: list[PointCloud] = []
    monkeypatch.setattr(
        "bench.tracks.conditional_figures.save_scatter", lambda found, *_: clouds.extend(found)
    )
    options = {**context.options, "tsne": "scikit-learn", "perplexity": 5.0, "labels": source}
    asked = replace(context, options={**options, "tsne_points": 13})
    ConditionalTrack().evaluate(Encoding(), asked)
    real, fake = clouds
    places = evenly_spread(13, COUNT)
    assert real.groups.tolist() == (places % BANDS).tolist()
    drawn = LabelRequests(source, context.dataset, 0).rows(COUNT, "samples")  # type: ignore[arg-type]
    assert fake.groups.tolist() == drawn[places].argmax(dim=1).tolist()
    assert (real.groups.tolist() == fake.groups.tolist()) == (source == "dataset")


def test_figures(obedient: Evaluation, context: EvaluationContext) -> None:
    names = ("samples", "traversal-layer-0", "traversal-layer-1")
    assert obedient.figures == [f"figures/{name}.png" for name in names]
    assert all((context.folder / figure).stat().st_size > 1000 for figure in obedient.figures)


def test_traversals_move_one_column(
    context: EvaluationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: dict[str, tuple[Tensor, Sequence[str], str]] = {}

    def keep(
        images: Tensor, path: object, rows: Sequence[str], _: object, title: str, **__: object
    ) -> None:
        pages[str(path).rsplit("/", 1)[1]] = images, rows, title

    class Uneven(Obedient):
        def generate(self, labels: Tensor, latents: Tensor) -> Tensor:
            return bands(labels, latents * torch.tensor([1.0, 1.0, 1.0, 0.5]))

    monkeypatch.setattr("bench.tracks.conditional_figures.save_traversals", keep)
    ConditionalTrack().evaluate(Uneven(), context)
    images, rows, title = pages["traversal-layer-1.png"]
    # What changes most comes first: a quarter of the image by 0.4, whatever the learnt scale says.
    assert rows == ["dimension 0 (change 0.1, L 2)", "dimension 1 (change 0.05, L 3)"]
    brightness = images.mean(dim=(2, 4)).unflatten(2, (BANDS, -1)).mean(dim=3)
    moved = brightness[0, -1] - brightness[0, 0]  # dimension 0 of layer 1 is column 2, -4 to 4
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.0, 0.8, 0.0]), atol=1e-5, rtol=0)
    asked = NAMES[int(brightness[0, 1].round().argmax())]
    assert title == f"layer 1 of layers 0 to 1, coarse to fine: {asked}"
    samples, names, _ = pages["samples.png"]
    assert list(names) == list(NAMES)
    levels = samples.mean(dim=(2, 4)).unflatten(2, (BANDS, -1)).mean(dim=3)  # the same draws below
    torch.testing.assert_close(levels[0, :, 2:] - levels[1, :, 2:], torch.zeros(2, 2))


@settings(max_examples=30, deadline=None)
@given(kinds=st.lists(st.integers(0, 4), min_size=1, max_size=30), count=st.integers(1, 20))
def test_pairs_have_equal_labels_and_no_image_twice(kinds: list[int], count: int) -> None:
    labels = functional.one_hot(torch.tensor(kinds), 5).float()
    pairs = same_label_pairs(labels, count, seed=3)
    possible = int((np.bincount(kinds) // 2).sum())
    assert pairs.shape == (min(count, possible), 2)
    assert torch.equal(labels[pairs[:, 0]], labels[pairs[:, 1]])
    assert len(pairs.unique()) == pairs.numel()


def test_labels_of_the_dataset_stay_possible(context: EvaluationContext) -> None:
    requests = LabelRequests("dataset", free(context).dataset, 0)
    for column in range(BANDS):
        present, absent = requests.present(column, 50), requests.absent(column, 50)
        assert (present[:, column] == 1).all()
        assert (absent[:, column] == 0).all()
        assert (absent[:, :2].sum(dim=1) == 1).all()
        assert (present[:, :2].sum(dim=1) == 1).all()


class NotFinite(Plain):
    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return super().sample(labels, draws) * torch.nan


class Smaller(Plain):
    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return super().sample(labels, draws)[..., ::2, ::2]


class Logits(Obedient):
    def classify(self, images: Tensor) -> Tensor:
        return 100 * seen(images)


class OneClass(Obedient):
    def classify(self, images: Tensor) -> Tensor:
        return seen(images)[:, :1]


class Lost(Obedient):
    def axes(self) -> Sequence[LatentAxis]:
        return [LatentAxis(0, 0, 99, 1.0)]


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        (NotFinite(), Diverged, "Images sampled by NotFinite are NaN or infinite; train it again"),
        (Smaller(), BenchError, r"Smaller.sample made images .* \(7, 3, 16, 16\) .*dataset.size"),
        (Logits(), BenchError, r"Logits.classify gave .* take softmax or sigmoid"),
        (OneClass(), BenchError, r"gave shape \(7, 1\) in place of \(7, 4\), one probability"),
        (Lost(), BenchError, r"shape \(1, 4\), which do not hold the columns of axes, up to 99"),
        (nn.Identity(), BenchError, "has to be a ConditionalGenerator, with sample"),
    ],
)
def test_bad_methods(
    method: nn.Module, error: type[BenchError], message: str, context: EvaluationContext
) -> None:
    with pytest.raises(error, match=message):
        ConditionalTrack().evaluate(method, context)  # type: ignore[arg-type]


class Blank(Bands):
    attributes = Attributes(())


class Lopsided(Bands):
    def labels(self, indices: Tensor) -> Tensor:
        return functional.one_hot(torch.zeros_like(indices), BANDS).float()


class Stranger(BandPredictor):
    names = ("north",)


def test_bad_parts_are_refused_before_anything_is_trained(
    context: EvaluationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    track, judge = ConditionalTrack(), BandPredictor()

    def refuses(
        message: str, data: Dataset, predictor: BandPredictor | None, **more: object
    ) -> None:
        options = track.configure("smoke", more)
        with pytest.raises(BenchError, match=message):
            track.check(Subset(data, data.split("test")), predictor, options)

    refuses("needs classes or binary attributes, and bands has none", Blank(), judge)
    refuses("needs an attribute predictor of the dataset", Bands(), None)
    refuses("The predictor knows north, but not upper, lower", Bands(), Stranger())
    refuses("test part of bands has no image of upper, lower, south: raise", Lopsided(), judge)
    refuses("one for each of track.inception_splits=50", Bands(), judge, inception_splits=50)
    perplexity = r"2 x 16 points allows a perplexity of at most 10\.33, not track\.perplexity=30"
    refuses(perplexity, Bands(), judge, perplexity=30)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refuses(r"openTSNE is not installed: pip install .*track\.tsne=none", Bands(), judge)
    track.check(context.dataset, judge, track.configure("smoke", {"tsne": "none"}))
    with pytest.raises(BenchError, match="needs a feature extractor; name one by --extractor"):
        track.evaluate(Obedient(), replace(context, extractor=None))


def test_features_that_cannot_be_embedded(context: EvaluationContext) -> None:
    class Collapsed(Obedient):
        def features(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), 5)

    options = {**context.options, "tsne": "scikit-learn", "perplexity": 5.0}
    with pytest.raises(BenchError, match=r"no t-SNE of these features \(All rows .*tsne=none"):
        ConditionalTrack().evaluate(Collapsed(), replace(context, options=options))
