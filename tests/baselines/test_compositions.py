from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from baselines.attention import LearnedAttention
from baselines.base import Batch, Discoverer, TrainingData
from baselines.compositions import (
    GANSpaceAttention,
    LatentCLRAttention,
    RecognitionAttention,
    SeFaAttention,
)
from baselines.contrafeat import ContraFeat
from baselines.ganspace import GANSpace
from baselines.randomness import Draws
from baselines.sefa import SeFa
from bench.resolve import configured

METHODS = (GANSpaceAttention, SeFaAttention, LatentCLRAttention, RecognitionAttention)
TINY: dict[type[Discoverer], dict[str, Any]] = {
    GANSpaceAttention: {"subspace_codes": 40, "codes_per_step": 20, "images": 8, "batch_size": 4},
    SeFaAttention: {"images": 8, "batch_size": 4},
    LatentCLRAttention: {
        "subspace_size": 4,
        "subspace_codes": 40,
        "codes_per_step": 20,
        "feature_layers": ("b4", "b8"),
        "iterations": 2,
    },
    RecognitionAttention: {
        "subspace_size": 4,
        "subspace_codes": 40,
        "codes_per_step": 20,
        "iterations": 2,
        "batch_size": 4,
        "predictor_size": 32,
        "accuracy_batches": 1,
    },
}


def make(kind: type[Discoverer], data: TrainingData, **changes: Any) -> Any:
    torch.manual_seed(1)
    config = kind.configure("paper", {"num_directions": 3, **TINY.get(kind, {}), **changes})
    return kind(config, data)


def train(method: Discoverer, data: TrainingData) -> None:
    for stage in method.train().stages(data):
        for step in range(stage.steps):
            torch.manual_seed(step)
            stage.step(Batch(step, Draws(7, step, 0, 1)))


@pytest.mark.parametrize("kind", METHODS)
def test_all_have_an_attention_that_training_moves(
    kind: type[Discoverer], tiny_data: TrainingData
) -> None:
    method = make(kind, tiny_data)
    (attention,) = [one for one in method.modules() if isinstance(one, LearnedAttention)]
    before = attention.logits.detach().clone()
    train(method, tiny_data)
    assert not torch.equal(attention.logits, before)
    assert method.attention().shape == (3, 6)
    for preset in ("smoke", "small", "paper"):
        assert configured(kind, preset, {}, "setting")["attention"] == "learned"
    with pytest.raises(ValidationError, match="attention"):
        kind.configure("smoke", {"attention": "uniform"})


@pytest.mark.parametrize("loss", ["prototype", "binary"])
@pytest.mark.parametrize("kind", [GANSpaceAttention, SeFaAttention])
def test_directions_stay_those_of_the_method_that_gives_them(
    kind: type[ContraFeat], loss: str, tiny_data: TrainingData
) -> None:
    method = make(kind, tiny_data, loss=loss, direction_norm="unit")
    train(method, tiny_data)
    assert (method.pictures is None) == (loss == "binary")
    parent: Discoverer
    if kind is SeFaAttention:
        parent = make(SeFa, tiny_data)
    else:
        codes = {"components": 3, "codes": 40, "codes_per_step": 20}
        parent = make(GANSpace, tiny_data, unit="length", **codes)
    train(parent, tiny_data)
    moves = [parent.shift(torch.zeros(1, 6, 8), one, 1.0)[0, 0] for one in range(3)]
    torch.testing.assert_close(method.navigator.directions(), torch.stack(moves))
