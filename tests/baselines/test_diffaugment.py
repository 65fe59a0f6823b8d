from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.diffaugment import (
    OPERATIONS,
    Augmentation,
    cutout,
    drawn,
    largest_shift,
    translation,
)
from baselines.randomness import Draws


def augmentation(coins: list[float], count: int = 200, size: int = 16) -> Augmentation:
    return drawn(Draws(3, 0, 0, 1), "real", count, size, coins, 0.6)


@pytest.mark.parametrize("chosen", range(len(OPERATIONS)))
def test_a_coin_decides_about_an_operation_for_the_whole_batch(chosen: int) -> None:
    coins = [0.9] * len(OPERATIONS)
    images = torch.randn(200, 3, 16, 16)
    assert torch.equal(augmentation(coins)(images), images)
    coins[chosen] = 0.59
    one = augmentation(coins)
    assert [getattr(one, name) is not None for name in OPERATIONS] == [
        place == chosen for place in range(len(OPERATIONS))
    ]
    changed = (one(images) != images).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.9  # a shift by no pixel changes nothing


@given(size=st.integers(8, 40))
def test_draws_lie_in_their_ranges(size: int) -> None:
    one = augmentation([0.0] * len(OPERATIONS), size=size)
    assert one.translation is not None
    assert one.cutout is not None
    for places in one.translation:
        assert places.shape == (200, 1, 1)
        assert places.abs().max() <= largest_shift(size)
    for places in one.cutout:
        assert places.min() >= 0
        assert places.max() <= size
    purposes = [drawn(Draws(3, 0, 0, 1), name, 200, size, [0.0] * 5, 1.0) for name in "ab"]
    assert not torch.equal(purposes[0].brightness, purposes[1].brightness)  # type: ignore[arg-type]


@given(rows=st.integers(-2, 2), columns=st.integers(-2, 2))
def test_translation_moves_pixels_and_fills_with_zeros(rows: int, columns: int) -> None:
    images = torch.arange(1.0, 257).view(1, 1, 16, 16)
    moved = translation(images, *(torch.full((1, 1, 1), shift) for shift in (rows, columns)))
    for row in range(16):
        for column in range(16):
            inside = 0 <= row + rows < 16 and 0 <= column + columns < 16
            expected = images[0, 0, row + rows, column + columns] if inside else 0
            assert moved[0, 0, row, column] == expected


@given(row=st.integers(0, 16), column=st.integers(0, 16))
def test_cutout_hides_a_square_around_its_centre(row: int, column: int) -> None:
    images = torch.ones(1, 2, 16, 16)
    seen = cutout(images, *(torch.full((1, 1, 1), place) for place in (row, column)))
    expected = images.clone()
    expected[:, :, max(row - 4, 0) : row + 4, max(column - 4, 0) : column + 4] = 0
    assert torch.equal(seen, expected)


def test_gradients_pass_through_all_operations() -> None:
    images = torch.randn(4, 3, 16, 16, requires_grad=True)
    augmentation([0.0] * len(OPERATIONS), count=4)(images).square().sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).flatten(1).any(dim=1).all()
