from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Attributes, Batch, Method, MethodConfig, Stage, TrainingData
from baselines.nets.pggan import Discriminator, Generator, Weights, minibatch_deviation
from baselines.nets.pggan_tensorflow import our_state
from baselines.pggan import PGGAN, PGGAN_SMALL, PGGAN_SMOKE, PGGANConfig, PGGANStage
from baselines.pggan_losses import criticism
from baselines.randomness import Draws, data_order, uniforms
from bench import verify
from bench.trainer import TrainingOptions, train

GOLDEN = Path(__file__).parents[1] / "data" / "reconstruction"
NARROW = Weights(64, 8, spectral=True, fused=True)
TINY: dict[str, Any] = {
    "images": 64,
    "stable_images": 16,
    "fade_images": 16,
    "batch_sizes": (8, 4),
    "held_iterations": 1,
    "discriminator_steps": 1,
    "z_dim": 6,
    "channel_base": 64,
    "generator_channels": 8,
    "discriminator_channels": 8,
    "ema_decay": 0.5,
}


class Colours:
    """Images of 8 x 8 pixels in one colour each: red in all shades, and no blue."""

    def __len__(self) -> int:
        return 100

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        red = uniforms(3, 0, len(self))[indices]
        colour = torch.cat([red, torch.full_like(red, 0.3), torch.full_like(red, -0.8)], dim=1)
        return colour[:, :, None, None].repeat(1, 1, 8, 8), red


DATA = TrainingData(Colours(), Attributes(("red",)), 8, 3)


def make(**changes: Any) -> PGGAN:
    torch.manual_seed(1)
    return PGGAN(PGGANConfig(**{**TINY, **changes}), 8, 3).train()


def take(stage: PGGANStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        shown = stage.shown(step)
        indices = data_order(5, shown.start, len(shown), len(stage.data.train))
        images, attributes = stage.data.train.batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
        for average in stage.averages:
            average.update(step)
    return reports


@pytest.mark.parametrize(
    "name",
    [
        "pggan_generator",
        "pggan_generator_fused_cond_tanh",
        "pggan_discriminator",
        "pggan_pieces",
        "crg_pggan_sn_generator",
        "crg_pggan_sn_wgangp_losses",
    ],
)
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_the_generator_has_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        pggan = PGGAN(PGGANConfig(), 128, 3)
    assert sum(value.numel() for value in pggan.generator.parameters()) == 1_888_018


def test_an_evaluated_image_depends_on_its_latent_only() -> None:
    pggan = make()
    z, before = torch.randn(4, 6), copy.deepcopy(pggan.state_dict())
    assert (pggan.generator_ema.z_dim, pggan.generator_ema.img_resolution) == (6, 8)
    with torch.no_grad():
        images = pggan.generator_ema(z)  # in evaluation although the method trains
        assert torch.equal(pggan.generator_ema(z), images)
        alone = torch.cat([pggan.generator_ema(row[None]) for row in z])
        torch.testing.assert_close(alone, images, rtol=1e-4, atol=1e-4)
        for name, value in pggan.state_dict().items():
            assert torch.equal(value, before[name]), name
        pggan.generator(z)
        assert not torch.equal(pggan.generator.layer0.u, before["generator.layer0.u"])


def test_every_weight_comes_to_have_a_spectral_norm_of_one() -> None:
    torch.manual_seed(2)
    for network in (Generator(16, 6, 3, NARROW), Discriminator(16, 3, NARROW)):
        layers = [layer for layer in network.children() if hasattr(layer, "used_weight")]
        assert len(layers) == len(list(network.children()))
        for layer in layers:
            for _ in range(60):
                with torch.no_grad():
                    weight = layer.used_weight()
            assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, 0.01)


@pytest.mark.parametrize("lod", [0.0, 0.3, 1.0, 1.6, 2.0])
def test_networks_work_at_the_resolution_of_the_level(lod: float) -> None:
    torch.manual_seed(3)
    generator, discriminator = Generator(16, 6, 3, NARROW), Discriminator(16, 3, NARROW, group=2)
    z = torch.randn(4, 6)
    with torch.no_grad():
        own, full = generator.eval().grown(z, lod=lod), generator(z, lod=lod)
        assert own.shape[-1] == 16 >> int(lod)
        factor = 16 // own.shape[-1]
        assert torch.equal(full, own.repeat_interleave(factor, 2).repeat_interleave(factor, 3))
        scores = discriminator.eval()(own, lod)
        torch.testing.assert_close(discriminator(full, lod), scores)
        generator.lod.fill_(lod)
        torch.testing.assert_close(generator(z), full)


def test_gradients_are_measured_in_pixels_of_the_full_resolution() -> None:
    torch.manual_seed(5)
    discriminator = partial(Discriminator(16, 3, NARROW).eval(), lod=1.3)
    reals, fakes, share = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.rand(4, 1, 1, 1)
    own = criticism(discriminator, reals, fakes, share, repeats=2)
    repeated = [some.repeat_interleave(2, 2).repeat_interleave(2, 3) for some in (reals, fakes)]
    full = criticism(discriminator, *repeated, share)
    torch.testing.assert_close(own.norms, full.norms)
    torch.testing.assert_close(own.real, full.real)


def test_fused_layers_differ_in_the_layout_of_their_weights_only() -> None:
    torch.manual_seed(4)
    fused, apart = (Generator(16, 6, 3, Weights(64, 8, fused=fused)) for fused in (True, False))
    state = fused.state_dict()
    for layer in ("layer2", "layer4"):
        state[f"{layer}.weight"] = state[f"{layer}.weight"].transpose(0, 1).flip(2, 3)
    apart.load_state_dict(state)
    z = torch.randn(4, 6)
    torch.testing.assert_close(fused(z), apart(z), rtol=1e-4, atol=1e-5)


def test_groups_are_compared_as_many_images_apart() -> None:
    x = torch.randn(6, 2, 4, 4)
    found = minibatch_deviation(x, 3)[:, 2, 0, 0]
    pair = x[[0, 2, 4]].std(dim=0, correction=0).mean()
    torch.testing.assert_close(found[[0, 2, 4]], pair.expand(3))
    assert minibatch_deviation(x[:2], 3).shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"6 images .* groups of 4 .*minibatch_std_group"):
        minibatch_deviation(x, 4)


def test_training_learns_the_colours() -> None:
    pggan = make(
        images=1120,
        stable_images=640,
        fade_images=320,
        batch_sizes=(8,),
        discriminator_steps=2,
        spectral_norm=False,
        generator_rate=0.005,
        discriminator_rate=0.01,
        ema_decay=0.8,
    )
    z, truth = torch.randn(64, 6), Colours().batch(torch.arange(100))[0].mean(dim=(0, 2, 3))
    start = pggan.generator_ema(z).mean(dim=(0, 2, 3))
    stage = PGGANStage(pggan, DATA)
    take(stage, range(stage.steps))
    error = (pggan.generator_ema(z).mean(dim=(0, 2, 3)) - truth).abs().mean()
    assert error < 0.5 * (start - truth).abs().mean()
    assert stage.collapsed() is None


def test_the_normalised_discriminator_learns_to_tell_images_apart() -> None:
    stage = PGGANStage(make(discriminator_rate=0.02), DATA)
    reals, z, share = (
        DATA.train.batch(torch.arange(8))[0],
        torch.randn(8, 6),
        torch.rand(8, 1, 1, 1),
    )
    reports = [stage.update_discriminator(reals, z, share, 0.0) for _ in range(25)]
    first, last = (report["fake"] + report["real"] for report in (reports[0], reports[-1]))
    assert last < first - 0.2


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    steps = PGGANStage(make(), DATA).steps
    whole = make()
    take(PGGANStage(whole, DATA), range(steps))
    for stop in (3, 4):  # where a phase begins, and within one
        first = make()
        stage = PGGANStage(first, DATA)
        take(stage, range(stop))
        second = make()
        second.load_state_dict(first.state_dict())
        resumed = PGGANStage(second, DATA)
        for name, optimizer in resumed.optimizers.items():
            optimizer.load_state_dict(stage.optimizers[name].state_dict())
        take(resumed, range(stop, steps))
        for name, value in whole.state_dict().items():
            assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("reset", [True, False])
def test_optimizers_forget_at_each_new_phase(reset: bool) -> None:
    pggan = make(reset_optimizers=reset)
    stage = PGGANStage(pggan, DATA)
    (weight, ages) = pggan.generator.layer0.weight, []
    for step in range(stage.steps):
        take(stage, range(step, step + 1))
        ages.append(int(stage.optimizers["generator"].state[weight]["step"]))
    begins = [step for step in range(stage.steps) if stage.progression.new_phase(step)]
    assert len(begins) == 2
    youngest = [step for step, age in enumerate(ages) if age == 1]
    assert youngest == ([0, *begins] if reset else [0])


def test_images_fade_in_and_the_average_follows() -> None:
    pggan = make(ema_decay=0.5, fade_images=32, discriminator_steps=2)
    stage = PGGANStage(pggan, DATA)
    assert [len(stage.shown(step)) for step in (0, stage.steps - 1)] == [16, 8]
    assert stage.batch_size == 16
    seen = []
    for step in range(stage.steps):
        before = pggan.generator_ema.layer0.weight.clone()
        take(stage, range(step, step + 1))
        seen.append(float(pggan.generator_ema.lod))
        expected = before.lerp(pggan.generator.layer0.weight, 0.75)
        torch.testing.assert_close(pggan.generator_ema.layer0.weight, expected)
    assert seen[0] == 1
    assert seen[-1] == 0
    assert seen == sorted(seen, reverse=True)
    assert any(lod % 1 for lod in seen)


def test_training_images_are_mirrored_only_if_asked() -> None:
    images = torch.linspace(-1, 1, 8).expand(4, 3, 8, 8).contiguous()
    given: dict[bool, list[Tensor]] = {True: [], False: []}
    for flip, kept in given.items():
        stage = PGGANStage(make(flip=flip), DATA)
        last = stage.steps - 1

        def spy(reals: Tensor, *rest: Any, kept: list[Tensor] = kept) -> dict[str, Tensor]:
            kept.append(reals)
            return {}

        stage.update_discriminator = spy  # type: ignore[method-assign]
        stage.step(Batch(last, Draws(7, last, 0, 1), images))
    assert torch.equal(given[False][0], images)
    assert 0 < int((given[True][0] != images).flatten(1).any(dim=1).sum()) < 4


class Toy(Method):
    """A method with nothing but a generator to train."""

    def __init__(self) -> None:
        super().__init__(MethodConfig(), DATA)
        self.pggan = make()

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield PGGANStage(self.pggan, data)


def test_the_trainer_gives_each_level_its_batches(tmp_path: Path) -> None:
    summary = train(
        Toy(), DATA, seed=0, folder=tmp_path, options=TrainingOptions(device="cpu", quiet=True)
    )
    assert summary.steps == PGGANStage(make(), DATA).steps
    assert '"penalty"' in (tmp_path / "log.jsonl").read_text()


def test_equal_samples_are_a_collapse() -> None:
    pggan = make()
    stage = PGGANStage(pggan, DATA)
    assert stage.collapsed() is None
    for value in pggan.generator_ema.output1.parameters():
        value.data.zero_()
    assert "all samples are the same picture" in str(stage.collapsed())


@pytest.mark.parametrize("fused", [True, False])
def test_official_variables_are_taken_over(fused: bool) -> None:
    weights = Weights(64, 8, spectral=True, fused=fused)
    up, down = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
    blocks = [f"{r}x{r}/{name}" for r in (8, 16) for name in (up, "Conv1")]
    generator = ["4x4/Dense", "4x4/Conv", *blocks, *[f"ToRGB_lod{i}" for i in range(3)]]
    blocks = [f"{r}x{r}/{name}" for r in (8, 16) for name in ("Conv0", down)]
    last = [f"4x4/{name}" for name in ("Conv", "Dense0", "Dense1")]
    discriminator = [*blocks, *last, *[f"FromRGB_lod{i}" for i in range(3)]]
    for network, layers in (
        (Generator(16, 6, 3, weights), generator),
        (Discriminator(16, 3, weights), discriminator),
    ):
        names = [f"{layer}/{part}" for layer in layers for part in ("weight", "bias", "u")]
        state = our_state(dict.fromkeys([*names, "lod"], torch.zeros(())))
        assert state.keys() == network.state_dict().keys()
        with pytest.raises(ValueError, match="G_mapping/Dense0/weight is no variable of"):
            our_state(
                {**dict.fromkeys(names, torch.zeros(())), "G_mapping/Dense0/weight": state["lod"]}
            )


def test_settings_that_do_not_fit_are_named() -> None:
    for size, message in (
        (24, r"24 px: choose a power of two by --set dataset\.size"),
        (64, r"images=64 end the progressive training before 64 px"),
    ):
        with pytest.raises(ValueError, match=message):
            PGGAN(PGGANConfig(**TINY), size, 3)
    with pytest.raises(ValueError, match="channel_base=7 leaves no channel at 8 px"):
        make(channel_base=7)
    with pytest.raises(ValidationError, match="batch_sizes"):
        PGGANConfig(batch_sizes=())
    with pytest.raises(ValidationError, match="batch_sizes"):
        PGGANConfig(batch_sizes=(8, 0))
    with pytest.raises(ValidationError, match=r"batch_sizes holds 6, .*minibatch_std_group=4"):
        PGGANConfig(batch_sizes=(8, 6, 3))
    with pytest.raises(ValidationError, match=r"batch_sizes holds 2, .*minibatch_std_group=4"):
        PGGANConfig(batch_sizes=(8, 2))
    stage = PGGANStage(make(), DATA)
    half = Batch(0, Draws(7, 0, 0, 1), torch.zeros(2, 3, 8, 8), processes=4)
    with pytest.raises(ValueError, match=r"process gets 2 images .*minibatch_std_group=4"):
        stage.step(half)
    with pytest.raises(ValueError, match=r"level of detail is 3\.0 and there are 0 to 1"):
        make().generator(torch.zeros(1, 6), lod=3.0)
    with pytest.raises(ValueError, match=r"conditional: give labels of shape \(N, 2\)"):
        Generator(16, 6, 3, NARROW, label_size=2)(torch.zeros(1, 6))


@pytest.mark.parametrize("fields", [PGGAN_SMALL, PGGAN_SMOKE])
def test_presets_fit_small_images(fields: dict[str, Any]) -> None:
    for size in (32, 64):
        with torch.device("meta"):
            PGGAN(PGGANConfig(**fields), size, 3)
