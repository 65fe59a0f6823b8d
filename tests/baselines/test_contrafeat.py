from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Batch, Stage, TrainingData
from baselines.contrafeat import (
    ContraFeat,
    ContraFeatBinary,
    distinct_pairs,
)
from baselines.contrafeat_losses import (
    Contrast,
    binary_terms,
    diversity,
    pairwise_similarity,
    prototype_objective,
)
from baselines.randomness import Draws
from baselines.subspace import mixed_codes
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "discovery"
TINY: dict[str, Any] = {
    "num_directions": 3,
    "subspace_size": 4,
    "subspace_codes": 40,
    "codes_per_step": 20,
    "images": 12,
    "batch_size": 4,
}


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("contrafeat_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def make(method: type[ContraFeat], data: TrainingData, **changes: Any) -> ContraFeat:
    torch.manual_seed(1)
    return method(method.configure("paper", {**TINY, **changes}), data)  # type: ignore[arg-type]


def take(stage: Stage, steps: range) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    for step in steps:
        torch.manual_seed(step)  # as the trainer does: the generator's noise comes from here
        losses = stage.step(Batch(step, Draws(7, step, 0, 1)))
    return losses


def train(method: ContraFeat, data: TrainingData) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    for stage in method.stages(data):
        losses = take(stage, range(stage.steps))
    return losses


@pytest.mark.parametrize("kind", [ContraFeat, ContraFeatBinary])
def test_training_moves_all_that_is_learned_and_nothing_else(
    kind: type[ContraFeat], tiny_data: TrainingData
) -> None:
    frozen = {name: value.clone() for name, value in tiny_data.generator.state_dict().items()}
    method = make(kind, tiny_data)
    before = {name: value.detach().clone() for name, value in method.named_parameters()}
    losses = train(method, tiny_data)

    assert torch.isfinite(torch.stack(list(losses.values()))).all()
    for name, value in method.named_parameters():
        assert not torch.equal(value, before[name]), name
    for name, value in tiny_data.generator.state_dict().items():
        assert torch.equal(value, frozen[name]), name
    assert {name.split(".")[0] for name in method.state_dict()} <= {"navigator", "pictures"}
    prototypes = method.prototypes()
    if kind is ContraFeat:
        assert prototypes is not None
        assert prototypes.shape == (3, 3, 16, 16)
    else:
        assert prototypes is None


@pytest.mark.parametrize("kind", [ContraFeat, ContraFeatBinary])
def test_an_interrupted_training_ends_with_the_same_bits(
    kind: type[ContraFeat], tiny_data: TrainingData
) -> None:
    whole = make(kind, tiny_data)
    train(whole, tiny_data)

    first = make(kind, tiny_data)
    subspace, _ = first.stages(tiny_data)
    take(subspace, range(1))
    second = make(kind, tiny_data)
    second.load_state_dict(first.state_dict())
    subspace, navigator = second.stages(tiny_data)
    take(subspace, range(1, subspace.steps))
    take(navigator, range(2))
    third = make(kind, tiny_data)
    third.load_state_dict(second.state_dict())
    _, resumed = third.stages(tiny_data)
    state = navigator.optimizers["navigator"].state_dict()
    resumed.optimizers["navigator"].load_state_dict(state)
    take(resumed, range(2, resumed.steps))

    for name, value in whole.state_dict().items():
        assert torch.equal(value, third.state_dict()[name]), name


def test_a_shift_adds_the_step_times_attention_times_direction(tiny_data: TrainingData) -> None:
    method = make(ContraFeat, tiny_data)
    ws = torch.randn(2, 6, 8)
    index, step = torch.tensor([2, 0]), torch.tensor([1.5, -0.5])
    moved = method.shift(ws, index, step)
    directions = method.navigator.directions()
    for i in range(2):
        expected = ws[i] + step[i] * torch.outer(method.attention()[index[i]], directions[index[i]])
        assert torch.allclose(moved[i], expected)
    torch.testing.assert_close(method.shift(ws, 1, 2.0) - ws, ws - method.shift(ws, 1, -2.0))


@pytest.mark.parametrize("directions", ["pca", "closed-form", "random"])
def test_attention_trains_on_given_directions(directions: str, tiny_data: TrainingData) -> None:
    method = make(ContraFeat, tiny_data, directions=directions)
    stages = list(method.stages(tiny_data))
    for stage in stages[:-1]:
        take(stage, range(stage.steps))
    given_vectors = method.navigator.directions().clone()
    attention = method.attention().detach().clone()
    take(stages[-1], range(2))
    torch.testing.assert_close(given_vectors.norm(dim=1), torch.full((3,), 8**0.5))
    assert torch.equal(method.navigator.directions(), given_vectors)
    assert not torch.equal(method.attention(), attention)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_directions": 1}, "num_directions"),
        ({"batch_size": 3, "loss": "binary"}, "batch_size"),
        ({"subspace_codes": 30}, "subspace_codes"),
        ({"images": 3}, "images"),
        ({"directions": "pca", "attention": "uniform"}, "nothing is left to learn"),
        ({"cosine": "cubed"}, "cosine"),
        ({"no_such_option": 1}, "no_such_option"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        ContraFeat.configure("paper", {**TINY, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"subspace_size": 9}, "subspace_size"),
        ({"style_segments": 7}, "style_segments"),
        ({"attention_layers": 7}, "attention_layers"),
        ({"attention_kernel": 4}, "attention_kernel"),
        ({"directions": "closed-form", "num_directions": 9}, "num_directions"),
    ],
)
def test_a_setting_that_does_not_fit_the_generator_is_named(
    changes: dict[str, Any], named: str, tiny_data: TrainingData
) -> None:
    with pytest.raises(ValueError, match=named):
        make(ContraFeat, tiny_data, **changes)


def test_without_a_generator_the_error_says_what_to_do(tiny_data: TrainingData) -> None:
    tiny_data.generator = None
    with pytest.raises(ValueError, match="--generator"):
        make(ContraFeat, tiny_data)


def test_a_conditional_generator_is_refused(tiny_data: TrainingData) -> None:
    tiny_data.generator.c_dim = 3
    with pytest.raises(ValueError, match="labels of width 3"):
        make(ContraFeat, tiny_data)


def test_presets_are_valid() -> None:
    for method in (ContraFeat, ContraFeatBinary):
        for preset in ("smoke", "small", "paper"):
            method.configure(preset)


def test_collapse_is_seen_only_when_all_directions_agree(tiny_data: TrainingData) -> None:
    method = make(ContraFeat, tiny_data)
    *_, stage = method.stages(tiny_data)
    assert stage.collapsed() is None
    with torch.no_grad():
        for parameter in method.navigator.parameters():
            parameter.copy_(parameter[:1].clone().expand_as(parameter))
        method.navigator.directions.coordinates[1].neg_()  # type: ignore[union-attr, operator]
    reason = stage.collapsed()
    assert reason is not None
    assert "same" in reason


def test_codes_mix_styles_on_equal_shares_of_the_layers(tiny_data: TrainingData) -> None:
    z = torch.randn(6, 6)
    ws = mixed_codes(tiny_data.generator, z, 3)
    own = tiny_data.generator.mapping(z)[:, 0]
    assert ws.shape == (2, 6, 8)
    for code in range(2):
        for layer in range(6):
            torch.testing.assert_close(ws[code, layer], own[3 * code + layer // 2])


@pytest.mark.parametrize("kind", [ContraFeat, ContraFeatBinary])
def test_processes_share_the_codes_of_a_step(
    kind: type[ContraFeat], tiny_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def mixed(generator: Any, z: Tensor, segments: int) -> Tensor:
        seen.append(z)
        return mixed_codes(generator, z, segments)

    monkeypatch.setattr("baselines.contrafeat.mixed_codes", mixed)
    *_, stage = make(kind, tiny_data).stages(tiny_data)
    for rank, processes in ((0, 1), (0, 2), (1, 2)):
        stage.step(Batch(5, Draws(7, 5, rank, processes), processes=processes))
    whole, *parts = seen
    assert torch.equal(torch.cat(parts), whole)
    with pytest.raises(ValueError, match="cannot be split over 3 processes"):
        stage.step(Batch(5, Draws(7, 5, 0, 3), processes=3))


@given(count=st.integers(2, 40), seed=st.integers(0, 99))
def test_pairs_of_directions_differ_and_cover_all(count: int, seed: int) -> None:
    draws = Draws(seed, 0, 0, 1)
    pairs = distinct_pairs(
        draws.integer("direction", 50 * count, count),
        draws.integer("other direction", 50 * count, count - 1),
        count,
    )
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(pairs[:, 1].tolist()) == set(range(count))


def test_switches_of_the_loss_follow_their_formulas() -> None:
    torch.manual_seed(0)
    changes, pictures = torch.randn(2, 5, 3, 3), torch.randn(4, 5, 3, 3)
    cosine = torch.nn.functional.cosine_similarity(changes[:, None], pictures[None], dim=2)
    mean = cosine.flatten(2).mean(-1)

    def similarity(**switches: Any) -> Tensor:
        return pairwise_similarity(changes, pictures, Contrast(**switches))

    torch.testing.assert_close(similarity(focus="none", cosine="signed"), mean)
    absolute = cosine.abs().flatten(2).mean(-1)
    torch.testing.assert_close(similarity(focus="none", cosine="absolute"), absolute)

    def mask(maps: Tensor) -> Tensor:
        norm = maps.norm(dim=1).flatten(1)
        low, high = norm.min(1, keepdim=True)[0], norm.max(1, keepdim=True)[0]
        return (norm - low) / (high - low)

    weight = mask(changes)[:, None] * mask(pictures)[None]
    squares = cosine.flatten(2).square()
    outside = (weight * squares).sum(-1) / weight.sum(-1)
    torch.testing.assert_close(similarity(mask_position="outside"), outside)
    inside = (weight**2 * squares).sum(-1) / weight.sum(-1)
    torch.testing.assert_close(similarity(), inside)


def test_the_mean_diversity_does_not_depend_on_the_number_of_directions() -> None:
    deltas = torch.ones(5, 2, 3)
    assert diversity(deltas).item() == pytest.approx(20)
    assert diversity(deltas, "mean").item() == pytest.approx(1)
    assert diversity(torch.eye(5)[:, None]).item() == pytest.approx(0, abs=1e-6)


def test_a_one_sided_edit_compares_with_the_code_itself() -> None:
    seen: list[Tensor] = []

    def generate(ws: Tensor) -> Tensor:
        seen.append(ws)
        return ws[:, None]

    ws, deltas = torch.randn(2, 3, 4), torch.randn(3, 3, 4)
    directions, steps = torch.tensor([0, 2]), torch.tensor([0.5, -2.0])
    for symmetric in (True, False):
        prototype_objective(
            generate,
            lambda images: [images],
            ws,
            deltas,
            torch.randn(3, 1, 3, 4),
            directions,
            steps,
            Contrast(),
            symmetric,
        )
    moves = steps[:, None, None] * deltas[directions]
    torch.testing.assert_close(seen[0], torch.cat([ws - moves / 2, ws + moves / 2]))
    torch.testing.assert_close(seen[1], torch.cat([ws, ws + moves]))


@given(scale=st.floats(0.1, 10), focus=st.sampled_from(["l2", "none", "pooled"]))
def test_equal_changes_are_most_consistent_whatever_their_size(scale: float, focus: Any) -> None:
    torch.manual_seed(0)
    origin, second, change = torch.randn(3, 2, 4, 3, 3)
    maps = torch.cat([origin, second, origin + change, second + scale * change, second - change])
    terms = binary_terms([maps], Contrast(focus=focus, mask_position="outside"))
    torch.testing.assert_close(terms.consistency[0], -torch.ones(2), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(terms.orthogonality[0], torch.ones(2), rtol=1e-3, atol=1e-3)
