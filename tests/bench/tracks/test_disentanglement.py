"""The disentanglement track on tiles whose grey values are the factors themselves."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from baselines.base import Attributes, Method, MethodConfig, Representer
from bench.data.base import Dataset
from bench.data.subset import Subset
from bench.errors import BenchError, Diverged
from bench.tracks import Evaluation, EvaluationContext
from bench.tracks.disentanglement import DisentanglementTrack
from bench.tracks.factor_draws import FactorDraws
from bench.tracks.representation import Representation
from leaderboard.schema import Measurement

SIZES = (4, 3, 5)
FEW = {
    "images": "whole",
    "samples": 300,
    "draws": 2,
    "boosters": ["lightgbm"],
    "votes": 200,
    "batch": 16,
    "variance_samples": 200,
}
NAMES = [
    "fvm",
    "mig",
    "dci:lightgbm.disentanglement",
    "dci:lightgbm.completeness",
    "dci:lightgbm.informativeness",
    "sap",
    "modularity",
    "beta-vae",
]


class Tiles(Dataset):
    """Four tiles: the value of a factor is the grey of a tile, and the last one is black."""

    name = "tiles"
    size = 8
    channels = 1
    attributes = Attributes(("hue", "shape", "place"))
    factor_sizes: tuple[int, ...] | None = SIZES

    def __len__(self) -> int:
        return prod(SIZES)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        factors = torch.stack(torch.unravel_index(self._checked(indices), SIZES), dim=1)
        values = factors / (torch.tensor(SIZES) - 1)
        tiles = torch.cat([values * 2 - 1, -torch.ones(len(values), 1)], dim=1).view(-1, 1, 2, 2)
        return tiles.repeat_interleave(4, 2).repeat_interleave(4, 3), values

    def fingerprint(self) -> str:
        return hashlib.sha256(b"tiles").hexdigest()


class Toy(Representer):
    """Codes are sums of the four tiles' greys."""

    def __init__(self, mixing: Tensor) -> None:
        nn.Module.__init__(self)
        self.config = MethodConfig()
        self.mixing = mixing
        self.seen: list[int] = []

    def represent(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return images[:, 0, ::4, ::4].flatten(1) @ self.mixing


class Decoding(Toy):
    def decode(self, codes: Tensor) -> Tensor:
        tiles = (codes @ self.mixing.pinverse()).view(-1, 1, 2, 2)
        return tiles.repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time of these small evaluations."""
    monkeypatch.setattr("bench.tracks.disentanglement.draw_figures", lambda *arguments: [])


APART = torch.eye(4)  # the last code is constant
MIXED = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def context(tmp_path: Path) -> EvaluationContext:
    data = Tiles()
    return EvaluationContext(
        dataset=Subset(data, data.split("test")),
        generator=None,
        extractor=None,
        predictor=None,
        seed=0,
        preset="smoke",
        folder=tmp_path,
        device=torch.device("cpu"),
        options=FEW,
    )


def run(method: Method, context: EvaluationContext, **options: object) -> Evaluation:
    asked = replace(context, options={**context.options, **options})
    return DisentanglementTrack().evaluate(method, asked)


def scores(found: Evaluation) -> dict[str, Measurement]:
    return {measured.name: measured for measured in found.metrics}


@pytest.mark.usefixtures("no_figures")
def test_codes_that_are_the_factors_score_full_marks(context: EvaluationContext) -> None:
    method = Toy(APART)
    evaluation = run(method, context)
    found = scores(evaluation)
    assert list(found) == NAMES
    for name in set(NAMES) - {"modularity", "sap", "mig"}:
        assert found[name].value == pytest.approx(1.0, abs=0.02), name
    assert found["mig"].value == pytest.approx(1.0, abs=0.1)  # of 200 samples
    # The constant code tells of no factor and stays in the mean.
    assert found["modularity"].value == pytest.approx(0.75, abs=0.01)
    assert evaluation.protocol["active_codes"] == [3, 3]
    assert evaluation.protocol["factors"] == {"hue": 4, "shape": 3, "place": 5}
    assert sum(method.seen) == len(Tiles())  # each image once, whatever is drawn


@pytest.mark.usefixtures("no_figures")
def test_mixed_codes_score_less_and_dead_ones_nothing(context: EvaluationContext) -> None:
    apart, mixed, dead = (
        scores(run(Toy(mixing), context)) for mixing in (APART, MIXED, torch.zeros(4, 4))
    )
    for name in ("fvm", "mig", "dci:lightgbm.disentanglement", "sap"):
        assert apart[name].value > mixed[name].value + 0.1 > dead[name].value, name
        assert dead[name].value == 0.0, name


@pytest.mark.usefixtures("no_figures")
def test_intervals_are_over_draws(context: EvaluationContext) -> None:
    three = run(Toy(MIXED), context, draws=3)
    assert three.protocol["intervals"] == "Student's, over 3 draws of images"
    for name, found in scores(three).items():
        values = three.protocol["scores_by_draw"][name]
        assert found.value == pytest.approx(np.mean(values))
        assert found.interval is not None
        assert 0.0 <= found.interval.low <= found.value <= found.interval.high <= 1.0
        reach = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)
        if found.value + reach < 1.0:
            assert found.interval.high - found.value == pytest.approx(reach, rel=1e-4, abs=1e-9)
    one = scores(run(Toy(MIXED), context, draws=1))
    assert {found.interval for found in one.values()} == {None}


@pytest.mark.usefixtures("no_figures")
def test_what_is_drawn_depends_on_the_seed_only(context: EvaluationContext) -> None:
    first, again, other = (
        scores(run(Toy(MIXED), replace(context, seed=seed), batch_size=size))
        for seed, size in ((0, 256), (0, 7), (1, 256))
    )
    for name in NAMES:
        assert first[name].value == pytest.approx(again[name].value, abs=1e-6)
    assert first["mig"].value != other["mig"].value
    assert first["mig"].identity == other["mig"].identity


@pytest.mark.usefixtures("no_figures")
def test_identities_say_what_scores_depend_on(context: EvaluationContext) -> None:
    found = scores(run(Toy(APART), context))
    assert found["mig"].identity == {"images": "whole", "samples": 300, "bins": 20}
    assert found["fvm"].identity["prune_below"] == 0.05
    assert found["dci:lightgbm.completeness"].identity["codes"] == 4
    both = scores(run(Toy(APART), context, boosters=["gradient-boosting", "lightgbm"]))
    assert both["dci.disentanglement"].value == pytest.approx(1.0, abs=0.02)
    assert both["dci:lightgbm.disentanglement"] == found["dci:lightgbm.disentanglement"]


def test_draws_of_test_images_are_disjoint_and_only_they_are_encoded() -> None:
    data = Tiles()
    images = Subset(data, torch.arange(1, 60, 2))
    drawn = FactorDraws(images, "test", samples=14, count=2, seed=3)
    assert len(drawn.places.unique()) == 28
    assert set(drawn.places.tolist()) <= set(images.indices.tolist())
    codes = data.batch(drawn.places)[1].numpy()
    first, second = drawn.of(codes)
    for draw in (first, second):
        samples = np.concatenate([draw.train.factors, draw.test.factors])
        assert (len(draw.train.codes), len(draw.test.codes)) == (10, 4)
        assert np.allclose(draw.train.codes * (np.array(SIZES) - 1), draw.train.factors)
        assert len(np.unique(samples, axis=0)) == 14
        random = np.random.RandomState(0)
        for factor in range(3):
            codes = draw.sampler.codes(draw.sampler.draw_fixed(factor, 6, random))
            assert np.ptp(codes[:, factor]) == 0
    assert FactorDraws(images, "test", samples=99, count=2, seed=3).samples == 15


@pytest.mark.usefixtures("no_figures")
def test_test_images_can_be_scored_too(context: EvaluationContext) -> None:
    images = Subset(context.dataset.dataset, torch.arange(60))
    method = Toy(APART)
    found = run(method, replace(context, dataset=images), images="test", samples=30)
    assert sum(method.seen) == found.protocol["encoded_images"] == 60
    assert scores(found)["fvm"].value == pytest.approx(1.0)
    assert scores(found)["mig"].identity["images"] == "test"


def test_figures_of_what_decodes(context: EvaluationContext) -> None:
    found = run(Decoding(MIXED), context)
    names = ["traversals", "reconstructions", "information", "importance"]
    assert found.figures == [f"figures/{name}.png" for name in names]
    for figure in found.figures:
        with Image.open(context.folder / figure) as picture:
            assert len(picture.convert("L").getcolors()) > 5
    codes_only = run(Toy(MIXED), context)
    assert codes_only.figures == [f"figures/{name}.png" for name in names[2:]]


def test_without_factors_nothing_applies(context: EvaluationContext) -> None:
    data = Tiles()
    data.factor_sizes = None
    method, track = Decoding(APART), DisentanglementTrack()
    without = replace(context, dataset=Subset(data, torch.arange(20)))
    track.check(without.dataset, None, track.configure("smoke"))
    found = run(method, without)
    assert [one.name for one in found.metrics] == NAMES
    assert {one.value for one in found.metrics} == {None}
    assert found.protocol["factors"] is None
    assert found.figures == ["figures/traversals.png", "figures/reconstructions.png"]


def test_datasets_that_cannot_be_scored_are_refused_before_training() -> None:
    track, data = DisentanglementTrack(), Tiles()
    options = track.configure("smoke")
    with pytest.raises(BenchError, match="too few to tell factors by"):
        track.check(Subset(data, torch.tensor([0, 1, 2, 3])), None, options)
    data.factor_sizes = (4, 3)
    with pytest.raises(BenchError, match="take shapes3d"):
        track.check(Subset(data, data.split("test")), None, options)


def test_lightgbm_is_asked_for_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    track, data = DisentanglementTrack(), Tiles()
    everything = Subset(data, torch.arange(60))
    with pytest.raises(BenchError, match=r"pip install .*track\.boosters"):
        track.check(everything, None, track.configure("small"))
    published = {"boosters": ["gradient-boosting"]}
    track.check(everything, None, track.configure("small", published))


@pytest.mark.usefixtures("no_figures")
def test_wrong_methods_are_named(context: EvaluationContext) -> None:
    with pytest.raises(BenchError, match="has to be a Representer"):
        run(Method.__new__(Method), context)
    with pytest.raises(BenchError, match=r"represent gave shape \(60, 1\).*two or more"):
        run(Toy(APART[:, :1]), context)
    with pytest.raises(Diverged, match="Codes by Toy are NaN"):
        run(Toy(APART * float("nan")), context)
    with pytest.raises(Diverged, match="have no scores"):
        run(Toy(APART * 1e30), context)

    class Askew(Decoding):
        def decode(self, codes: Tensor) -> Tensor:
            return super().decode(codes)[..., :4]

    with pytest.raises(BenchError, match=r"decode made images of shape"):
        Representation(Askew(APART), Tiles(), batch_size=8, device=torch.device("cpu")).images(
            torch.zeros(2, 4)
        )
