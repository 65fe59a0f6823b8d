from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.latent_editing import (
    amounts,
    analyse,
    edit,
    mean_direction,
    pair_directions,
    project,
    safe_range,
    study_pairs,
)
from baselines.randomness import normals


@given(seed=st.integers(0, 999), k=st.floats(-20, 20), dim=st.integers(1, 40))
def test_an_edit_moves_the_projection_by_k_and_nothing_else(seed: int, k: float, dim: int) -> None:
    reference, attributed, *z = normals(seed, 0, 5, dim).split(1)
    (direction,) = pair_directions(reference, attributed)
    before = torch.cat(z)
    after = edit(before, direction, k)
    moved = project(after, direction) - project(before, direction)
    torch.testing.assert_close(moved, torch.full((3,), k), rtol=1e-4, atol=1e-4)
    across = (after - before) - moved[:, None] * direction
    assert float(across.abs().max()) < 1e-4
    single = edit(before, direction, torch.tensor([k, 0.0, 1.0]))
    torch.testing.assert_close(single[0], after[0])
    assert torch.equal(single[1], before[1])


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100))
def test_directions_know_neither_place_nor_length(seed: int, scale: float) -> None:
    reference, attributed, shift = normals(seed, 0, 15, 6).chunk(3)
    direction = pair_directions(reference, attributed)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(5))
    moved = pair_directions(scale * reference + shift, scale * attributed + shift)
    torch.testing.assert_close(moved, direction, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(pair_directions(attributed, reference), -direction)


def test_the_two_normal_distributions_are_found() -> None:
    direction = torch.tensor([0.6, 0.8, 0.0])
    neutral = normals(1, 0, 4000, 3) * 0.5
    attributed = normals(2, 0, 4000, 3) * 0.25 + 2 * direction
    found = analyse(neutral, attributed, direction)
    assert found.neutral_mean == pytest.approx(0, abs=0.03)
    assert found.neutral_deviation == pytest.approx(0.5, rel=0.05)
    assert found.attributed_mean == pytest.approx(2, abs=0.03)
    assert found.attributed_deviation == pytest.approx(0.25, rel=0.05)
    assert found.separation == pytest.approx(2 / math.sqrt((0.25 + 0.0625) / 2), rel=0.05)
    assert found.neutral.shape == found.attributed.shape == (4000,)


def test_amounts_reach_the_points_they_name() -> None:
    direction = torch.tensor([0.0, 1.0])
    projections = analyse(
        torch.tensor([[0.0, -1.0], [0.0, 1.0]]), torch.tensor([[5.0, 3.0], [5.0, 5.0]]), direction
    )
    z = torch.tensor([[7.0, 0.5], [1.0, 9.0]])
    k = amounts(z, direction, projections, (-1.0, 2.0))
    assert k.tolist() == [[2.5, 5.5], [-6.0, -3.0]]
    reached = project(edit(z, direction, k[:, 1]), direction)
    assert reached.tolist() == [6.0, 6.0]
    assert safe_range(z, direction, projections).tolist() == [[0.0, 5.5], [-3.0, 0.0]]


def test_a_study_tells_pairs_of_one_attribute_from_pairs_of_none() -> None:
    noise, direction = normals(3, 0, 12, 30), torch.eye(30)[0]
    neutral, attributed = normals(4, 0, 200, 30), normals(5, 0, 200, 30) + 4 * direction
    alike = study_pairs(noise[:4], noise[:4] + 3 * direction, neutral, attributed)
    other = study_pairs(noise[:4], noise[4:8], neutral, attributed)
    assert alike.cosines.shape == (4, 4)
    assert float(alike.cosines.min()) > 0.999
    assert float(alike.to_mean.min()) > 0.999
    assert float(other.cosines.triu(1).abs().max()) < 0.9
    assert len(alike.projections) == 4
    assert alike.mean_projections.separation > 3 > abs(other.projections[0].separation)


def test_pairs_without_a_direction_are_named() -> None:
    points = normals(6, 0, 3, 8) * 100
    with pytest.raises(ValueError, match=r"pair 2, 3 of 3 encodes to the same point"):
        pair_directions(points, torch.cat([points[:1] + 1, points[1:2], points[2:] * (1 + 1e-7)]))
    with pytest.raises(ValueError, match="same point"):
        pair_directions(torch.zeros(1, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"\(2, 8\).*are no pairs"):
        pair_directions(points, points[:2])
    with pytest.raises(ValueError, match="not finite"):
        pair_directions(points, points + math.nan)
    direction = torch.eye(8)[:1]
    with pytest.raises(ValueError, match="2 reference pairs cancel out"):
        mean_direction(torch.cat([direction, -direction]))
    with pytest.raises(ValueError, match="0 neutral and 3 attributed"):
        analyse(points[:0], points, direction[0])
    with pytest.raises(ValueError, match="not finite"):
        analyse(points, points / 0, direction[0])


def test_groups_without_any_spread_have_an_infinite_or_no_separation() -> None:
    direction, point = torch.tensor([1.0]), torch.ones(3, 1)
    assert analyse(point, point + 1, direction).separation == math.inf
    assert analyse(point + 1, point, direction).separation == -math.inf
    assert analyse(point, point, direction).separation == 0
