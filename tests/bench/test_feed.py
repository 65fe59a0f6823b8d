"""Batches are read ahead, and are the same as if they were not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.base import Attributes, Batch, DirectionPairs, Stage, TrainingData
from baselines.randomness import derive_seed, integers, uniforms
from bench.data.pairs import AttributePairs
from bench.errors import BenchError
from bench.feed import Feed

CPU = torch.device("cpu")


class Codes:
    """Images whose only pixel is their place; sixteen places for each of four attribute vectors."""

    read: list[list[int]]

    def __init__(self) -> None:
        self.read = []

    def __len__(self) -> int:
        return 64

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        self.read.append(indices.tolist())
        return indices[:, None, None, None].float(), (
            indices[:, None] >> torch.arange(2) & 1
        ).float()


class Nothing(Stage):
    name, steps = "nothing", 4

    def __init__(self, batch_size: int, pair_count: int) -> None:
        super().__init__()
        self.batch_size, self.pair_count = batch_size, pair_count

    def wants_pairs(self, step: int) -> bool:
        return self.pair_count > 0 and step % 2 == 1

    def step(self, batch: Batch) -> dict[str, Tensor]:
        return {}


def make_data(identities: bool = True) -> TrainingData:
    codes, everything = Codes(), torch.arange(64)
    labels = (everything[:, None] >> torch.arange(2) & 1).float()
    pairs = AttributePairs(labels, everything // 8) if identities else None
    return TrainingData(codes, Attributes(("a", "b")), 1, 1, pairs=pairs)


def steps(data: TrainingData, wanted: range, rank: int = 0, processes: int = 1) -> list[Batch]:
    with Feed(Nothing(8, 4), data, derive_seed(0, "stage"), rank, processes, CPU) as feed:
        return [feed.batch(step) for step in wanted]


def test_reading_ahead_changes_nothing() -> None:
    whole, resumed = steps(make_data(), range(4)), steps(make_data(), range(2, 4))
    for one, other in zip(whole[2:], resumed, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.indices, one.images[:, 0, 0, 0].long())
    assert torch.equal(whole[3].pairs.first, resumed[1].pairs.first)


def test_pairs_are_read_for_the_steps_that_want_them() -> None:
    data = make_data()
    batches = steps(data, range(4))
    assert [batch.pairs is not None for batch in batches] == [False, True, False, True]
    pairs = batches[1].pairs
    first, second = (images[:, 0, 0, 0].long() for images in (pairs.first, pairs.second))
    assert torch.equal(first & 3, second & 3)
    assert (first // 8 != second // 8).all()
    assert torch.equal(pairs.attributes, (first[:, None] >> torch.arange(2) & 1).float())
    assert len(data.train.read) == 4 + 2  # and none after the last step


def test_processes_share_a_step() -> None:
    whole = steps(make_data(), range(4))[1]
    parts = [steps(make_data(), range(4), rank, 2)[1] for rank in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.pairs.second for part in parts]), whole.pairs.second)


def test_shares_of_different_size_are_refused() -> None:
    with pytest.raises(BenchError, match="a batch of 8 cannot be split over 3 processes"):
        steps(make_data(), range(1), 0, 3)


def test_pairs_of_unknown_identities() -> None:
    with pytest.raises(BenchError, match="which the dataset does not know"):
        steps(make_data(identities=False), range(2))


def test_a_stage_may_take_the_first_images_only() -> None:
    data, stage = make_data(), Nothing(8, 0)
    stage.images = 16
    with Feed(stage, data, 0, 0, 1, CPU) as feed:
        seen = [feed.batch(step).indices.tolist() for step in range(4)]
    assert sorted(seen[0] + seen[1]) == sorted(seen[2] + seen[3]) == list(range(16))


class Shrinking(Nothing):
    """Steps of 8, 8, 4 and 4 images."""

    def shown(self, step: int) -> range:
        return range(8 * step, 8 * step + 8) if step < 2 else range(4 * step + 8, 4 * step + 12)


def test_batches_that_shrink_read_on_where_the_one_before_ended() -> None:
    def read(rank: int, processes: int) -> list[Tensor]:
        with Feed(Shrinking(8, 0), make_data(), 0, rank, processes, CPU) as feed:
            return [feed.batch(step).indices for step in range(4)]

    whole = read(0, 1)
    assert [len(indices) for indices in whole] == [8, 8, 4, 4]
    assert len(set(torch.cat(whole).tolist())) == 24
    for step, (first, second) in enumerate(zip(read(0, 2), read(1, 2), strict=True)):
        assert torch.equal(torch.cat([first, second]), whole[step])
    with pytest.raises(BenchError, match="a batch of 4 cannot be split over 8 processes"):
        read(0, 8)


def test_a_stage_without_images_reads_none() -> None:
    data = make_data()
    with Feed(Nothing(0, 0), data, 0, 0, 1, CPU) as feed:
        assert feed.batch(0).images is None
    assert data.train.read == []


class Moved:
    """Pairs of one pixel: a number, and the same number with its label added."""

    num_directions = 5

    def draw(self, seed: int, count: int) -> DirectionPairs:
        first = uniforms(seed, 0, count)[:, :, None, None]
        labels = integers(seed, 0, count, self.num_directions)
        return DirectionPairs(first, first + labels[:, None, None, None], labels)


def labelled_pairs(kind: str, data: TrainingData, rank: int = 0, processes: int = 1) -> list[Batch]:
    stage = Nothing(0, 0)
    setattr(stage, f"{kind}_pair_count", 6)
    with Feed(stage, data, derive_seed(0, "stage"), rank, processes, CPU) as feed:
        return [feed.batch(step) for step in range(2)]


@pytest.mark.parametrize("kind", ["direction", "factor"])
def test_labelled_pairs_are_fed_and_shared(kind: str) -> None:
    data = make_data()
    setattr(data, f"{kind}_pairs", Moved())
    first, second = (getattr(one, f"{kind}_pairs") for one in labelled_pairs(kind, data))
    assert not torch.equal(first.first, second.first)
    change = (first.second - first.first)[:, 0, 0, 0]
    torch.testing.assert_close(change, first.labels.float())
    other = "factor" if kind == "direction" else "direction"
    assert getattr(labelled_pairs(kind, data)[0], f"{other}_pairs") is None
    parts = [getattr(labelled_pairs(kind, data, rank, 2)[0], f"{kind}_pairs") for rank in (0, 1)]
    assert torch.equal(torch.cat([part.second for part in parts]), first.second)
    with pytest.raises(BenchError, match="cannot be split over 4 processes"):
        labelled_pairs(kind, data, 0, 4)


@pytest.mark.parametrize(
    ("kind", "remedy"), [("direction", "--directions"), ("factor", "shapes3d")]
)
def test_labelled_pairs_that_are_not_there(kind: str, remedy: str) -> None:
    with pytest.raises(BenchError, match=remedy):
        labelled_pairs(kind, make_data())
