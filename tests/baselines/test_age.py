from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.age import AGE, AdversarialStage, AGEConfig
from baselines.base import Attributes, Batch, TrainingData
from baselines.nets.dcgan import Encoder, Generator
from baselines.randomness import Draws, data_order, uniforms
from baselines.sphere import cosine_mismatch, kl_to_standard_normal, mismatch, on_sphere
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "reconstruction"
TINY: dict[str, Any] = {
    "z_dim": 8,
    "generator_width": 4,
    "encoder_width": 4,
    "generator_updates": 2,
    "iterations": 6,
    "batch_size": 8,
}


class Flags:
    """Images of 32 x 32 pixels of two colours, one beside the other."""

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        table = uniforms(3, 0, len(self), 6)[indices]
        images = (2 * table - 1).reshape(-1, 3, 1, 2).repeat_interleave(16, dim=3)
        images = images.repeat(1, 1, 32, 1)
        return images, table


def data(size: int = 32, channels: int = 3) -> TrainingData:
    return TrainingData(Flags(), Attributes(()), size, channels)


def make(**changes: Any) -> AGE:
    torch.manual_seed(1)
    return AGE(AGEConfig(**{**TINY, **changes}), data())


def take(stage: AdversarialStage, steps: range) -> list[dict[str, Tensor]]:
    reports = []
    for step in steps:
        indices = data_order(5, step * stage.batch_size, stage.batch_size, len(stage.data.train))
        images, attributes = stage.data.train.batch(indices)
        reports.append(stage.step(Batch(step, Draws(7, step, 0, 1), images, attributes, indices)))
    return reports


def only_stage(method: AGE) -> AdversarialStage:
    (stage,) = method.stages(data())
    assert isinstance(stage, AdversarialStage)
    return stage


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("age_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_training_learns_to_reconstruct() -> None:
    method = make(
        generator_updates=1,
        generator_match_x=30.0,
        encoder_match_x=30.0,
        generator_match_z=100.0,
        iterations=80,
        batch_size=16,
        learning_rate=8e-3,
    )
    reports = take(only_stage(method.train()), range(80))
    assert reports[-1]["encoder/match_x"] < 0.8 * reports[0]["encoder/match_x"]
    assert reports[-1]["generator/match_z"] < reports[0]["generator/match_z"] - 0.03
    images, _ = data().train.batch(torch.arange(100, 164))
    with torch.no_grad():
        error = (method.eval().decode(method.encode(images)) - images).abs().mean()
    assert error < 0.85 * (images.mean(dim=0) - images).abs().mean()


def test_images_and_latents_do_not_depend_on_those_beside_them() -> None:
    method = make()
    take(only_stage(method.train()), range(3))
    before = {name: value.clone() for name, value in method.eval().state_dict().items()}
    images, _ = data().train.batch(torch.arange(6))
    with torch.no_grad():
        z = method.encode(images)
        alone = torch.cat([method.encode(one[None]) for one in images])
        decoded = method.decode(z)
        each = torch.cat([method.decode(one[None]) for one in z])
    torch.testing.assert_close(alone, z, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(each, decoded, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(6))
    assert decoded.abs().max() <= 1
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("noise", ["sphere", "normal"])
def test_latents_are_those_of_the_prior(noise: str) -> None:
    method = make(noise=noise).eval()
    z = method.sample_latents(400, Draws(1, 0, 0, 1))
    squares = z.square().sum(dim=1)
    assert z.mean(dim=0).abs().max() < 0.2
    if noise == "sphere":
        torch.testing.assert_close(squares, torch.ones(400))
    else:
        assert squares.mean().item() == pytest.approx(8, rel=0.1)
    with torch.no_grad():
        sampled = method.sample(400, Draws(1, 0, 0, 1))[:5]
        torch.testing.assert_close(sampled, method.decode(z[:5]), rtol=1e-4, atol=1e-5)


def test_an_interrupted_training_ends_with_the_same_bits() -> None:
    whole = make().train()
    take(only_stage(whole), range(6))
    first = make().train()
    stage = only_stage(first)
    take(stage, range(3))
    second = make().train()
    second.load_state_dict(first.state_dict())
    resumed = only_stage(second)
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(stage.optimizers[name].state_dict())
    take(resumed, range(3, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_each_update_moves_one_network_and_the_statistics_of_both() -> None:
    method = make().train()
    stage = only_stage(method)
    images, _ = data().train.batch(torch.arange(8))
    z = method.latents(8, Draws(1, 0, 0, 1), "z")
    updates = {
        "encoder": lambda: stage.update_encoder(images, z),
        "generator": lambda: stage.update_generator(z),
    }
    for name, update in updates.items():
        before = {key: value.clone() for key, value in method.state_dict().items()}
        update()
        parameters = dict(method.named_parameters())
        for key, value in method.state_dict().items():
            moves = key.startswith(name) or key not in parameters
            assert torch.equal(value, before[key]) != moves, key
        assert all(value.requires_grad for value in parameters.values())


def test_updates_have_images_and_latents_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = only_stage(make(encoder_updates=2, generator_match_x=1.0))
    seen: list[Tensor] = []
    latents: list[Tensor] = []

    def note(z: Tensor, images: Tensor) -> dict[str, Tensor]:
        seen.append(images)
        latents.append(z)
        return {}

    monkeypatch.setattr(stage, "update_encoder", lambda images, z: note(z, images))
    monkeypatch.setattr(stage, "update_generator", note)
    take(stage, range(1))
    assert [len(images) for images in seen] == [8] * 4
    assert len(torch.cat(seen).unique(dim=0)) == len(torch.cat(latents).unique(dim=0)) == 32


def test_training_works_in_bfloat16() -> None:
    method = make(generator_match_x=1.0, encoder_match_z=1.0, noise="normal").train()
    with torch.autocast("cpu", torch.bfloat16):
        (report,) = take(only_stage(method), range(1))
    assert torch.isfinite(torch.stack(list(report.values()))).all()
    assert report["encoder/kl_real"].dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "term"),
    [
        ({"divergence": "published"}, "encoder/kl_real"),
        ({"direction": "pq"}, "generator/kl_fake"),
        ({"x_measure": "L2"}, "encoder/match_x"),
        ({"z_measure": "L1"}, "generator/match_z"),
        ({"encoder_match_z": 1.0}, "encoder/match_z"),
        ({"generator_match_x": 1.0}, "generator/match_x"),
        ({"encoder_match_x": 20.0}, "encoder/total"),
    ],
)
def test_options_change_the_losses(changes: dict[str, Any], term: str) -> None:
    (plain,) = take(only_stage(make(learning_rate=0.0).train()), range(1))
    (changed,) = take(only_stage(make(learning_rate=0.0, **changes).train()), range(1))
    assert plain.get(term) != changed[term]


def test_finetuning_has_batches_and_weights_of_its_own() -> None:
    method = make(iterations=None, epochs=2, finetuning_batch_size=50)
    first, second = method.stages(data())
    assert isinstance(second, AdversarialStage)
    assert [(one.name, one.steps, one.batch_size) for one in (first, second)] == [
        ("adversarial", 50, 8),
        ("finetuning", 4, 50),
    ]
    assert second.config.encoder_match_x == 15
    assert len(list(make(iterations=None, finetuning_epochs=0).stages(data()))) == 1


def test_the_rate_halves_in_the_last_epoch_and_finetuning_starts_anew() -> None:
    config = AGEConfig()
    rates = [config.rate(epoch) / config.learning_rate for epoch in range(10)]
    assert rates == [1] * 4 + [0.5] * 5 + [0.25]
    assert config.rate(5, first=5) == config.learning_rate
    stage = only_stage(make(iterations=10))
    stage.set_rates(7)
    assert stage.optimizers["encoder"].param_groups[0]["lr"] == config.learning_rate
    stage.set_rates(8)
    assert stage.optimizers["generator"].param_groups[0]["lr"] == config.learning_rate / 2


def test_collapse_is_seen_when_all_reconstructions_agree_by_settled_statistics() -> None:
    method = make().train()
    stage = only_stage(method)
    take(stage, range(2))
    z = method.latents(8, Draws(1, 0, 0, 1), "z")
    with torch.no_grad():
        before = method.eval().decode(z)
        assert before.std(dim=0).max() < 1e-3  # not settled yet
        assert stage.collapsed() is None
        method.train()
        for _ in range(100):
            method.encode(method.decode(z))
        assert stage.collapsed() is None
        method.generator.main[-2].weight.zero_()
    assert "same picture" in (stage.collapsed() or "")


def reference(**changes: Any) -> dict[str, dict[str, Tensor]]:
    method = make(**changes)
    states = {"E": method.encoder.state_dict(), "G": method.generator.state_dict()}
    return {  # PyTorch 0.1 counted no batches
        network: {name: value + 1 for name, value in state.items() if "num_batches" not in name}
        for network, state in states.items()
    }


def test_a_reference_checkpoint_stands_for_the_training() -> None:
    method, states = make(), reference()
    method.load_reference(states)
    assert list(method.stages(data())) == []
    for network, state in ((method.encoder, states["E"]), (method.generator, states["G"])):
        for name, value in state.items():
            assert torch.equal(network.state_dict()[name], value), name


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_checkpoint_of_another_architecture_names_the_option(size: int) -> None:
    def states(method: AGE) -> dict[str, Any]:
        return {"E": method.encoder.state_dict(), "G": method.generator.state_dict()}

    given = states(AGE(AGEConfig(**TINY), data(size)))
    other = AGE(AGEConfig(**TINY), data(256 // size * 8 if size < 128 else 64))
    with pytest.raises(ValueError, match=rf"size is {size}, .*--set dataset\.size={size}"):
        other.load_reference(given)
    with pytest.raises(ValueError, match=r"channels is 3, this run's 1: .*dataset\.channels=3"):
        AGE(AGEConfig(**TINY), data(size, 1)).load_reference(given)
    for option, value in (("z_dim", 8), ("generator_width", 4), ("encoder_width", 4)):
        config = AGEConfig(**{**TINY, option: 5})
        message = rf"{option.replace('_', ' ')} is {value}, this run's 5.*--set {option}={value}"
        with pytest.raises(ValueError, match=message):
            AGE(config, data(size)).load_reference(given)


def test_foreign_and_partial_checkpoints_are_refused() -> None:
    states = reference()
    with pytest.raises(ValueError, match="lacks AGE's network E"):
        make().load_reference({"G": states["G"]})
    with pytest.raises(ValueError, match="none of AGE: it has too few"):
        make().load_reference({"E": {"main.0.weight": torch.ones(1)}, "G": states["G"]})
    del states["E"]["main.3.running_mean"]
    with pytest.raises(ValueError, match=r"none of AGE: .*main\.3\.running_mean"):
        make().load_reference(states)


@pytest.mark.parametrize("size", [16, 48])
def test_sizes_without_networks_are_named(size: int) -> None:
    with pytest.raises(ValueError, match=rf"not of {size} px.*dataset\.size"):
        AGE(AGEConfig(**TINY), data(size))


def test_batches_that_cannot_be_are_named() -> None:
    with pytest.raises(ValidationError, match="batch_size"):
        AGEConfig(batch_size=1)
    with pytest.raises(ValueError, match=r"fills no batch of 201: .* batch_size=N"):
        list(make(iterations=None, batch_size=201).stages(data()))
    with pytest.raises(ValueError, match=r"fills no batch of 256: .* finetuning_batch_size=N"):
        next(make(iterations=None).stages(data()))
    stage = only_stage(make(batch_size=2))
    images, _ = data().train.batch(torch.arange(1))
    with pytest.raises(ValueError, match=r"one sample has no variance.*batch_size of at least 2"):
        stage.step(Batch(0, Draws(7, 0, 0, 2), images, processes=2))


@given(seed=st.integers(0, 999), dim=st.integers(1, 20))
def test_the_cosine_mismatch_keeps_its_range(seed: int, dim: int) -> None:
    first, second = uniforms(seed, 0, 12, dim).sub(0.5).chunk(2)
    assert abs(cosine_mismatch(first, second).item() - 2) <= 1 / dim + 1e-5
    assert cosine_mismatch(first, 3 * first).item() == pytest.approx(2 - 1 / dim, abs=1e-5)
    torch.testing.assert_close(on_sphere(first).norm(dim=1), torch.ones(6))


def test_mismatched_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(4, 3, 1, 1\)"):
        mismatch(torch.ones(4, 3), torch.ones(4, 3, 1, 1), "cos")


@given(mean=st.floats(-2, 2), deviation=st.floats(0.25, 3))
def test_the_exact_divergence_is_that_of_normal_distributions(
    mean: float, deviation: float
) -> None:
    samples = torch.tensor([mean - deviation, mean + deviation], dtype=torch.float64)[:, None]
    q = torch.distributions.Normal(torch.tensor(mean), torch.tensor(deviation))
    p = torch.distributions.Normal(0.0, 1.0)
    pairs = {"qp": (q, p), "pq": (p, q)}
    for direction, (one, other) in pairs.items():
        found = kl_to_standard_normal(samples, direction, exact=True)  # type: ignore[arg-type]
        wanted = torch.distributions.kl_divergence(one, other).item()
        assert found.item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_larger_images_have_more_layers() -> None:
    with torch.device("meta"):
        generator, encoder = Generator(128, 3, 100, 8), Encoder(128, 3, 100, 8)
        assert generator(torch.ones(2, 100)).shape == (2, 3, 128, 128)
        assert encoder(torch.ones(2, 3, 128, 128)).shape == (2, 100)


@pytest.mark.parametrize("preset", ["smoke", "small", "paper"])
@pytest.mark.parametrize("size", [32, 64])
def test_presets_fit_images(preset: str, size: int) -> None:
    config = AGE.configure(preset)
    assert isinstance(config, AGEConfig)
    with torch.device("meta"):
        method = AGE(config, replace(data(), size=size))
    assert method.config.iterations is None or preset != "paper"
