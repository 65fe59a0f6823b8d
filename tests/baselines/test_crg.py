from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from baselines.base import Attributes, Batch, Stage, TrainingData
from baselines.crg import CRG, CRGTrainedGenerator
from baselines.crg_config import CRGConfig
from baselines.crg_training import EncoderStage, augmented, decay, image_loss, latent_loss
from baselines.nets.crg_encoder import NarrowEncoder, VGGEncoder
from baselines.pggan import PGGANStage
from baselines.randomness import Draws, data_order, normals
from bench import verify
from bench.checkpoints.states import read_states
from bench.errors import BenchError
from bench.plan import plan
from bench.resolve import RunRequest, resolve

GOLDEN = Path(__file__).parents[1] / "data" / "reconstruction" / "crg_latent_editing"
TINY: dict[str, Any] = {
    "stage_one": "given",
    "encoder": "narrow",
    "encoder_width": 8,
    "iterations": 12,
    "latent_only_share": 0.5,
    "batch_size": 16,
    "optimizer": "adam",
    "learning_rate": 3e-3,
    "validation_share": 0.0,
    "rotation": 0.0,
    "flip": False,
    "vertical_flip": False,
}
WATCHED = {"validation_share": 0.25, "latent_only_share": 0.0}


class Painter(nn.Module):
    """Images of 16 x 16 pixels that four numbers colour, a corner each."""

    z_dim, img_resolution = 4, 16

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.linspace(0.5, 1.5, 4 * channels).reshape(4, channels))
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, z: Tensor) -> Tensor:
        corners = (z[:, :, None] * self.colours).tanh()  # (N, 4, C)
        images = corners.permute(0, 2, 1).reshape(len(z), -1, 2, 2)
        large: Tensor = self.norm(images).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
        return large


class Painted:
    """Images of the painter."""

    def __len__(self) -> int:
        return 64

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            images = Painter().eval()(normals(9, 0, len(self), 4)[indices])
        return images, torch.zeros(len(indices), 0)


def data(**changes: Any) -> TrainingData:
    generator = Painter().eval().requires_grad_(False)
    whole = TrainingData(Painted(), Attributes(()), 16, 3, generator)
    return replace(whole, **changes)


def make(kind: type[CRG] = CRG, some: TrainingData | None = None, **changes: Any) -> CRG:
    torch.manual_seed(1)
    return kind(CRGConfig(**{**TINY, **changes}), some or data())


def take(stage: Stage, steps: Sequence[int], some: TrainingData) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        shown = stage.shown(step)
        batch = Batch(step, Draws(7, step, 0, 1))
        if shown:
            size = stage.images or len(some.train)
            batch.indices = data_order(5, shown.start, len(shown), size)
            batch.images, _ = some.train.batch(batch.indices)
        torch.manual_seed(step)
        reports.append(stage.step(batch))
    return reports


def train(method: CRG, some: TrainingData | None = None) -> list[dict[str, Tensor]]:
    some = some or data()
    method.train()
    reports = [
        report for stage in method.stages(some) for report in take(stage, range(stage.steps), some)
    ]
    method.eval()
    return reports


def test_golden_case_passes() -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN))
    assert (outcome.status, outcome.message) == ("passed", "")


@pytest.mark.parametrize("source", ["real", "generated"])
def test_the_encoder_learns_the_inverse(source: str) -> None:
    method = make(iterations=150, decay_share=0.5, image_source=source)
    reports = train(method)
    assert reports[-1]["latent"] < 0.2 * reports[0]["latent"]
    z = normals(8, 0, 64, 4)
    with torch.no_grad():
        images = method.decode(z)
        found = method.encode(images)
        restored = method.decode(found)
    assert latent_loss(z, found) < 0.2
    plain = images.mean(dim=0).expand_as(images)
    assert image_loss(images, restored) < 0.3 * image_loss(images, plain)


def test_latents_do_not_depend_on_the_batch() -> None:
    method = make()
    train(method)
    images, _ = data().train.batch(torch.arange(6))
    with torch.no_grad():
        together = method.encode(images)
        alone = torch.cat([method.encode(image[None]) for image in images])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    assert together.shape == (6, 4)
    assert method.sample(5, Draws(3, 0, 0, 1)).shape == (5, 3, 16, 16)
    assert float(method.decode(100 * together).abs().max()) <= 1


@pytest.mark.parametrize("kind", [CRG, CRGTrainedGenerator])
@pytest.mark.parametrize("changes", [{}, {**WATCHED, "iterations": 12, "stop_patience": 2}])
def test_an_interrupted_training_ends_with_the_same_bits(
    kind: type[CRG], changes: dict[str, Any]
) -> None:
    some = data()
    whole = make(kind, **changes)
    train(whole)
    first = make(kind, **changes).train()
    *done, stage = first.stages(some)
    for one in done:
        take(one, range(one.steps), some)
    take(stage, range(4), some)
    second = make(kind, **changes).train()
    second.load_state_dict(first.state_dict())
    *_, resumed = second.stages(some)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(4, resumed.steps), some)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_the_generator_stays_as_it_is() -> None:
    some = data()
    before = copy.deepcopy(some.generator.state_dict())
    method = make(some=some)
    assert not any("colours" in name for name in method.state_dict())
    train(method, some)
    for name, value in some.generator.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_trained_generator_is_a_copy_that_learns_with_the_second_update() -> None:
    some = data()
    before = copy.deepcopy(some.generator.state_dict())
    method = make(CRGTrainedGenerator, some)
    copied = method.space.generator
    method.train()
    latent, cyclic = method.stages(some)
    take(latent, range(6), some)
    assert torch.equal(copied.colours, before["colours"])
    take(cyclic, range(6), some)
    assert not torch.equal(copied.colours, before["colours"])
    assert torch.equal(copied.norm.running_mean, before["norm.running_mean"])
    assert torch.equal(some.generator.colours, before["colours"])
    assert "generator_copy.colours" in method.state_dict()


def test_saturated_pixels_have_gradients_where_the_generator_learns() -> None:
    some = data()
    some.generator.norm.running_var.fill_(1e-4)  # all colours far beyond the range
    method = make(CRGTrainedGenerator, some).train()
    *_, stage = method.stages(some)
    colours = method.space.generator.colours.requires_grad_()
    _, generated = stage.update_by_latents(torch.full((4, 4), 0.3))
    assert bool((generated.abs() == 1).all())
    assert float(colours.grad.abs().min()) > 0


def test_only_the_second_update_sees_images() -> None:
    some = data()
    stages = list(make().stages(some))
    assert [(stage.name, stage.steps, stage.batch_size) for stage in stages] == [
        ("latent", 6, 0),
        ("cyclic", 6, 16),
    ]
    assert set(take(stages[0], [0], some)[0]) == {"latent"}
    assert set(take(stages[1], [0], some)[0]) == {"latent", "image"}
    (only,) = make(latent_only_share=0.0, image_source="generated").stages(some)
    assert only.batch_size == 0
    assert set(take(only, [0], some)[0]) == {"latent", "image"}
    assert [stage.name for stage in make(latent_only_share=1.0).stages(some)] == ["latent"]


def test_both_updates_follow_the_equations() -> None:
    method = make(optimizer="rmsprop", learning_rate=1e-4).train()
    *_, stage = method.stages(data())
    assert isinstance(stage, EncoderStage)
    (group,) = stage.optimizer.param_groups
    assert (group["alpha"], group["eps"], group["momentum"]) == (0.9, 1e-8, 0)
    z = normals(2, 0, 16, 4)
    images, _ = data().train.batch(torch.arange(16))
    other = copy.deepcopy(method).train()
    found = other.encoder(other.space.generator(z))
    (found - z).square().mean().backward()
    expected = [value.grad for value in other.encoder.parameters()]
    loss, generated = stage.update_by_latents(z)
    torch.testing.assert_close(loss, (found - z).square().mean())
    torch.testing.assert_close(generated, other.space.generator(z).clamp(-1, 1))
    torch.testing.assert_close([v.grad for v in method.encoder.parameters()], expected)
    other.load_state_dict(method.state_dict())
    restored = other.space.generator(other.encoder(images))
    loss = stage.update_by_images(images)
    torch.testing.assert_close(loss, (restored - images).abs().mean())


def test_codes_in_w_are_measured_by_their_deviation(tiny_data: TrainingData) -> None:
    some = replace(tiny_data, train=Painted())
    method = make(some=some, batch_size=32, iterations=2)
    assert (method.interpolation, make().interpolation) == ("linear", "spherical")
    draws = Draws(1, 0, 0, 1)
    codes = method.sample_latents(400, draws)
    assert codes.shape == (400, 8)
    assert float(method.latent_loss(codes, method._mean.expand(400, 8))) == pytest.approx(
        1, rel=0.1
    )
    (first, _) = method.stages(some)
    take(first, [0], some)
    with torch.no_grad():
        found = method.train().encode(method.decode(codes))
    assert found.std() < 5 * codes.std()


def test_the_generator_is_trained_first_unless_given() -> None:
    some = data(generator=None, size=32)
    settings = CRG.configure("smoke", {"stage_one": "train"})
    torch.manual_seed(1)
    method = CRG(settings, some)
    first, *rest = method.stages(some)
    assert isinstance(first, PGGANStage)
    assert [stage.name for stage in rest] == ["latent", "cyclic"]
    assert method.space.generator is method.pggan.generator_ema
    assert first.artefact is not None
    assert first.artefact.module is method.pggan
    assert first.artefact.settings == settings.pggan.model_dump(mode="json")


def test_the_authors_generator_stands_for_the_first_stage(tmp_path: Path) -> None:
    golden = verify.Case(GOLDEN.parent / "crg_pggan_sn_generator")
    arrays = {name: value.numpy() for name, value in golden.weights.items()}
    np.savez(tmp_path / "Gs.npz", **arrays)
    states = read_states("crg", tmp_path)
    widths = {"z_dim": 10, "channel_base": 128, "generator_channels": 10}
    some = data(generator=None)
    method = make(some=some, stage_one="train", pggan=widths)
    method.load_reference(states)
    assert [stage.name for stage in method.stages(some)] == ["latent", "cyclic"]
    with torch.no_grad():
        images = method.space.images(golden.inputs["latent"])
    torch.testing.assert_close(images, golden.expected["lod0.0.call1"], atol=5e-5, rtol=5e-4)
    for changes, message in (
        ({"stage_one": "given"}, "add --set stage_one=train"),
        ({"pggan": {**widths, "z_dim": 9}}, r"z_dim is 10, this run's 9: .*pggan\.z_dim=10"),
        ({"pggan": {**widths, "generator_channels": 9}}, r"other layers: .*generator_channels"),
    ):
        some = data() if "stage_one" in changes else data(generator=None)
        with pytest.raises(ValueError, match=message):
            make(some=some, **{"stage_one": "train", **changes}).load_reference(states)
    with pytest.raises(ValueError, match=r"size is 16, this run's 32: .*dataset\.size=16"):
        make(some=data(generator=None, size=32), stage_one="train").load_reference(states)
    for broken in ({"ToRGB_lod0/weight": np.ones(1)}, {"FromRGB_lod0/weight": np.ones(1)}):
        np.savez(tmp_path / "Gs.npz", **broken, x=np.ones(1))
        with pytest.raises(BenchError, match="variables of Gs"):
            read_states("crg", tmp_path)


def test_the_own_generator_is_trained_with_its_spectral_norms() -> None:
    some = data(generator=None)
    changes = {"stage_one": "train", "image_source": "generated", "batch_size": 4}
    torch.manual_seed(1)
    method = CRGTrainedGenerator(CRGTrainedGenerator.configure("smoke", changes), some).train()
    *_, stage = method.stages(some)
    before = {name: value.clone() for name, value in method.pggan.state_dict().items()}
    take(stage, [0], some)
    after = method.pggan.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(name.startswith("generator_ema.") for name in changed)
    assert any(name in dict(method.pggan.named_buffers()) for name in changed)
    assert not method.eval().space.generator.training


@pytest.mark.parametrize("name", ["crg", "crg-tg"])
def test_a_generator_that_would_not_be_used_is_refused(name: str) -> None:
    request = RunRequest(name, "shapes3d", "paper", generator="shapes3d-stylegan2")
    with pytest.raises(BenchError, match=r"stage_one=train.*; add --set stage_one=given"):
        resolve(request, 0)
    resolve(replace(request, generator=None), 0)
    resolve(replace(request, settings={"stage_one": "given"}), 0)


def test_a_plan_names_the_weights_that_the_encoder_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("BENCH_WEIGHTS", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    found = plan(resolve(RunRequest("crg", "shapes3d", "paper"), 0), tmp_path)
    assert [(need.name, need.present) for need in found.needs] == [("vgg16", False)]
    for changes in ({"encoder": "narrow"}, {"encoder_weights": "random"}):
        assert CRG.extractors_of(CRG.configure("paper", changes)) == ()


def test_settings_of_the_first_stage_change_those_of_the_preset() -> None:
    preset, field = CRG.presets["small"]["pggan"], next(iter(CRG.presets["small"]["pggan"]))
    plain = CRG.configure("small")
    assert plain == CRG.configure("small", {"pggan": {}})
    assert getattr(plain.pggan, field) == getattr(type(plain.pggan)(**preset), field)


def test_training_works_in_bfloat16() -> None:
    method = make(CRGTrainedGenerator).train()
    *_, stage = method.stages(data())
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(stage, [0], data())
    assert torch.isfinite(torch.stack(list(report.values()))).all()


def test_a_validation_loss_ends_the_training_and_brings_back_the_best() -> None:
    some = data()
    method = make(**WATCHED, iterations=30, learning_rate=1e-9, stop_patience=3, min_delta=1.0)
    (stage,) = method.train().stages(some)
    assert stage.images == 48
    reports = take(stage, range(30), some)
    done = sum(bool(report) for report in reports)
    assert done == 4 * 3  # the first epoch sets the least loss
    assert bool(method.plateau.stopped)
    assert len(stage.shown(20)) == 0
    best, held = method.plateau.best[0].state_dict(), method.encoder.state_dict()
    assert all(torch.equal(best[name], held[name]) for name in held)


def test_rates_follow_the_plateau_and_the_cosine() -> None:
    method = make(**WATCHED, learning_rate=0.1, decay_share=0.5)
    (stage,) = method.train().stages(data())
    method.plateau.scale.fill_(0.25)
    rates = []
    for step in (0, 6, 9, 11):
        take(stage, [step], data())
        rates.append(stage.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.025, 0.025, 0.0125, 0.025 * 0.0670], rel=1e-2)
    assert [decay(progress, 0.0) for progress in (0, 0.5, 1)] == [1, 1, 1]
    assert decay(1, 0.3) == 0


def test_real_images_are_turned_and_mirrored() -> None:
    still = CRGConfig(rotation=0, flip=False, vertical_flip=False)
    images = torch.rand(200, 3, 16, 16) * 2 - 1
    assert torch.equal(augmented(images, Draws(1, 0, 0, 1), still), images)
    for changes, axis in (({"flip": True}, 3), ({"vertical_flip": True}, 2)):
        found = augmented(images, Draws(1, 0, 0, 1), still.model_copy(update=changes))
        changed = (found != images).flatten(1).any(dim=1)
        assert torch.equal(found[changed], images[changed].flip(axis))
        assert 70 < int(changed.sum()) < 130
    bar = -torch.ones(64, 1, 33, 33)
    bar[:, :, 16] = 1
    turned = augmented(bar, Draws(1, 0, 0, 1), still.model_copy(update={"rotation": 20.0}))
    assert turned.shape == bar.shape
    slope = (turned[:, 0, :, 28].argmax(dim=1) - turned[:, 0, :, 4].argmax(dim=1)) / 24
    assert 0.2 < float(slope.abs().max()) <= 0.42
    assert float(slope.min()) < 0 < float(slope.max())
    assert torch.equal(turned[:, 0, 16, 16], bar[:, 0, 16, 16])


def test_the_encoders_have_the_numbers_of_parameters_that_are_known() -> None:
    with torch.device("meta"):
        narrow, large = NarrowEncoder(64, 3, 100), VGGEncoder(128, 3, 128)
    assert sum(value.numel() for value in narrow.parameters()) == 1_100_324
    assert round(sum(value.numel() for value in large.parameters()) / 1e6, 1) == 21.9


def test_vgg_starts_from_imagenet_and_sees_grey_images() -> None:
    with torch.device("meta"):
        features = VGGEncoder(32, 3, 4).blocks
    shapes = [layer.weight.shape for layer in features.modules() if isinstance(layer, nn.Conv2d)]
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # torchvision's
    state: dict[str, Tensor] = {}
    for number, shape in zip(numbers, [*shapes[:10], *[(512, 512, 3, 3)] * 3], strict=True):
        state |= {
            f"{number}.weight": torch.full(shape, 0.01),
            f"{number}.bias": torch.ones(shape[0]),
        }
    vgg = SimpleNamespace(features=SimpleNamespace(state_dict=lambda: state))
    some = data(size=16, channels=1, generator=Painter(1).eval(), extractor=lambda name: vgg)
    method = make(some=some, encoder="vgg16")
    convolutions = [one for one in method.encoder.modules() if isinstance(one, nn.Conv2d)]
    assert all(one.bias.min().item() == 1 for one in convolutions[:10])
    assert convolutions[10].bias.min().item() < 1
    with torch.no_grad():
        assert method.eval().encode(torch.zeros(2, 1, 16, 16)).shape == (2, 4)
    with pytest.raises(ValueError, match="no extractors: add --set encoder_weights=random"):
        make(some=replace(some, extractor=None), encoder="vgg16")
    make(some=replace(some, extractor=None), encoder="vgg16", encoder_weights="random")


def test_collapse_is_seen() -> None:
    some = data()
    method = make()
    train(method)
    *_, stage = method.stages(some)
    nn.init.zeros_(method.encoder.main[-1].weight)
    assert stage.collapsed() is None  # too early to tell
    for name, buffer in method.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.fill_(100)
    assert "same picture" in (stage.collapsed() or "")


@pytest.mark.parametrize(
    ("changes", "other", "message"),
    [
        ({}, {"generator": None}, "name one with --generator"),
        ({}, {"size": 32}, r"16 pixels and the dataset has 32: set dataset\.size=16"),
        ({}, {"channels": 1}, "3 channels and the dataset has 1"),
        ({"encoder": "vgg16", "encoder_weights": "random"}, {"size": 12}, "multiple of 8"),
        ({"encoder": "vgg16", "encoder_weights": "random"}, {"channels": 4}, "encoder=narrow"),
        ({}, {"size": 24}, "power of two from 8 on by --set dataset.size=N"),
    ],
)
def test_what_does_not_fit_is_named(
    changes: dict[str, Any], other: dict[str, Any], message: str
) -> None:
    some = data(**other)
    if "size" in other and other["size"] != 32:
        some.generator.img_resolution = other["size"]
    if other.get("channels") == 4:
        some.generator = Painter(4).eval()
    with pytest.raises(ValueError, match=message):
        make(some=some, **changes)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ValidationError, match="latent_only_share"):
        CRGConfig(latent_only_share=1.5)


def test_the_defaults_are_the_papers() -> None:
    config = CRG.configure("paper")
    assert isinstance(config, CRGConfig)
    assert (config.stage_one, config.encoder, config.image_source) == ("train", "vgg16", "real")
    assert (config.optimizer, config.learning_rate, config.dropout) == ("rmsprop", 1e-4, 0.5)
    assert config.latent_only_share == config.decay_share == 0


@pytest.mark.parametrize("kind", [CRG, CRGTrainedGenerator])
@pytest.mark.parametrize(("preset", "size"), [("smoke", 32), ("small", 64), ("paper", 128)])
def test_presets_fit_their_images(kind: type[CRG], preset: str, size: int) -> None:
    settings = kind.configure(preset, {"encoder_weights": "random", "stage_one": "train"})
    some = data(generator=None, size=size)
    with torch.device("meta"):
        method = kind(settings, some)
    assert method.space.dim == settings.pggan.z_dim
