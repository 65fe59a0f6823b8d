from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.progressive import Phase, Progression, faded, levels_of, shrunk

SMALL = Progression(levels=3, fade=64, stable=100, total=500, batch_sizes=(16, 8), hold=2)


def level_of_detail(seen: int, levels: int, fade: int, stable: int) -> float:
    """The schedule as the GAN's authors define it: 0 is the full resolution."""
    cycle, within = divmod(seen, fade + stable)
    lod = levels - 1 - cycle - (max(within - stable, 0) / fade if fade else 0)
    return max(lod, 0.0)


@given(
    levels=st.integers(1, 4),
    fade=st.integers(0, 60),
    stable=st.integers(1, 60),
    batch_sizes=st.lists(st.integers(1, 16), min_size=1, max_size=4),
    hold=st.integers(1, 3),
)
def test_phases_follow_the_level_of_detail(
    levels: int, fade: int, stable: int, batch_sizes: list[int], hold: int
) -> None:
    progression = Progression(levels, fade, stable, 400, tuple(batch_sizes), hold=hold)
    seen = step = 0
    while seen < 400:
        lod = level_of_detail(seen, levels, fade, stable)
        level = levels - 1 - math.floor(lod)
        count = batch_sizes[min(level, len(batch_sizes) - 1)]
        for _ in range(hold):
            phase = progression.phase(step)
            assert (phase.seen, phase.level, phase.batch_size) == (seen, level, count)
            assert phase.alpha == pytest.approx(1 - (lod - math.floor(lod)))
            step += 1
        seen += hold * count
    assert progression.steps == step


def test_a_level_that_is_faded_in_first_begins_at_its_first_image() -> None:
    pioneer = Progression(2, 50, 50, 300, (20, 25), first_fades=True)
    phases = [pioneer.phase(step) for step in range(pioneer.steps)]
    assert phases[:4] == [
        Phase(0, 0, 0.0, 20),
        Phase(20, 0, 0.4, 20),
        Phase(40, 0, 0.8, 20),
        Phase(60, 0, 1.0, 20),
    ]
    assert phases[5:8] == [Phase(100, 1, 0.0, 25), Phase(125, 1, 0.5, 25), Phase(150, 1, 1.0, 25)]
    assert phases[-1] == Phase(275, 1, 1.0, 25)  # the last level stays
    assert phases[5].resolution == 8


def test_every_image_is_shown_once_whatever_the_batch_sizes() -> None:
    places = [place for step in range(SMALL.steps) for place in SMALL.shown(step)]
    assert places == list(range(len(places)))
    assert len(SMALL.shown(0)) == 16
    assert len(SMALL.shown(SMALL.steps - 1)) == 8


def test_phases_begin_where_a_level_comes_or_is_complete() -> None:
    begins = [SMALL.phase(step) for step in range(SMALL.steps) if SMALL.new_phase(step)]
    assert [(phase.level, phase.stable) for phase in begins] == [
        (1, False),
        (1, True),
        (2, False),
        (2, True),
    ]


def test_sizes_without_levels_are_refused() -> None:
    assert [levels_of(size) for size in (4, 8, 64, 128)] == [1, 2, 5, 6]
    for size in (2, 48, 65):
        with pytest.raises(ValueError, match=rf"never come to {size} px.*dataset\.size"):
            levels_of(size)


def test_real_images_lose_the_detail_that_is_not_faded_in() -> None:
    images = torch.randn(2, 3, 16, 16)
    half = shrunk(images, 8)
    torch.testing.assert_close(half[0, 0, 0, 0], images[0, 0, :2, :2].mean())
    blurred = half.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(faded(images, 0.25), 0.25 * images + 0.75 * blurred)
    assert faded(images, 1.0) is images
    assert torch.equal(faded(images[..., :4, :4], 0.5), images[..., :4, :4])
