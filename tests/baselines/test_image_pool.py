from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.image_pool import ImagePool
from baselines.randomness import Draws


def numbered(start: int, count: int, size: int = 4) -> Tensor:
    """Images whose pixels tell their number."""
    numbers = torch.arange(start, start + count).float()
    return numbers[:, None, None, None].expand(-1, 3, size, size).contiguous()


@given(seed=st.integers(0, 99), capacity=st.integers(1, 9), count=st.integers(1, 12))
def test_every_image_is_held_or_returned_once(seed: int, capacity: int, count: int) -> None:
    pool = ImagePool(capacity, 3, 4)
    returned: list[float] = []
    rooms = capacity
    for step in range(4):
        images = numbered(step * count, count)
        found = pool.exchange(images, Draws(seed, step, 0, 1))
        entering = min(rooms, count)
        assert torch.equal(found[:entering], images[:entering])  # copied in while there is room
        returned += found[entering:, 0, 0, 0].tolist()
        rooms -= entering
    held = pool.memory.view(capacity, 3, 4, 4)[: capacity - rooms]
    entered = set(range(min(capacity, 4 * count)))
    assert len(set(returned)) == len(returned)
    assert sorted({*returned, *held[:, 0, 0, 0].tolist()} | entered) == list(range(4 * count))
    assert pool.state.tolist() == [4, capacity - rooms]


def test_half_of_the_images_are_exchanged_for_older_ones() -> None:
    pool = ImagePool(200, 3, 4)
    pool.exchange(numbered(0, 200), Draws(1, 0, 0, 1))
    images = numbered(200, 1000)
    found = pool.exchange(images, Draws(1, 1, 0, 1))
    older = found[:, 0, 0, 0] < images[:, 0, 0, 0]
    assert 420 < int(older.sum()) < 580


def test_the_pool_goes_on_where_it_was_saved() -> None:
    first, second = ImagePool(5, 3, 4), ImagePool(5, 3, 4)
    first.exchange(numbered(0, 8), Draws(1, 0, 0, 1))
    second.load_state_dict(first.state_dict())
    for step in (1, 2):
        images = numbered(8 * step, 8)
        found = [pool.exchange(images, Draws(1, step, 0, 1)) for pool in (first, second)]
        assert torch.equal(*found)


def test_another_resolution_empties_the_pool() -> None:
    pool = ImagePool(6, 3, 8)
    pool.exchange(numbered(0, 6, 4), Draws(1, 0, 0, 1))
    images = numbered(100, 4, 8)
    assert torch.equal(pool.exchange(images, Draws(1, 1, 0, 1)), images)
    assert pool.state.tolist() == [8, 4]


def test_large_images_are_fewer_and_none_may_be_kept() -> None:
    pool = ImagePool(200, 3, 256)
    assert [pool.capacity(size) for size in (4, 128, 256, 512)] == [200, 200, 100, 100]
    assert len(pool.memory) == 100 * 3 * 256 * 256
    images = numbered(0, 3)
    assert ImagePool(0, 3, 4).exchange(images, Draws(1, 0, 0, 1)) is images
