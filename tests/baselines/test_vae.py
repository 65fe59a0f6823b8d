"""The disentangling VAEs: networks, settings, training, and the golden cases of all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, DirectionPairs, Stage, TrainingData
from baselines.disentangling_vae import VAE
from baselines.factor_vae import FactorVAE, FactorVAEConfig
from baselines.group_vae import MLVAE, AdaGVAE, GroupVAE
from baselines.nets.vae import ConvEncoder, Discriminator, FCEncoder, NetworkKind, make_networks
from baselines.randomness import Draws, data_order, derive_seed, integers
from baselines.vae import DIPVAE, AnnealedVAE, BetaTCVAE, BetaVAE, DIPVAEConfig
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "conditional"
METHODS: tuple[type[VAE], ...] = (
    BetaVAE,
    AnnealedVAE,
    BetaTCVAE,
    DIPVAE,
    FactorVAE,
    GroupVAE,
    AdaGVAE,
    MLVAE,
)


class Lamps:
    """Grey images whose left and right halves have one of four brightnesses each; their pairs."""

    num_directions = 2

    def __len__(self) -> int:
        return 16

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        levels = torch.stack([indices // 4, indices % 4], dim=1) * 0.6 - 0.9
        images = levels[:, None, None, :].repeat_interleave(8, dim=3).expand(-1, 1, 16, 16)
        return images.contiguous(), levels

    def draw(self, seed: int, count: int) -> DirectionPairs:
        first, labels = integers(seed, 0, count, 16), integers(seed + 1, 0, count, 2)
        value = integers(seed + 2, 0, count, 4)
        second = torch.where(labels == 0, 4 * value + first % 4, first // 4 * 4 + value)
        return DirectionPairs(self.batch(first)[0], self.batch(second)[0], labels)


LAMPS = Lamps()
DATA = TrainingData(LAMPS, Attributes(()), 16, 1, direction_pairs=LAMPS, factor_pairs=LAMPS)


def make(kind: type[VAE], data: TrainingData = DATA, **changes: Any) -> VAE:
    torch.manual_seed(1)
    tiny: dict[str, Any] = {
        "networks": "fc",
        "width": 0.05,
        "batch_size": 16,
        "learning_rate": 5e-3,
    }
    if kind is FactorVAE:
        tiny["discriminator_width"] = 0.05
    settings = {**tiny, "iterations": 60, **changes}
    return kind(kind.Config.model_validate(settings), data).train()


def only_stage(method: VAE) -> Stage:
    (stage,) = method.stages(DATA)
    return stage


def take(stage: Stage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        batch = Batch(step, Draws(5, step, 0, 1))
        if stage.batch_size:
            indices = data_order(6, step * stage.batch_size, stage.batch_size, len(LAMPS))
            batch.images = LAMPS.batch(indices)[0]
        seed = derive_seed(7, step)
        if stage.direction_pair_count:
            batch.direction_pairs = LAMPS.draw(seed, stage.direction_pair_count)
        if stage.factor_pair_count:
            batch.factor_pairs = LAMPS.draw(seed, stage.factor_pair_count)
        reports.append(stage.step(batch))
    return reports


@pytest.mark.parametrize("name", ["conv_networks", "losses_bernoulli", "losses_l2"])
def test_golden_cases(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / f"vae_{name}"))
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize("kind", METHODS)
def test_training_lowers_the_error_and_tells_images_apart(kind: type[VAE]) -> None:
    changes = {"gamma": 1.0, "capacity": 5.0} if kind is AnnealedVAE else {}
    method = make(kind, **changes)
    stage = only_stage(method)
    reports = take(stage, range(stage.steps))
    first, *_, last = (report["reconstruction"].item() for report in reports)
    assert last < first - 20
    assert stage.collapsed() is None
    method.eval()
    images, _ = LAMPS.batch(torch.arange(16))
    with torch.no_grad():
        codes = method.represent(images)
        alone = method.represent(images[5:6])
        decoded = method.decode(codes)
    torch.testing.assert_close(codes[5:6], alone, rtol=1e-4, atol=1e-5)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    assert (decoded - images).square().mean() < images.var()


def test_labelled_latents_follow_their_factors() -> None:
    method = make(GroupVAE, iterations=120, learning_rate=3e-3)
    assert method.latents == 2
    stage = only_stage(method)
    take(stage, range(stage.steps))
    images, levels = LAMPS.batch(torch.arange(16))
    with torch.no_grad():
        codes = method.represent(images)
    table = torch.corrcoef(torch.cat([codes, levels], dim=1).T)[:2, 2:].abs()
    assert table.diagonal().min() > 0.9
    assert (table - table.diagonal().diag()).max() < 0.3


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (BetaTCVAE, {}),
        (FactorVAE, {"shuffled_codes": "second-batch"}),
        (GroupVAE, {"objective": "classified"}),
        (AdaGVAE, {}),
    ],
)
def test_an_interrupted_training_ends_with_the_same_bits(
    kind: type[VAE], changes: dict[str, Any]
) -> None:
    whole = make(kind, **changes)
    take(only_stage(whole), range(6))
    first = make(kind, **changes)
    stage = only_stage(first)
    take(stage, range(3))
    second = make(kind, **changes)
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["conv", "fc", "contrafeat"])
def test_networks_scale_and_decode_to_the_images_shape(kind: NetworkKind) -> None:
    for size, channels in ((32, 1), (16, 3)):
        encoder, decoder = make_networks(kind, size, channels, 4, 0.1)
        images = torch.rand(2, channels, size, size)
        mean, log_variance = encoder(images)
        assert mean.shape == log_variance.shape == (2, 4)
        assert decoder(mean).shape == images.shape


def test_the_references_sizes() -> None:
    def count(network: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        conv, fc = ConvEncoder(64, 3, 10), FCEncoder(64, 1, 10)
        encoder, _ = make_networks("contrafeat", 64, 3, 10, 1.0)
        adversary = Discriminator(10)
    convolutions = 4 * 4 * 3 * 32 + 4 * 4 * 32 * 32 + 2 * 2 * 32 * 64 + 2 * 2 * 64 * 64
    assert count(conv) == convolutions + 192 + 1024 * 256 + 256 + 2 * (256 * 10 + 10)
    assert count(fc) == (4096 + 1) * 1200 + (1200 + 1) * 1200 + 2 * (1200 + 1) * 10
    assert count(adversary) == 11 * 1000 + 5 * 1001 * 1000 + 1001 * 2
    layers = [3, 32, 32, 64, 64, 128, 128]
    convolutions = sum(16 * i * o + o for i, o in pairwise(layers))
    assert count(encoder) == convolutions + 129 * 512 + 513 * 20


def test_fully_connected_networks_see_pixels_with_the_channels_last() -> None:
    encoder, decoder = make_networks("fc", 2, 3, 4, 0.01)
    assert isinstance(encoder, FCEncoder)
    encoder.e1.weight.data.zero_()
    encoder.e1.weight.data[0, 3 * 1 + 2] = 5.0  # the third channel of the second pixel
    blank, lit = -torch.ones(1, 3, 2, 2), -torch.ones(1, 3, 2, 2)
    lit[0, 2, 0, 1] = 1.0
    assert not torch.equal(encoder(blank)[0], encoder(lit)[0])
    lit = -torch.ones(1, 3, 2, 2)
    lit[0, 1, 0, 1] = 1.0
    assert torch.equal(encoder(blank)[0], encoder(lit)[0])
    outputs = dict(decoder.named_parameters())["d4.bias"].data
    outputs.copy_(torch.arange(12.0))
    shift = decoder(torch.zeros(1, 4))  # hidden layers without biases are 0
    assert shift[0, 2, 0, 1] == 5.0


def test_the_two_updates_of_factor_vae_are_of_the_same_networks() -> None:
    method = make(FactorVAE, discriminator_rate=1e-9)
    assert isinstance(method, FactorVAE)
    stage = only_stage(method)
    images = LAMPS.batch(data_order(6, 0, 16, 16))[0]
    draws = Draws(5, 0, 0, 1)
    order = draws.uniform("order", method.latents, 16).argsort(dim=1)
    terms = method.losses(images, draws.normal("noise", 16, method.latents), None, order)
    parameters = list(method.discriminator.parameters())
    wanted = torch.autograd.grad(terms["discriminator"], parameters)
    take(stage, range(1))
    for parameter, gradient in zip(parameters, wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_second_batch_is_read_for_its_codes_only() -> None:
    one, two = (
        only_stage(make(FactorVAE, shuffled_codes=kind)) for kind in ("same-batch", "second-batch")
    )
    assert (one.batch_size, two.batch_size) == (16, 32)
    for stage in (one, two):
        (report,) = take(stage, range(1))
        assert torch.isfinite(torch.stack(list(report.values()))).all()


@pytest.mark.parametrize(("form", "factor"), [("i", 10.0), ("ii", 1.0)])
def test_dip_vae_weighs_the_diagonal_by_its_form(form: str, factor: float) -> None:
    images, noise = LAMPS.batch(torch.arange(16))[0], torch.randn(16, 10)
    default = make(DIPVAE, form=form)
    named = make(DIPVAE, form=form, diagonal_factor=factor)
    assert isinstance(default, DIPVAE)
    assert isinstance(named, DIPVAE)
    assert default.losses(images, noise, 0) == named.losses(images, noise, 0)
    other = make(DIPVAE, form=form, diagonal_factor=3.0)
    assert isinstance(other, DIPVAE)
    assert other.losses(images, noise, 0)["loss"] != named.losses(images, noise, 0)["loss"]


def test_the_classified_objective_shares_nothing() -> None:
    method = make(GroupVAE, objective="classified", index_weight=2.0, beta=0.5)
    assert isinstance(method, GroupVAE)
    pairs = LAMPS.draw(3, 4)
    own, decoded = method.posteriors(pairs)
    for one, other in zip(own, decoded, strict=True):
        assert torch.equal(one.mean, other.mean)
    terms = method.losses(pairs, torch.randn(8, 2))
    wanted = terms["reconstruction"] + 0.5 * terms["divergence"] + 2.0 * terms["index"]
    torch.testing.assert_close(terms["loss"], wanted)


def test_images_of_pairs_are_cut_off_before_they_are_encoded() -> None:
    method, pairs = make(GroupVAE), LAMPS.draw(3, 4)
    assert isinstance(method, GroupVAE)
    bright = DirectionPairs(4 * pairs.first, 4 * pairs.second, pairs.labels)
    cut = DirectionPairs(bright.first.clamp(-1, 1), bright.second.clamp(-1, 1), pairs.labels)
    noise = torch.randn(8, 2)
    assert torch.equal(method.losses(bright, noise)["loss"], method.losses(cut, noise)["loss"])


def test_codes_that_are_all_the_same_are_no_representation() -> None:
    method = make(BetaVAE)
    stage = only_stage(method)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.zero_()
    assert stage.collapsed() == "different images get the same code"


@pytest.mark.parametrize(
    ("kind", "changes", "data", "message"),
    [
        (BetaVAE, {"networks": "conv"}, {"size": 24}, "multiple of 16 px, not 24"),
        (GroupVAE, {"networks": "contrafeat"}, {"size": 24}, "power of two, not 24"),
        (GroupVAE, {}, {"direction_pairs": None}, "by --directions RUN"),
        (AdaGVAE, {}, {"factor_pairs": None}, "such as shapes3d"),
        (GroupVAE, {"latents": 1}, {}, "--set latents=2"),
        (GroupVAE, {"latents": 1, "objective": "classified"}, {}, "--set latents=2"),
    ],
)
def test_settings_that_do_not_fit(
    kind: type[VAE], changes: dict[str, Any], data: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(kind, replace(DATA, **data), **changes)


def test_adaptive_pairs_need_no_latent_for_each_direction() -> None:
    assert make(GroupVAE, changed="adaptive").latents == 10
    assert make(AdaGVAE, latents=1).latents == 1
    assert make(AdaGVAE, pairs="directions", changed="labels").latents == 2


@pytest.mark.parametrize("config", [DIPVAEConfig, FactorVAEConfig])
def test_settings_out_of_range(config: Any) -> None:
    for wrong in ({"latents": 0}, {"width": 0.0}, {"networks": "vgg"}, {"gama": 1.0}):
        with pytest.raises(ValidationError):
            config(**wrong)
