from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Batch
from baselines.nets.resnet import BaseModel, Stem, feature_width, residual_network
from baselines.randomness import Draws, data_order, uniforms
from baselines.simclr import ContrastiveStage, EncoderConfig, SimCLREncoder, nt_xent
from baselines.simclr_views import blurred, cropped, hue_shifted, recoloured, view
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "conditional"
TINY: dict[str, Any] = {
    "encoder_base": "resnet10",
    "encoder_width": 8,
    "encoder_stem": "strided",
    "projection_width": 8,
    "encoder_iterations": 60,
    "encoder_batch_size": 16,
    "encoder_rate": 3e-3,
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


class Blobs:
    """Coloured discs of two sizes on dark ground: six kinds."""

    def __len__(self) -> int:
        return 240

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        kind = indices % 6
        table = uniforms(3, 0, len(self), 2)[indices]
        x, y = (8 + 4 * (table - 0.5)).unbind(dim=1)
        grid = torch.arange(16.0)
        radius = torch.where(kind < 3, 3.0, 6.0)[:, None, None]
        away = (grid - x[:, None])[:, None] ** 2 + ((grid - y[:, None]) ** 2)[:, :, None]
        images = -0.8 * torch.ones(len(indices), 3, 16, 16)
        for row, colour in enumerate((kind % 3).tolist()):
            images[row, colour] = torch.where(away[row] < radius[row] ** 2, 0.8, -0.8)
        return images, F.one_hot(kind, 6).float()


def make(**changes: Any) -> ContrastiveStage:
    torch.manual_seed(2)
    config = EncoderConfig(**{**TINY, **changes})
    return ContrastiveStage(config.make_encoder(3), config, Blobs())


def take(stage: ContrastiveStage, steps: range) -> list[dict[str, Tensor]]:
    stage.encoder.train()
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, stage.images or 0)
        images, attributes = Blobs().batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
    return reports


@pytest.mark.parametrize(
    "name", ["infoscc_encoder", "infoscc_nt_xent_cosine", "infoscc_nt_xent_dot"]
)
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


@pytest.mark.parametrize(("base", "count"), [("resnet18", 11_504_832), ("resnet50", 27_966_656)])
def test_the_encoders_have_the_released_numbers_of_parameters(base: BaseModel, count: int) -> None:
    with torch.device("meta"):
        encoder = SimCLREncoder(3, base)
    assert sum(value.numel() for value in encoder.parameters()) == count


@pytest.mark.parametrize("base", ["resnet18", "resnet50"])
def test_the_residual_networks_are_those_of_torchvision(base: BaseModel) -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = torch.nn.Sequential(*list(models.get_model(base).children())[:-1]).eval()
    ours = residual_network(base, 3).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("stem", ["imagenet", "strided", "dense"])
@pytest.mark.parametrize("base", ["resnet10", "resnet50"])
def test_features_of_an_image_do_not_depend_on_its_batch(base: BaseModel, stem: Stem) -> None:
    encoder = SimCLREncoder(1, base, out_dim=5, width=4, stem=stem).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        features, projections = encoder(images)
        alone = encoder.features(images[1:2])
    assert features.shape == (3, feature_width(base, 4))
    assert projections.shape == (3, 5)
    torch.testing.assert_close(alone, features[1:2], atol=1e-4, rtol=1e-4)


def test_encoders_share_nothing() -> None:
    one, other = SimCLREncoder(1, "resnet10", width=4), SimCLREncoder(1, "resnet10", width=4)
    assert not {id(value) for value in one.parameters()} & {id(v) for v in other.parameters()}
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([16, 21, 32]))
def test_crops_are_those_of_torchvision(seed: int, size: int) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    images, numbers = (
        uniforms(seed, 0, 3, 3 * size**2).view(3, 3, size, size),
        uniforms(seed + 1, 0, 3, 23),
    )
    for image, row, got in zip(images, numbers, cropped(images, numbers), strict=True):
        height = width = size
        for area, shape in zip(row[:10].tolist(), row[10:20].tolist(), strict=True):
            area, ratio = size**2 * (0.08 + 0.92 * area), (4 / 3) ** (2 * shape - 1)
            sides = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if max(sides) <= size:
                height, width = sides
                break
        top, left = (
            int(u * (size - side + 1))
            for u, side in zip(row[20:22].tolist(), (height, width), strict=True)
        )
        want = functional.resized_crop(
            image[None], top, left, height, width, [size, size], antialias=False
        )[0]
        torch.testing.assert_close(got, want.flip(2) if row[22] < 0.5 else want, atol=2e-5, rtol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]))
def test_colours_are_changed_as_torchvision_does(seed: int, channels: int) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    images = uniforms(seed, 0, 6, channels * 64).view(6, channels, 8, 8)
    numbers = uniforms(seed + 1, 0, 6, 10)
    for image, row, got in zip(images, numbers, recoloured(images, numbers), strict=True):
        if row[0] < 0.8:
            change = (2 * row[1:5] - 1).tolist()
            operations = (
                lambda x, c=change[0]: functional.adjust_brightness(x, 1 + 0.8 * c),
                lambda x, c=change[1]: functional.adjust_contrast(x, 1 + 0.8 * c),
                lambda x, c=change[2]: functional.adjust_saturation(x, 1 + 0.8 * c),
                lambda x, c=change[3]: functional.adjust_hue(x, 0.2 * c),
            )
            for number in row[5:9].argsort().tolist():
                image = operations[number](image)
        if row[9] < 0.2 and channels == 3:
            image = functional.rgb_to_grayscale(image, 3)
        torch.testing.assert_close(got, image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_blur_is_that_of_torchvision(size: int) -> None:
    functional = pytest.importorskip("torchvision.transforms.functional")
    images, numbers = torch.rand(6, 2, size, size), uniforms(4, 0, 6, 2)
    kernel = 2 * int(0.05 * size) + 1
    for image, row, got in zip(images, numbers, blurred(images, numbers), strict=True):
        if row[0] < 0.5:
            image = functional.gaussian_blur(image, kernel, float(0.1 + 1.9 * row[1]))
        torch.testing.assert_close(got, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_differ_by_name_and_step_and_stay_in_range(channels: int) -> None:
    images = torch.rand(8, channels, 32, 32) * 2 - 1
    first = view(images, Draws(7, 0, 0, 1), "first")
    assert first.shape == images.shape
    assert first.abs().max() <= 1 + 1e-6
    assert torch.equal(first, view(images, Draws(7, 0, 0, 1), "first"))
    for other in (
        view(images, Draws(7, 0, 0, 1), "second"),
        view(images, Draws(7, 1, 0, 1), "first"),
    ):
        assert ((first - other).abs().amax(dim=(1, 2, 3)) > 1e-3).all()


def test_grey_pixels_have_no_hue() -> None:
    grey = torch.rand(2, 1, 4, 4).expand(-1, 3, -1, -1)
    torch.testing.assert_close(hue_shifted(grey, torch.full((2, 1, 1, 1), 0.7)), grey)


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from(["cosine", "dot"]))
def test_the_contrast_is_a_cross_entropy_over_all_other_views(
    seed: int, count: int, similarity: Any
) -> None:
    one, other = uniforms(seed, 0, 2 * count, 3).double().sub(0.5).split(count)
    both = torch.cat([one, other])
    if similarity == "cosine":
        both = both / both.norm(dim=1, keepdim=True)
    terms = []
    for i in range(2 * count):
        similarities = both @ both[i] / 0.3
        others = [similarities[j] for j in range(2 * count) if j != i]
        terms.append(torch.stack(others).logsumexp(dim=0) - similarities[(i + count) % (2 * count)])
    got = nt_xent(one, other, 0.3, similarity)
    torch.testing.assert_close(got, torch.stack(terms).mean())
    torch.testing.assert_close(nt_xent(other, one, 0.3, similarity), got)


def test_training_brings_views_of_an_image_together() -> None:
    stage = make(temperature=0.2)
    stage.encoder.train()
    losses = []
    for step in range(60):
        patterns = uniforms(5, 16 * step, 16, 48).view(16, 3, 4, 4).mul(2).sub(1)
        first = F.interpolate(patterns, (16, 16), mode="bilinear")  # new images in each step
        losses.append(stage.update(step, first, 0.7 * first.roll(1, dims=3))["contrast"])
    assert losses[0] > 2.5
    assert torch.stack(losses[-5:]).mean() < 1
    assert stage.collapsed() is None


def test_a_stage_continues_with_the_same_bits() -> None:
    whole = make()
    take(whole, range(6))
    before = make()
    take(before, range(3))
    after = make()
    after.encoder.load_state_dict(before.encoder.state_dict())
    after.optimizers["encoder"].load_state_dict(before.optimizers["encoder"].state_dict())
    take(after, range(3, 6))
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, after.encoder.state_dict()[name]), name


def test_the_released_rate_falls_by_the_epoch_and_the_complete_one_to_zero() -> None:
    released = EncoderConfig()
    factors = [released.encoder_rate_factor(epoch * 403, 403, 80_600) for epoch in range(200)]
    assert factors[:10] == [1.0] * 10
    assert factors[10] == (1 + math.cos(math.pi / 403)) / 2
    assert factors[-1] == pytest.approx((1 + math.cos(math.pi * 190 / 403)) / 2)  # of 0 to come
    complete = EncoderConfig(encoder_schedule="complete")
    assert complete.encoder_rate_factor(0, 10, 100) == 1
    assert complete.encoder_rate_factor(100, 10, 100) == 0


def test_settings_say_how_long_and_on_what_to_train() -> None:
    stage = make(encoder_iterations=None, encoder_epochs=3)
    assert (stage.images, stage.epoch_steps, stage.steps) == (192, 12, 36)
    assert make(encoder_share=1.0).images == 240
    assert stage.artefact is not None
    assert stage.artefact.settings == {
        name: getattr(stage.config, name) for name in EncoderConfig.model_fields
    }
    assert stage.artefact.module is stage.encoder


def test_an_encoder_that_projects_all_to_one_point_has_collapsed() -> None:
    stage = make()
    assert stage.collapsed() is None
    torch.nn.init.zeros_(stage.encoder._l2.weight)
    assert "same point" in str(stage.collapsed())


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"192 training images.*encoder_batch_size=192"):
        make(encoder_batch_size=193)
    for wrong in ({"encoder_batch_size": 1}, {"temperature": 0}, {"encoder_base": "resnet34"}):
        with pytest.raises(ValidationError):
            EncoderConfig.model_validate(wrong)
