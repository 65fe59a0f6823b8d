from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from baselines.base import Batch, TrainingData
from baselines.generator_features import GeneratorFeatures
from baselines.latentclr import DirectionStage, LatentCLR, LatentCLRConfig
from baselines.latentclr_losses import Comparison, contrastive_loss
from baselines.nets import dcgan, pggan
from baselines.nets.single_layer import SingleLayer
from baselines.randomness import Draws
from baselines.subspace import SubspaceStage
from bench import verify
from bench.checkpoints.latentclr import read_states
from bench.errors import MissingFile, Refused

GOLDEN = Path(__file__).parents[1] / "data" / "discovery"
TINY: dict[str, Any] = {"num_directions": 3, "batch_size": 4, "iterations": 6}
KINDS = ("fixed", "linear", "nonlinear")


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("latentclr_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def make(data: TrainingData, **changes: Any) -> LatentCLR:
    torch.manual_seed(1)
    return LatentCLR(LatentCLRConfig(**{**TINY, **changes}), data)


def stage_of(method: LatentCLR, data: TrainingData) -> DirectionStage:
    (stage,) = method.train().stages(data)
    assert isinstance(stage, DirectionStage)
    return stage


def take(stage: DirectionStage, steps: range) -> list[dict[str, Tensor]]:
    return [stage.step(Batch(step, Draws(7, step, 0, 1))) for step in steps]


def gradients(method: LatentCLR) -> dict[str, Tensor]:
    found = {name: one.grad for name, one in method.named_parameters()}
    assert all(value is not None for value in found.values())
    return {name: value.clone() for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "nonlinear", "projector": "nonlinear", "attention": "learned"},
        {"model": "linear", "projector": "linear", "normalize_features": False, "layers": "0-2"},
        {"feature_layers": ("b4", "b8", "b16"), "absolute": False, "scaling": "divide"},
    ],
)
def test_the_streamed_loss_is_that_of_one_pass(
    changes: dict[str, Any], tiny_data: TrainingData
) -> None:
    # 12 directions of 4 codes: more than go through the generator at once.
    changes = {**changes, "num_directions": 12, "projector_width": 5, "projector_hidden": 7}
    streamed, whole = make(tiny_data, **changes), make(tiny_data, **changes)
    codes, lengths = torch.randn(4, 1, 8), torch.rand(12, 4)
    terms = stage_of(streamed, tiny_data).backpropagate(codes, lengths)

    stage = stage_of(whole, tiny_data)
    original = stage.vectors(codes[None].expand(-1, -1, 6, -1)).detach()
    vectors = stage.change(whole.edited(codes, lengths), original).flatten(0, 1)
    expected = contrastive_loss(vectors, 12, whole.config.comparison())
    expected.loss.backward()
    assert not terms.loss.requires_grad
    torch.testing.assert_close(terms.loss, expected.loss.detach())
    assert terms.accuracy == expected.accuracy
    wanted = gradients(whole)
    for name, value in gradients(streamed).items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6, msg=name)
    for name, value in whole.named_buffers():  # batch norms have seen everything once
        torch.testing.assert_close(streamed.get_buffer(name), value, msg=name)


@contextmanager
def largest_graph() -> Iterator[list[int]]:
    """The most bytes that autograd has held at a time, as the last entry."""
    held = {"now": 0}
    most = [0]

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor
            held["now"] += tensor.nbytes
            most[0] = max(most[0], held["now"])

        def __del__(self) -> None:
            held["now"] -= self.tensor.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        yield most


def test_memory_does_not_grow_with_the_directions(tiny_data: TrainingData) -> None:
    def peak(directions: int, at_once: bool) -> int:
        method = make(tiny_data, num_directions=directions, feature_layers=("b16",))
        stage = stage_of(method, tiny_data)
        codes, lengths = torch.randn(4, 1, 8), torch.ones(directions, 1)
        with largest_graph() as most:
            if at_once:
                original = stage.vectors(codes[None].expand(-1, -1, 6, -1)).detach()
                vectors = stage.change(method.edited(codes, lengths), original).flatten(0, 1)
                contrastive_loss(vectors, directions, Comparison()).loss.backward()
            else:
                stage.backpropagate(codes, lengths)
        return most[0]

    assert peak(80, at_once=True) > 4 * peak(20, at_once=True) * 0.9
    assert peak(80, at_once=False) < 1.5 * peak(20, at_once=False)
    assert peak(80, at_once=False) < 0.2 * peak(80, at_once=True)


@pytest.mark.parametrize("kind", KINDS)
def test_training_tells_directions_apart_and_changes_nothing_else(
    kind: str, tiny_data: TrainingData
) -> None:
    frozen = {name: value.clone() for name, value in tiny_data.generator.state_dict().items()}
    changes = {"model": kind, "alpha": 0.5, "learning_rate": 0.02, "depth": 2, "absolute": False}
    method = make(tiny_data, **changes, batch_size=8)
    losses = take(stage_of(method, tiny_data), range(40))
    first, last = (sum(one["loss"] for one in part) / 5 for part in (losses[:5], losses[-5:]))
    assert last < first - 0.05
    assert losses[-1]["accuracy"] > 0.9
    assert {name.split(".")[0] for name in method.state_dict()} <= {
        "model",
        "layer_weights",
        "projector",
    }
    for name, value in tiny_data.generator.state_dict().items():
        assert torch.equal(value, frozen[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_ends_with_the_same_bits(
    kind: str, tiny_data: TrainingData
) -> None:
    changes = {"model": kind, "alpha": (0.1, 0.5), "projector": "linear", "milestones": (3,)}
    whole, first, second = (make(tiny_data, **changes) for _ in range(3))
    take(stage_of(whole, tiny_data), range(6))
    begun, resumed = stage_of(first, tiny_data), stage_of(second, tiny_data)
    take(begun, range(2))
    second.load_state_dict(first.state_dict())
    resumed.adam.load_state_dict(begun.adam.state_dict())
    take(resumed, range(2, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("kind", [*KINDS, "subspace"])
def test_a_shift_moves_each_code_along_its_own_direction(
    kind: str, tiny_data: TrainingData
) -> None:
    method = make(tiny_data, model=kind, layers="0-1,4", subspace_size=3).eval()
    codes = torch.randn(5, 1, 8)
    ws = codes.expand(-1, 6, -1)
    with torch.no_grad():
        moved = [method.shift(ws, k, 1.5) for k in range(3)]
        for k in range(3):
            change = moved[k] - ws
            assert (change[:, [2, 3, 5]] == 0).all()
            torch.testing.assert_close(change[:, [0, 1, 4]].norm(dim=2), torch.full((5, 3), 1.5))
            torch.testing.assert_close(moved[k], method.edited(codes, torch.full((3, 1), 1.5))[k])
            torch.testing.assert_close(method.shift(ws[:2], k, 1.5), moved[k][:2])
        index, step = torch.tensor([2, 0, 2, 1, 0]), torch.tensor([1.5, -1.5, 3.0, 0.0, 1.5])
        mixed = method.shift(ws, index, step)
        for i in range(5):
            expected = ws[i] + step[i] / 1.5 * (moved[int(index[i])][i] - ws[i])
            torch.testing.assert_close(mixed[i], expected)
        layered = torch.randn(2, 6, 8)  # of projected images, say
        alone = torch.cat([method.shift(layered[:1], 1, 2.0), method.shift(layered[1:], 1, 2.0)])
        torch.testing.assert_close(method.shift(layered, 1, 2.0), alone)
        torch.testing.assert_close(method.edited(layered, torch.full((3, 1), 2.0))[1], alone)
    same = torch.allclose(moved[0][0] - ws[0], moved[0][1] - ws[1], atol=1e-5)
    assert same == (kind in ("fixed", "subspace"))


@pytest.mark.parametrize(("layers", "parts"), [("all", 6), ("1-2,5", 3)])
def test_uniform_attention_edits_by_one_part_for_each_layer(
    layers: str, parts: int, tiny_data: TrainingData
) -> None:
    ones, uniform = (make(tiny_data, attention=kind, layers=layers) for kind in ("ones", "uniform"))
    codes, lengths = torch.randn(4, 6, 8), torch.rand(3, 1) + 1
    whole, part = (one.edited(codes, lengths) - codes for one in (ones, uniform))
    assert (whole != 0).any()
    torch.testing.assert_close(part, whole / parts)
    torch.testing.assert_close(
        uniform.shift(codes, 2, 1.5) - codes, (ones.shift(codes, 2, 1.5) - codes) / parts
    )


def test_contrafeats_frame_learns_in_the_subspace_from_mixed_codes(
    tiny_data: TrainingData,
) -> None:
    """And ends with the same bits where it was interrupted."""
    changes = {
        "model": "subspace",
        "subspace_size": 3,
        "subspace_codes": 40,
        "codes_per_step": 20,
        "normalize": False,
        "style_segments": 2,
        "attention": "learned",
        "beta1": 0.0,
        "beta2": 0.99,
    }
    edited: list[Tensor] = []

    def begun() -> tuple[LatentCLR, SubspaceStage, DirectionStage]:
        method = make(tiny_data, **changes)
        subspace, directions = method.train().stages(tiny_data)
        assert isinstance(subspace, SubspaceStage)
        assert isinstance(directions, DirectionStage)
        assert directions.adam.defaults["betas"] == (0.0, 0.99)
        return method, subspace, directions

    whole, subspace, directions = begun()
    for step in range(subspace.steps):
        subspace.step(Batch(step, Draws(7, step, 0, 1)))
    before = whole.model.all(torch.zeros(1, 8))[:, 0].detach()
    handle = tiny_data.generator.synthesis.register_forward_pre_hook(
        lambda _, arguments: edited.append(arguments[0])
    )
    take(directions, range(2))
    handle.remove()
    resumed, _, later = begun()
    resumed.load_state_dict(whole.state_dict())
    later.adam.load_state_dict(copy.deepcopy(directions.adam.state_dict()))
    take(directions, range(2, 6))
    take(later, range(2, 6))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name

    codes = edited[0]  # not edited yet
    for half in (codes[:, :3], codes[:, 3:]):
        assert torch.equal(half, half[:, :1].expand_as(half))
    assert (codes[:, 2] != codes[:, 3]).any(1).all()

    learned = whole.model.all(torch.zeros(1, 8))[:, 0].detach()
    assert not torch.allclose(learned, before)
    torch.testing.assert_close(learned.norm(dim=1), torch.full((3,), 8**0.5))
    components = subspace.subspace.components.float()
    spanned = learned @ components.T @ components
    torch.testing.assert_close(spanned, learned)


def test_lengths_are_drawn_as_their_settings_say(tiny_data: TrainingData) -> None:
    def drawn(count: int = 4, **changes: Any) -> Tensor:
        stage = stage_of(make(tiny_data, **changes), tiny_data)
        return stage._lengths(Draws(7, 0, 0, 1), count, torch.device("cpu"))

    assert torch.equal(drawn(alpha=0.3), torch.full((3, 1), 0.3))
    released = drawn(alpha=(-1.0, 1.0), model="linear")
    assert released.shape == (3, 1)
    assert len(released.unique()) == 3
    assert len(drawn(alpha=(-1.0, 1.0)).unique()) == 1
    each = drawn(alpha=(-1.0, 1.0), alpha_per="code", count=200)
    assert each.shape == (3, 200)
    assert -1 <= each.min() < -0.9 < 0.9 < each.max() <= 1


def unit_rows(count: int, width: int = 5) -> Tensor:
    torch.manual_seed(count)
    return torch.nn.functional.normalize(torch.randn(count, width), dim=1)


@given(
    directions=st.integers(2, 5),
    edits=st.integers(2, 4),
    temperature=st.floats(0.1, 2),
    absolute=st.booleans(),
    divide=st.booleans(),
)
def test_the_loss_follows_its_formula(
    directions: int, edits: int, temperature: float, absolute: bool, divide: bool
) -> None:
    rows = unit_rows(directions * edits)
    settings = Comparison(temperature, "divide" if divide else "multiply", absolute, "sum")
    cosine = (rows @ rows.T).double()
    cosine = cosine.abs() if absolute else cosine
    powers = torch.exp(cosine / temperature if divide else cosine * temperature)
    ratios = []
    for i, row in enumerate(powers):
        group = slice(i // edits * edits, (i // edits + 1) * edits)
        positive = row[group].sum() - row[i]
        ratios.append(positive / (row.sum() - row[group].sum()))
    expected = -torch.stack(ratios).log().mean().float()
    loss = contrastive_loss(rows, directions, settings).loss
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    means = Comparison(temperature, settings.scaling, absolute, "mean")
    constant = torch.tensor((edits - 1) / (edits * (directions - 1))).log()
    shifted = contrastive_loss(rows, directions, means).loss - constant
    torch.testing.assert_close(shifted, loss, rtol=1e-4, atol=1e-5)


def test_signs_matter_only_to_the_loss_of_the_paper() -> None:
    rows = unit_rows(6)
    turned = rows * torch.tensor([1.0, -1, 1, 1, -1, -1])[:, None]
    for absolute in (True, False):
        found = [
            contrastive_loss(one, 3, Comparison(absolute=absolute)).loss for one in (rows, turned)
        ]
        assert torch.isclose(*found) == absolute


def test_features_are_those_of_the_named_layers(tiny_data: TrainingData) -> None:
    generator = tiny_data.generator
    ws = torch.randn(2, 6, 8)
    blocks = [features for features, _ in generator.synthesis.blocks(ws)]
    assert len(blocks) == 3
    for names, features in (
        (("conv1",), blocks[:1]),
        (("convs.3",), blocks[2:]),
        (("b8.conv1",), blocks[1:2]),
        (("b16", "b4"), [blocks[2], blocks[0]]),
    ):
        found = GeneratorFeatures(generator, names)
        expected = torch.cat([one.flatten(1) for one in features], dim=1)
        assert found.width == expected.shape[1]
        assert torch.equal(found(ws), expected)
    first_of_block = GeneratorFeatures(generator, ("convs.0",))
    assert not torch.equal(first_of_block(ws), blocks[1].flatten(1))
    seen: list[str] = []
    handle = generator.synthesis.b16.register_forward_hook(lambda *_: seen.append("b16"))
    first_of_block(ws)
    handle.remove()
    assert not seen


@pytest.mark.parametrize(
    ("generator", "first"),
    [
        (dcgan.Generator(32, 3, 6, width=2), "main.2"),
        (pggan.Generator(16, 6, weights=pggan.Weights(64, 8)), "layer0"),
    ],
)
def test_generators_of_other_kinds_have_features_too(
    generator: nn.Module, first: str, tiny_data: TrainingData
) -> None:
    tiny_data.generator = SingleLayer(generator).eval().requires_grad_(False)
    z = torch.randn(2, 1, 6)
    layers = [GeneratorFeatures(tiny_data.generator, (name,)) for name in ("conv1", first)]
    assert torch.equal(layers[0](z), layers[1](z))
    method = make(tiny_data)
    before = [one.detach().clone() for one in method.parameters()]
    take(stage_of(method, tiny_data), range(2))
    assert all(not torch.equal(*pair) for pair in zip(before, method.parameters(), strict=True))
    assert method.eval().shift(z, 1, 1.0).shape == z.shape


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_directions": 1}, "num_directions"),
        ({"batch_size": 1}, "batch_size"),
        ({"alpha": 0.0}, "alpha must not be 0"),
        ({"model": "cubic"}, "model"),
        ({"feature_layers": ()}, "feature_layers"),
        ({"attention": "learned", "layers": "0-1"}, "leave layers at all"),
        ({"subspace_codes": 15, "codes_per_step": 10}, "multiple of codes_per_step"),
        ({"no_such_option": 1}, "no_such_option"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        LatentCLR.configure("paper", {**TINY, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"feature_layers": ("b64",)}, "names b64, and the generator has no such layer.*b4.conv1"),
        ({"feature_layers": ("convs.4",)}, "names convs.4"),
        ({"feature_layers": ("mapping",)}, "does not pass"),
        ({"layers": "0-6"}, "layers"),
        ({"style_segments": 7}, "style_segments is 7"),
        ({"model": "subspace", "subspace_size": 9}, "9 principal components"),
    ],
)
def test_a_setting_that_does_not_fit_the_generator_is_named(
    changes: dict[str, Any], named: str, tiny_data: TrainingData
) -> None:
    with pytest.raises(ValueError, match=named):
        make(tiny_data, **changes)


def test_a_share_of_one_code_is_refused(tiny_data: TrainingData) -> None:
    stage = stage_of(make(tiny_data), tiny_data)
    with pytest.raises(ValueError, match="batch_size to 2 for each process"):
        stage.step(Batch(0, Draws(7, 0, 0, 4), processes=4))


def test_presets_are_valid() -> None:
    for preset in ("smoke", "small", "paper"):
        LatentCLR.configure(preset)


@pytest.mark.parametrize("kind", KINDS)
def test_collapse_is_seen_only_when_all_directions_agree(
    kind: str, tiny_data: TrainingData
) -> None:
    method = make(tiny_data, model=kind)
    stage = stage_of(method, tiny_data)
    assert stage.collapsed() is None
    state = method.model.state_dict()
    for name, value in state.items():
        if kind == "fixed":
            value.copy_(value[:1].expand_as(value))
        else:
            value.copy_(state[name.replace(name.split(".")[1], "0", 1)])
    method.model.load_state_dict(state)
    assert stage.collapsed() == "all directions have become the same one"
    assert method.model.training


def checkpoint(method: LatentCLR, path: Path) -> Path:
    """As the release saves it: the projector's tensors twice, and the states of its tools."""
    adam = torch.optim.Adam(method.parameters())
    projector = method.projector.state_dict()
    twice = {name.replace("net.", "Projector.", 1): value for name, value in projector.items()}
    schedule = torch.optim.lr_scheduler.MultiStepLR(adam, [1_000, 5_000], 0.2)
    content = {
        "iteration": 10_001,
        "optimizer": adam.state_dict(),
        "model": method.model.state_dict(),
        "projector": {**projector, **twice},
        "scheduler": schedule.state_dict(),
        "scaler": None,
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_released_directions_stand_for_training(
    kind: str, tiny_data: TrainingData, tmp_path: Path
) -> None:
    trained = make(tiny_data, model=kind, projector="linear")
    take(stage_of(trained, tiny_data), range(3))
    checkpoint(trained, tmp_path / "most_recent.pt")
    checkpoint(make(tiny_data), tmp_path / "unrelated.pt")
    states = read_states(tmp_path)
    assert states.keys() == {"model", "projector"}
    assert set(states["projector"]) == set(trained.projector.state_dict())
    loaded = make(tiny_data, model=kind)
    loaded.load_reference(states)
    assert list(loaded.stages(tiny_data)) == []
    ws = torch.randn(2, 6, 8)
    with torch.no_grad():
        moved = [method.eval().shift(ws, 1, 2.0) for method in (trained, loaded)]
    assert torch.equal(*moved)
    checkpoint(make(tiny_data, model=kind), tmp_path / "best_model.pt")
    assert not torch.equal(
        next(iter(read_states(tmp_path)["model"].values())), next(iter(states["model"].values()))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "linear"}, "model linear, this run's nonlinear: choose --set model=linear"),
        ({"model": "fixed"}, "model fixed, this run's nonlinear"),
        ({"depth": 4}, "depth 4, this run's 3: choose --set depth=4"),
        ({"num_directions": 5}, "num_directions 5, this run's 3"),
    ],
)
def test_directions_of_other_settings_are_refused(
    changes: dict[str, Any], message: str, tiny_data: TrainingData
) -> None:
    other = make(tiny_data, **{"model": "nonlinear", **changes})
    with pytest.raises(ValueError, match=message):
        make(tiny_data, model="nonlinear").load_reference({"model": other.model.state_dict()})


def test_other_directions_are_refused(tiny_data: TrainingData) -> None:
    method = make(tiny_data)
    released = {"model": method.model.state_dict()}
    with pytest.raises(ValueError, match="model fixed, this run's subspace: choose --set model=f"):
        make(tiny_data, model="subspace", subspace_size=3).load_reference(released)
    for states, message in (
        ({}, "holds no directions of LatentCLR"),
        ({"model": {"x": torch.ones(1)}}, "holds no directions of LatentCLR"),
        ({"model": {"params": torch.ones(3, 9)}}, "--generator with codes of 9 numbers"),
        ({"model": {"params": torch.ones(3, 8), "x": torch.ones(1)}}, "damaged.*x"),
    ):
        with pytest.raises(ValueError, match=message):
            method.load_reference(states)


class Trap:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Trap(), "was refused, and nothing in it was executed"),
        ({"model": Trap()}, "was refused, and nothing in it was executed"),
        ({"g_ema": {"x": torch.ones(1)}}, "holds no directions of LatentCLR"),
        ([1, 2], "holds no directions of LatentCLR"),
        ({"model": {"params": torch.full((2, 3), torch.nan)}}, "params that are not finite"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "best_model.pt")
    with pytest.raises(Refused, match=message):
        read_states(tmp_path / "best_model.pt")


def test_an_empty_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"best_model\.pt, final_model\.pt or most_recent\.pt"):
        read_states(tmp_path)
