from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.randomness import uniforms
from bench.data.shapes3d import FACTOR_SIZES
from bench.score import contrast
from tests.bench.cli.scoring import TOY, score


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(contrast.PAIRS), st.integers(0, 2**32))
def test_pure_changes_are_of_one_factor_and_mixed_ones_of_a_sum_and_a_difference(
    pair: tuple[int, int], seed: int
) -> None:
    draws = uniforms(seed, 0, 20, 14)
    for mixed in (False, True):
        scenes = contrast.changed_scenes(pair, mixed, draws)
        assert ((scenes >= 0) & (scenes < torch.tensor(FACTOR_SIZES))).all()
        query, other, query_end, alike_end, otherwise_end = scenes
        alike, otherwise = alike_end - other, otherwise_end - other
        assert torch.equal(query_end - query, alike)
        one, two = pair
        changed = {"alike": {one}, "otherwise": {two}}
        if mixed:
            changed = {"alike": {one, two}, "otherwise": {one, two}}
            assert (alike[:, one].sign() == alike[:, two].sign()).all()
            assert (otherwise[:, one].sign() == -otherwise[:, two].sign()).all()
        for moves, factors in ((alike, changed["alike"]), (otherwise, changed["otherwise"])):
            for factor in range(len(FACTOR_SIZES)):
                assert (moves[:, factor] != 0).all() == (factor in factors)
                assert (moves[:, factor].abs() <= (FACTOR_SIZES[factor] - 1) // 2).all()


def test_ways_to_compare_changes_stand_beside_what_the_paper_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contrast, "PAIRS", contrast.PAIRS[:1])
    command = ("contrast", *TOY, "--samples", "3", "--device", "cpu")
    found = json.loads(score(*command, "--json").stdout)
    assert [(one["name"], one["identity"]["focus"]) for one in found["scores"]] == [
        (f"contrafeat_loss_{kind}", focus)
        for kind in ("pure", "mixed")
        for focus in ("pooled", "none", "l2")
    ]
    assert found["scores"][0]["interval"]
    masked = found["ways"][2]
    assert masked["compared by"] == "L2 mask"
    assert masked["contrafeat_loss_pure, reported"] == -0.3977
    assert masked["contrafeat_loss_mixed"] == found["scores"][5]["value"]
    in_parts = json.loads(score(*command, "--batch-size", "2", "--json").stdout)
    for one, same in zip(found["scores"], in_parts["scores"], strict=True):
        assert one["value"] == pytest.approx(same["value"], rel=1e-4)
    assert "pooled features" in score(*command).stdout
