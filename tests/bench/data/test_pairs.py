from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.data.pairs import AttributePairs


def grid(vectors: int, identities: int, each: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels and identities where every identity shows every attribute vector ``each`` times."""
    codes = torch.arange(vectors).repeat_interleave(identities * each)
    labels = (codes[:, None] >> torch.arange(4) & 1).float()
    return labels, torch.arange(identities).repeat_interleave(each).repeat(vectors)


@given(
    seed=st.integers(0, 2**62),
    vectors=st.integers(1, 12),
    identities=st.integers(2, 5),
    each=st.integers(1, 3),
    data=st.data(),
)
def test_pairs_share_attributes_and_nothing_else(
    seed: int, vectors: int, identities: int, each: int, data: st.DataObject
) -> None:
    labels, who = grid(vectors, identities, each)
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed % 1000))
    labels, who = labels[shuffled], who[shuffled]
    count = data.draw(st.integers(1, vectors))
    pairs = AttributePairs(labels, who).draw(seed, count)
    assert pairs.shape == (count, 2)
    assert torch.equal(labels[pairs[:, 0]], labels[pairs[:, 1]])
    assert (who[pairs[:, 0]] != who[pairs[:, 1]]).all()
    assert len(labels[pairs[:, 0]].unique(dim=0)) == count
    assert torch.equal(pairs, AttributePairs(labels, who).draw(seed, count))


def test_every_image_of_a_shared_vector_is_drawn_and_no_other() -> None:
    labels, who = grid(3, 2, 2)
    labels = torch.cat([labels, torch.tensor([[1.0, 1.0, 1.0, 1.0]] * 2)])
    who = torch.cat([who, torch.tensor([0, 0])])  # two images of one person: no pair
    pairs = AttributePairs(labels, who)
    drawn = torch.cat([pairs.draw(seed, 3) for seed in range(60)])
    assert drawn.unique().tolist() == list(range(12))


def test_too_few_attribute_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"asks for 4 pairs .* has 3 vectors"):
        AttributePairs(*grid(3, 2, 1)).draw(0, 4)
