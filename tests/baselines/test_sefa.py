from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.attention import parse_layers
from baselines.base import TrainingData
from baselines.sefa import SeFa, factorize, style_weights
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "discovery"


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("sefa_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def make(data: TrainingData, **changes: Any) -> SeFa:
    return SeFa(SeFa.configure("paper", {"num_directions": 4, **changes}), data)  # type: ignore[arg-type]


def test_directions_move_the_styles_of_their_layers_most(tiny_data: TrainingData) -> None:
    method = make(tiny_data, layers="0-2")
    weights = style_weights(tiny_data.generator, (0, 1, 2))
    styles = torch.cat([weight / weight.norm(dim=1, keepdim=True) for weight in weights])
    change = method.shift(torch.zeros(4, 6, 8), torch.arange(4), 1.0)
    effects = (change[:, 0] @ styles.T).norm(dim=1)
    torch.testing.assert_close(change[:, 0].norm(dim=1), torch.ones(4))
    torch.testing.assert_close(effects, effects.sort(descending=True)[0])
    assert effects[0] == pytest.approx(float(torch.linalg.matrix_norm(styles, 2)), rel=1e-5)
    assert change[:, 3:].abs().max() == 0


def test_the_port_without_scaling_gives_right_singular_vectors(tiny_data: TrainingData) -> None:
    method = make(tiny_data, variant="rosinality")
    stacked = torch.cat(style_weights(tiny_data.generator, variant="rosinality"))
    _, _, right = np.linalg.svd(stacked.numpy())
    vectors = method.shift(torch.zeros(4, 6, 8), torch.arange(4), 1.0)[:, 0]
    overlap = np.abs(vectors.numpy() @ right[:4].T)
    np.testing.assert_allclose(overlap, np.eye(4), atol=1e-4)


def test_each_layer_index_names_its_own_weight(tiny_data: TrainingData) -> None:
    synthesis = tiny_data.generator.synthesis
    chosen = style_weights(tiny_data.generator, (0, 3, 5))
    assert chosen[0] is synthesis.b4.conv1.affine.weight
    assert chosen[1] is synthesis.b16.conv0.affine.weight
    assert chosen[2] is synthesis.b16.torgb.affine.weight


@given(seed=st.integers(0, 1000))
def test_directions_are_orthonormal_and_ranked(seed: int) -> None:
    weights = [torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))]
    values, vectors = factorize(weights)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(7, dtype=torch.float64))
    assert (values.diff() <= 1e-12).all()
    assert values.sum().item() == pytest.approx(5, abs=1e-4)  # as many as unit rows


@given(st.sets(st.integers(0, 17), min_size=1))
def test_layer_sets_are_read_as_written(layers: set[int]) -> None:
    text = ",".join(str(layer) for layer in layers)
    assert parse_layers(text, 18) == tuple(sorted(layers))


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "0,,1", "18"])
def test_malformed_layer_sets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="layers is"):
        parse_layers(text, 18)


def test_more_directions_than_dimensions_are_refused(tiny_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="num_directions"):
        make(tiny_data, num_directions=9)
