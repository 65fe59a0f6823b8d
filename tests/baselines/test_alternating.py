"""What VAE-GAN and alpha-GAN share: training in turns, encoding, checkpoints, bad input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.alpha_gan import AlphaGAN
from baselines.alternating import AlternatingStage
from baselines.base import Attributes, Batch, Inverter, TrainingData
from baselines.nets.tensorflow_conv import keep_statistics
from baselines.randomness import Draws, data_order, uniforms
from baselines.vae_gan import VAEGAN

METHODS: tuple[Any, ...] = (VAEGAN, AlphaGAN)
TINY: dict[str, Any] = {"batch_size": 8, "iterations": 4, "z_dim": 6, "norm_momentum": 0.5}
WIDTHS = {VAEGAN: (4, 4, 6, 8), AlphaGAN: (4, 4, 6, 8, 8)}

FAST = {
    VAEGAN: {"encoder_rate": 4e-3, "decoder_rate": 4e-3, "discriminator_rate": 1e-3},
    AlphaGAN: {
        "encoder_rate": 4e-3,
        "generator_rate": 4e-3,
        "discriminator_rate": 1e-3,
        "code_discriminator_rate": 1e-3,
    },
}

every = pytest.mark.parametrize("kind", METHODS)


class Greys:
    """Images of 16 x 16 pixels, each of its own shade of grey but for a dark frame."""

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        shades = 1.8 * uniforms(3, 0, len(self))[indices] - 0.9
        image = torch.full((len(indices), 3, 16, 16), -0.9)
        image[:, :, 2:14, 2:14] = shades[:, :, None, None]
        return image, torch.zeros(len(indices), 0)


def data() -> TrainingData:
    return TrainingData(Greys(), Attributes(()), 16, 3)


def make(kind: Any, **changes: Any) -> Any:
    torch.manual_seed(1)
    given = {"code_width": 16} if kind is AlphaGAN else {}
    return kind(kind.Config(**{**TINY, **given, "widths": WIDTHS[kind], **changes}), data())


def only_stage(method: Inverter) -> AlternatingStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, AlternatingStage)
    return stage


def take(stage: AlternatingStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, 200)
        images, attributes = Greys().batch(indices)
        batch = Batch(step, Draws(7, step, 0, 1), images, attributes, indices)
        reports.append(stage.step(batch))
    return reports


@every
def test_training_learns_to_reconstruct(kind: Any) -> None:
    widths = {VAEGAN: (8, 8, 16, 16), AlphaGAN: (8, 8, 16, 16, 16)}[kind]
    method = make(kind, widths=widths, batch_size=16, norm_momentum=0.9, **FAST[kind])
    reports = take(only_stage(method.train()), range(25))
    error = {VAEGAN: "decoder/pixels", AlphaGAN: "generator/l1"}[kind]
    assert reports[-1][error] < 0.75 * reports[0][error]


@every
def test_latents_depend_on_their_image_alone(kind: Any) -> None:
    method = make(kind)
    take(only_stage(method.train()), range(2))
    method.eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    images, _ = Greys().batch(torch.arange(6))
    with torch.no_grad():
        z = method.encode(images)
        decoded = method.decode(z)
        alone = torch.cat([method.encode(image[None]) for image in images])
        torch.testing.assert_close(torch.cat([method.decode(one[None]) for one in z]), decoded)
    torch.testing.assert_close(alone, z, rtol=1e-4, atol=1e-5)
    assert z.shape == (6, 6)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


@every
def test_samples_are_drawn_from_the_prior(kind: Any) -> None:
    method = make(kind).eval()
    z = method.sample_latents(500, Draws(3, 0, 0, 1))
    assert z.shape == (500, 6)
    assert z.mean().abs() < 0.1
    assert 0.9 < z.std() < 1.1
    assert method.sample(3, Draws(3, 0, 0, 1)).shape == (3, 3, 16, 16)


@every
def test_an_interrupted_training_ends_with_the_same_bits(kind: Any) -> None:
    whole = make(kind).train()
    take(only_stage(whole), range(4))
    first = make(kind).train()
    stage = only_stage(first)
    take(stage, range(2))
    second = make(kind).train()
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(2, 4))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize(
    ("kind", "turns"),
    [
        (VAEGAN, ["discriminator", "encoder", "decoder"]),
        (
            AlphaGAN,
            ["encoder", "encoder", "generator", "generator", "discriminator", "code_discriminator"],
        ),
    ],
)
def test_each_turn_updates_its_network_on_a_fresh_batch(
    kind: Any, turns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = make(kind).train()
    stage = only_stage(method)
    assert stage.batch_size == 8 * len(turns)
    seen: list[tuple[str, Tensor, Tensor]] = []
    losses = stage.losses

    def watched(network: str, images: Tensor, normals: Any) -> dict[str, Tensor]:
        seen.append((network, images, normals("prior")))
        return losses(network, images, normals)

    monkeypatch.setattr(stage, "losses", watched)
    (report,) = take(stage, range(1))
    assert [network for network, _, _ in seen] == turns
    assert {name.split("/")[0] for name in report} == set(turns)
    assert all(torch.isfinite(value) and not value.requires_grad for value in report.values())
    images, _ = Greys().batch(data_order(5, 0, stage.batch_size, 200))
    assert torch.equal(torch.cat([images for _, images, _ in seen]), images)
    for i, (_, _, prior) in enumerate(seen):
        assert prior.shape == (8, 6)
        assert not any(torch.equal(prior, other) for _, _, other in seen[:i])


@every
def test_an_update_leaves_the_other_networks_weights(kind: Any) -> None:
    method = make(kind).train()
    stage = only_stage(method)
    images, _ = Greys().batch(torch.arange(8))
    for network in stage.optimizers:
        before = {name: value.clone() for name, value in method.named_parameters()}
        stage.update(network, images, lambda purpose: torch.randn(8, 6))
        changed = {
            name.split(".")[0]
            for name, value in method.named_parameters()
            if not torch.equal(value, before[name])
        }
        assert changed == {network}


@every
def test_training_works_in_bfloat16(kind: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(only_stage(make(kind).train()), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()


@every
def test_an_epoch_has_as_many_iterations_as_there_are_batches(kind: Any) -> None:
    assert only_stage(make(kind, iterations=None, epochs=3)).steps == 3 * (200 // 8)
    with pytest.raises(
        ValueError, match=r"200 images fills no batch of 201: .* --set batch_size=N"
    ):
        only_stage(make(kind, iterations=None, batch_size=201))


@every
def test_collapse_is_seen(kind: Any) -> None:
    method = make(kind, **FAST[kind]).train()
    stage = only_stage(method)
    take(stage, range(1))
    assert stage.collapsed() is None  # the moving statistics have not settled yet
    keep_statistics(method, 0.1)
    take(stage, range(1, 6))
    assert stage.collapsed() is None
    decoder = method.decoder if kind is VAEGAN else method.generator
    with torch.no_grad():
        decoder.dec_dense_fc_first_layer.weight.zero_()
    assert "same picture" in (stage.collapsed() or "")


@every
def test_a_reference_checkpoint_stands_for_the_training(kind: Any) -> None:
    states = {
        scope: {
            name: value + 1
            for name, value in network.state_dict().items()
            if not name.endswith("num_batches_tracked")  # TensorFlow has none
        }
        for scope, network in make(kind).networks().items()
    }
    method = make(kind)
    method.load_reference(states)
    assert list(method.stages(data())) == []
    for scope, network in method.networks().items():
        for name, value in states[scope].items():
            assert torch.equal(network.state_dict()[name], value)


def official(kind: Any, **changes: Any) -> dict[str, dict[str, Tensor]]:
    networks = make(kind, **changes).networks()
    return {scope: network.state_dict() for scope, network in networks.items()}


@every
def test_a_checkpoint_of_other_settings_names_the_option(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"z_dim is 7, this run's 6: .* --set z_dim=7"):
        make(kind).load_reference(official(kind, z_dim=7))
    widths = (5, *WIDTHS[kind][1:])
    with pytest.raises(ValueError, match=r"widths is \[5, .* --set widths=\[5,"):
        make(kind).load_reference(official(kind, widths=widths))
    for change, message in (
        ({"size": 32}, "size is 16, this run's 32: .* --set dataset.size=16"),
        ({"channels": 1}, "channels is 3, this run's 1: "),
    ):
        other = kind(make(kind).config, replace(data(), **change))
        with pytest.raises(ValueError, match=message):
            other.load_reference(official(kind))


def test_a_checkpoint_of_another_code_discriminator_names_the_option() -> None:
    with pytest.raises(ValueError, match=r"code_width is 9, this run's 16: .* --set code_width=9"):
        make(AlphaGAN).load_reference(official(AlphaGAN, code_width=9))


@every
def test_foreign_and_partial_checkpoints_are_refused(kind: Any) -> None:
    states = official(kind)
    names = list(states)
    with pytest.raises(ValueError, match=f"lacks .*'s network {names[0]}"):
        make(kind).load_reference({name: states[name] for name in names[1:]})
    with pytest.raises(ValueError, match="none of"):
        make(kind).load_reference({**states, names[1]: {"x": torch.ones(1)}})
    del states[names[0]]["bn_1.running_mean"]
    with pytest.raises(ValueError, match=r"bn_1\.running_mean"):
        make(kind).load_reference(states)


@every
def test_images_that_cannot_be_halved_are_named(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"20 px cannot be: .*--set dataset\.size=N"):
        kind(make(kind).config, replace(data(), size=20))


@every
def test_settings_out_of_range_are_named(kind: Any) -> None:
    for wrong in ({"batch_size": 1}, {"widths": (1, 2)}, {"widths": (0,) * 5}, {"z_dim": 0}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            kind.Config(**wrong)


@every
@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
@pytest.mark.parametrize("size", [32, 64])
def test_presets_fit_small_images(kind: Any, preset: str, size: int) -> None:
    with torch.device("meta"):
        kind(kind.configure(preset), replace(data(), size=size))
