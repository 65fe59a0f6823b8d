from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData
from baselines.eigengan import AdversarialStage, EigenGAN
from baselines.eigengan_config import EigenGANConfig
from baselines.eigengan_losses import gradient_penalty, orthogonality
from baselines.nets.eigengan import (
    Discriminator,
    EigenBlock,
    Generator,
    gram_schmidt,
    original_widths,
    port_widths,
)
from baselines.randomness import Draws, data_order, uniforms
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "conditional"
TINY: dict[str, Any] = {
    "iterations": 7,
    "batch_size": 8,
    "noise_dim": 5,
    "n_basis": 3,
    "max_channels": 8,
    "discriminator_features": 8,
}


class Shades:
    """Pictures of 16 x 16 pixels, dark above and bright below, in various shades."""

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        amount = 0.3 + 0.4 * uniforms(3, 0, len(self))[indices][:, :, None, None]
        slope = torch.linspace(-1, 1, 16)[None, None, :, None]
        return (amount * slope).expand(-1, 3, -1, 16), torch.ones(len(indices), 1)


def data() -> TrainingData:
    return TrainingData(Shades(), Attributes(("any",)), 16, 3)


def make(**changes: Any) -> EigenGAN:
    torch.manual_seed(1)
    widths = {"dim_10": 4 * 16 / 1024} if changes.get("form") != "port" else {"base_channels": 4}
    return EigenGAN(EigenGANConfig(**{**TINY, **widths, **changes}), data())


def only_stage(method: EigenGAN) -> AdversarialStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, AdversarialStage)
    return stage


def take(stage: AdversarialStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, len(stage.data.train))
        images, attributes = stage.data.train.batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
        for average in stage.averages:
            average.update(step)
    return reports


def samples(method: EigenGAN, count: int = 16) -> Tensor:
    with torch.no_grad():
        return method.eval().sample(torch.ones(count, 1), Draws(9, 0, 0, 1))


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("eigengan_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


@pytest.mark.parametrize("form", ["original", "port"])
def test_training_learns_what_is_dark_and_what_is_bright(form: str) -> None:
    method = make(
        form=form,
        learning_rate=5e-3,
        beta1=0,
        average_decay=0.93,
        penalty_weight=0.1,
        augmentation="flip",
        truncation=None,
    )
    before = samples(method)
    take(only_stage(method.train()), range(70))
    target = data().train.batch(torch.arange(200))[0].mean(dim=0)
    errors = [(some.mean(dim=0) - target).abs().mean() for some in (before, samples(method))]
    assert errors[1] < 0.75 * errors[0]


def test_samples_depend_on_their_own_latents_only() -> None:
    for form in ("original", "port"):
        method = make(form=form).eval()
        latents = method.sample_latents(5, Draws(1, 0, 0, 1))
        labels = torch.ones(5, 1)
        with torch.no_grad():
            together = method.generate(labels, latents)
            alone = torch.cat([method.generate(labels[:1], row[None]) for row in latents])
        assert together.shape == (5, 3, 16, 16)
        assert together.abs().max() <= 1
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        assert torch.equal(samples(method), samples(method))


def test_an_axis_moves_its_own_layer_and_says_how_strongly() -> None:
    method = make()
    layer = method.average.blocks[1].projection
    with torch.no_grad():
        layer.L.copy_(torch.tensor([1.0, -7.0, 2.0]))
    axes = method.axes()
    assert [(axis.layer, axis.dimension) for axis in axes] == [
        (layer, dimension) for layer in range(2) for dimension in range(3)
    ]
    assert [axis.importance for axis in axes[3:]] == [1, 7, 2]
    latents = method.sample_latents(1, Draws(1, 0, 0, 1))
    moved = latents.clone()
    moved[:, axes[4].column] += 2
    seen: list[Tensor] = []
    layer.register_forward_hook(lambda module, z, point: seen.append(z[0]))
    for some in (latents, moved):
        noise, zs = some.tensor_split([5], dim=1)
        layer(zs.unflatten(1, (2, 3))[:, 1])
        assert torch.equal(noise, latents[:, :5])
    assert (seen[1] - seen[0]).tolist() == [[0, 2, 0]]
    with torch.no_grad():
        labels = torch.ones(1, 1)
        difference = method.generate(labels, moved) - method.generate(labels, latents)
    assert difference.abs().max() > 1e-4


@given(limit=st.floats(0.1, 4), seed=st.integers(0, 99))
def test_truncated_latents_stay_within_their_limit(limit: float, seed: int) -> None:
    latents = make(truncation=limit).sample_latents(400, Draws(seed, 0, 0, 1))
    assert latents.shape == (400, 5 + 2 * 3)
    assert latents.abs().max() <= limit
    assert latents.abs().max() > 0.97 * limit - 0.5 * (limit > 2)
    assert abs(latents.mean()) < 0.1 * limit


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    for form in ("original", "port"):
        changes = {"form": form, "penalty_interval": 2}
        whole = make(**changes).train()
        take(only_stage(whole), range(5))
        first = make(**changes).train()
        stage = only_stage(first)
        take(stage, range(3))
        second = make(**changes).train()
        second.load_state_dict(first.state_dict())
        resumed = only_stage(second)
        for name, optimizer in resumed.optimizers.items():
            optimizer.load_state_dict(stage.optimizers[name].state_dict())
        take(resumed, range(3, 5))
        for name, value in whole.state_dict().items():
            assert torch.equal(value, second.state_dict()[name]), name


def test_defaults_follow_the_form_unless_told_otherwise() -> None:
    original, port = EigenGANConfig(), EigenGANConfig(form="port")
    assert (original.beta2, port.beta2) == (0.999, 0.99)
    assert (original.decay, port.decay) == (0.999, pytest.approx(0.99778, abs=1e-5))
    assert EigenGANConfig(form="port", batch_size=64).decay == pytest.approx(0.99557, abs=1e-5)
    assert (original.orthogonality_weight, port.orthogonality_weight) == (1, 100)
    assert (original.penalty_interval, port.penalty_interval) == (3, 16)
    assert (original.truncation, port.truncation) == (1.5, None)
    mixed = EigenGANConfig(form="port", orthogonality="summed", truncation=2.0)
    assert (mixed.orthogonality, mixed.truncation, mixed.beta2) == ("summed", 2, 0.99)
    again = EigenGANConfig.model_validate(mixed.model_dump())
    assert again == mixed


def test_widths_agree_at_256_pixels_only() -> None:
    assert original_widths(256) == port_widths(256) == [512, 512, 256, 128, 64, 32, 16]
    assert original_widths(128)[-1] == 32
    assert port_widths(128)[-1] == 16


def test_the_ports_networks_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        generator = Generator(port_widths(256))
        discriminator = Discriminator(port_widths(256)[::-1], 256)
    # InfoSCC-GAN's generator has 23,259,155 with a mapper of three labels.
    mapper = 3 * 3 + 3 + (512 + 3) * 512 + 512
    assert sum(value.numel() for value in generator.parameters()) == 23_259_155 - mapper
    assert sum(value.numel() for value in discriminator.parameters()) == 13_635_601


def test_the_penalty_comes_by_its_schedule() -> None:
    joint = only_stage(make(penalty_interval=3).train())
    assert ["penalty" in report for report in take(joint, range(7))] == [True, False, False] * 2 + [
        True
    ]
    assert joint.optimizers["discriminator"].state_dict()["state"][0]["step"] == 7
    apart = only_stage(make(penalty_interval=3, penalty_schedule="separate").train())
    take(apart, range(7))
    assert apart.optimizers["discriminator"].state_dict()["state"][0]["step"] == 10
    none = only_stage(make(gradient_penalty="none").train())
    assert "penalty" not in take(none, range(1))[0]


def test_a_joint_penalty_weighs_as_much_as_its_interval() -> None:
    def gradient(**changes: Any) -> Tensor:
        method = make(**changes).train()
        take(only_stage(method), range(1))
        found = method.discriminator.blocks[0][0].weight.grad
        assert found is not None
        return found

    plain = gradient(penalty_weight=0)
    often, seldom = gradient(penalty_interval=1), gradient(penalty_interval=4)
    torch.testing.assert_close(seldom - plain, 4 * (often - plain), rtol=1e-3, atol=1e-5)


def test_real_images_alone_are_mirrored_and_both_kinds_augmented() -> None:
    images = torch.rand(8, 3, 16, 16)
    batch = Batch(0, Draws(3, 0, 0, 1))
    flip = only_stage(make())
    seen = flip._seen(batch, "real", images)
    assert {bool((one == two).all()) for one, two in zip(seen, images, strict=True)} == {
        True,
        False,
    }
    assert torch.equal(flip._seen(batch, "fake", images), images)
    augmented = only_stage(make(augmentation="diffaugment"))
    for purpose in ("real", "fake"):
        assert not torch.equal(augmented._seen(batch, purpose, images), images)


@given(seed=st.integers(0, 99), dim=st.integers(6, 40))
def test_gram_schmidt_makes_orthonormal_vectors_of_the_same_span(seed: int, dim: int) -> None:
    vectors = torch.randn(5, dim, generator=torch.Generator().manual_seed(seed)).double()
    basis = gram_schmidt(vectors)
    torch.testing.assert_close(basis @ basis.T, torch.eye(5).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close((vectors @ basis.T) @ basis, vectors, rtol=0, atol=1e-6)
    assert orthogonality("summed", [basis]) < 1e-9
    assert orthogonality("gram-schmidt", [vectors]) == 0


def test_orthonormalised_subspaces_ignore_the_bases_scale() -> None:
    method = make(orthogonality="gram-schmidt")
    latents = method.sample_latents(2, Draws(1, 0, 0, 1))
    with torch.no_grad():
        before = method.generate(torch.ones(2, 1), latents)
        for basis in method.average.bases():
            basis.mul_(3)
        torch.testing.assert_close(method.generate(torch.ones(2, 1), latents), before)


@pytest.mark.parametrize("same", [True, False])
def test_injections_are_convolutions_of_the_subspaces_points(same: bool) -> None:
    block = EigenBlock(6, 4, 3, 2, 5, same)
    torch.nn.init.normal_(block.projection.mu)
    z = torch.randn(7, 5)
    points = block.projection(z).unflatten(1, (3, 4, 6))
    first, second = block.injections(z)
    torch.testing.assert_close(first, block.subspace_conv1(points), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(second, block.subspace_conv2(points), rtol=1e-4, atol=1e-4)


@given(slope=st.floats(0.0625, 4), size=st.integers(1, 5))
def test_penalties_of_a_linear_critic_are_known(slope: float, size: int) -> None:
    images = torch.randn(3, 2, size, size).requires_grad_(True)
    norm = slope * math.sqrt(2 * size * size)

    def found(name: Any) -> float:
        logits = slope * images.sum(dim=(1, 2, 3))[:, None]
        return float(gradient_penalty(name, logits, images))

    assert found("0-gp") == pytest.approx(norm**2, rel=1e-3)
    assert found("1-gp") == pytest.approx((norm - 1) ** 2, rel=1e-3, abs=1e-5)
    assert found("lp") == pytest.approx(max(norm - 1, 0) ** 2, rel=1e-3, abs=1e-5)


def test_training_works_in_bfloat16() -> None:
    for form in ("original", "port"):
        method = make(form=form).train()
        with torch.autocast("cpu", torch.bfloat16):
            (report,) = take(only_stage(method), range(1))
        assert torch.isfinite(torch.stack(list(report.values()))).all()
        assert all(value.requires_grad for value in method.generator.parameters())


def test_collapse_is_seen_when_all_samples_agree() -> None:
    method = make().train()
    stage = only_stage(method)
    assert stage.collapsed() is None
    assert method.training
    with torch.no_grad():
        method.average.out[0][1].weight.zero_()
    assert "different latents become the same picture" in str(stage.collapsed())


def reference(form: str, **changes: Any) -> dict[str, dict[str, Tensor]]:
    method = make(form=form, **changes)
    prefix = "original/" if form == "original" else ""
    return {
        f"{prefix}generator": method.generator.state_dict(),
        f"{prefix}average": {k: v + 1 for k, v in method.generator.state_dict().items()},
        f"{prefix}discriminator": method.discriminator.state_dict(),
    }


@pytest.mark.parametrize("form", ["original", "port"])
def test_a_reference_stands_for_the_training(form: str) -> None:
    method, states = make(form=form), reference(form)
    method.load_reference(states)
    assert list(method.stages(data())) == []
    (averaged,) = (state for name, state in states.items() if name.endswith("average"))
    for name, value in method.average.state_dict().items():
        assert torch.equal(value, averaged[name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_dim": 6}, "noise_dim is 6, this run's 5.*--set noise_dim=6"),
        ({"n_basis": 2}, "n_basis is 2, this run's 3"),
        ({"dim_10": 2 / 16}, r"base_channels is 8, this run's 4.*--set dim_10=0\.125"),
        ({"max_channels": 4}, "max_channels is 4, this run's 8"),
        ({"discriminator_features": 9}, r"none of EigenGAN.*classifier\.0"),
    ],
)
def test_a_reference_of_other_settings_names_the_option(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make().load_reference(reference("original", **changes))


def test_a_foreign_reference_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of the port form.*--set form=port"):
        make().load_reference(reference("port"))
    with pytest.raises(ValueError, match=r"of the original form.*--set form=original"):
        make(form="port").load_reference(reference("original"))
    with pytest.raises(ValueError, match="holds no generator"):
        make(form="port").load_reference({"discriminator": {}})
    with pytest.raises(ValueError, match="no generator of EigenGAN"):
        make(form="port").load_reference({"average": {"x": torch.ones(1)}})


@pytest.mark.parametrize(
    ("changes", "size", "named"),
    [
        ({}, 24, "power of two from 8 on by --set dataset.size"),
        ({}, 4, "never reaches 4 px"),
        ({"dim_10": 0.01}, 16, "choose at least 0.015625 by --set dim_10"),
        ({"n_basis": 200}, 16, "at most 128 by --set n_basis"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes: dict[str, Any], size: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        EigenGAN(EigenGANConfig(**{**TINY, **changes}), replace(data(), size=size))


def test_epochs_count_two_batches_for_an_iteration() -> None:
    config = EigenGANConfig()
    assert config.iterations_of(202_599) == 160 * (3165 // 2)
    with pytest.raises(ValueError, match=r"127 images fills no two batches of 64.*batch_size"):
        config.iterations_of(127)
    with pytest.raises(ValidationError, match="beta2"):
        EigenGANConfig(beta2=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["original", "port"])
@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_presets_fit_small_and_large_images(preset: str, form: str, channels: int) -> None:
    config = EigenGAN.configure(preset, {"form": form})
    assert isinstance(config, EigenGANConfig)
    size = 256 if preset == "paper" else 32
    with torch.device("meta"):
        method = EigenGAN(config, replace(data(), size=size, channels=channels))
        images = method.generate(torch.ones(2, 1), torch.zeros(2, method.latent_dim))
        assert method.discriminator(images).shape == (2, 1)
    assert images.shape == (2, channels, size, size)
