"""Pairs that differ in a dataset's own factors."""

from __future__ import annotations

import torch

from bench.data.base import Dataset
from bench.data.digits import Digits
from bench.data.factor_pairs import FactorPairs
from bench.data.shapes3d import FACTOR_SIZES, Shapes3D


class Numbered(Dataset):
    """A grid of factors whose only pixel is an image's place."""

    name, size, channels = "numbered", 1, 1
    factor_sizes = (6, 5, 4, 7)

    def __len__(self) -> int:
        return 840

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return indices[:, None, None, None].float(), torch.zeros(len(indices), 0)

    def fingerprint(self) -> str:
        return "0" * 64


def pairs_of(dataset: Dataset) -> FactorPairs:
    pairs = FactorPairs.of(dataset)
    assert pairs is not None
    return pairs


def test_either_one_or_some_factors_change_and_the_label_is_one_of_them() -> None:
    dataset = Numbered()
    assert pairs_of(dataset).num_directions == 4
    drawn = pairs_of(dataset).draw(3, 2000)
    places = [images[:, 0, 0, 0].long() for images in (drawn.first, drawn.second)]
    first, second = (
        torch.stack(torch.unravel_index(some, dataset.factor_sizes), dim=1) for some in places
    )
    changed = first != second
    counts = changed.sum(dim=1).bincount(minlength=4) / 2000
    assert counts[4:].sum() == 0  # at most all but one
    # One factor in 2/3 of the pairs (1/2, and K = 1 in a third of the rest); some keep their value.
    assert 0.5 < counts[1] < 0.65
    assert counts[2] > 0.08
    assert counts[3] > 0.05
    labelled = changed.gather(1, drawn.labels[:, None])[:, 0].float()
    assert 0.75 < labelled.mean() < 0.85  # it may have been drawn as it was
    alone = changed.sum(dim=1) == 1
    assert (changed[alone].int().argmax(dim=1) == drawn.labels[alone]).float().mean() > 0.85
    assert (drawn.labels.bincount(minlength=4) > 400).all()


def test_both_images_are_of_the_training_part() -> None:
    dataset = Numbered()
    drawn = pairs_of(dataset).draw(4, 3000)
    places = torch.cat([drawn.first, drawn.second])[:, 0, 0, 0].long()
    assert not torch.isin(places, dataset.split("test")).any()
    assert len(places.unique()) > 0.9 * 840 * 0.9


def test_a_draw_is_a_function_of_its_seed() -> None:
    one, same, other = (pairs_of(Numbered()).draw(seed, 8) for seed in (5, 5, 6))
    assert torch.equal(one.second, same.second)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.first, other.first)


def test_shapes3d_knows_its_factors_and_others_do_not() -> None:
    pairs = pairs_of(Shapes3D(size=4))
    drawn = pairs.draw(0, 2)
    assert pairs.num_directions == len(FACTOR_SIZES)
    assert drawn.first.shape == drawn.second.shape == (2, 3, 4, 4)
    assert FactorPairs.of(Digits()) is None
