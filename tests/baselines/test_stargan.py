from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData
from baselines.nets.stargan import Discriminator, Generator
from baselines.randomness import Draws, data_order, uniforms
from baselines.stargan import (
    AdversarialStage,
    StarGAN,
    StarGANConfig,
    joint_condition,
    target_labels,
)
from baselines.stargan_losses import classification_loss, gradient_penalty
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "editing"
NAMES = ("red", "green", "bright")
TINY: dict[str, Any] = {
    "iterations": 7,
    "batch_size": 8,
    "generator_width": 4,
    "residual_blocks": 1,
    "discriminator_width": 8,
    "discriminator_layers": 2,
    "critic_steps": 2,
}


class Squares:
    """Squares of 16 x 16 pixels: red, green or blue, bright or dark, at various places."""

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        table = uniforms(3, 0, len(self), 4)[indices]
        colour, bright = (table[:, 0] * 3).long(), table[:, 1] < 0.5
        attributes = torch.stack([colour == 0, colour == 1, bright], dim=1).float()
        image = torch.where(bright, 0.3, -0.3)[:, None, None, None].repeat(1, 3, 16, 16)
        for i, (x, y) in enumerate((table[:, 2:] * 6).long().tolist()):
            image[i, :, y : y + 10, x : x + 10] = -0.9
            image[i, colour[i], y : y + 10, x : x + 10] = 0.9
        return image, attributes


COLOURED = Attributes(NAMES, (("red", "green"),))


def data(attributes: Attributes = COLOURED) -> TrainingData:
    return TrainingData(Squares(), attributes, 16, 3)


def make(**changes: Any) -> StarGAN:
    torch.manual_seed(1)
    return StarGAN(StarGANConfig(**{**TINY, **changes}), data())


def take(stage: AdversarialStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, len(stage.data.train))
        images, attributes = stage.data.train.batch(indices)
        batch = Batch(step, Draws(7, step, 0, 1), images, attributes, indices)
        reports.append(stage.step(batch))
    return reports


def only_stage(method: StarGAN) -> AdversarialStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, AdversarialStage)
    return stage


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("stargan_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_the_networks_have_the_official_numbers_of_parameters() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator(5), Discriminator(5)
    assert sum(value.numel() for value in generator.parameters()) == 8_430_528
    assert sum(value.numel() for value in discriminator.parameters()) == 44_762_048


def test_training_learns_to_colour() -> None:
    method = make(
        iterations=90,
        generator_width=8,
        critic_steps=1,
        generator_rate=4e-3,
        discriminator_rate=4e-3,
    )
    reports = take(only_stage(method.train()), range(90))
    first, last = reports[0], reports[-1]
    name = "discriminator_classification"
    assert last[name] < 0.2 * first[name]
    assert last["reconstruction"] < 0.8 * first["reconstruction"]
    images, source = data().train.batch(torch.arange(32))
    target = torch.tensor([1.0, 0.0, 0.0]).expand_as(source)
    with torch.no_grad():
        red = method.eval().edit(images, source, target)
        green = method.edit(images, source, target[:, [1, 0, 2]])
    more = (red - green).mean(dim=(0, 2, 3))
    assert more[0] > 0.1
    assert more[1] < -0.1


def test_edits_are_repeatable_and_change_nothing() -> None:
    method = make()
    take(only_stage(method.train()), range(3))
    before = {name: value.clone() for name, value in method.eval().state_dict().items()}
    images, source = data().train.batch(torch.arange(4))
    with torch.no_grad():
        edited = method.edit(images, source, 1 - source)
        assert torch.equal(method.edit(images, source, 1 - source), edited)
        alone = torch.cat(
            [method.edit(images[i : i + 1], source, 1 - source[i : i + 1]) for i in range(4)]
        )
    torch.testing.assert_close(alone, edited, rtol=1e-4, atol=1e-5)
    assert edited.abs().max() <= 1
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_edits_use_the_statistics_of_each_image_unless_told_otherwise() -> None:
    method, other = make(), make(per_image_statistics=False)
    take(only_stage(method.train()), range(2))
    other.load_state_dict(method.state_dict())
    images, source = data().train.batch(torch.arange(4))
    with torch.no_grad():
        as_trained = method.generator(images, source)
        edited = method.eval().edit(images, source, source)
        by_running = other.eval().edit(images, source, source)
    torch.testing.assert_close(edited, as_trained)
    assert (by_running - edited).abs().max() > 0.01


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    whole = make().train()
    take(only_stage(whole), range(7))
    first = make().train()
    stage = only_stage(first)
    take(stage, range(3))
    second = make().train()
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(3, 7))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_generator_learns_in_every_critic_step_only() -> None:
    method = make(critic_steps=3).train()
    stage = only_stage(method)
    for step in range(6):
        before = [value.clone() for value in method.generator.parameters()]
        (report,) = take(stage, range(step, step + 1))
        same = all(map(torch.equal, before, method.generator.parameters()))
        assert same == (step not in (2, 5)) == ("reconstruction" not in report)
        assert all(value.requires_grad for value in method.parameters())


def test_training_works_in_bfloat16() -> None:
    method = make(critic_steps=1).train()
    before = [value.clone() for value in method.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(only_stage(method), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()
    assert not any(map(torch.equal, before, method.parameters()))


def test_images_are_mirrored_by_half_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(flip: bool) -> Tensor:
        stage = only_stage(make(flip=flip, batch_size=100))
        images: list[Tensor] = []
        monkeypatch.setattr(stage, "iterate", lambda step, real, *rest: images.append(real) or {})
        take(stage, range(1))
        return images[0]

    plain, mixed = seen(False), seen(True)
    mirrored = (mixed != plain).flatten(1).any(dim=1)
    assert torch.equal(mixed[mirrored], plain[mirrored].flip(3))
    assert 30 < int(mirrored.sum()) < 70


def test_targets_are_the_batch_shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = only_stage(make(batch_size=50))
    found: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(
        stage,
        "iterate",
        lambda step, real, source, target, share: found.append((source, target)) or {},
    )
    take(stage, range(2))
    for source, target in found:
        assert not torch.equal(source, target)
        assert torch.equal(source.sort(dim=0).values, target.sort(dim=0).values)


@given(iteration=st.integers(0, 200_000))
def test_released_rates_hardly_fall_and_published_ones_reach_zero(iteration: int) -> None:
    released, published = StarGANConfig(), StarGANConfig(decay="published")
    left = 1 - max(iteration - 100_000, 0) / 100_000
    assert published.rate_factor(iteration) == pytest.approx(left)
    assert 0.999 <= released.rate_factor(iteration) <= 1
    assert released.rate_factor(200_000) == pytest.approx(0.999)


def test_rates_without_a_decay_stay_and_short_trainings_decay_all_along() -> None:
    assert StarGANConfig(decay_iterations=0).rate_factor(200_000) == 1
    short = StarGANConfig(iterations=10, decay="published")
    assert [short.rate_factor(i) for i in (0, 5, 10)] == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize(
    ("attributes", "asked", "expected"),
    [
        (Attributes(NAMES, (NAMES,), classes=True), None, "classes"),
        (Attributes(NAMES, (NAMES,)), None, "multi-label"),  # hair colours: some images have none
        (Attributes(NAMES), None, "multi-label"),
        (Attributes(NAMES, (NAMES,), classes=True), "multi-label", "multi-label"),
    ],
)
def test_labels_are_classes_where_each_image_has_one(
    attributes: Attributes, asked: Any, expected: str
) -> None:
    method = StarGAN(StarGANConfig(**TINY, label_type=asked), data(attributes))
    assert method.label_type == expected


def test_class_losses_follow_their_formulas() -> None:
    logits = torch.randn(4, 5)
    labels = F.one_hot(torch.tensor([0, 3, 3, 4]), 5).float()
    summed = F.binary_cross_entropy_with_logits(logits, labels) * 5
    torch.testing.assert_close(classification_loss(logits, labels, "multi-label"), summed)
    softmax = F.cross_entropy(logits, labels.argmax(dim=1))
    torch.testing.assert_close(classification_loss(logits, labels, "classes"), softmax)


@given(slope=st.floats(0.125, 4), size=st.integers(1, 5))
def test_the_penalty_of_a_linear_critic_is_known(slope: float, size: int) -> None:
    images = torch.randn(3, 2, size, size)
    norm = slope * (2 * size * size) ** 0.5
    found = gradient_penalty(lambda some: (slope * some, None), images)  # type: ignore[arg-type]
    assert found.item() == pytest.approx((norm - 1) ** 2, rel=1e-3, abs=1e-5)


@given(seed=st.integers(0, 999))
def test_targets_change_one_attribute_and_keep_groups_exclusive(seed: int) -> None:
    names = ("a", "b", "c", "d", "e")
    source = (uniforms(seed, 0, 20, 5) < 0.5).float()
    targets = target_labels(source, Attributes(names, (("b", "d"),)))
    for i in (0, 2, 4):
        changed = (targets[i] != source).any(dim=0)
        assert changed.nonzero().flatten().tolist() == [i]
        assert torch.equal(targets[i, :, i], 1 - source[:, i])
    for i, other in ((1, 3), (3, 1)):
        assert targets[i, :, i].all()
        assert not targets[i, :, other].any()
        assert torch.equal(targets[i][:, [0, 2, 4]], source[:, [0, 2, 4]])


def test_a_joint_condition_says_whose_labels_are_known() -> None:
    labels = torch.ones(2, 3)
    found = joint_condition(labels, 1, (2, 3, 1))
    assert found.tolist() == [[0, 0, 1, 1, 1, 0, 0, 1, 0]] * 2


def test_collapse_is_seen_only_when_all_edits_agree() -> None:
    method = make().train()
    stage = only_stage(method)
    take(stage, range(2))
    before = [buffer.clone() for buffer in method.buffers()]
    assert stage.collapsed() is None
    assert method.generator.training
    with torch.no_grad():
        method.generator.main[-2].weight.zero_()
    reason = stage.collapsed()
    assert reason is not None
    assert "same picture" in reason
    assert all(map(torch.equal, before, method.buffers()))


def official(**changes: Any) -> dict[str, dict[str, Tensor]]:
    method = make(**changes)
    return {
        "G": dict(sorted(method.generator.state_dict().items())),
        "D": dict(method.discriminator.state_dict()),
    }


def test_a_reference_checkpoint_stands_for_the_training() -> None:
    states = official()
    states["G"] = {name: value + 1 for name, value in states["G"].items()}
    for name in [name for name in states["G"] if name.endswith("num_batches_tracked")]:
        del states["G"][name]  # PyTorch 0.4.0 had none
    method = make()
    method.load_reference(states)
    assert list(method.stages(data())) == []
    for name, value in states["G"].items():
        assert torch.equal(method.generator.state_dict()[name], value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_width": 6}, "generator width is 6, this run's 4.*--set generator_width=6"),
        ({"residual_blocks": 0}, "residual blocks is 0, .*--set residual_blocks=0"),
        ({"discriminator_width": 2}, "discriminator width is 2, this run's 8"),
        ({"discriminator_layers": 3}, "discriminator layers is 3"),
    ],
)
def test_a_checkpoint_of_other_settings_names_the_option(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make().load_reference(official(**changes))


def test_a_checkpoint_of_other_data_names_the_option() -> None:
    config = StarGANConfig(**TINY)
    others = {
        r"attributes is 3, this run's 2.*--set dataset.attributes=\[...\], with 3 names": replace(
            data(), attributes=Attributes(NAMES[:2])
        ),
        r"size is 16, this run's 32.*--set dataset.size=16": replace(data(), size=32),
        r"channels is 3, this run's 1": replace(data(), channels=1),
    }
    for message, other in others.items():
        with pytest.raises(ValueError, match=message):
            StarGAN(config, other).load_reference(official())


def test_foreign_and_partial_checkpoints_are_refused() -> None:
    states = official()
    with pytest.raises(ValueError, match="lacks StarGAN's network D"):
        make().load_reference({"G": states["G"]})
    with pytest.raises(ValueError, match="none of StarGAN"):
        make().load_reference({"G": {"x": torch.ones(1)}, "D": states["D"]})
    del states["G"]["main.1.running_mean"]
    with pytest.raises(ValueError, match=r"main\.1\.running_mean"):
        make().load_reference(states)


@pytest.mark.parametrize(
    ("changes", "other", "named"),
    [
        ({}, {"attributes": Attributes(())}, "the dataset has none"),
        ({}, {"size": 18}, "multiple of 4.*dataset.size"),
        ({"discriminator_layers": 5}, {}, "choose at most 4 by --set discriminator_layers"),
        ({"label_type": "classes"}, {}, "label_type=multi-label"),
    ],
)
def test_data_that_do_not_fit_are_named(
    changes: dict[str, Any], other: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        StarGAN(StarGANConfig(**{**TINY, **changes}), replace(data(), **other))


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValidationError, match="critic_steps"):
        StarGANConfig(critic_steps=0)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_presets_fit_small_images(preset: str) -> None:
    config = StarGAN.configure(preset)
    assert isinstance(config, StarGANConfig)
    size = 128 if preset == "paper" else 32
    with torch.device("meta"):
        StarGAN(config, replace(data(), size=size))
