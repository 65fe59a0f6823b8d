from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.base import Attributes, Stage, TrainingData
from baselines.nets.stylegan2 import Generator
from baselines.nets.vgg_encoder import VGG16_BLOCKS, Encoder
from baselines.randomness import uniforms
from baselines.stylegan2_encoder import AdversarialStage, StyleGAN2Encoder
from baselines.stylegan2_encoder_losses import discriminator_losses, feature_distance
from bench.catalog import lookup
from bench.feed import Feed
from bench.trainer import TrainingOptions, train

QUIET = TrainingOptions(device="cpu", quiet=True)
TINY: dict[str, Any] = {"discriminator_layers": 2, "inversion_steps": 2, "iterations": 3}


class Pictures:
    """Images of the generator; the sign of a coordinate of w is an attribute."""

    def __init__(self, generator: Generator) -> None:
        z = (uniforms(3, 0, 64, generator.z_dim) - 0.5) * 4
        with torch.no_grad():
            ws = generator.mapping(z)
            self.images = nn.functional.interpolate(generator.synthesis(ws), 16, mode="area")
        centred = ws[:, 0] - ws[:, 0].mean(dim=0)
        self.attributes = (centred[:, :2] > 0).float()

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.attributes[indices]


@pytest.fixture(scope="module")
def data() -> TrainingData:
    torch.manual_seed(0)
    generator = Generator(
        z_dim=6,
        w_dim=8,
        img_resolution=32,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 128, "channel_max": 8},
    )
    generator.eval().requires_grad_(False)
    return TrainingData(Pictures(generator), Attributes(("a", "b")), 16, 3, generator)


def make(data: TrainingData, **changes: Any) -> StyleGAN2Encoder:
    torch.manual_seed(1)
    config = StyleGAN2Encoder.configure("smoke", {**TINY, **changes})
    return StyleGAN2Encoder(config, data)  # type: ignore[arg-type]


def batches(stage: Stage, data: TrainingData, steps: int) -> Iterator[dict[str, Tensor]]:
    with Feed(stage, data, 5, 0, 1, torch.device("cpu")) as feed:
        for step in range(steps):
            yield stage.step(feed.batch(step))


class Features(nn.Module):
    """Enough of an extractor: VGG16's convolutions and two kinds of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Encoder(VGG16_BLOCKS, torch.randn(4, 3)).features

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        return [images, images.flip(2) ** 2]


def test_training_moves_all_but_the_generator_and_edits_are_deterministic(
    data: TrainingData,
) -> None:
    frozen = {name: value.clone() for name, value in data.generator.state_dict().items()}
    method = make(data)
    before = {name: value.clone() for name, value in method.named_parameters()}
    for stage in method.stages(data):
        for losses in batches(stage, data, stage.steps):
            assert torch.isfinite(torch.stack(list(losses.values()))).all()
        assert stage.collapsed() is None
    for name, value in method.named_parameters():
        assert not torch.equal(value, before[name]), name
    for name, value in data.generator.state_dict().items():
        assert torch.equal(value, frozen[name]), name
    assert not any("synthesis" in name for name in method.state_dict())

    method.eval()
    images, source = data.train.batch(torch.arange(3))
    with torch.no_grad():
        edited = method.edit(images, source, 1 - source)
        assert torch.equal(edited, method.edit(images, source, 1 - source))
        kept = method.edit(images, source, source)
        assert torch.allclose(kept, method.synthesize(method.encoder(images)).clamp(-1, 1))
    assert edited.shape == images.shape
    assert edited.abs().max() <= 1
    assert not torch.equal(edited, kept)


def test_the_encoder_learns_the_generators_codes(data: TrainingData) -> None:
    method = make(
        data, inversion_steps=60, encoder_width=8, inversion_batch=16, inversion_rate=1e-2
    )
    stage = next(method.stages(data))
    losses = [float(report["code"]) for report in batches(stage, data, 60)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_the_vectors_start_at_the_regression_of_codes_on_attributes(data: TrainingData) -> None:
    images, attributes = data.train.batch(torch.arange(64))
    constant = torch.ones(64, 1)
    started = {}
    for samples in (0, 64):
        method = make(data, vector_samples=samples, vector_rate=1e-9)
        with torch.no_grad():
            codes = method.encoder(images)
        *_, stage = method.stages(data)
        next(batches(stage, data, 1))
        started[samples] = method.vectors.weight.detach()
    inputs = torch.cat([attributes, constant], dim=1)
    expected = torch.linalg.lstsq(inputs, codes).solution[:-1].T
    assert started[0].abs().max() < 1e-6
    assert expected.abs().max() > 1e-3
    assert torch.allclose(started[64], expected, rtol=1e-2, atol=1e-4)


def test_the_narrow_encoder_knows_where_things_are() -> None:
    codes = torch.randn(8, 3)
    images = torch.zeros(1, 3, 32, 32)
    images[:, :, :8, :8] = 1
    for grid in (1, 4):
        encoder = Encoder([(4, 1), (4, 1)], codes, grid)
        moved = encoder(images.roll((16, 16), dims=(2, 3)))
        assert torch.allclose(moved, encoder(images), atol=0.05) == (grid == 1)


def test_editing_learns_to_show_the_target(data: TrainingData) -> None:
    rates = dict.fromkeys(("learning_rate", "vector_rate", "discriminator_rate"), 1e-2)
    method = make(data, iterations=40, batch_size=16, classifier_images="real", **rates)
    *_, stage = method.stages(data)
    reports = list(batches(stage, data, 40))
    for name in ("encoder/classification", "discriminator/classification"):
        values = [float(report[name]) for report in reports]
        assert sum(values[-10:]) < 0.95 * sum(values[:10]), name


def test_an_interrupted_training_ends_with_the_same_bits(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(data)
    train(whole, data, seed=3, folder=tmp_path / "whole", options=QUIET)
    step = AdversarialStage.step

    def stop(stage: AdversarialStage, batch: Any) -> dict[str, Tensor]:
        if batch.step == 2:
            raise KeyboardInterrupt
        return step(stage, batch)

    with monkeypatch.context() as patch:
        patch.setattr(AdversarialStage, "step", stop)
        often = replace(QUIET, checkpoint_seconds=0.0)
        with pytest.raises(KeyboardInterrupt):
            train(make(data), data, seed=3, folder=tmp_path / "part", options=often)
    part = make(data)
    train(part, data, seed=3, folder=tmp_path / "part", options=QUIET)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, part.state_dict()[name]), name


def test_vgg16_takes_the_extractors_convolutions_and_a_new_head(data: TrainingData) -> None:
    features = Features()
    rich = replace(data, extractor=lambda name: features)
    first, second = (
        StyleGAN2Encoder(
            StyleGAN2Encoder.Config(encoder="vgg16", discriminator_layers=2), rich
        ).encoder
        for _ in range(2)
    )
    for name, value in features.features.state_dict().items():
        assert torch.equal(first.features.state_dict()[name], value)
    assert not torch.equal(first.head.weight, second.head.weight)
    assert next(first.features.parameters()).requires_grad
    assert first(torch.zeros(1, 3, 16, 16)).shape == (1, 8)


def test_a_new_encoder_answers_with_the_generators_mean_and_deviation(data: TrainingData) -> None:
    encoder = make(data).encoder
    ws = data.generator.mapping(torch.randn(4000, 6))[:, 0]
    assert torch.allclose(encoder.mean, ws.mean(dim=0), atol=0.1)
    expected = (ws - ws.mean(dim=0)).square().mean().sqrt()
    assert float(encoder.deviation) == pytest.approx(float(expected), rel=0.15)


def test_the_class_head_learns_from_what_the_switch_says(data: TrainingData) -> None:
    images, source = data.train.batch(torch.arange(4))
    for where in ("real", "reconstructed"):
        method = make(data, classifier_images=where)
        losses = []
        for shown in (images, -images):
            restored = shown if where == "real" else images
            real = images if where == "real" else shown
            found = discriminator_losses(
                method.discriminator, method.config, real, images, restored, source, False
            )
            losses.append(float(found["classification"].detach()))
        assert losses[0] == pytest.approx(losses[1])  # the other images have no influence


def test_r1_comes_at_its_interval(data: TrainingData) -> None:
    method = make(data, r1_interval=2)
    *_, stage = method.stages(data)
    reports = list(batches(stage, data, 3))
    assert ["discriminator/r1" in report for report in reports] == [True, False, True]


def test_the_feature_distance_is_zero_for_equal_images_and_at_most_four() -> None:
    config = StyleGAN2Encoder.Config()
    distance = feature_distance(config, SimpleNamespace(extractor=lambda name: Features()))  # type: ignore[arg-type]
    assert distance is not None
    images = torch.rand(2, 3, 4, 4) * 2 - 1
    assert float(distance(images, images)) == 0
    assert 0 < float(distance(images, -images)) <= 4
    without = StyleGAN2Encoder.Config(feature_weight=0)
    assert feature_distance(without, SimpleNamespace(extractor=None)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"generator": None}, {}, "--generator"),
        ({"attributes": Attributes(())}, {}, "needs attributes"),
        ({"size": 64}, {}, r"32 px.*64 px.*dataset.size=32"),
        ({"channels": 1}, {}, "colour channels"),
        ({"size": 24}, {"discriminator_layers": 4}, "multiple of 16"),
        ({}, {"encoder": "vgg16"}, "encoder=narrow"),
    ],
)
def test_bad_input_is_told_in_one_sentence(
    data: TrainingData, changes: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(replace(data, **changes), **settings)


def test_a_feature_distance_without_extractors_is_refused(data: TrainingData) -> None:
    method = make(data, feature_weight=1.0)
    with pytest.raises(ValueError, match="feature_weight=0"):
        list(method.stages(data))


def test_the_catalog_leads_to_it() -> None:
    assert lookup("methods", "stylegan2-encoder").load() is StyleGAN2Encoder
