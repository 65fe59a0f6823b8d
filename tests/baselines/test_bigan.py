from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.signal import convolve2d
from torch import Tensor, nn

from baselines.base import Attributes, Batch, Stage, TrainingData
from baselines.bigan import AdversarialStage, BiGAN, BiGANConfig, StatisticsStage
from baselines.bigan_latents import LatentKind, Latents
from baselines.latent_regressor import LatentRegressor, LatentRegressorConfig
from baselines.nets.bigan import AlexNet, ConvNet, Generator, arrays_of, take_arrays
from baselines.randomness import Draws, data_order, uniforms
from bench import verify
from bench.checkpoints.states import read_states

GOLDEN = Path(__file__).parents[1] / "data" / "reconstruction"
TINY: dict[str, Any] = {
    "iterations": 5,
    "batch_size": 8,
    "z_dim": 4,
    "generator_width": 2,
    "feature_width": 3,
    "statistics_batches": 3,
}
METHODS = pytest.mark.parametrize("kind", [BiGAN, LatentRegressor])


class Lamps:
    """Images of 32 x 32 pixels, each of one brightness."""

    def __len__(self) -> int:
        return 300

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        brightness = uniforms(3, 0, len(self))[indices]
        images = (1.6 * brightness - 0.8)[:, :, None, None].expand(-1, 3, 32, 32)
        return images.clone(), brightness


def data() -> TrainingData:
    return TrainingData(Lamps(), Attributes(()), 32, 3)


def make(kind: type[BiGAN], **changes: Any) -> BiGAN:
    torch.manual_seed(1)
    return kind(kind.Config(**{**TINY, **changes}), data())


def stages(method: BiGAN) -> tuple[AdversarialStage, StatisticsStage]:
    first, second = method.stages(data())
    assert isinstance(first, AdversarialStage)
    assert isinstance(second, StatisticsStage)
    return first, second


def take(stage: Stage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, 300)
        images, attributes = Lamps().batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
    return reports


@pytest.mark.parametrize("name", ["ali_bigan_losses", "bigan_latent_distributions"])
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_the_networks_have_the_official_numbers_of_arrays_and_parameters() -> None:
    def listed(network: nn.Module) -> tuple[int, int]:
        parameters = sum(one.numel() for one in network.parameters())
        return len(list(arrays_of(network))), parameters

    kernels = 25 * (512 * 256 + 256 * 128 + 128 * 64)
    norms = 2 * (256 + 128 + 64)
    projections = 200 * (256 + 128 + 64)
    with torch.device("meta"):
        # The numbers of arrays are those that the official program prints when it resumes.
        dense = 200 * 8192 + 2 * 8192
        generator = dense + kernels + projections + norms + 25 * 64 * 3
        assert listed(Generator(64, 3, 200, 64)) == (28, generator)
        tower = kernels + 2 * (128 + 256 + 512) + 25 * 3 * 64
        projections = 200 * (128 + 256 + 512)
        assert listed(ConvNet(64, 3, 64, 1, z_dim=200)) == (23, tower + projections + 8192)
        assert listed(AlexNet(64, 3, 200))[0] == 26
        assert listed(ConvNet(64, 3, 64, 200)) == (20, tower + 200 * 8192)


@METHODS
@pytest.mark.parametrize("encoder_network", ["convnet", "alexnet"])
@pytest.mark.parametrize("size", [32, 48, 64])
def test_images_may_be_of_any_multiple_of_16_px(
    kind: type[BiGAN], encoder_network: str, size: int
) -> None:
    config = kind.Config(**TINY, encoder_network=encoder_network, latent="gv")
    method = kind(config, replace(data(), size=size)).eval()
    with torch.no_grad():
        z = method.encode(torch.zeros(2, 3, size, size))
        assert z.shape == (2, 4)
        assert method.decode(z).shape == (2, 3, size, size)
    with pytest.raises(ValueError, match=r"four times and 40 px.*multiple of 16.*dataset\.size"):
        kind(config, replace(data(), size=40))


@METHODS
def test_one_pass_updates_all_networks_by_the_gradients_of_the_start(kind: type[BiGAN]) -> None:
    method = make(kind, latent="gv", weight_decay=0.0).train()
    start = copy.deepcopy(method)
    images, _ = Lamps().batch(torch.arange(8))
    z, noise = torch.randn(8, 4), torch.randn(8, 4)
    stages(method)[0].update(images, z, noise)
    losses = stages(start)[0].losses(images, z, noise)
    ours = [*start.encoder.parameters(), *start.generator.parameters()]
    theirs = list(start.discriminator.parameters())
    for name, parameters in (("encoder_generator", ours), ("discriminator", theirs)):
        gradients = torch.autograd.grad(losses[name], parameters, retain_graph=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    torch.optim.Adam([*ours, *theirs], lr=2e-4, betas=(0.5, 0.999)).step()
    for (name, value), wanted in zip(method.named_parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(value, wanted, msg=name)


def test_the_regressor_learns_alone_unless_the_generator_helps_it() -> None:
    images, _ = Lamps().batch(torch.arange(8))
    z = torch.rand(8, 4) * 2 - 1

    def gradients(weight: float) -> dict[str, Tensor]:
        method = make(LatentRegressor, encode_gen_weight=weight).train()
        nn.init.normal_(method.encoder.head.weight)  # zeros would pass nothing on
        nn.init.normal_(method.discriminator.head.weight)
        losses = stages(method)[0].losses(images, z, z)
        losses["encoder_generator"].backward()
        return {
            name: value.grad
            for name, value in method.named_parameters()
            if value.grad is not None and not name.startswith("discriminator")
        }

    alone, half, whole = gradients(0.0), gradients(0.5), gradients(1.0)
    for name, value in alone.items():
        if name.startswith("encoder"):
            torch.testing.assert_close(value, whole[name], msg=name)
            torch.testing.assert_close(value, 2 * half[name], msg=name)
        else:  # what the encoder asks of the generator grows with the weight
            torch.testing.assert_close(value + whole[name], 2 * half[name], msg=name)
            assert not torch.allclose(value, whole[name]), name


@METHODS
@pytest.mark.parametrize("learner", ["discriminator", "encoder_generator"])
def test_each_side_learns_against_the_other(kind: type[BiGAN], learner: str) -> None:
    method = make(kind, iterations=30, learning_rate=3e-3).train()
    nn.init.normal_(method.discriminator.head.weight, 0.0, 0.1)
    stage, _ = stages(method)
    (other,) = stage.optimizers.keys() - {learner}
    stage.optimizers[other].step = lambda *_: None  # type: ignore[method-assign]
    reports = take(stage, range(30))
    assert reports[-1][learner] < 0.93 * reports[0][learner]


@METHODS
def test_an_image_has_one_latent_and_a_latent_one_image(kind: type[BiGAN]) -> None:
    method = make(kind).train()
    for stage in stages(method):
        take(stage, range(stage.steps))
    method.eval()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        z = method.encode(images)
        alone = torch.cat([method.encode(images[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(alone, z, rtol=1e-4, atol=1e-6)
        decoded = torch.cat([method.decode(z[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(decoded, method.decode(z), rtol=1e-4, atol=1e-6)
        assert z.abs().max() <= 1
        samples = method.sample(5, Draws(1, 0, 0, 1))
    assert samples.shape == (5, 3, 32, 32)
    assert samples.abs().max() <= 1


@METHODS
def test_an_interrupted_training_ends_with_the_same_bits(kind: type[BiGAN]) -> None:
    whole = make(kind).train()
    for place in (0, 1):
        stage = stages(whole)[place]
        take(stage, range(stage.steps))
    kept: dict[str, Any] = make(kind).state_dict()
    for place, half in ((0, 2), (1, 1)):
        optimizers: dict[str, Any] = {}
        for part in (range(half), range(half, stages(make(kind))[place].steps)):
            method = make(kind).train()
            method.load_state_dict(kept)
            stage = stages(method)[place]
            for name, optimizer in stage.optimizers.items():
                if name in optimizers:
                    optimizer.load_state_dict(optimizers[name])
            take(stage, part)
            kept = copy.deepcopy(method.state_dict())
            optimizers = {name: one.state_dict() for name, one in stage.optimizers.items()}
    for name, value in whole.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_statistics_are_means_over_batches_of_real_and_generated_images() -> None:
    method = make(BiGAN).train()
    training, statistics = stages(method)
    take(training, range(3))
    norms = {"generator": method.generator.norm, "encoder": method.encoder.layers[0].norm}
    seen: dict[str, list[Tensor]] = {name: [] for name in norms}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(lambda _, args, name=name: seen[name].append(args[0]))
    parameters = [value.clone() for value in method.parameters()]
    assert take(statistics, range(3)) == [{}, {}, {}]
    assert all(map(torch.equal, parameters, method.parameters()))
    for name, norm in norms.items():
        inputs = [one.transpose(0, 1).flatten(1) for one in seen[name]]
        assert len(inputs) == 3
        means = torch.stack([one.mean(dim=1) for one in inputs]).mean(dim=0)
        variances = torch.stack([one.var(dim=1) for one in inputs]).mean(dim=0)
        torch.testing.assert_close(norm.running_mean, means)
        torch.testing.assert_close(norm.running_var, variances)
        assert norm.momentum == 0.1


def test_gains_are_not_decayed_unless_told_so() -> None:
    for decay_gains in (False, True):
        method = make(BiGAN, decay_gains=decay_gains)
        groups = stages(method)[0].optimizers["encoder_generator"].param_groups
        free = [one for group in groups if not group["weight_decay"] for one in group["params"]]
        gains = [norm.weight for norm in norms_of(method.encoder, method.generator)]
        assert {id(one) for one in free} == (set() if decay_gains else {id(one) for one in gains})
        count = len([*method.encoder.parameters(), *method.generator.parameters()])
        assert sum(len(group["params"]) for group in groups) == count


def norms_of(*networks: nn.Module) -> Iterator[nn.BatchNorm2d]:
    for network in networks:
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                yield module


def test_rates_stay_and_then_fall_to_a_hundredth() -> None:
    config = BiGANConfig(epochs=2, decay_epochs=2)
    rates = [config.rate(epoch / 4) / 2e-4 for epoch in range(4)]
    assert rates == pytest.approx([1, 1, 0.1, 0.01])
    assert BiGANConfig(decay_epochs=0).rate(0.999) == 2e-4
    stage, _ = stages(make(BiGAN, epochs=2, decay_epochs=2, iterations=4))
    found = []
    for step in range(4):
        take(stage, range(step, step + 1))
        found += [{group["lr"] for one in stage.optimizers.values() for group in one.param_groups}]
    assert [one for rates in found for one in rates] == pytest.approx([2e-4, 2e-4, 2e-5, 2e-6])


def test_the_discriminator_can_learn_more_slowly() -> None:
    stage, _ = stages(make(BiGAN, discriminator_rate_share=0.25, decay_epochs=0))
    take(stage, range(1))
    rates = {name: one.param_groups[0]["lr"] for name, one in stage.optimizers.items()}
    assert rates == pytest.approx({"discriminator": 5e-5, "encoder_generator": 2e-4})


def test_the_length_is_given_in_epochs_or_in_steps() -> None:
    made = make(BiGAN, iterations=None, epochs=2, decay_epochs=1, batch_size=40)
    assert stages(made)[0].steps == 3 * 8


@given(kind=st.sampled_from(get_args(LatentKind)), dim=st.integers(1, 6), seed=st.integers(0, 99))
def test_latents_are_of_the_prior_and_best_where_their_error_is_least(
    kind: LatentKind, dim: int, seed: int
) -> None:
    latents = Latents(kind, dim)
    z = latents.draw("z", 7, Draws(seed, 0, 0, 1))
    assert z.shape == (7, dim)
    output = torch.zeros(7, latents.outputs)
    exact = {"u": ((z + 1) / 2).logit(), "ut": z.clamp(-0.999, 0.999).atanh()}.get(kind, z)
    output[:, :dim] = exact
    torch.testing.assert_close(latents.most_likely(output), z, atol=2e-3, rtol=1e-4)
    moved = output.clone()
    moved[:, 0] += 0.5
    assert (latents.error(output, z) < latents.error(moved, z)).all()
    noise = torch.ones(7, dim)
    drawn = latents.sample(output, noise) - latents.most_likely(output)
    wanted = torch.full_like(drawn, math.exp(-2.5) if kind == "gv" else 0.0)
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=1e-4)


def test_priors_have_the_official_spread() -> None:
    for kind in get_args(LatentKind):
        z = Latents(kind, 2).draw("z", 20_000, Draws(3, 0, 0, 1))
        assert z.mean().abs() < 0.02
        expected = 2 * math.log(2) if kind in ("g", "gv") else 1 / 3
        assert z.var().item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("latent", "path"), [("u", "linear"), ("gv", "spherical")])
def test_paths_between_latents_keep_to_the_prior(latent: str, path: str) -> None:
    assert make(BiGAN, latent=latent).interpolation == path


def test_collapse_is_seen() -> None:
    method = make(BiGAN).train()
    with torch.no_grad():
        method.generator.last.weight.zero_()
    assert stages(method)[0].collapsed() is None  # too early to tell
    method.generator.norm.num_batches_tracked.fill_(100)
    reason = stages(method)[0].collapsed()
    assert reason is not None
    assert "same picture" in reason


def as_official(network: nn.Module) -> list[Any]:
    """The arrays of a network as train_gan.py saves them."""
    arrays: list[Any] = []
    for module in network.modules():
        if isinstance(module, nn.Linear):
            arrays.append(module.weight.detach().numpy().T)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            arrays.append(module.weight.detach().numpy()[:, :, ::-1, ::-1])
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            arrays.append(np.array(7))
            arrays += [7 * one.numpy() for one in (module.running_mean, module.running_var)]
            arrays += [one.detach().numpy() for one in (module.weight, module.bias)]
    return arrays


def save(method: BiGAN, folder: Path) -> Path:
    networks = {"gen": method.generator, "encode": method.encoder}
    networks["joint_discrim" if method.joint else "discrim"] = method.discriminator
    for role, network in networks.items():
        joblib.dump(as_official(network), folder / f"100_{role}_params.jl")
    return folder


@METHODS
def test_an_official_checkpoint_stands_for_the_training(kind: type[BiGAN], tmp_path: Path) -> None:
    trained = make(kind).train()
    for stage in stages(trained):
        take(stage, range(stage.steps))
    trained.eval()
    name = {"BiGAN": "bigan", "LatentRegressor": "latent-regressor"}[kind.__name__]
    loaded = make(kind, iterations=9).eval()
    loaded.load_reference(read_states(name, save(trained, tmp_path)))
    assert list(loaded.stages(data())) == []
    images, _ = Lamps().batch(torch.arange(3))
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode(images), trained.encode(images))
        z = trained.encode(images)
        torch.testing.assert_close(loaded.decode(z), trained.decode(z))


def test_official_kernels_are_those_of_a_convolution_proper() -> None:
    network = ConvNet(16, 1, 1, 1)
    kernel = np.arange(25, dtype=np.float32).reshape(5, 5)
    official = np.array(as_official(network)[0])
    official[0, 0] = kernel
    arrays = [official, *as_official(network)[1:]]
    take_arrays(network, [torch.from_numpy(np.array(one)) for one in arrays])
    image = np.random.default_rng(1).normal(size=(16, 16)).astype(np.float32)
    found = network.first(torch.from_numpy(image)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(found, convolve2d(image, kernel, "same")[::2, ::2], rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_dim": 6}, "z dim is 6, this run's 4: change it by --set z_dim=6"),
        ({"generator_width": 4}, "generator width is 4, .*--set generator_width=4"),
        ({"feature_width": 5}, "feature width is 5, .*--set feature_width=5"),
        ({"encoder_network": "alexnet"}, "encoder network is alexnet, .*encoder_network=alexnet"),
        ({"latent": "gv"}, "latent is gv, this run's u: .*--set latent=gv"),
    ],
)
def test_a_checkpoint_of_other_settings_names_the_option(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    states = read_states("bigan", save(make(BiGAN, **changes), tmp_path))
    with pytest.raises(ValueError, match=message):
        make(BiGAN).load_reference(states)


def test_a_checkpoint_of_other_data_names_the_option(tmp_path: Path) -> None:
    states = read_states("bigan", save(make(BiGAN), tmp_path))
    for changes, message in (
        ({"size": 64}, r"size is 32, this run's 64.*--set dataset\.size=32"),
        ({"channels": 1}, r"channels is 3, this run's 1"),
    ):
        with pytest.raises(ValueError, match=message):
            BiGAN(BiGANConfig(**TINY), replace(data(), **changes)).load_reference(states)


def test_foreign_and_partial_checkpoints_are_refused(tmp_path: Path) -> None:
    found = read_states("bigan", save(make(BiGAN), tmp_path))
    states = {name: dict(arrays) for name, arrays in found.items()}
    with pytest.raises(ValueError, match=r"lacks the network discrim: .*_discrim_params\.jl"):
        make(LatentRegressor).load_reference(states)
    short = {**states, "encode": {"0": states["encode"]["000"], "1": states["encode"]["019"]}}
    with pytest.raises(ValueError, match="encode has 2 arrays, this run's 20"):
        make(BiGAN).load_reference(short)
    wide = {**states, "encode": {**states["encode"], "019": torch.zeros(5, 4)}}
    with pytest.raises(ValueError, match=r"array 19 of .*encode has the shape \(5, 4\), .*head"):
        make(BiGAN).load_reference(wide)
    unmeasured = {**states, "gen": {**states["gen"], "001": torch.tensor(0)}}
    with pytest.raises(ValueError, match="gen hold no statistics"):
        make(BiGAN).load_reference(unmeasured)
    with pytest.raises(ValueError, match="none of BiGAN's networks"):
        make(BiGAN).load_reference({**states, "gen": {"0": torch.zeros(3)}})


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValidationError, match="encode_gen_weight"):
        LatentRegressorConfig(encode_gen_weight=-1)
    with pytest.raises(ValidationError, match="latent"):
        BiGANConfig(latent="n")  # type: ignore[arg-type]


@METHODS
@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
@pytest.mark.parametrize("size", [32, 64])
def test_presets_fit_small_images(kind: type[BiGAN], preset: str, size: int) -> None:
    config = kind.configure(preset)
    assert isinstance(config, BiGANConfig)
    with torch.device("meta"):
        kind(config, replace(data(), size=size))
