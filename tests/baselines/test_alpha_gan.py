"""alpha-GAN's losses; what it shares with VAE-GAN is tested in test_alternating.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.alpha_gan import AlphaGAN, AlphaGANConfig, ratio_loss
from baselines.base import Attributes, TrainingData

NONE: Any = None
TINY: dict[str, Any] = {"batch_size": 5, "z_dim": 3, "widths": (4, 4, 6, 8, 8), "code_width": 7}


def make(**changes: Any) -> AlphaGAN:
    torch.manual_seed(1)
    config = AlphaGANConfig(**{**TINY, **changes})
    return AlphaGAN(config, TrainingData(NONE, Attributes(()), 16, 3)).train()


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


@given(logits=st.lists(st.floats(-20, 20), min_size=1, max_size=5))
def test_the_ratio_is_a_difference_of_cross_entropies(logits: list[float]) -> None:
    values = torch.tensor(logits, dtype=torch.float64)
    wanted = cross_entropy(values, 1) - cross_entropy(values, 0)
    torch.testing.assert_close(ratio_loss(values), wanted)


def test_losses_follow_their_formulas() -> None:
    method = make(encoder_lambda=2.0, generator_lambda=3.0)
    images, prior = torch.rand(5, 3, 16, 16) - 0.5, torch.randn(5, 3)
    z = method.encoder(images)
    reconstructed, generated = method.generator(z), method.generator(prior)
    l1 = (reconstructed - images).abs().mean()
    code, of_prior = method.code_discriminator(z), method.code_discriminator(prior)
    real, fake, sampled = map(method.discriminator, (images, reconstructed, generated))
    wanted = {
        "encoder": 2 * l1 - code.mean(),
        "generator": 3 * l1 - fake.mean() - sampled.mean(),
        "discriminator": cross_entropy(real, 1)
        + cross_entropy(fake, 0)
        + cross_entropy(sampled, 0),
        "code_discriminator": cross_entropy(of_prior, 1) + cross_entropy(code, 0),
    }
    for network, loss in wanted.items():
        terms = getattr(method, f"{network}_losses")(images, prior)
        torch.testing.assert_close(terms["loss"], loss, msg=network)


@pytest.mark.parametrize("name", ["encoder", "generator"])
def test_the_number_of_updates_is_a_setting(name: str) -> None:
    method = make(iterations=1, **{f"{name}_updates": 4})
    (stage,) = method.stages(TrainingData(NONE, Attributes(()), 16, 3))
    assert stage.batch_size == 5 * (6 + 2)


def test_the_defaults_are_the_programs() -> None:
    with torch.device("meta"):
        method = AlphaGAN(AlphaGANConfig(), TrainingData(NONE, Attributes(()), 64, 3))
    code = sum(value.numel() for value in method.code_discriminator.parameters())
    assert code == 129 * 750 + 2 * 751 * 750 + 751
    assert method.encoder.features == 4 * 4 * 1024
