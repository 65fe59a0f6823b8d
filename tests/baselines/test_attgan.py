from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.attgan import (
    AdversarialStage,
    AttGAN,
    AttGANConfig,
    StepDraws,
    discriminator_step,
    generator_step,
    learning_rate,
)
from baselines.attgan_labels import flip, scaled, training_intensity
from baselines.base import Attributes, Batch, TrainingData
from baselines.nets.attgan import Generator
from baselines.randomness import Draws
from bench import verify
from bench.trainer import TrainingOptions, train

GOLDEN = Path(__file__).parents[1] / "data" / "editing"
TINY: dict[str, Any] = {
    "iterations": 12,
    "batch_size": 8,
    "layers": 2,
    "encoder_width": 8,
    "decoder_width": 8,
    "discriminator_layers": 2,
    "discriminator_width": 8,
    "head_width": 16,
    "discriminator_steps": 2,
}
HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")


class Squares:
    """Pictures of 16 px: a square that is red or not, on a ground that is bright or not."""

    def __len__(self) -> int:
        return 64

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        labels = torch.stack([indices % 2, indices // 2 % 2], dim=1).float()
        images = (labels[:, 1] - 0.5)[:, None, None, None].repeat(1, 3, 16, 16)
        images[:, :, 4:12, 2:10] = -0.8
        images[:, 0, 4:12, 2:10] = 1.6 * labels[:, :1, None] - 0.8
        return images + 0.02 * (indices % 7 - 3)[:, None, None, None], labels


def data(**changes: Any) -> TrainingData:
    settings = {"train": Squares(), "attributes": Attributes(("red", "bright"))}
    return TrainingData(**{**settings, "size": 16, "channels": 3, **changes})


def make(given: TrainingData | None = None, **changes: Any) -> AttGAN:
    torch.manual_seed(1)
    config = AttGAN.configure("paper", {**TINY, **changes})
    return AttGAN(config, given or data())  # type: ignore[arg-type]


def batch(method: AttGAN, step: int = 0) -> Batch:
    count = method.config.batch_size
    indices = (torch.arange(count) + step * count) % len(Squares())
    images, labels = Squares().batch(indices)
    torch.manual_seed(step)  # as the trainer does
    return Batch(step, Draws(7, step, 0, 1), images, labels, indices)


def stage(method: AttGAN) -> AdversarialStage:
    (only,) = method.stages(data())
    assert isinstance(only, AdversarialStage)
    return only


def changed(before: dict[str, Tensor], method: AttGAN) -> set[str]:
    """The networks whose weights have moved, and "statistics" if the generator's have."""
    names = [name for name, value in method.state_dict().items() if not value.equal(before[name])]
    return {
        "statistics" if "running" in name or "num_batches" in name else name.split(".")[0]
        for name in names
    }


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("attgan_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_training_learns_to_change_colours(tmp_path: Path) -> None:
    method = make(iterations=120, learning_rate=5e-3, discriminator_steps=1, epochs=1)
    train(method, data(), seed=3, folder=tmp_path, options=TrainingOptions("cpu", quiet=True))
    images, source = Squares().batch(torch.arange(16))

    def look(pictures: Tensor) -> Tensor:
        """How red the squares and how bright the grounds are, (N, 2)."""
        red = pictures[:, 0, 4:12, 2:10].mean(dim=(1, 2))
        return torch.stack([red, pictures[:, :, :, 12:].mean(dim=(1, 2, 3))], dim=1)

    with torch.no_grad():
        same = method.edit(images, source, source)
        assert torch.equal(method.edit(images, source, source), same)
        assert (same - images).abs().mean() < 0.2
        for attribute in range(2):
            target = source.clone()
            target[:, attribute] = 1 - target[:, attribute]
            moved = look(method.edit(images, source, target)) - look(images)
            wanted = scaled(target, 1.0)[:, attribute]
            assert (moved[:, attribute] * wanted).mean() > 0.4, attribute
            assert (moved[:, 1 - attribute]).abs().mean() < 0.3, attribute


def test_the_networks_take_turns_and_each_step_moves_one_of_them() -> None:
    method = make()
    only = stage(method)
    for step in range(6):
        before = copy.deepcopy(method.state_dict())
        losses = only.step(batch(method, step))
        network = "generator" if step in (2, 5) else "discriminators"
        assert changed(before, method) == {network, "statistics"}
        assert {name.split("/")[0] for name in losses} == {network}
        assert not any(loss.requires_grad for loss in losses.values())
        assert all(parameter.requires_grad for parameter in method.parameters())


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    def take(method: AttGAN, steps: range, saved: Any = None) -> Any:
        only = stage(method)
        for name, state in (saved or {}).items():
            only.optimizers[name].load_state_dict(state)
        for step in steps:
            only.step(batch(method, step))
        return {name: one.state_dict() for name, one in only.optimizers.items()}

    for mode in ("wgan", "dcgan"):
        whole, first, second = (make(mode=mode) for _ in range(3))
        take(whole, range(6))
        saved = copy.deepcopy(take(first, range(4)))
        second.load_state_dict(first.state_dict())
        take(second, range(4, 6), saved)
        assert not changed(whole.state_dict(), second)


def test_edited_attributes_are_stronger_than_kept_ones() -> None:
    seen: list[Tensor] = []
    method = make(thres_int=0.25, test_int=2.0).eval()
    method.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    source, target = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    with torch.no_grad():
        method.edit(torch.zeros(1, 3, 16, 16), source, target)
    assert seen[0].tolist() == [[-2.0, -0.25]]


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "lsgan"},
        {"mode": "dcgan"},
        {"b_distribution": "uniform"},
        {"b_distribution": "truncated_normal"},
        {"slope": 0.2},
        {"shortcut_layers": 0},
        {"inject_layers": 0},
        {"flip_images": True},
        {"learning_rate": 1e-3},
        {"thres_int": 1.0},
        {"penalty_weight": 1.0},
        {"reconstruction_weight": 1.0},
        {"generator_class_weight": 1.0},
        {"discriminator_class_weight": 5.0},
        {"encoder_norm": "instancenorm"},
        {"decoder_activation": "lrelu"},
        {"head_norm": "batchnorm"},
    ],
)
def test_every_switch_of_training_changes_what_is_learned(change: dict[str, Any]) -> None:
    usual, other = make(), make(**change)
    for method in (usual, other):
        only = stage(method)
        for step in range(4):
            losses = only.step(batch(method, step))
            assert torch.isfinite(torch.stack(list(losses.values()))).all()
    states = usual.state_dict(), other.state_dict()
    assert any(
        value.shape != states[1][name].shape or not torch.equal(value, states[1][name])
        for name, value in states[0].items()
        if name in states[1]
    )


def test_the_schedule_counts_epochs_or_stretches_them() -> None:
    config = AttGANConfig(epochs=4, decay_epochs=2, batch_size=8, decay=2)
    assert [learning_rate(config, epoch) for epoch in range(5)] == [2e-4, 2e-4, 1e-4, 1e-4, 5e-5]

    def rates(steps: Iterator[int], **changes: Any) -> list[float]:
        method = make(epochs=4, decay_epochs=2, **changes)
        only = stage(method)
        found = []
        for step in steps:
            only.step(batch(method, step))
            found.append(only.optimizers["generator"].param_groups[0]["lr"])
        return found

    assert stage(make(iterations=None, epochs=4)).steps == 4 * 64 // 8
    assert rates(iter((15, 16)), iterations=None) == pytest.approx([2e-4, 2e-5])
    assert rates(iter((4, 5)), iterations=10) == pytest.approx([2e-4, 2e-5])


@given(seed=st.integers(0, 99), beard_rule=st.booleans())
def test_flips_leave_no_contradiction_that_they_could_make(seed: int, beard_rule: bool) -> None:
    names = ("Bald", "Bangs", *HAIR, "Straight_Hair", "Wavy_Hair", "Mustache", "No_Beard", "Male")
    torch.manual_seed(seed)
    labels = torch.randint(2, (5, len(names))).float()
    for place, name in enumerate(names):
        flipped = flip(labels, names, name, beard_rule=beard_rule)
        assert torch.equal(flipped[:, place], 1 - labels[:, place])
        rows = dict(zip(names, flipped.T.bool(), strict=True))
        set_now = rows[name]
        if name in HAIR:
            assert not any((rows[other] & set_now).any() for other in HAIR if other != name)
        if name == "Mustache":
            others = dict(zip(names, labels.T.bool(), strict=True))
            expected = others["No_Beard"] & ~set_now if beard_rule else others["No_Beard"]
            assert torch.equal(rows["No_Beard"], expected)
        off = ~set_now
        kept = [i for i in range(len(names)) if i != place]
        assert torch.equal(flipped[off][:, kept], labels[off][:, kept])


def test_flipping_what_is_not_there_names_the_attributes() -> None:
    with pytest.raises(ValueError, match=r"no attribute 'Gray_Hair'.*red, bright"):
        flip(torch.zeros(1, 2), ("red", "bright"), "Gray_Hair")


@given(seed=st.integers(0, 99), thres_int=st.floats(0.1, 2))
def test_training_intensities_stay_in_their_range(seed: int, thres_int: float) -> None:
    torch.manual_seed(seed)
    for distribution, noise in (
        ("uniform", torch.rand(9, 4)),
        ("truncated_normal", torch.randn(9, 4)),
    ):
        drawn = training_intensity(distribution, thres_int, noise)  # type: ignore[arg-type]
        assert isinstance(drawn, Tensor)
        assert drawn.min() >= 0
        assert drawn.max() <= 2 * thres_int * (1 + 1e-6)
    assert scaled(torch.tensor([[0.0, 1.0]]), thres_int).tolist() == [
        pytest.approx([-thres_int, thres_int])
    ]


def test_six_capped_layers_with_a_shortcut_work() -> None:
    """The reference fails here: it takes the shortcut to be half as wide as the decoder."""
    config = AttGANConfig(layers=6, encoder_width=2, decoder_width=2, max_width=32)
    with torch.no_grad():
        edited = Generator(config, 3, 5)(torch.zeros(2, 3, 64, 64), torch.zeros(2, 5))
    assert edited.shape == (2, 3, 64, 64)


def test_the_default_sizes_are_those_of_the_reference() -> None:
    attributes = Attributes(tuple(f"a{i}" for i in range(13)))
    counts = []
    for inject in (0, 1):
        config = AttGANConfig(inject_layers=inject)
        with torch.device("meta"):
            method = AttGAN(config, data(attributes=attributes, size=128))
        counts.append(sum(p.numel() for p in method.generator.parameters()))
    critics = sum(p.numel() for p in method.discriminators.parameters())
    assert (*counts, critics) == (43_352_707, 43_459_203, 44_718_990)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 18}, r"18 px cannot be halved 2 times.*--set layers=N"),
        ({"attributes": Attributes(())}, "needs attributes"),
    ],
)
def test_data_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(data(**changes))


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"too small for 4.*--set discriminator_layers=N"):
        make(discriminator_layers=4)
    with pytest.raises(ValueError, match=r"64 images fills no batch of 65.*--set batch_size=N"):
        stage(make(iterations=None, batch_size=65))
    for wrong in ({"mode": "hinge"}, {"encoder_norm": "switchnorm"}, {"batch_size": 1}):
        with pytest.raises(ValidationError):
            AttGAN.configure("paper", wrong)


def test_presets_are_valid() -> None:
    for preset in ("smoke", "small", "paper"):
        AttGAN.configure(preset)


def states(method: AttGAN) -> dict[str, dict[str, Tensor]]:
    networks = {"G": method.generator, "D": method.discriminators}
    return {role: network.state_dict() for role, network in networks.items()}


def test_a_loaded_reference_edits_and_is_not_trained() -> None:
    trained, method = make(), make()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.normal_()
    method.load_reference({"G": states(trained)["G"]})
    assert changed(trained.state_dict(), method) == {"discriminators"}
    method.load_reference(states(trained))
    assert not changed(trained.state_dict(), method)
    assert not list(method.stages(data()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 3}, r"layers = 3, this run 2: give --set layers=3"),
        ({"encoder_width": 4}, r"--set encoder_width=4"),
        ({"decoder_width": 4}, r"--set decoder_width=4"),
        ({"max_width": 12}, r"--set max_width=12"),
        ({"shortcut_layers": 0}, r"--set shortcut_layers=0"),
        ({"inject_layers": 0}, r"--set inject_layers=0"),
        ({"discriminator_layers": 1}, r"--set discriminator_layers=1"),
        ({"discriminator_width": 4}, r"--set discriminator_width=4"),
        ({"head_width": 4}, r"--set head_width=4"),
        ({"encoder_norm": "instancenorm"}, r"norms.*--set encoder_norm"),
        ({"data": data(size=32)}, r"dataset\.size = 32, this run 16: give --set dataset\.size=32"),
        ({"data": data(channels=1)}, r"channels = 1, this run 3"),
        (
            {"data": data(attributes=Attributes(("red", "bright", "round")))},
            r"attributes = 3, this run 2.*--set dataset\.attributes",
        ),
    ],
)
def test_a_reference_of_another_shape_names_the_option(
    changes: dict[str, Any], message: str
) -> None:
    given = changes.get("data")
    other = make(given, **{name: value for name, value in changes.items() if name != "data"})
    with pytest.raises(ValueError, match=message):
        make().load_reference(states(other))


def test_a_reference_of_something_else_is_refused() -> None:
    method = make()
    with pytest.raises(ValueError, match="no generator G"):
        method.load_reference({"D": states(method)["D"]})
    with pytest.raises(ValueError, match="no generator of AttGAN"):
        method.load_reference({"G": {"main.0.weight": torch.zeros(2)}})


def test_collapse_is_seen_only_when_all_edits_agree() -> None:
    method = make()
    only = stage(method)
    assert only.collapsed() is None
    assert method.training
    with torch.no_grad():
        for parameter in method.generator.dec_layers[-1].parameters():
            parameter.zero_()
    assert "same picture" in str(only.collapsed())


def test_the_totals_are_the_weighted_sums_of_the_terms() -> None:
    method = make(discriminator_class_weight=2, penalty_weight=3)
    images, labels = Squares().batch(torch.arange(8))
    draws = StepDraws(torch.arange(8), torch.full((8, 1, 1, 1), 0.5))
    critic = discriminator_step(method, images, labels, draws)
    expected = critic["adversarial"] + 3 * critic["penalty"] + 2 * critic["classification"]
    torch.testing.assert_close(critic["total"], expected)
    creator = generator_step(method, images, labels, draws)
    expected = creator["adversarial"] + 10 * creator["classification"]
    torch.testing.assert_close(creator["total"], expected + 100 * creator["reconstruction"])
