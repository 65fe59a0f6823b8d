from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData
from baselines.nets.pioneer import (
    DoublingConv2d,
    Encoder,
    Generator,
    SpectralConv2d,
    SpreadingConv2d,
    our_states,
)
from baselines.pioneer import CyclicStage, Pioneer, PioneerConfig
from baselines.progressive import Phase
from baselines.randomness import Draws, data_order, uniforms
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "reconstruction"
TINY: dict[str, Any] = {
    "latent_size": 16,
    "wide_phases": 2,
    "images_per_stage": 64,
    "batch_sizes": (16, 16, 8),
    "pool_size": 20,
}


class Colours:
    """Images of 16 x 16 pixels whose halves have one colour each."""

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        table = 1.8 * uniforms(3, 0, len(self), 6)[indices] - 0.9
        image = table[:, :3, None, None].repeat(1, 1, 16, 16)
        image[:, :, :, 8:] = table[:, 3:, None, None]
        return image, torch.zeros(len(indices), 0)


def data(size: int = 16, channels: int = 3) -> TrainingData:
    return TrainingData(Colours(), Attributes(()), size, channels)


def make(size: int = 16, channels: int = 3, **changes: Any) -> Pioneer:
    torch.manual_seed(1)
    config = PioneerConfig.model_validate({**TINY, **changes})
    return Pioneer(config, data(size, channels))


def only_stage(method: Pioneer) -> CyclicStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, CyclicStage)
    return stage


def take(stage: CyclicStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        shown = stage.shown(step)
        indices = data_order(5, shown.start, len(shown), len(stage.data.train))
        images, attributes = stage.data.train.batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
        for average in stage.averages:
            average.update(step)
    return reports


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("pioneer_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_generated_images_come_to_tell_their_latents() -> None:
    method = make(
        images_per_stage=100_000,
        batch_sizes=(32,),
        learning_rate=3e-3,
        match_z_weight=16.0,  # of the mean over 16 numbers: the cosine itself
    )
    reports = take(only_stage(method.train()), range(60))
    first, last = (2 - reports[place]["match_z"] / 16 for place in (0, -1))
    assert 16 * first < 0.05
    assert 16 * last > 0.1


def test_latents_lie_on_the_sphere_and_belong_to_one_image() -> None:
    method = make()
    take(only_stage(method.train()), range(3))
    before = {name: value.clone() for name, value in method.eval().state_dict().items()}
    images, _ = data().train.batch(torch.arange(5))
    with torch.no_grad():
        latents = method.encode(images)
        alone = torch.cat([method.encode(image[None]) for image in images])
        decoded = method.decode(4 * latents)
    torch.testing.assert_close(latents, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(latents.norm(dim=1), torch.ones(5))
    assert (decoded.shape, decoded.abs().max() <= 1) == (images.shape, True)
    drawn = method.sample_latents(7, Draws(3, 0, 0, 1))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(7))
    assert method.sample(7, Draws(3, 0, 0, 1)).shape == (7, 3, 16, 16)
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    steps = only_stage(make()).steps
    whole = make().train()
    take(only_stage(whole), range(steps))
    assert whole.pool.state.tolist() == [16, 20]  # of the last phase, full and exchanged
    first = make().train()
    stage = only_stage(first)
    take(stage, range(steps - 3))
    second = make().train()
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(steps - 3, steps))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_phases_follow_the_released_schedule() -> None:
    progression = PioneerConfig().progression(6)  # 128 px
    steps = [progression.phase(step) for step in (0, progression.steps - 1)]
    assert (steps[0].resolution, steps[0].batch_size, steps[0].seen) == (4, 128, 1)
    assert (steps[1].resolution, steps[1].batch_size) == (128, 16)
    assert steps[1].seen + 16 >= 7 * 2_400_000 > steps[1].seen
    later = PioneerConfig(first_image=4_800_000).progression(6).phase(0)  # type: ignore[call-arg]
    assert (later.resolution, later.alpha) == (16, 0)


def test_networks_see_the_images_of_their_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    def edges(images: Tensor) -> Tensor:
        return images - F.interpolate(F.avg_pool2d(images, 2), scale_factor=2.0)

    stage = only_stage(make(flip=False))
    seen: list[tuple[Tensor, Phase]] = []

    def update_encoder(images: Tensor, latents: Tensor, phase: Phase, draws: Draws) -> Any:
        seen.append((images, phase))
        assert len(images) == len(latents) == phase.batch_size
        return {}

    monkeypatch.setattr(stage, "update_encoder", update_encoder)
    monkeypatch.setattr(stage, "update_generator", lambda *_: {})
    for step in range(stage.steps):
        noise = torch.rand(len(stage.shown(step)), 3, 16, 16)
        stage.step(Batch(step, Draws(7, step, 0, 1), noise))
        images, phase = seen[-1]
        whole = F.avg_pool2d(noise, 16 // phase.resolution)
        share = 1.0 if phase.level == 0 else phase.alpha  # nothing to fade from at 4 x 4 pixels
        torch.testing.assert_close(edges(images), share * edges(whole))
    assert {images.shape[-1] for images, _ in seen} == {4, 8, 16}


def test_each_update_moves_its_own_network() -> None:
    method = make().train()
    stage, phase, draws = only_stage(method), Phase(0, 2, 0.5, 8), Draws(1, 0, 0, 1)
    images, latents = torch.rand(8, 3, 16, 16), torch.randn(8, 16)
    stage.update_encoder(images, latents, phase, draws)
    assert all(value.grad is None for value in method.generator.parameters())
    before = [value.clone() for value in method.encoder.parameters()]
    vectors = [value.clone() for value in method.encoder.buffers()]
    stage.update_generator(latents, phase)
    assert all(map(torch.equal, before, method.encoder.parameters()))
    assert not any(map(torch.equal, vectors, method.encoder.buffers()))
    own = (method.encoder, method.generator)
    assert all(value.requires_grad for one in own for value in one.parameters())
    assert not any(value.requires_grad for value in method.running_generator.parameters())


def test_the_generator_reconstructs_images_only_if_told_so() -> None:
    images, latents = torch.rand(8, 3, 4, 4), torch.randn(8, 16)
    phase = Phase(0, 0, 1.0, 8)
    stage = only_stage(make(learning_rate=1e-2, generator_match_x_weight=1000.0))
    errors = [
        stage.update_generator(latents, phase, images)["generator_match_x"] for _ in range(18)
    ]
    assert errors[-1] < 0.8 * errors[0]
    assert all(value.grad is None for value in stage.method.encoder.parameters())
    released = only_stage(make()).update_generator(latents, phase, images)
    assert released.keys() == {"generator_kl", "match_z"}


def test_reconstructions_weigh_more_once_a_phase_is_faded_in() -> None:
    stage = only_stage(make(stable_match_x_factor=3.0).eval())  # eval: the norms stay
    images, latents = torch.rand(8, 3, 4, 4), torch.randn(8, 16)
    rates = [optimizer.param_groups[0] for optimizer in stage.optimizers.values()]
    for rate in rates:
        rate["lr"] = 0.0
    fading, stable = (
        stage.update_encoder(images, latents, Phase(0, 0, alpha, 8), Draws(1, 0, 0, 1))
        for alpha in (0.5, 1.0)
    )
    torch.testing.assert_close(stable["match_x"], 3 * fading["match_x"])
    torch.testing.assert_close(stable["kl_real"], fading["kl_real"])


def test_training_works_in_bfloat16() -> None:
    method = make().train()
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(only_stage(method), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()
    assert all(torch.isfinite(value).all() for value in method.parameters())


def test_collapse_is_seen_once_all_layers_are_trained() -> None:
    method = make().train()
    stage = only_stage(method)
    last = range(stage.steps - 1, stage.steps)
    for steps, seen in ((range(2), False), (last, True)):
        take(stage, steps)
        assert stage.collapsed() is None
        kept = method.running_generator.to_rgb[-1].weight.detach().clone()
        with torch.no_grad():
            method.running_generator.to_rgb[-1].weight.zero_()
        assert ("same picture" in (stage.collapsed() or "")) is seen
        with torch.no_grad():
            method.running_generator.to_rgb[-1].weight.copy_(kept)


def test_short_cuts_of_convolutions_change_nothing() -> None:
    torch.manual_seed(1)
    doubling, spreading = DoublingConv2d(3, 5, 3), SpreadingConv2d(3, 5, 4)
    image, vector = torch.randn(2, 3, 6, 6), torch.randn(2, 3)
    weights = [layer.weight * layer.scale for layer in (doubling, spreading)]
    plain = F.conv2d(F.interpolate(image, scale_factor=2.0), weights[0], padding=1)
    torch.testing.assert_close(doubling(image), plain)
    torch.testing.assert_close(
        spreading(vector), F.conv2d(vector[:, :, None, None], weights[1], padding=3)
    )


def test_power_iterations_lead_to_the_largest_singular_value() -> None:
    torch.manual_seed(1)
    layer = SpectralConv2d(4, 6, 3)
    exact = layer.weight / torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    for _ in range(200):
        layer.normalized_weight()
    torch.testing.assert_close(layer.normalized_weight(), exact)
    other = SpectralConv2d(4, 6, 3).eval()
    other.load_state_dict({**layer.state_dict(), "u": torch.ones(6)})
    once = other.normalized_weight()
    torch.testing.assert_close(other.normalized_weight(), once)
    other.settle()
    torch.testing.assert_close(other.normalized_weight(), exact)


def official(phases: int = 3, channels: int = 3, **changes: Any) -> dict[str, dict[str, Tensor]]:
    """A released checkpoint's states: deeper names, blocks for larger images, no power vectors."""
    torch.manual_seed(2)
    sizes = {**{"latent": 16, "wide_phases": 2}, **changes}
    generator = Generator(phases=phases + 1, channels=channels, **sizes)
    encoder = Encoder(phases=phases + 1, channels=channels, **sizes)

    def renamed(state: dict[str, Tensor], last: int | None) -> dict[str, Tensor]:
        found = {}
        for name, value in state.items():
            part, number, *rest = name.split(".")
            level = str(last - int(number)) if last is not None else number
            if part == "progression":
                kind = {"weight": "weight_orig"}.get(rest[1], rest[1])
                rest = ["conv", rest[0], "conv", kind]
            found[".".join(["module", part, level, *rest])] = value
        return {name: value for name, value in found.items() if not name.endswith(".u")}

    return {
        "D": renamed(encoder.state_dict(), 8),
        "G_running": {
            **renamed(generator.state_dict(), None),
            "module.label_embed.weight": torch.ones(1, 1),
        },
        "progress": {"phase": torch.tensor(2.0), "alpha": torch.tensor(1.0)},
    }


def test_a_reference_checkpoint_stands_for_the_training() -> None:
    states, method = official(), make()
    method.load_reference(states)
    assert list(method.stages(data())) == []
    generator = our_states(states["G_running"], encoder=False)
    for name, value in method.running_generator.state_dict().items():
        assert torch.equal(value, generator[name]), name
    encoder = our_states(states["D"], encoder=True)
    for name, value in method.encoder.named_parameters():
        assert torch.equal(value, encoder[name]), name
    for module in method.encoder.modules():
        if isinstance(module, SpectralConv2d):
            norm = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
            torch.testing.assert_close(module.eval().normalized_weight(), module.weight / norm)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": 8}, "latent_size is 8, this run's 16: .*--set latent_size=8"),
        ({"wide_phases": 1}, "wide_phases is 1, this run's 2"),
        ({"channels": 1}, r"channels is 1, this run's 3: .*--set dataset\.channels=1"),
        ({"phases": 1}, r"lacks to_rgb\.2\.weight"),
    ],
)
def test_a_checkpoint_of_other_settings_names_the_option(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make().load_reference(official(**changes))


def test_a_checkpoint_of_another_phase_names_the_resolutions() -> None:
    states = official()
    states["progress"] = {"phase": torch.tensor(1.0), "alpha": torch.tensor(1.0)}
    with pytest.raises(ValueError, match=r"8 px, this run has 16: .*dataset\.size=8"):
        make().load_reference(states)
    states["progress"] = {"phase": torch.tensor(2.0), "alpha": torch.tensor(0.25)}
    with pytest.raises(ValueError, match=r"faded in by 0\.25: give a later one"):
        make().load_reference(states)


def test_foreign_and_partial_checkpoints_are_refused() -> None:
    states = official()
    with pytest.raises(ValueError, match="lacks Pioneer's D"):
        make().load_reference({"G_running": states["G_running"]})
    del states["D"]["module.from_rgb.7.bias"]
    with pytest.raises(ValueError, match=r"none of Pioneer: .*from_rgb\.1\.bias"):
        make().load_reference(states)
    with pytest.raises(ValueError, match="none of Pioneer"):
        make().load_reference({**states, "G_running": {"x": torch.ones(1)}})


def test_data_and_settings_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"24 px: .*--set dataset\.size"):
        make(size=24)
    with pytest.raises(ValueError, match=r"latent_size=2 .* no channel for 64 px"):
        make(size=64, latent_size=2)
    with pytest.raises(ValidationError, match="batch_sizes"):
        make(batch_sizes=(16, 1))
    with pytest.raises(ValueError, match=r"total_images=150 end .* before 16 px .* raise total"):
        only_stage(make(total_images=150))
    with pytest.raises(ValidationError, match="generator_steps"):
        make(generator_steps=0)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
def test_presets_fit_small_images(preset: str) -> None:
    config = Pioneer.configure(preset)
    assert isinstance(config, PioneerConfig)
    for size in (32, 64, 128):
        with torch.device("meta"):
            method = Pioneer(config, replace(data(), size=size))
        progression = config.progression(method.levels)
        progression.require_last_level("images", "raise")
        assert progression.phase(progression.steps - 1).resolution == size
