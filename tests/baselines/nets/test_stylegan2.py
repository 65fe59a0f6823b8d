"""StyleGAN2 against the reference's values, and what its users may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from baselines.nets.stylegan2 import Discriminator, Generator
from baselines.nets.stylegan2_loss import minimize
from bench import verify

GOLDEN = Path(__file__).parents[2] / "data" / "discovery"


@pytest.mark.parametrize(
    "name",
    [
        "sg2_nv_generator_uncond",
        "sg2_nv_discriminator_orig",
        "sg2_loss_nonsaturating",
        "sg2_loss_path_length",
        "sg2_loss_r1",
    ],
)
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_the_memory_format_changes_nothing() -> None:
    torch.manual_seed(0)
    generator = Generator(8, 0, 8, 16, synthesis_kwargs={"channel_base": 128}).eval()
    ws = generator.mapping(torch.randn(2, 8))
    expected = generator.synthesis(ws)
    got = generator.to(memory_format=torch.channels_last).synthesis(ws)
    torch.testing.assert_close(got, expected)


def test_random_noise_is_fresh_and_const_noise_is_not() -> None:
    generator = Generator(8, 0, 8, 16, synthesis_kwargs={"channel_base": 128})
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 1.0)
    z = torch.randn(1, 8)
    assert torch.equal(generator(z), generator(z))
    assert not torch.equal(generator(z, noise_mode="random"), generator(z, noise_mode="random"))


def test_a_conditional_generator_asks_for_labels() -> None:
    with pytest.raises(ValueError, match=r"labels c of shape \(N, 3\)"):
        Generator(8, 3, 8, 8)(torch.randn(1, 8))


def test_a_batch_that_cannot_be_grouped_is_refused() -> None:
    network = Discriminator(0, 8, channel_base=64, epilogue_kwargs={"mbstd_group_size": 4})
    with pytest.raises(ValueError, match="multiple of mbstd_group_size"):
        network(torch.zeros(6, 3, 8, 8))


@pytest.mark.parametrize("resolution", [4, 48])
def test_an_impossible_resolution_is_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match="power of two from 8 up"):
        Generator(8, 0, 8, resolution)


def test_gradients_that_are_not_finite_are_replaced() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    factors = torch.tensor([float("nan"), float("inf"), -float("inf"), 2.0])
    minimize((parameter * factors).sum(), torch.optim.SGD([parameter], lr=1.0))
    assert parameter.tolist() == [0.0, -1e5, 1e5, -2.0]
