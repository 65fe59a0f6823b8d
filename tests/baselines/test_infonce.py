from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.base import Attributes, Editor, Pairs, Stage, TrainingData
from baselines.finetuning import FineTunedEditor, FineTuningStage, InfoNCEEditor
from baselines.infonce import (
    InfoNCE,
    InfoNCEConfig,
    attribute_reconstruction,
    contrastive_loss,
    cosine_similarities,
    embed,
)
from baselines.infonce_editors import (
    AttGANFineTuned,
    AttGANInfoNCE,
    StarGANFineTuned,
    StarGANInfoNCE,
    StyleGAN2FineTuned,
    StyleGAN2InfoNCE,
)
from baselines.nets.stylegan2 import Generator
from baselines.randomness import uniforms
from bench import verify
from bench.catalog import lookup
from bench.data.pairs import AttributePairs
from bench.feed import Feed
from bench.trainer import TrainingOptions, train

GOLDEN = Path(__file__).parents[1] / "data" / "editing" / "infonce_losses"
NAMES = ("red", "green", "bright")
QUIET = TrainingOptions(device="cpu", quiet=True)
COMPOSED = {
    "stargan-infonce": StarGANInfoNCE,
    "attgan-infonce": AttGANInfoNCE,
    "stylegan2-infonce": StyleGAN2InfoNCE,
}
VANILLA = {
    "stargan-finetuned": StarGANFineTuned,
    "attgan-finetuned": AttGANFineTuned,
    "stylegan2-finetuned": StyleGAN2FineTuned,
}
TINY: dict[str, dict[str, Any]] = {
    "stargan": {"discriminator_layers": 2, "critic_steps": 2},
    "attgan": {"discriminator_steps": 1, "iterations": 4},
    "stylegan2": {"discriminator_layers": 2, "iterations": 2},
}


class Squares:
    """Squares of 16 x 16 pixels: red, green or blue, bright or dark; the place is the identity."""

    def __len__(self) -> int:
        return 200

    def table(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        table = uniforms(3, 0, len(self), 3)[indices]
        return (table[:, 0] * 3).long(), (table[:, 1] < 0.5).long(), (table[:, 2] * 6).long()

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        colours, bright, places = self.table(indices)
        attributes = torch.stack([colours == 0, colours == 1, bright == 1], dim=1).float()
        images = (0.6 * bright - 0.3)[:, None, None, None].repeat(1, 3, 16, 16)
        for i, place in enumerate(places.tolist()):
            images[i, :, place : place + 10, place : place + 10] = -0.9
            images[i, colours[i], place : place + 10, place : place + 10] = 0.9
        return images, attributes


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
    squares = Squares()
    everything = torch.arange(len(squares))
    pairs = AttributePairs(squares.batch(everything)[1], squares.table(everything)[2])
    attributes = Attributes(NAMES, (("red", "green"),))
    return TrainingData(squares, attributes, 16, 3, generator, pairs)


def make(kind: type[FineTunedEditor], data: TrainingData, **changes: Any) -> FineTunedEditor:
    torch.manual_seed(1)
    base = next(name for name in TINY if kind.__name__.lower().startswith(name))
    tiny = {**TINY[base], "finetune_steps": 4}
    return kind(kind.configure("smoke", {**tiny, **changes}), data)  # type: ignore[arg-type]


def batches(stage: Stage, data: TrainingData, steps: int) -> Iterator[dict[str, Tensor]]:
    with Feed(stage, data, 5, 0, 1, torch.device("cpu")) as feed:
        for step in range(steps):
            yield stage.step(feed.batch(step))


def pairs_of(data: TrainingData, count: int) -> Pairs:
    assert data.pairs is not None
    images, attributes = data.train.batch(data.pairs.draw(3, count).T.reshape(-1))
    return Pairs(images[:count], images[count:], attributes[:count])


def test_golden_case_passes() -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN))
    assert (outcome.status, outcome.message) == ("passed", "")


def floor(count: int, temperature: float) -> float:
    return math.log1p((count - 1) * math.exp(-count / (count - 1) / temperature))


@given(st.integers(2, 9), st.integers(1, 6), st.floats(0.1, 3), st.integers(0, 10_000))
def test_the_loss_has_the_floor_that_bounded_cosines_give(
    count: int, width: int, temperature: float, seed: int
) -> None:
    first = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()
    for second in (first, first + torch.randn(first.shape).double(), -first):
        similarities = cosine_similarities(first, second)
        for symmetric in (False, True):
            loss = contrastive_loss(similarities, temperature, "mean", symmetric)
            assert loss >= floor(count, temperature) - 1e-9


def test_the_floor_is_reached_by_the_corners_of_a_simplex() -> None:
    corners = torch.eye(16).double() - 1 / 16
    loss = contrastive_loss(cosine_similarities(corners, corners), reduction="mean")
    assert loss == pytest.approx(floor(16, 1.0))
    assert loss == pytest.approx(1.82, abs=0.005)
    chance = contrastive_loss(torch.zeros(16, 16), reduction="mean")
    assert chance == pytest.approx(2.77, abs=0.005)


def test_a_zero_vector_gives_no_nan_and_finite_gradients() -> None:
    first = torch.zeros(3, 4, requires_grad=True)
    contrastive_loss(cosine_similarities(first, torch.randn(3, 4))).backward()
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()


def module(**changes: Any) -> InfoNCE:
    torch.manual_seed(2)
    config = InfoNCEConfig(pair_count=2, attribute_width=8, **changes)
    return InfoNCE(config, Attributes(NAMES), nn.Conv2d(3, 5, 3, padding=1), 5, "sum")


def contrast_gradients(data: TrainingData, **changes: Any) -> tuple[float, float, float]:
    infonce = module(**changes)
    latents = torch.randn(4, 5, 16, 16, requires_grad=True)
    loss = infonce.contrast(latents, pairs_of(data, 2))["contrast"]
    loss.backward()
    (identity,) = (p.grad for p in infonce.identity_encoder.parameters() if p.ndim > 1)
    return (
        float(loss.detach()),
        0.0 if latents.grad is None else float(latents.grad.abs().sum()),
        0.0 if identity is None else float(identity.abs().sum()),
    )


def test_switches_do_what_they_say(data: TrainingData) -> None:
    loss, encoder, identity = contrast_gradients(data)
    assert encoder > 0
    assert identity > 0
    assert contrast_gradients(data, contrast_trains="encoder")[1:] == (encoder, 0.0)
    assert contrast_gradients(data, contrast_trains="identity")[1:] == (0.0, identity)
    assert contrast_gradients(data, contrast_reduction="sum")[0] == pytest.approx(2 * loss)
    assert contrast_gradients(data, contrast_weight=3)[0] == pytest.approx(3 * loss)
    others: list[dict[str, Any]] = [{"symmetric": True}, {"embedding": "flat"}, {"temperature": 2}]
    for changes in others:
        assert contrast_gradients(data, **changes)[0] != pytest.approx(loss)


def test_attribute_losses_reach_the_codes_unless_detached() -> None:
    attributes = torch.tensor([[1.0, 0, 1]])
    for detached in (False, True):
        codes = torch.ones(1, 5, 2, 2, requires_grad=True)
        infonce = module(detach_attribute=detached)
        infonce.attribute_losses(codes, attributes)["attribute"].backward()
        assert (codes.grad is None) == detached
        assert infonce.attribute_embedding[0].weight.grad is not None


def test_maps_are_embedded_and_compared_over_their_positions() -> None:
    maps = torch.randn(2, 3, 4, 4)
    assert torch.allclose(embed(maps, "pooled"), maps.mean(dim=(2, 3)))
    assert torch.equal(embed(maps, "flat"), maps.flatten(1))
    vectors = torch.randn(2, 3)
    tiled = vectors[:, :, None, None].expand(-1, -1, 4, 4)
    expected = attribute_reconstruction(vectors, torch.zeros(2, 3))
    assert attribute_reconstruction(tiled, torch.zeros(2, 3, 4, 4)) == pytest.approx(
        float(expected)
    )
    infonce = module()
    latent = infonce.latent(torch.zeros(2, 5, 4, 4), torch.tensor([[1.0, 0, 0], [0, 1, 1]]))
    assert latent.shape == (2, 5, 4, 4)
    assert torch.equal(latent[:, :, 0, 0], latent[:, :, 3, 2])


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("mode", ["latent", "aux"])
def test_fine_tuning_moves_what_it_should_and_edits_are_deterministic(
    name: str, mode: str, data: TrainingData
) -> None:
    method = make(COMPOSED[name], data, infonce_mode=mode)
    *_, stage = method.stages(data)
    assert stage.pair_count == 2
    before = {key: value.clone() for key, value in method.named_parameters()}
    reports = list(batches(stage, data, 4))
    losses = {key: value for report in reports for key, value in report.items()}
    assert {"generator/contrast", "generator/attribute", "generator/attribute_class"} <= set(losses)
    assert "discriminator/attribute_class" in losses
    assert torch.isfinite(torch.stack(list(losses.values()))).all()
    still = {key for key, value in method.named_parameters() if torch.equal(value, before[key])}
    still -= {"editor.discriminators.fc_adv.1.layers.0.bias"}  # a constant that wgan cancels
    h_replaces_vectors = name == "stylegan2-infonce" and mode == "latent"
    assert still == ({"editor.vectors.weight"} if h_replaces_vectors else set())
    assert stage.collapsed() is None

    method.eval()
    images, source = data.train.batch(torch.arange(3))
    with torch.no_grad():
        edited = method.edit(images, source, 1 - source)
        assert torch.equal(edited, method.edit(images, source, 1 - source))
        alone = method.edit(images[:1], source[:1], 1 - source[:1])
    assert torch.allclose(alone, edited[:1], atol=1e-5)
    assert edited.shape == images.shape
    assert edited.abs().max() <= 1


@pytest.mark.parametrize("name", COMPOSED)
def test_similarities_are_the_cosines_that_training_contrasts(
    name: str, data: TrainingData
) -> None:
    method = make(COMPOSED[name], data).eval()
    assert isinstance(method, InfoNCEEditor)
    pairs = pairs_of(data, 4)
    with torch.no_grad():
        similarities = method.similarities(pairs.first, pairs.second, pairs.attributes)
        latents = method.base.encode(
            torch.cat([pairs.first, pairs.second]), pairs.attributes.repeat(2, 1)
        )[-1]
        loss = method.infonce.contrast(latents, pairs)["contrast"]
    assert similarities.shape == (4, 4)
    assert similarities.abs().max() <= 1 + 1e-6
    assert contrastive_loss(similarities, reduction="mean") == pytest.approx(float(loss), abs=1e-4)


@pytest.mark.parametrize("name", [*COMPOSED, *VANILLA])
def test_an_interrupted_training_ends_with_the_same_bits(
    name: str, data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = {**COMPOSED, **VANILLA}[name]
    whole = make(kind, data)
    train(whole, data, seed=3, folder=tmp_path / "whole", options=QUIET)

    step = FineTuningStage.step

    def stop(stage: FineTuningStage, batch: Any) -> dict[str, Tensor]:
        if batch.step == 2:
            raise KeyboardInterrupt
        return step(stage, batch)

    often = replace(QUIET, checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(FineTuningStage, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(make(kind, data), data, seed=3, folder=tmp_path / "part", options=often)
    part = make(kind, data)
    train(part, data, seed=3, folder=tmp_path / "part", options=QUIET)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, part.state_dict()[key]), key


@pytest.mark.parametrize("name", VANILLA)
def test_the_baseline_takes_the_same_steps_without_the_new_terms(
    name: str, data: TrainingData
) -> None:
    composed = make(COMPOSED[name.replace("finetuned", "infonce")], data)
    vanilla = make(VANILLA[name], data)
    ours, theirs = list(composed.stages(data)), list(vanilla.stages(data))
    assert [(s.name, s.steps) for s in ours] == [(s.name, s.steps) for s in theirs]
    assert theirs[-1].pair_count == 0
    groups = [stage.optimizers["generator"].param_groups[0] for stage in (ours[-1], theirs[-1])]
    assert [group["betas"] for group in groups] == [(0.5, 0.99)] * 2
    losses = {key for report in batches(theirs[-1], data, 4) for key in report}
    assert not any("attribute" in key or "contrast" in key for key in losses)
    assert vanilla.infonce is None


def test_paper_settings_are_those_of_the_paper() -> None:
    for kind in (*COMPOSED.values(), *VANILLA.values()):
        config = kind.configure("paper")
        assert config.finetune_rate == 1e-4  # type: ignore[attr-defined]
    config = StarGANInfoNCE.configure("paper")
    assert (config.infonce_mode, config.temperature) == ("latent", 1.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["stargan-infonce", "attgan-infonce"])
def test_a_reference_checkpoint_stands_for_the_bases_training(
    name: str, data: TrainingData
) -> None:
    method = make(COMPOSED[name], data)
    networks = {"G": method.editor.generator, "D": method.base.discriminator}
    states = {
        key: {name: torch.rand_like(value.float()).to(value.dtype) for name, value in net.items()}
        for key, net in ((key, network.state_dict()) for key, network in networks.items())
    }
    method.load_reference(states)
    (stage,) = method.stages(data)
    assert stage.name == "fine-tuning"
    loaded = method.editor.generator.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in states["G"].items())
    with pytest.raises(ValueError, match="checkpoint"):
        method.load_reference({})


def test_stargans_latent_may_lie_after_the_residual_blocks(data: TrainingData) -> None:
    images, source = data.train.batch(torch.arange(2))
    for where in ("downsampling", "residual"):
        method = make(StarGANInfoNCE, data, latent_after=where)
        maps = method.base.encode(images, source)
        assert isinstance(method.editor, Editor)
        torch.testing.assert_close(
            method.base.decode(maps, source), method.editor.generator(images, source)
        )
        assert method.infonce is not None
        assert method.infonce.identity_encoder(images).shape == maps[-1].shape


def test_bad_input_is_told_in_one_sentence(data: TrainingData) -> None:
    with pytest.raises(ValueError, match=r"asks for 7 pairs.*have at most 6.*pair_count"):
        make(StarGANInfoNCE, data, pair_count=7)
    with pytest.raises(ValueError, match="knows no identities"):
        make(StarGANInfoNCE, replace(data, pairs=None))
    make(StarGANFineTuned, replace(data, pairs=None))
    images, attributes = data.train.batch(torch.arange(200))
    of_two_kinds = AttributePairs(attributes[:, :1].expand(-1, 3), torch.arange(len(images)))
    with pytest.raises(ValueError, match=r"asks for 4 pairs .* has 2 vectors"):
        make(StarGANInfoNCE, replace(data, pairs=of_two_kinds), pair_count=4)


@pytest.mark.parametrize("name", [*COMPOSED, *VANILLA])
def test_the_catalog_leads_to_each(name: str) -> None:
    assert lookup("methods", name).load() is {**COMPOSED, **VANILLA}[name]


def test_fine_tuning_learns_to_tell_attributes_apart(data: TrainingData) -> None:
    changes = {"finetune_rate": 3e-3, "pair_count": 4, "embedding": "flat", "critic_steps": 1}
    method = make(StarGANInfoNCE, data, **changes)
    *_, stage = method.stages(data)
    reports = list(batches(stage, data, 40))
    for name in ("generator/contrast", "generator/attribute"):
        values = [float(report[name]) for report in reports]
        assert sum(values[-10:]) < 0.9 * sum(values[:10]), name
    assert sum(float(report["generator/contrast"]) for report in reports[-10:]) < 10 * math.log(4)
