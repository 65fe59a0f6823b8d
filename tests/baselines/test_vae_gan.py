"""VAE-GAN's losses; what it shares with alpha-GAN is tested in test_alternating.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from baselines.base import Attributes, TrainingData
from baselines.randomness import normals
from baselines.realness import realness_loss
from baselines.vae_gan import VAEGAN, VAEGANConfig, divergence_from_prior

NONE: Any = None
TINY: dict[str, Any] = {"batch_size": 5, "z_dim": 3, "widths": (4, 4, 6, 8)}


def make(**changes: Any) -> VAEGAN:
    torch.manual_seed(1)
    config = VAEGANConfig(**{**TINY, **changes})
    return VAEGAN(config, TrainingData(NONE, Attributes(()), 16, 3)).train()


@given(logit=st.floats(-30, 30))
def test_the_discriminators_loss_is_minus_the_logarithm_of_its_probability(logit: float) -> None:
    probability = torch.tensor(logit, dtype=torch.float64).sigmoid()
    found = realness_loss(torch.tensor([logit], dtype=torch.float64))
    torch.testing.assert_close(found, -probability.log())


def test_no_logarithm_of_zero_is_taken() -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)  # probabilities 0 and 1 in float32
    loss = realness_loss(logits) + realness_loss(-logits)
    deviation = torch.zeros(2, 3, requires_grad=True)
    divergence = divergence_from_prior(torch.zeros(2, 3), deviation)
    (loss + divergence).backward()
    assert torch.isfinite(loss + divergence)
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(deviation.grad).all()


def test_the_divergence_is_a_sum_over_latents_and_a_mean_over_images() -> None:
    mean, deviation = normals(1, 0, 4, 5), normals(2, 0, 4, 5).exp()
    wanted = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(divergence_from_prior(mean, deviation), wanted)


@pytest.mark.parametrize(("asked", "weight"), [(None, 1 / 5), (0.7, 0.7)])
def test_weights_of_the_losses(asked: float | None, weight: float) -> None:
    method = make(divergence_weight=asked, encoder_gamma=2.0, decoder_gamma=3.0)
    images, noise, prior = torch.rand(5, 3, 16, 16) - 0.5, torch.randn(5, 3), torch.randn(5, 3)
    terms = method.encoder_losses(images, noise, prior)
    torch.testing.assert_close(terms["loss"], weight * terms["divergence"] + 2 * terms["features"])
    terms = method.decoder_losses(images, noise, prior)
    torch.testing.assert_close(terms["loss"], 3 * terms["features"] + terms["fake"])


def test_images_are_encoded_to_the_mean() -> None:
    method = make().eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        mean, deviation = method.encoder(images)
        assert torch.equal(method.encode(images), mean)
    assert (deviation > 0).all()


def test_the_defaults_are_the_programs() -> None:
    with torch.device("meta"):
        method = VAEGAN(VAEGANConfig(), TrainingData(NONE, Attributes(()), 64, 3))
    counts = {
        scope: sum(value.numel() for value in network.parameters())
        for scope, network in method.networks().items()
    }
    tower = sum(25 * i * o + 3 * o for i, o in ((3, 64), (64, 128), (128, 256), (256, 512)))
    assert counts["discriminator"] == tower + 32768 + 1
    assert counts["encoder"] == tower + 2 * (32768 * 128 + 128)
