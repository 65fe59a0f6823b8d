"""The losses of the disentangling VAEs against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from baselines.randomness import normals, uniforms
from baselines.vae_losses import (
    Posterior,
    Sharing,
    aggregated,
    capacity,
    density_ratio,
    discriminator_loss,
    divergence,
    farther_apart,
    index_loss,
    latent_distances,
    moment_penalty,
    probabilities,
    reconstruction_errors,
    shared_posterior,
    shuffled,
    to_unit,
    total_correlation,
)

SEEDS = st.integers(0, 2**32)


def posterior(seed: int, count: int = 5, latents: int = 3) -> Posterior:
    rows = normals(seed, 0, count, 2 * latents).double()
    return Posterior(*rows.chunk(2, dim=1))


def distribution(some: Posterior) -> Normal:
    return Normal(some.mean, (some.log_variance / 2).exp())


@given(seed=SEEDS)
def test_divergences_are_those_of_normal_distributions(seed: int) -> None:
    first, second = posterior(seed), posterior(seed + 1)
    prior = Normal(torch.zeros((), dtype=torch.float64), 1.0)
    wanted = kl_divergence(distribution(first), prior).sum(dim=1).mean()
    torch.testing.assert_close(divergence(first), wanted)
    both = kl_divergence(distribution(first), distribution(second))
    torch.testing.assert_close(latent_distances(first, second), 2 * both)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_total_correlation_compares_the_joint_with_the_marginals_of_a_batch(seed: int) -> None:
    some, codes = posterior(seed), normals(seed + 1, 0, 5, 3).double()
    wanted = []
    for code in codes:
        densities = distribution(some).log_prob(code).exp()  # of each posterior and latent
        joint = densities.prod(dim=1).sum().log()
        wanted.append(joint - densities.sum(dim=0).log().sum())
    torch.testing.assert_close(total_correlation(codes, some), torch.stack(wanted).mean())
    alone = Posterior(some.mean[:, :1], some.log_variance[:, :1])
    torch.testing.assert_close(total_correlation(codes[:, :1], alone).item(), 0.0)


def test_the_moment_penalty_looks_at_the_covariance_only() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    tight = torch.full_like(signs, -math.inf)
    assert moment_penalty(Posterior(signs + 7, tight), False, 3.0, 5.0) == 0
    assert moment_penalty(Posterior(signs, tight), True, 3.0, 5.0) == 0
    wide = torch.full_like(signs, math.log(2.0))  # adds 2 to the variances of samples
    assert moment_penalty(Posterior(signs, wide), False, 3.0, 5.0) == 0
    found = moment_penalty(Posterior(signs, wide), True, 3.0, 5.0)
    torch.testing.assert_close(found, torch.tensor(2 * 5.0 * 2.0**2))
    same = signs[:, :1].expand(4, 2)
    assert moment_penalty(Posterior(same, tight), False, 3.0, 5.0) == 2 * 3.0


def test_the_capacity_grows_linearly_and_stays() -> None:
    assert [capacity(5.0, step, 100) for step in (0, 30, 100, 700)] == [0.0, 1.5, 5.0, 5.0]


@given(seed=SEEDS)
def test_shuffling_keeps_every_column_and_breaks_rows(seed: int) -> None:
    codes = normals(seed, 0, 6, 3)
    order = uniforms(seed + 1, 0, 3, 6).argsort(dim=1)
    mixed = shuffled(codes, order)
    for column in range(3):
        assert torch.equal(mixed[:, column], codes[order[column], column])


def test_the_adversary_of_codes() -> None:
    logits, fakes = torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    torch.testing.assert_close(density_ratio(logits), torch.tensor(1.0))
    real = torch.sigmoid(torch.tensor([3.0, -1.0])).log().mean()
    wanted = -(real + math.log(0.5)) / 2
    torch.testing.assert_close(discriminator_loss(logits, fakes), wanted)
    sure = torch.tensor([[1e4, -1e4]], requires_grad=True)
    assert torch.isfinite(discriminator_loss(-sure, sure))


@given(seed=SEEDS)
def test_errors_of_reconstruction(seed: int) -> None:
    images, outputs = uniforms(seed, 0, 2, 12), normals(seed + 1, 0, 2, 12)
    images, outputs = images.view(2, 3, 2, 2), outputs.view(2, 3, 2, 2)
    squared = reconstruction_errors(images, outputs, "l2")
    torch.testing.assert_close(squared, (images - outputs.sigmoid()).square().sum((1, 2, 3)))
    torch.testing.assert_close(reconstruction_errors(images, outputs, "l2-signed"), 4 * squared)
    for activation in ("logits", "tanh"):
        chances = probabilities(outputs, activation)
        crossed = reconstruction_errors(images, outputs, "bernoulli", activation)
        wanted = -Bernoulli(chances, validate_args=False).log_prob(images).sum((1, 2, 3))
        torch.testing.assert_close(crossed, wanted)
        above = reconstruction_errors(images, outputs, "bernoulli", activation, minus_entropy=True)
        ideal = kl_divergence(Bernoulli(images), Bernoulli(chances)).sum((1, 2, 3))
        torch.testing.assert_close(above, ideal, rtol=1e-4, atol=1e-4)


def test_half_precision_outputs_are_summed_in_full() -> None:
    images, outputs = torch.rand(2, 3, 64, 64), torch.randn(2, 3, 64, 64).bfloat16()
    for kind in ("bernoulli", "l2"):
        found = reconstruction_errors(images, outputs, kind)
        torch.testing.assert_close(found, reconstruction_errors(images, outputs.float(), kind))


def test_images_are_cut_off_at_their_range() -> None:
    assert to_unit(torch.tensor([-3.0, -1.0, 0.0, 1.0, 2.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


@given(seed=SEEDS, sharing=st.sampled_from(["variance", "log-variance", "precision"]))
def test_what_changed_keeps_its_own_posterior(seed: int, sharing: Sharing) -> None:
    first, second = posterior(seed), posterior(seed + 1)
    changed = uniforms(seed + 2, 0, 5, 3) < 0.5
    one, other = aggregated(first, second, changed, sharing)
    for kept, own in ((one, first), (other, second)):
        for found, wanted in zip(kept, own, strict=True):
            assert torch.equal(found[changed], wanted[changed])
    for found, wanted in zip(one, other, strict=True):
        assert torch.equal(found[~changed], wanted[~changed])


@given(seed=SEEDS)
def test_what_is_shared(seed: int) -> None:
    first, second = posterior(seed), posterior(seed + 1)
    variances = [some.log_variance.exp() for some in (first, second)]
    mean, log_variance = shared_posterior(first, second, "variance")
    torch.testing.assert_close(mean, (first.mean + second.mean) / 2)
    torch.testing.assert_close(log_variance.exp(), (variances[0] + variances[1]) / 2)
    mean, log_variance = shared_posterior(first, second, "log-variance")
    torch.testing.assert_close(log_variance.exp().square(), variances[0] * variances[1])
    mean, log_variance = shared_posterior(first, second, "precision")
    precision = 1 / variances[0] + 1 / variances[1]
    torch.testing.assert_close(log_variance.exp(), 2 / precision)
    weighted = first.mean / variances[0] + second.mean / variances[1]
    torch.testing.assert_close(mean, weighted / precision)


def test_latents_in_the_upper_half_have_changed() -> None:
    distances = torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.9, 9.0], [4.0, 0.1, 0.0]])
    wanted: Tensor = torch.tensor([[0, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()
    assert torch.equal(farther_apart(distances), wanted)


def test_the_index_is_told_by_the_difference_of_means() -> None:
    here = Posterior(torch.zeros(1, 2), torch.zeros(1, 2))
    there = Posterior(torch.tensor([[0.1, 0.0]]), torch.zeros(1, 2))
    found = index_loss(here, there, torch.tensor([0])).item()
    assert found == pytest.approx(math.log(1 + math.exp(-1.0)), rel=1e-5)
