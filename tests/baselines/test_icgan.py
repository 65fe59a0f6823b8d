"""IcGAN: golden cases, training on discs of three colours, edits, settings and bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData
from baselines.icgan import AdversarialStage, IcGAN, LabelEncoderStage
from baselines.icgan_labels import KnownLabels, edited_labels
from baselines.randomness import Draws
from bench import verify
from bench.errors import Diverged
from bench.trainer import TrainingOptions, train

GOLDEN = Path(__file__).parents[1] / "data" / "editing"
QUIET = TrainingOptions(device="cpu", quiet=True)
TINY: dict[str, Any] = {
    "z_dim": 8,
    "generator_width": 8,
    "discriminator_width": 8,
    "encoder_width": 8,
    "encoder_layers": 3,
    "quarter_width": 16,
    "dense_width": 32,
    "y_encoder_dense": 32,
    "batch_size": 16,
    "gan_steps": 3,
    "z_encoder_steps": 2,
    "y_encoder_steps": 2,
    "refresh_steps": 2,
}
FORMS = ("torch7", "tensorflow", "sun-li")


class Discs:
    """Discs of one of three colours at random places, on a dark or a light background."""

    names = ("red", "green", "blue", "light")
    channels = 3

    def __init__(self, count: int = 96, size: int = 16) -> None:
        draws = torch.Generator().manual_seed(3)
        colour = torch.randint(0, 3, (count,), generator=draws)
        light = torch.randint(0, 2, (count,), generator=draws)
        self.attributes = torch.cat([torch.eye(3)[colour], light[:, None].float()], dim=1)
        places = torch.rand(count, 2, 1, 1, generator=draws) * 0.4 + 0.3
        grid = (torch.arange(size) + 0.5) / size
        inside = ((grid[:, None] - places[:, 0]) ** 2 + (grid - places[:, 1]) ** 2) < 0.06
        paint = torch.eye(3)[colour][:, :, None, None] * 1.6 - 0.8
        ground = (light.float() - 0.5)[:, None, None, None]
        self.images = torch.where(inside[:, None], paint, ground)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.attributes[indices]

    def labels(self, indices: Tensor) -> Tensor:
        return self.attributes[indices]


def discs(size: int = 16) -> TrainingData:
    attributes = Attributes(Discs.names, (("red", "green", "blue"),))
    return TrainingData(Discs(size=size), attributes, size, 3)


def make(data: TrainingData | None = None, **changes: Any) -> IcGAN:
    torch.manual_seed(1)
    config = IcGAN.configure("paper", {**TINY, **changes})
    return IcGAN(config, data or discs())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("icgan_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_edits_show_the_colour_that_was_asked_for(tmp_path: Path) -> None:
    data = discs()
    steps = {"gan_steps": 140, "z_encoder_steps": 60, "y_encoder_steps": 80, "refresh_steps": 20}
    rates = {"learning_rate": 2e-3, "z_encoder_rate": 2e-3, "y_encoder_rate": 2e-3}
    method = make(data, **steps, **rates)
    train(method, data, seed=2, folder=tmp_path, options=QUIET)
    images, source = data.train.batch(torch.arange(60))
    target = torch.cat([source[:, :3].roll(1, dims=1), source[:, 3:]], dim=1)
    with torch.no_grad():
        edited = method.edit(images, source, target)
        again = method.edit(images, source, target)
    assert torch.equal(edited, again)
    # The channel that stands out most from the others at some pixel.
    shown = (edited - edited.mean(dim=1, keepdim=True)).flatten(2).amax(dim=2).argmax(dim=1)
    assert (shown == target[:, :3].argmax(dim=1)).float().mean() > 0.8


@pytest.mark.parametrize("form", FORMS)
def test_an_interrupted_training_ends_with_the_same_bits(form: str, tmp_path: Path) -> None:
    data = discs()
    whole = make(form=form)
    train(whole, data, seed=5, folder=tmp_path / "whole", options=QUIET)
    for stop in (2, 5, 8):  # checkpoints: in the GAN's stage, in the refreshing, in an encoder's
        seen: list[object] = []

        def interrupt(method: object, stop: int = stop, seen: list[object] = seen) -> None:
            seen.append(method)
            if len(seen) == stop:
                raise KeyboardInterrupt

        often = TrainingOptions("cpu", checkpoint_seconds=0, quiet=True, on_checkpoint=interrupt)
        folder = tmp_path / f"{stop}"
        with pytest.raises(KeyboardInterrupt):
            train(make(form=form), data, seed=5, folder=folder, options=often)
        resumed = make(form=form)
        train(resumed, data, seed=5, folder=folder, options=QUIET)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), (stop, name)


def step_of(method: IcGAN, data: TrainingData, step: int = 0) -> Batch:
    indices = torch.arange(16)
    return Batch(step, Draws(4, step, 0, 1), *data.train.batch(indices), indices)


def test_one_step_trains_both_networks_and_settles_only_what_it_used() -> None:
    data = discs()
    method = make(data)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    losses = AdversarialStage(method, data).step(step_of(method, data))
    assert losses.keys() == {"real", "wrong", "fake", "generator"}
    assert not any(loss.requires_grad for loss in losses.values())
    for name, value in method.state_dict().items():
        touched = name.startswith(("generator", "discriminator"))
        # A bias before a batch norm has no gradient; Adam may still make a step of its rounding.
        if not name.endswith("bias"):
            assert torch.equal(value, before[name]) != touched, name
    counts = method.generator.main[2].num_batches_tracked  # type: ignore[union-attr, index]
    assert counts == 1  # the same generated images serve both networks
    assert method.discriminator.main[3].num_batches_tracked == 4  # type: ignore[union-attr, index]
    assert all(parameter.requires_grad for parameter in method.parameters())


def test_the_stages_stand_in_their_order_and_leave_out_what_is_loaded() -> None:
    data = discs()

    def names(method: IcGAN) -> list[str]:
        return [stage.name for stage in method.stages(data)]

    method = make(data)
    assert names(method) == ["gan", "refresh", "z encoder", "y encoder"]
    assert names(make(data, form="tensorflow", refresh_steps=0)) == ["gan", *names(method)[2:]]
    method.load_reference({"G": make(data).generator.state_dict()})
    assert names(method) == ["z encoder", "y encoder"]
    method.load_reference({"Ez": method.z_encoder.state_dict()})
    assert names(method) == ["y encoder"]


def test_lengths_follow_epochs_where_no_steps_are_given() -> None:
    data = discs()
    method = make(data, gan_steps=None, z_encoder_steps=None, y_encoder_steps=None)
    gan, refresh, latents, labels = method.stages(data)
    assert gan.steps == 25 * 96 // 16
    assert refresh.steps == 2
    assert latents.steps == int(15 * 0.66 * 96 / 16)
    assert labels.steps == int(15 * 63 / 16)


def test_the_label_encoder_sees_its_share_only() -> None:
    data = discs()
    assert LabelEncoderStage(make(data, encoder_share=0.25), data).images == 24
    assert LabelEncoderStage(make(data, encoder_share=1.0), data).images == len(data.train)


def test_forms_bring_their_own_settings_and_yield_to_given_ones() -> None:
    lua, mnist, paper = (IcGAN.configure("paper", {"form": form}) for form in FORMS)
    assert (lua.z_dim, lua.wrong_weight, lua.encoder_beta1) == (100, 0.5, 0.1)  # type: ignore[attr-defined]
    assert (mnist.z_dim, mnist.wrong_weight, mnist.statistics) == (64, 0.0, "batch")  # type: ignore[attr-defined]
    assert (paper.dropout, paper.discriminator_width) == (0.5, 128)  # type: ignore[attr-defined]
    changed = IcGAN.configure("small", {"form": "tensorflow", "statistics": "running"})
    assert (changed.statistics, changed.z_dim) == ("running", 32)  # type: ignore[attr-defined]
    for preset in ("smoke", "small", "paper"):
        IcGAN.configure(preset)


def test_sun_and_li_has_five_transposed_convolutions_behind_its_dense_layer() -> None:
    data = TrainingData(Discs(4, 64), Attributes(Discs.names), 64, 3)
    method = make(data, form="sun-li", dropout=0.5)
    assert isinstance(method.generator, torch.nn.Module)
    kinds = [type(layer).__name__ for layer in method.generator.modules()]
    assert (kinds.count("Linear"), kinds.count("ConvTranspose2d")) == (1, 5)
    layers = [type(layer).__name__ for layer in method.discriminator.modules()]
    assert (layers.count("Conv2d"), layers.count("Dropout"), layers.count("BatchNorm2d")) == (
        5,
        4,
        3,
    )
    assert method.generator(torch.zeros(2, 8), torch.ones(2, 4)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_of_nothing_generates_what_was_encoded(form: str) -> None:
    data = discs()
    method = make(data, form=form).eval()
    images, source = data.train.batch(torch.arange(6))
    with torch.no_grad():
        same = method.edit(images, source, source)
        turned = method.edit(images, 1 - source, 1 - source)
        given = make(data, form=form, labels="given").eval()
        other = [given.edit(images, one, one) for one in (source, 1 - source)]
    assert same.shape == images.shape
    assert same.min() >= -1
    assert same.max() <= 1
    assert torch.equal(same, turned)  # the encoder's labels count, not those given
    assert not torch.equal(*other)


def test_statistics_decide_whether_an_edit_depends_on_its_neighbours() -> None:
    data = discs()
    images, source = data.train.batch(torch.arange(6))
    for statistics in ("running", "batch"):
        method = make(data, form="tensorflow", statistics=statistics).eval()
        before = {name: value.clone() for name, value in method.state_dict().items()}
        with torch.no_grad():
            alone = method.edit(images[:2], source[:2], source[:2])
            together = method.edit(images, source, source)[:2]
            single = method.edit(images[:1], source[:1], source[:1])
        assert torch.isfinite(single).all()
        assert torch.allclose(alone, together, atol=1e-6) == (statistics == "running")
        assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_classes_of_the_mnist_form_are_hardened_to_the_largest() -> None:
    encoded = torch.tensor([[0.4, 0.3, 0.1, 0.6], [0.7, 0.9, 0.8, 0.2]])
    everything = Attributes(Discs.names, (Discs.names,), classes=True)
    classes = TrainingData(Discs(), everything, 16, 3)
    hardened = make(classes, form="tensorflow").hardened(encoded)
    assert hardened.tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert make(form="tensorflow").hardened(encoded).tolist() == [[0, 0, 0, 1], [1, 1, 1, 0]]
    assert make(form="tensorflow", threshold=False).hardened(encoded) is encoded


@given(seed=st.integers(0, 1000), low=st.sampled_from([-1.0, 0.0]))
def test_edited_attributes_are_set_and_others_stay_as_encoded(seed: int, low: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    encoded, source, target = torch.randint(0, 2, (3, 4, 5), generator=generator).float()
    encoded = low + (1 - low) * encoded
    groups = [[0, 1, 2]]
    labels = edited_labels(encoded, source, target, groups, low)
    edited = source != target
    assert torch.equal(labels[edited], (low + (1 - low) * target)[edited])
    gains = (edited & (target == 1))[:, :3].any(dim=1)
    for row, gain in enumerate(gains.tolist()):
        for column in range(5):
            if not edited[row, column]:
                cleared = gain and column < 3
                assert labels[row, column] == (low if cleared else encoded[row, column])


@given(seed=st.integers(0, 1000), kinds=st.integers(2, 6))
def test_wrong_labels_differ_and_reach_every_other_image(seed: int, kinds: int) -> None:
    class Few(Discs):
        def __init__(self) -> None:
            draws = torch.Generator().manual_seed(seed)
            drawn = torch.randint(0, kinds, (30,), generator=draws)
            self.attributes = torch.eye(kinds)[torch.cat([torch.arange(kinds), drawn])]
            self.images = torch.zeros(len(self.attributes), 1, 1, 1)

    data = TrainingData(Few(), Attributes(tuple("abcdef"[:kinds])), 8, 1)
    known = KnownLabels(data, -1.0, torch.device("cpu"))
    every = torch.arange(len(data.train))
    spread = torch.linspace(1e-6, 1 - 1e-6, 200)
    for index in every[:kinds]:
        wrong = known.others(index.expand(200), spread[:, None])
        own = known.table[index]
        assert (wrong != own).any(dim=1).all()
        assert len(wrong.unique(dim=0)) == kinds - 1


def test_images_are_mirrored_in_colour_only() -> None:
    data = discs()
    assert AdversarialStage(make(data), data).flip
    assert not AdversarialStage(make(data, horizontal_flip=False), data).flip
    grey = TrainingData(Discs(), data.attributes, 16, 1)
    assert not AdversarialStage(make(grey), grey).flip


def test_the_cross_entropy_is_that_of_the_reference_and_bounded() -> None:
    logits = torch.tensor([0.3, -2.0, 5.0])
    method = make()
    for real in (True, False):
        target = torch.full_like(logits, float(real))
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        torch.testing.assert_close(method.cross_entropy(logits, real), expected)
    assert method.cross_entropy(torch.tensor([-1e4]), True).item() == pytest.approx(
        -math.log(1e-12), rel=1e-4
    )


def test_a_generator_that_ignores_its_latents_has_collapsed(tmp_path: Path) -> None:
    data = discs()
    method = make(data)
    stage = AdversarialStage(method, data)
    assert stage.collapsed() is None
    with torch.no_grad():
        method.generator.main[1].weight[:8] = 0  # type: ignore[union-attr, index]
    assert "same picture" in (stage.collapsed() or "")
    dead = make(data, learning_rate=1e-12)
    dead.load_state_dict(method.state_dict())
    with pytest.raises(Diverged, match="same picture"):
        train(dead, data, seed=1, folder=tmp_path, options=QUIET)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({}, 28, "a power of two from 8 on, not 28: set dataset.size=32"),
        ({"form": "sun-li"}, 4, "a power of two from 8 on, not 4"),
        ({"form": "tensorflow"}, 30, "a multiple of 4, not 30"),
    ],
)
def test_sizes_that_do_not_fit_are_named(changes: dict[str, Any], size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(discs(size), **changes)
    assert make(discs(28), form="tensorflow") is not None


def test_datasets_that_cannot_serve_are_refused() -> None:
    nameless = TrainingData(Discs(), Attributes(()), 16, 3)
    with pytest.raises(ValueError, match="the dataset has none"):
        make(nameless)
    data = discs()
    data.train.attributes[:] = 1  # type: ignore[attr-defined]
    stage = AdversarialStage(make(data), data)
    with pytest.raises(ValueError, match="set wrong_weight=0"):
        stage.step(step_of(make(data), data))
    calm = make(data, wrong_weight=0.0)
    assert "wrong" not in AdversarialStage(calm, data).step(step_of(calm, data))


@pytest.mark.parametrize("changes", [{"form": "lua"}, {"dropout": 1.0}, {"encoder_share": 0.0}])
def test_a_wrong_setting_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        make(**changes)
