from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from baselines.attention import LearnedAttention
from baselines.base import TrainingData
from baselines.directions import normalized
from baselines.random_directions import RandomDirections


def make(data: TrainingData, seed: int, count: int = 5) -> RandomDirections:
    torch.manual_seed(seed)
    config = RandomDirections.configure("paper", {"num_directions": count})
    return RandomDirections(config, data)  # type: ignore[arg-type]


def test_directions_are_orthonormal_and_shared_evenly_by_the_layers(
    tiny_data: TrainingData,
) -> None:
    method = make(tiny_data, 0)
    change = method.shift(torch.zeros(5, 6, 8), torch.arange(5), 6.0)
    for layer in range(6):
        torch.testing.assert_close(change[:, layer] @ change[:, layer].T, torch.eye(5))
    torch.testing.assert_close(method.attention(), torch.full((5, 6), 1 / 6))
    assert list(method.stages(tiny_data)) == []


def test_the_seed_decides(tiny_data: TrainingData) -> None:
    ws = torch.zeros(1, 6, 8)
    first, same, other = (make(tiny_data, seed).shift(ws, 2, 1.0) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)


def test_more_directions_than_dimensions_are_refused(tiny_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="num_directions"):
        make(tiny_data, 0, count=9)


def test_a_generator_without_layers_is_refused(tiny_data: TrainingData) -> None:
    without = replace(tiny_data, generator=nn.Linear(8, 12))
    with pytest.raises(ValueError, match="this generator has no mapping and synthesis: wrap it"):
        make(without, 0)


@given(seed=st.integers(0, 500), scale=st.floats(1e-2, 1e3), dim=st.integers(1, 64))
def test_normalising_gives_all_directions_one_length(seed: int, scale: float, dim: int) -> None:
    vectors = scale * torch.randn(4, dim, generator=torch.Generator().manual_seed(seed))
    vectors = vectors + 0.1 * scale * vectors.sign()  # away from 0, where there is no direction
    rms = normalized(vectors, "rms")
    torch.testing.assert_close(rms.norm(dim=1), torch.full((4,), dim**0.5), rtol=1e-2, atol=0)
    torch.testing.assert_close(normalized(vectors, "unit").norm(dim=1), torch.ones(4))
    torch.testing.assert_close(
        torch.nn.functional.cosine_similarity(rms, vectors), torch.ones(4), rtol=1e-3, atol=0
    )


@given(seed=st.integers(0, 500), layers=st.integers(1, 10))
def test_attention_is_a_soft_choice_of_layers(seed: int, layers: int) -> None:
    torch.manual_seed(seed)
    kept = LearnedAttention(4, 10, layers, padding="replicate")()
    assert kept.shape == (4, 10)
    assert (kept >= 0).all()
    torch.testing.assert_close(kept.sum(1), torch.ones(4))
    assert kept[:, layers + 1 :].abs().sum() == 0  # the filter reaches one layer further
