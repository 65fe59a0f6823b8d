from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.base import Attributes, TrainingData
from baselines.gradient_inversion import GradientInversion, GradientInversionConfig, image_losses
from baselines.nets.dcgan import Generator
from baselines.randomness import Draws

QUICK = {"steps": 60, "learning_rate": 0.1, "restarts": 3}


class Halves(torch.nn.Linear):
    """A network whose parameters are no part of the method."""

    name, sha256, layers = "halves", "0" * 64, ("top", "bottom")

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        return [*images.chunk(2, dim=2)]


@pytest.fixture
def dcgan_data() -> TrainingData:
    """Latents of 6 numbers, images of 32 x 32."""
    torch.manual_seed(1)
    generator = Generator(32, 3, 6, width=4)
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    generator(torch.randn(256, 6))
    generator.main[-2].weight.data.mul_(20.0)  # else all images are nearly grey
    generator.eval().requires_grad_(False)
    return TrainingData(
        train=None,  # type: ignore[arg-type]  # nothing is trained
        attributes=Attributes(()),
        size=32,
        channels=3,
        generator=generator,
        extractor=lambda name: Halves(2, 2),
    )


@pytest.fixture(params=["z", "w"])
def data(request: pytest.FixtureRequest, dcgan_data: TrainingData, tiny_data: Any) -> TrainingData:
    return dcgan_data if request.param == "z" else tiny_data


def build(data: TrainingData, **settings: Any) -> GradientInversion:
    return GradientInversion(GradientInversionConfig(**settings), data).eval()


@torch.no_grad()
def samples(method: GradientInversion, count: int = 5) -> tuple[Tensor, Tensor]:
    latents = method.sample_latents(count, Draws(7, 0, 0, 1))
    return latents, method.decode(latents)


@torch.no_grad()
def errors(method: GradientInversion, images: Tensor) -> Tensor:
    return image_losses(method.decode(method.encode(images)), images, "mse")


def test_it_finds_what_images_were_made_of(data: TrainingData) -> None:
    method = build(data, **QUICK)
    assert not list(method.parameters())
    assert not list(method.stages(data))
    assert method.steps_per_image == 180
    latents, images = samples(method)
    spread = float(images.var(dim=0).mean())
    assert spread > 1e-3
    assert errors(method, images).mean() < 0.05 * spread
    found = method.encode(images)
    assert found.shape == latents.shape
    assert not found.requires_grad
    assert not images.requires_grad
    assert (found - latents).square().mean() < 0.5 * latents.var(dim=0).mean()


def test_an_image_gets_its_latents_whatever_the_batch(data: TrainingData) -> None:
    settings = {"steps": 15, "learning_rate": 0.1, "restarts": 2, "candidates": 9}
    method = build(data, **settings)
    _, images = samples(method)
    together = method.encode(images)
    assert torch.equal(method.encode(images), together)
    alone = torch.cat([method.encode(image) for image in images.split(1)])
    torch.testing.assert_close(alone, together, atol=1e-3, rtol=1e-3)
    in_parts = build(data, **settings, batch_size=3).encode(images.flip(0)).flip(0)
    torch.testing.assert_close(in_parts, together, atol=1e-3, rtol=1e-3)


def test_the_best_restart_and_the_best_step_count(data: TrainingData) -> None:
    one, three = (build(data, steps=8, learning_rate=0.2, restarts=count) for count in (1, 3))
    _, images = samples(one)
    assert (errors(three, images) <= errors(one, images) * 1.001).all()
    assert errors(three, images).sum() < errors(one, images).sum()
    wild = build(data, steps=3, learning_rate=50.0)
    still = build(data, steps=1, learning_rate=1e-9)
    assert (errors(wild, images) <= errors(still, images) * 1.001).all()


@pytest.mark.parametrize("image_loss", ["mse", "mae"])
def test_each_image_follows_the_candidates_nearest_to_it(
    data: TrainingData, image_loss: str
) -> None:
    method = build(data, steps=1, learning_rate=1e-9, candidates=40, image_loss=image_loss)
    looked_at = method._latents(method._candidates)
    with torch.no_grad():
        pictures = method.decode(looked_at)
    found = method.encode(pictures[[31, 4]])
    torch.testing.assert_close(found, looked_at[[31, 4]])
    followed = build(data, candidates=40, restarts=2)._starts(pictures)
    assert followed.shape == (40, 2, looked_at.shape[1])


def test_w_starts_at_its_mean(tiny_data: TrainingData) -> None:
    method = build(tiny_data, steps=1, learning_rate=1e-9)
    _, images = samples(method, 2)
    with torch.no_grad():
        z = torch.randn(4096, 6)
        mean = tiny_data.generator.mapping(z)[:, 0].mean(dim=0)
    torch.testing.assert_close(method.encode(images)[0], mean, atol=0.1, rtol=0.0)
    assert method.interpolation == "linear"


def test_paths_in_z_are_spherical(dcgan_data: TrainingData) -> None:
    assert build(dcgan_data).interpolation == "spherical"


@pytest.mark.parametrize("clipping", ["standard", "stochastic"])
def test_clipping_keeps_latents_in_the_range(dcgan_data: TrainingData, clipping: Any) -> None:
    settings = {"steps": 20, "learning_rate": 0.5, "clipping_range": 1.0}
    free = build(dcgan_data, **settings)
    _, images = samples(free)
    assert free.encode(images).abs().max() > 1.5
    bounded = build(dcgan_data, **settings, clipping=clipping)
    positions = torch.tensor([[-3.0, 0.5, 1.5, 0.9, -1.0, 7.0]]).repeat(2, 1)
    bounded._clip(positions, step=4)
    assert positions.abs().max() <= 1
    assert torch.equal(positions[0], positions[1])  # the same for each image
    assert torch.equal(positions[0, [1, 3, 4]], torch.tensor([0.5, 0.9, -1.0]))
    assert bool((positions[0].abs() == 1).sum() > 1) == (clipping == "standard")
    assert torch.equal(bounded.encode(images), bounded.encode(images))


def test_a_feature_loss_is_added(dcgan_data: TrainingData) -> None:
    plain, felt = (build(dcgan_data, **QUICK, feature_weight=weight) for weight in (0.0, 2.0))
    assert not list(felt.parameters())
    _, images = samples(plain)
    made = images.roll(1, dims=0)
    base = plain._losses(made, images, plain._feature_maps(images))
    both = felt._losses(made, images, felt._feature_maps(images))
    torch.testing.assert_close(both, 3 * base)  # the mean over two halves is that of the whole
    assert errors(felt, images).mean() < 0.05 * float(images.var(dim=0).mean())


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_presets_are_valid(preset: str) -> None:
    assert GradientInversion.configure(preset)


def test_bad_input(dcgan_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="name one with --generator"):
        build(replace(dcgan_data, generator=None))
    with pytest.raises(ValueError, match=r"of 32 pixels .* 64: set dataset\.size=32"):
        build(replace(dcgan_data, size=64))
    with pytest.raises(ValueError, match="of 3 channels and the dataset has 1"):
        build(replace(dcgan_data, channels=1))
    with pytest.raises(ValueError, match="add --set feature_weight=0"):
        build(replace(dcgan_data, extractor=None), feature_weight=1.0)
    with pytest.raises(ValueError, match=r"candidates \(2\) are fewer than restarts \(3\)"):
        build(dcgan_data, candidates=2, restarts=3)
    method = build(dcgan_data, steps=1)
    with pytest.raises(ValueError, match=r"\(3, 16, 16\) and the generator's of \(3, 32, 32\)"):
        method.encode(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="have 5 numbers and the generator's have 6"):
        method.decode(torch.zeros(2, 5))
