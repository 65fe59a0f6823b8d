from dataclasses import replace

import pytest
import torch
from PIL import Image

from baselines.base import Method
from baselines.nets.stylegan2 import Generator
from bench.errors import BenchError, Diverged
from bench.tracks import discovery_figures
from bench.tracks.discovery import DiscoveryTrack
from tests.bench.tracks import toy

MIXED = torch.tensor([[1.0, 0.2, 0, 0], [0.6, 1.0, 0, 0.3], [0, 0.4, 1.0, 0.1], [1.0, 0, 0, 0.7]])
ENOUGH = {"samples": 40, "calibration_codes": 64}


def scores(evaluation):
    return {found.name: found.value for found in evaluation.metrics}


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes most of the time of these small evaluations."""
    monkeypatch.setattr("bench.tracks.discovery.draw_figures", lambda *arguments: [])


@pytest.fixture
def evaluate(tmp_path, no_figures):
    def run(directions, **options):
        method = toy.FixedDirections(directions)
        return DiscoveryTrack().evaluate(method, toy.context(tmp_path, **{**ENOUGH, **options}))

    return run


def test_directions_that_are_the_factors_score_full_marks(evaluate):
    found = evaluate(torch.eye(4))
    assert scores(found)["s_disen"] == scores(found)["s_disen_abs"] == pytest.approx(1.0)
    assert scores(found)["n_discov"] == scores(found)["n_discov_abs"] == 4
    assert [name["attribute"] for name in found.protocol["names"]] == list(toy.FACTORS)


def test_matched_edits_have_the_asked_distance_and_do_not_depend_on_lengths(evaluate):
    found, longer = evaluate(MIXED), evaluate(37.0 * MIXED)
    for evaluation in (found, longer):
        assert scores(evaluation)["edit_distance"] == pytest.approx(0.15, rel=0.01)
        assert evaluation.metrics[0].identity["protocol"] == "matched"
    ratio = scores(found)["edit_scale"] / scores(longer)["edit_scale"]
    assert ratio == pytest.approx(37.0, rel=0.02)
    assert scores(found)["s_disen"] == pytest.approx(scores(longer)["s_disen"], rel=0.02)
    # Of the mixed directions two change the floor most, and each lead is known for small steps.
    leads = (0.8 + 0.4 + 0.6 + 0.3) / 4
    assert scores(found)["s_disen"] == pytest.approx(leads, abs=0.05)
    assert scores(found)["n_discov"] == 3


def test_released_protocol_keeps_the_scale_given(evaluate):
    found = evaluate(MIXED, protocol="released", edit_scale=0.25)
    assert scores(found)["edit_scale"] == 0.25
    assert found.metrics[0].identity["protocol"] == "released"
    assert found.metrics[0].identity["edit_scale"] == 0.25


def test_directions_that_change_nothing_end_unmatched(evaluate):
    found = evaluate(torch.zeros(4, 4))
    assert scores(found) == pytest.approx(
        dict.fromkeys(scores(found), 0.0) | {"edit_scale": scores(found)["edit_scale"]}
    )
    assert {metric.identity["protocol"] for metric in found.metrics} == {"unmatched"}
    assert found.protocol["names"] == [None] * 4


def test_intervals_hold_the_scores_and_narrow_with_samples(evaluate):
    few, many = (evaluate(MIXED, samples=n).metrics[0] for n in (10, 160))
    for metric in (few, many):
        assert metric.interval.low <= metric.value <= metric.interval.high
        assert metric.standard_error > 0
    assert many.interval.high - many.interval.low < few.interval.high - few.interval.low


def test_scores_on_stylegan2_do_not_depend_on_the_batch_size(tmp_path, no_figures):
    torch.manual_seed(0)
    generator = Generator(
        z_dim=8,
        w_dim=8,
        img_resolution=16,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 128, "channel_max": 16},
    ).eval()
    method = toy.FixedDirections(torch.randn(3, 8))
    found = []
    for batch_size in (7, None):
        options = {**ENOUGH, "edit_distance": 0.02, "batch_size": batch_size}
        context = replace(toy.context(tmp_path, **options), generator=generator)
        found.append(DiscoveryTrack().evaluate(method, context))
    assert scores(found[0]) == pytest.approx(scores(found[1]), rel=1e-3)
    assert found[0].metrics[0].identity == found[1].metrics[0].identity


def test_codes_depend_on_the_seed_only(evaluate, tmp_path):
    method = toy.FixedDirections(MIXED)
    again = DiscoveryTrack().evaluate(method, toy.context(tmp_path, **ENOUGH))
    other = DiscoveryTrack().evaluate(method, toy.context(tmp_path, seed=1, **ENOUGH))
    assert scores(evaluate(MIXED)) == scores(again) != scores(other)


def test_figures_are_written_and_show_what_the_method_has(tmp_path):
    reports = []
    context = replace(toy.context(tmp_path), progress=lambda *report: reports.append(report))
    found = DiscoveryTrack().evaluate(toy.AttentiveDirections(MIXED), context)
    assert {figure.split("/")[1] for figure in found.figures} == {
        "traversals.png",
        "scores.png",
        "samples.png",
        "attention.png",
        "prototypes.png",
    }
    for figure in found.figures:
        with Image.open(tmp_path / figure) as picture:
            colours = picture.convert("L").getcolors()
            assert min(picture.size) > 100
            assert len(colours) > 5
    assert reports[-1] == ("scoring directions", 4, 4)


def test_a_network_named_like_a_figure_is_left_alone():
    method = toy.FixedDirections(MIXED)
    method.attention = torch.nn.Linear(4, 4)
    assert discovery_figures._of(method, "attention") is None
    assert discovery_figures._of(method, "prototypes") is None
    assert discovery_figures._of(toy.AttentiveDirections(MIXED), "attention").shape == (4, 2)


def test_what_cannot_be_evaluated_is_named(tmp_path):
    track, context = DiscoveryTrack(), toy.context(tmp_path)
    method = toy.FixedDirections(MIXED)
    with pytest.raises(BenchError, match="Discoverer"):
        track.evaluate(Method.__new__(Method), context)
    with pytest.raises(BenchError, match="--generator"):
        track.evaluate(method, replace(context, generator=None))
    with pytest.raises(BenchError, match="train-predictor"):
        track.evaluate(method, replace(context, predictor=None))
    with pytest.raises(Diverged, match="NaN"):
        track.evaluate(toy.FixedDirections(MIXED * float("nan")), context)
