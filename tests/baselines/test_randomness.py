"""Draws by axis: what a row depends on, and how it is distributed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from baselines.base import Batch
from baselines.randomness import Draws, data_order, derive_seed, integers, normals, uniforms

SEEDS = st.integers(0, 2**63 - 1)


@given(SEEDS, st.integers(0, 1000), st.integers(1, 20), st.integers(1, 9))
def test_a_row_does_not_depend_on_where_reading_began(
    seed: int, start: int, count: int, dim: int
) -> None:
    whole = normals(seed, start, count + 5, dim)
    assert torch.equal(normals(seed, start + 5, count, dim), whole[5:])


@given(st.integers(1, 4), st.integers(1, 6))
def test_processes_share_the_rows_of_a_step(processes: int, count: int) -> None:
    parts = [Draws(3, 2, rank, processes).normal("z", count, 5) for rank in range(processes)]
    assert torch.equal(torch.cat(parts), Draws(3, 2, 0, 1).normal("z", count * processes, 5))


def test_the_distributions_are_what_they_say() -> None:
    assert stats.kstest(normals(1, 0, 5000, 4).flatten(), "norm").pvalue > 0.01
    assert stats.kstest(uniforms(2, 0, 5000, 4).flatten(), "uniform").pvalue > 0.01
    counts = torch.bincount(integers(3, 0, 6000, 6), minlength=6)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_purposes_are_independent() -> None:
    draws = Draws(derive_seed(0, "stage"), 0, 0, 1)
    one, other = draws.normal("z", 500, 4), draws.normal("noise", 500, 4)
    assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.1


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    batch = Batch(0, Draws(0, 0, 0, 3), processes=3)
    assert batch.share(12) == 4
    with pytest.raises(ValueError, match="multiple of their number"):
        batch.share(8)


@given(st.integers(1, 40), st.integers(1, 23), st.integers(1, 30))
def test_data_order_is_a_function_of_position(size: int, batch: int, batches: int) -> None:
    whole = data_order(3, 0, batch * batches, size)
    parts = [data_order(3, i * batch, batch, size) for i in range(batches)]
    assert torch.equal(torch.cat(parts), whole)
    for epoch in whole[: len(whole) // size * size].view(-1, size):
        assert sorted(epoch.tolist()) == list(range(size))
