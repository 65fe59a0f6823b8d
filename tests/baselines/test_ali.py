from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from baselines.ali import (
    ALI,
    AdversarialStage,
    ALIConfig,
    discriminator_loss,
    encoder_decoder_loss,
    log_odds,
)
from baselines.base import Attributes, Batch, TrainingData
from baselines.nets.ali import Decoder, Discriminator, Encoder
from baselines.randomness import Draws, data_order, uniforms

SETTINGS = (64, 3, 256, 64, 0.02, 0.01)
TINY: dict[str, Any] = {"iterations": 6, "batch_size": 8, "z_dim": 4, "width": 2}


class Lamps:
    """Images of 32 x 32 pixels, each of one brightness, dark or bright."""

    def __len__(self) -> int:
        return 300

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        bright = uniforms(3, 0, len(self))[indices] < 0.5
        images = torch.where(bright, 0.7, -0.7)[:, :, None, None].expand(-1, 3, 32, 32)
        return images.clone(), bright.float()


def data() -> TrainingData:
    return TrainingData(Lamps(), Attributes(()), 32, 3)


def make(**changes: Any) -> ALI:
    torch.manual_seed(1)
    return ALI(ALIConfig(**{**TINY, **changes}), data())


def only_stage(method: ALI) -> AdversarialStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, AdversarialStage)
    return stage


def take(stage: AdversarialStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, 300)
        images, attributes = Lamps().batch(indices)
        torch.manual_seed(step)  # the trainer does so, for dropout
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
    return reports


def sides(network: nn.Module, run: Callable[[], object], kind: type[nn.Module]) -> list[int]:
    """Heights of what the convolutions of one kind return."""
    found: list[int] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda *call: found.append(call[2].shape[-1]))
    run()
    return found


def test_the_networks_have_the_sizes_of_the_paper() -> None:
    kernels = ((3, 64, 2), (64, 128, 7), (128, 256, 5), (256, 256, 7), (256, 512, 4))
    tower = sum(i * o * k * k for i, o, k in kernels)
    encoder, decoder = Encoder(*SETTINGS), Decoder(*SETTINGS)
    discriminator = Discriminator(*SETTINGS, 0.2)
    images, z = torch.zeros(2, 3, 64, 64), torch.zeros(2, 256)
    with torch.no_grad():
        assert sides(encoder, lambda: encoder(images), nn.Conv2d) == [63, 29, 13, 4, 1, 1]
        assert sides(decoder, lambda: decoder(z), nn.ConvTranspose2d) == [4, 13, 29, 63, 64]
        seen = sides(discriminator, lambda: discriminator(images, z), nn.Conv2d)
    assert seen == [63, 29, 13, 4, 1]
    counts = [sum(one.numel() for one in net.parameters()) for net in (encoder, decoder)]
    norms = 2 * (64 + 128 + 256 + 256 + 512)
    assert counts[0] == tower + 512 * 512 + 512 + norms
    latents_in = 256 * 512 * 16 + 512 * 256 * 49 + 256 * 256 * 25 + 256 * 128 * 49 + 128 * 64 * 4
    assert counts[1] == latents_in + 64 * 3 + 3 * 64 * 64 + norms
    dense = 256 * 1024 + 1024**2 + (1536 + 1) * 2048 + (2048 + 1) * 2048 + 2049
    found = sum(one.numel() for one in discriminator.parameters())
    assert found == tower + 64 + norms - 2 * 64 + dense


def test_images_of_32_px_have_networks_of_their_own() -> None:
    method = make(width=None)
    assert method.encoder.main[0].out_channels == 32
    images, z = torch.zeros(2, 3, 32, 32), torch.zeros(2, 4)
    seen = sides(method.encoder, lambda: method.encoder(images), nn.Conv2d)
    assert seen == [28, 13, 10, 4, 1, 1, 1]
    seen = sides(method.decoder, lambda: method.decoder(z), nn.ConvTranspose2d)
    assert seen == [4, 10, 13, 28, 32, 32]


def test_dropout_stands_before_every_layer_of_the_discriminator() -> None:
    layers = [
        module
        for module in make(dropout=0.3).discriminator.modules()
        if isinstance(module, (nn.Dropout, nn.Conv2d, nn.Linear))
    ]
    assert len(layers) == 20
    for before, layer in zip(layers[::2], layers[1::2], strict=True):
        assert isinstance(before, nn.Dropout)
        assert before.p == 0.3
        assert isinstance(layer, (nn.Conv2d, nn.Linear))


def test_one_pass_updates_all_networks_by_the_gradients_of_the_start() -> None:
    method = make(dropout=0.0, encoder_decoder_rate=1e-3, discriminator_rate=1e-3).train()
    start = copy.deepcopy(method)
    images, _ = Lamps().batch(torch.arange(8))
    z, noise = torch.randn(8, 4), torch.randn(8, 4)
    only_stage(method).update(images, z, noise)
    mean, log_deviation = start.encoder(images)
    codes = torch.cat([mean + log_deviation.exp() * noise, z])
    logits = start.discriminator(torch.cat([images, start.decoder(z)]), codes)
    ours = [*start.encoder.parameters(), *start.decoder.parameters()]
    theirs = list(start.discriminator.parameters())
    for loss, parameters in ((encoder_decoder_loss, ours), (discriminator_loss, theirs)):
        gradients = torch.autograd.grad(loss(*logits.chunk(2)), parameters, retain_graph=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
    torch.optim.Adam([*ours, *theirs], lr=1e-3, betas=(0.5, 0.999)).step()
    for (name, value), wanted in zip(method.named_parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(value, wanted, msg=name)
    for name, value in method.named_buffers():
        if name.endswith("num_batches_tracked"):  # one batch of both kinds of pairs
            assert value == 1, name


@pytest.mark.parametrize("learner", ["discriminator", "encoder_decoder"])
def test_each_side_learns_against_the_other(learner: str) -> None:
    rates = {f"{name}_rate": 0.0 for name in ("discriminator", "encoder_decoder")}
    rates[f"{learner}_rate"] = 3e-3
    method = make(iterations=25, width=4, weights_std=0.05, dropout=0.0, **rates).train()
    reports = take(only_stage(method), range(25))
    assert reports[-1][learner] < 0.96 * reports[0][learner]


def test_an_image_has_one_latent_and_a_latent_one_image() -> None:
    method = make().train()
    take(only_stage(method), range(3))
    method.eval()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        z = method.encode(images)
        assert z.shape == (4, 4)
        samples = method.sample(3, Draws(1, 0, 0, 1))
        assert samples.shape == (3, 3, 32, 32)
        assert samples.abs().max() <= 1
        alone = torch.cat([method.encode(images[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(alone, z, rtol=1e-4, atol=1e-6)
        decoded = torch.cat([method.decode(z[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(decoded, method.decode(z), rtol=1e-4, atol=1e-6)


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    whole = make().train()
    take(only_stage(whole), range(6))
    first = make().train()
    stage = only_stage(first)
    take(stage, range(3))
    second = make().train()
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_decoder_starts_at_the_log_odds_of_the_pixels() -> None:
    method = make(encoder_decoder_rate=0.0).train()
    wanted = log_odds(Lamps())
    images, _ = Lamps().batch(torch.arange(300))
    torch.testing.assert_close(2 * wanted.sigmoid() - 1, images.mean(dim=0))
    take(only_stage(method), range(1))
    assert torch.equal(method.decoder.bias, wanted)


def test_the_length_is_given_in_epochs_or_in_steps() -> None:
    assert only_stage(make(iterations=None, epochs=3, batch_size=40)).steps == 3 * 7
    assert only_stage(make(iterations=5, epochs=3)).steps == 5


def test_collapse_is_seen() -> None:
    method = make().train()
    stage = only_stage(method)
    with torch.no_grad():
        method.decoder.main[-1].weight.zero_()
    assert stage.collapsed() is None  # too early to tell
    for name, buffer in method.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.fill_(1000)
    reason = stage.collapsed()
    assert reason is not None
    assert "same picture" in reason
    assert method.training


def test_bad_input_names_the_option() -> None:
    with pytest.raises(ValueError, match=r"64 and 32 px only.*has 48 px.*dataset\.size=64"):
        ALI(ALIConfig(**TINY), replace(data(), size=48))
    with pytest.raises(ValueError, match=r"300 images fills no batch of 400.*batch_size=N"):
        only_stage(make(iterations=None, batch_size=400))
    with pytest.raises(ValidationError, match="batch_size"):
        ALIConfig(batch_size=1)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
@pytest.mark.parametrize("size", [32, 64])
def test_presets_fit_small_images(preset: str, size: int) -> None:
    config = ALI.configure(preset)
    assert isinstance(config, ALIConfig)
    with torch.device("meta"):
        ALI(config, replace(data(), size=size))
