import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tracks.calibration import calibrate, edit_pairs, mean_distance
from tests.bench.tracks import toy


@settings(deadline=None, max_examples=60)
@given(
    gain=st.floats(1e-4, 1e4),
    power=st.floats(0.3, 4.0),
    ceiling=st.floats(0.11, 3.0),
)
def test_reaches_the_target_on_any_saturating_curve(gain, power, ceiling):
    def distance(scale):
        return ceiling * -math.expm1(-((gain * scale) ** power) / ceiling)

    found = calibrate(distance, target=0.1)
    crossing = (-ceiling * math.log1p(-0.1 / ceiling)) ** (1 / power) / gain
    if 4.0**-8 < crossing < 4.0**8:
        assert found.reached
        assert found.monotone
        assert distance(found.scale) == found.distance == pytest.approx(0.1, rel=0.01)
    assert len(found.tried) <= 21


def test_a_curve_that_turns_back_is_reported_and_still_crossed():
    found = calibrate(lambda s: 0.4 * s * math.exp(-s), target=0.1)  # rises to s = 1, then falls
    assert found.reached
    assert found.scale == pytest.approx(0.357, abs=0.01)  # the smaller of its two crossings
    assert not calibrate(lambda s: 0.06 + 0.05 * math.cos(s), target=0.1).monotone


@pytest.mark.parametrize(
    ("distance", "nearest"), [(lambda s: 0.0, 0.0), (lambda s: 0.05 * s / (1 + s), 0.05)]
)
def test_a_target_out_of_reach_is_said_so(distance, nearest):
    found = calibrate(distance, target=0.1)
    assert not found.reached
    assert found.distance == pytest.approx(nearest, abs=1e-6)


def test_mean_distance_covers_all_directions_whatever_the_batch():
    method = toy.FixedDirections(torch.eye(4))
    generator, extractor = toy.StripeGenerator(), toy.RandomFeatures()
    codes = generator.mapping(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)))
    seen = []
    shift = method.shift
    method.shift = lambda ws, direction, step: seen.append(direction) or shift(ws, direction, step)
    whole, one_by_one = (
        mean_distance(generator, extractor, edit_pairs(method, codes, 0.2, size))
        for size in (64, 1)
    )
    assert torch.bincount(seen[0]).tolist() == [3, 2, 3, 2]
    assert one_by_one == pytest.approx(whole, rel=1e-6)
    assert 0 < whole < mean_distance(generator, extractor, [(codes, codes.roll(1, 0))])
