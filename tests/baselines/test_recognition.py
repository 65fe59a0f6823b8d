from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from baselines.base import Attributes, Batch, Stage, TrainingData
from baselines.deformators import ProjectiveDeformator, unit_shifts
from baselines.nets.shift_predictors import LeNetPredictor, ResNetPredictor, doubled
from baselines.randomness import Draws
from baselines.recognition import Recognition, sampled_steps
from bench import verify
from bench.checkpoints.recognition import read_states
from bench.checkpoints.states import read_states as read_by_method
from bench.checkpoints.states import write_states
from bench.errors import MissingFile, Refused

GOLDEN = Path(__file__).parents[1] / "data" / "discovery"
KINDS = ("ortho", "linear", "proj", "fc", "id", "random", "subspace")
SIZE, DIM = 32, 16
TINY: dict[str, Any] = {
    "num_directions": 4,
    "predictor": "lenet",
    "lenet_width": 1,
    "inner_dim": 8,
    "subspace_size": 6,
    "subspace_codes": 40,
    "codes_per_step": 20,
    "iterations": 4,
    "batch_size": 8,
    "accuracy_batches": 2,
}


class Tiles(nn.Module):
    """A generator that shows each coordinate of w as the grey of one tile of its image."""

    z_dim, w_dim, img_resolution, num_ws = DIM, DIM, SIZE, 2

    def __init__(self) -> None:
        super().__init__()
        self.contrast = nn.Parameter(torch.tensor(0.5), requires_grad=False)

    def mapping(self, z: Tensor) -> Tensor:
        return z[:, None].expand(-1, self.num_ws, -1)

    def synthesis(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        side = round(DIM**0.5)
        tiles = torch.tanh(self.contrast * ws.mean(1)).unflatten(1, (1, side, side))
        return F.interpolate(tiles, SIZE)


@pytest.fixture
def data() -> TrainingData:
    return TrainingData(None, Attributes(()), SIZE, 1, generator=Tiles())  # type: ignore[arg-type]


def make(data: TrainingData, **changes: Any) -> Recognition:
    torch.manual_seed(1)
    config = Recognition.configure("paper", {**TINY, **changes})
    return Recognition(config, data)  # type: ignore[arg-type]


def take(method: Recognition, stage: Stage, steps: Sequence[int]) -> list[dict[str, Tensor]]:
    method.train()
    losses = []
    for step in steps:
        torch.manual_seed(step)  # as the trainer does
        losses.append(stage.step(Batch(step, Draws(7, step, 0, 1))))
    return losses


def train(method: Recognition, data: TrainingData) -> list[dict[str, Tensor]]:
    return [
        losses
        for stage in method.stages(data)
        for losses in take(method, stage, range(stage.steps))
    ]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("voynov_*")))
def test_golden_case_passes(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert (outcome.status, outcome.message) == ("passed", "")


def test_the_predictor_learns_to_tell_directions_apart(data: TrainingData) -> None:
    method = make(
        data,
        deformator="linear",
        iterations=40,
        batch_size=32,
        predictor_rate=1e-2,
        deformator_rate=1e-2,
        accuracy_batches=5,
    )
    losses = train(method, data)
    assert losses[0]["accuracy"] < 0.5
    assert method.accuracy > 0.7
    assert torch.equal(losses[-1]["accuracy"], method.accuracy)
    assert losses[39]["shift"] < 0.7 * losses[0]["shift"]


@pytest.mark.parametrize("kind", KINDS)
def test_training_moves_all_that_is_learned_and_nothing_else(kind: str, data: TrainingData) -> None:
    method = make(data, deformator=kind, attention="learned")
    before = {name: value.detach().clone() for name, value in method.named_parameters()}
    losses = train(method, data)
    assert torch.isfinite(torch.stack([loss for one in losses for loss in one.values()])).all()
    for name, value in method.named_parameters():
        moved = not torch.equal(value, before[name])
        assert moved, name
    learned = any(name.startswith("deformator") for name in before)
    assert learned == (kind not in ("id", "random"))
    assert float(data.generator.contrast) == 0.5


@pytest.mark.parametrize("kind", ["fc", "subspace"])
def test_an_interrupted_training_ends_with_the_same_bits(kind: str, data: TrainingData) -> None:
    whole = make(data, deformator=kind)
    train(whole, data)

    first = make(data, deformator=kind)
    *_, recognition, _ = first.stages(data)
    for stage in list(first.stages(data))[:-2]:
        take(first, stage, range(stage.steps))
    take(first, recognition, range(2))
    second = make(data, deformator=kind)
    second.load_state_dict(first.state_dict())
    *_, resumed, accuracy = second.stages(data)
    resumed.optimizers["both"].load_state_dict(recognition.optimizers["both"].state_dict())
    take(second, resumed, range(2, resumed.steps))
    take(second, accuracy, [0])
    third = make(data, deformator=kind)
    third.load_state_dict(second.state_dict())
    *_, accuracy = third.stages(data)
    take(third, accuracy, [1])

    for name, value in whole.state_dict().items():
        assert torch.equal(value, third.state_dict()[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_moves_every_layer_by_its_weight(kind: str, data: TrainingData) -> None:
    method = make(data, deformator=kind, attention="uniform").eval()
    ws = torch.randn(3, 2, DIM)
    index, steps = torch.tensor([2, 0, 3]), torch.tensor([1.5, -0.5, 4.0])
    moved = method.shift(ws, index, steps) - ws
    torch.testing.assert_close(moved[:, 0], moved[:, 1])
    for i in range(3):
        alone = method.shift(ws[i : i + 1], int(index[i]), float(steps[i])) - ws[i : i + 1]
        torch.testing.assert_close(alone[0], moved[i])
    rows = F.one_hot(index, method.deformator.input_dim) * steps[:, None]
    torch.testing.assert_close(moved[:, 0], method.deformator(rows) / 2)
    assert torch.isfinite(method.shift(ws, 1, 0.0)).all()


def test_directions_are_what_their_names_say(data: TrainingData) -> None:
    units = {kind: unit_shifts(make(data, deformator=kind).deformator) for kind in KINDS}
    for kind in ("ortho", "id"):
        torch.testing.assert_close(units[kind] @ units[kind].T, torch.eye(DIM))
    torch.testing.assert_close(units["random"] @ units["random"].T, torch.eye(4))
    torch.testing.assert_close(units["proj"].norm(dim=1), torch.ones(4), rtol=0.05, atol=0.05)
    torch.testing.assert_close(units["subspace"].norm(dim=1), torch.full((4,), 4.0))

    ws, fc = torch.zeros(1, 2, DIM), make(data, deformator="fc").eval()
    assert fc.shift(ws, 0, 0.0).abs().sum() > 0
    double = fc.shift(ws, 0, 2.0) - fc.shift(ws, 0, 0.0)
    assert not torch.allclose(double, 2 * (fc.shift(ws, 0, 1.0) - fc.shift(ws, 0, 0.0)))
    projective = ProjectiveDeformator(4, DIM, DIM, bias=False)
    torch.testing.assert_close(
        projective(-3 * torch.eye(4)).norm(dim=1).detach(), torch.full((4,), 3.0)
    )
    assert torch.equal(projective(torch.zeros(1, 4)), torch.zeros(1, DIM))


def test_switches_change_what_they_say(data: TrainingData) -> None:
    calm = make(data, random_init=False).deformator
    torch.testing.assert_close(unit_shifts(calm), torch.eye(DIM), rtol=0, atol=0.02)
    linear = make(data, deformator="linear", random_init=False).deformator
    assert torch.equal(unit_shifts(linear), torch.eye(4, DIM))
    short = unit_shifts(make(data, out_dim=6).deformator)
    assert short.shape == (6, DIM)
    assert not short[:, 6:].any()
    assert make(data, num_directions=None).num_directions == DIM
    assert make(data, num_directions=None, out_dim=5).num_directions == 5
    assert torch.equal(make(data).attention(), torch.ones(4, 2))
    weights = make(data, attention="learned").attention()
    assert weights.shape == (4, 2)
    assert weights.requires_grad
    without = make(data, accuracy_batches=0, deformator="subspace")
    assert [stage.name for stage in without.stages(data)] == ["subspace", "recognition"]


def test_contrafeats_predictor_starts_from_a_halved_kernel(data: TrainingData) -> None:
    kernel = ResNetPredictor(4, first_convolution="repeated").features[0].weight
    assert isinstance(kernel, Tensor)
    assert torch.equal(kernel[:, :3], kernel[:, 3:])
    changes = {"predictor": "resnet18", "first_convolution": "repeated", "iterations": 1}
    method = make(data, **changes, predictor_size=16, attention="uniform", style_segments=2)
    assert torch.isfinite(train(method, data)[0]["loss"])

    weights = {
        name.replace("features_extractor.", ""): torch.full_like(value, 0.5)
        for name, value in released_names(ResNetPredictor(4)).items()
        if name.startswith("features_extractor.")
    }
    weights["conv1.weight"] = torch.randn(64, 3, 7, 7)
    method.load_reference({"imagenet": weights | {"fc.weight": torch.zeros(1000, 512)}})
    assert isinstance(method.predictor, ResNetPredictor)
    taken = method.predictor.features[0].weight
    assert isinstance(taken, Tensor)
    assert torch.equal(taken, doubled(weights["conv1.weight"]))
    assert [stage.name for stage in method.stages(data)] == ["recognition", "accuracy"]
    with pytest.raises(ValueError, match="not torchvision's"):
        method.load_reference({"imagenet": {"conv1.weight": weights["conv1.weight"]}})
    with pytest.raises(ValueError, match="first_convolution=repeated"):
        make(data).load_reference({"imagenet": weights})


def released_names(predictor: ResNetPredictor) -> dict[str, Tensor]:
    """A state dict as the released program names it, with the classifier that it never uses."""
    parts = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    renamed = {}
    for name, value in predictor.state_dict().items():
        head, first, rest = name.split(".", 2) if name.count(".") > 1 else (name, "", "")
        if head == "features":
            renamed[f"features_extractor.{parts[first]}.{rest}"] = value
        else:
            renamed[
                name.replace("direction", "type_estimator").replace("shift", "shift_estimator")
            ] = value
    return renamed | {"features_extractor.fc.weight": torch.zeros(1000, 512)}


def save_run(folder: Path, method: Recognition, kind: str, step: int = 100) -> Path:
    """What the released program leaves of a run."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    parts = {"deformator": method.deformator, "shift_predictor": method.predictor}
    states = {name: part.state_dict() for name, part in parts.items()}
    for name, state in states.items():
        torch.save(state, folder / "models" / f"{name}_{step}.pt")
    torch.save({"step": step, **states}, folder / "checkpoint.pt")
    (folder / "args.json").write_text(json.dumps({"deformator": kind, "directions_count": 4}))
    return folder


@pytest.mark.parametrize("kind", ["ortho", "linear", "proj", "fc"])
def test_a_released_run_is_taken_over(kind: str, data: TrainingData, tmp_path: Path) -> None:
    theirs = make(data, deformator=kind).eval()
    run = save_run(tmp_path / "run", make(data, deformator=kind), kind, step=90)
    save_run(run, theirs, kind, step=100)
    ws = torch.randn(2, 2, DIM)
    models = run / "models"
    sources = (run, models, models / "shift_predictor_100.pt", run / "checkpoint.pt")
    for source in sources:
        ours = make(data, deformator=kind, random_init=False)
        ours.load_reference(read_by_method("recognition", source))
        torch.testing.assert_close(ours.eval().shift(ws, 1, 2.0), theirs.shift(ws, 1, 2.0))
        assert predictions(ours, data) == predictions(theirs, data)
        assert [stage.name for stage in ours.stages(data)] == ["accuracy"]
    write_states("recognition", read_states(run), tmp_path / "run.safetensors")
    again = read_by_method("recognition", tmp_path / "run.safetensors")
    assert list(again) == [f"deformator:{kind}", "shift_predictor"]


def test_a_released_resnet_is_taken_over_without_its_classifier(data: TrainingData) -> None:
    theirs = make(data, predictor="resnet18").eval()
    assert isinstance(theirs.predictor, ResNetPredictor)
    ours = make(data, predictor="resnet18", first_convolution="repeated").eval()
    ours.load_reference(
        {
            "deformator": theirs.deformator.state_dict(),
            "shift_predictor": released_names(theirs.predictor),
        }
    )
    assert predictions(ours, data) == predictions(theirs, data)


def predictions(method: Recognition, data: TrainingData) -> list[list[float]]:
    """The predictor's logits and steps of two pairs of images."""
    ws = torch.linspace(-1, 1, 4 * 2 * DIM).view(4, 2, DIM)
    with torch.no_grad():
        logits, steps = method.predictor(*data.generator.synthesis(ws).chunk(2))
    found: list[list[float]] = torch.cat([logits, steps[:, None]], dim=1).tolist()
    return found


def test_a_deformator_alone_is_enough(data: TrainingData, tmp_path: Path) -> None:
    run = save_run(tmp_path, make(data), "ortho")
    (run / "models" / "shift_predictor_100.pt").unlink()
    (run / "args.json").unlink()
    states = read_states(run)
    assert list(states) == ["deformator"]
    method = make(data)
    method.load_reference(states)
    assert list(method.stages(data)) == []


def test_weights_that_do_not_fit_name_the_setting(data: TrainingData, tmp_path: Path) -> None:
    states = read_states(save_run(tmp_path, make(data), "ortho"))
    with pytest.raises(ValueError, match="--set deformator=ortho"):
        make(data, deformator="linear").load_reference(states)
    with pytest.raises(ValueError, match=r"out_dim.*log_mat_half"):
        make(data, out_dim=6).load_reference(states)
    with pytest.raises(ValueError, match="num_directions as it was trained with"):
        make(data, num_directions=3).load_reference(states)
    with pytest.raises(ValueError, match="no deformator"):
        make(data).load_reference({"shift_predictor": {}})


def test_files_that_hold_no_recognition_model_are_refused(
    data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(MissingFile, match=r"deformator_N\.pt"):
        read_states(tmp_path)
    run = save_run(tmp_path / "run", make(data), "ortho")
    arguments = run / "args.json"
    for text, named in (
        ("{", "does not name"),
        ("[]", "does not name"),
        ('{"deformator": "x"}', "'x'"),
    ):
        arguments.write_text(text)
        with pytest.raises(Refused, match=named):
            read_states(run)
    arguments.unlink()
    models = run / "models"
    torch.save({}, models / "deformator_100.pt")
    with pytest.raises(Refused, match="deformator=id"):
        read_states(run)
    torch.save({"linear": "text"}, models / "deformator_100.pt")
    with pytest.raises(Refused, match="state dicts"):
        read_states(run)
    (models / "deformator_100.pt").write_bytes(b"no torch file")
    with pytest.raises(Refused):
        read_states(run)
    (models / "deformator_100.pt").unlink()
    with pytest.raises(MissingFile, match=r"deformator_100\.pt is missing"):
        read_states(models / "shift_predictor_100.pt")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(Refused, match="no recognition model"):
        read_states(tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_directions": 1}, "num_directions"),
        ({"subspace_codes": 30}, "subspace_codes"),
        ({"predictor_size": 16}, "predictor_size"),
        ({"deformator": "diagonal"}, "deformator"),
        ({"no_such_option": 1}, "no_such_option"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Recognition.configure("paper", {**TINY, **changes})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"num_directions": DIM + 1}, "num_directions is 17"),
        ({"num_directions": 9, "out_dim": 8}, "only 8"),
        ({"style_segments": 3}, "style_segments is 3"),
        ({"deformator": "subspace", "subspace_size": DIM + 1}, "subspace_size"),
    ],
)
def test_a_setting_that_does_not_fit_the_generator_is_named(
    changes: dict[str, Any], named: str, data: TrainingData
) -> None:
    with pytest.raises(ValueError, match=named):
        make(data, **changes)


def test_a_generator_that_cannot_be_searched_is_refused(tiny_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="at least 32 pixels"):
        make(tiny_data)  # of 16 pixels
    tiny_data.generator = None
    with pytest.raises(ValueError, match="--generator"):
        make(tiny_data)


def test_it_works_on_a_stylegan2(tiny_data: TrainingData) -> None:
    method = make(tiny_data, predictor="resnet18", iterations=1, batch_size=2, accuracy_batches=1)
    assert torch.isfinite(train(method, tiny_data)[0]["loss"])


def test_presets_are_valid_and_fit_a_small_generator(data: TrainingData) -> None:
    for preset in ("smoke", "small"):
        assert isinstance(Recognition(Recognition.configure(preset), data), Recognition)  # type: ignore[arg-type]
    Recognition.configure("paper")


def test_processes_share_the_codes_of_a_step(data: TrainingData) -> None:
    method = make(data, deformator="fc")
    stage = next(iter(method.stages(data)))
    with pytest.raises(ValueError, match="cannot be split over 3 processes"):
        stage.step(Batch(0, Draws(7, 0, 0, 3), processes=3))
    assert torch.isfinite(stage.step(Batch(0, Draws(7, 0, 1, 2), processes=2))["loss"])


def test_collapse_is_seen_only_when_all_directions_agree(data: TrainingData) -> None:
    method = make(data, deformator="linear")
    stage = next(iter(method.stages(data)))
    assert stage.collapsed() is None
    with torch.no_grad():
        method.deformator.linear.weight.copy_(torch.randn(DIM, 1) * torch.tensor([1.0, -2, 3, 4]))  # type: ignore[union-attr, operator]
    reason = stage.collapsed()
    assert reason is not None
    assert "same" in reason

    statistics = make(data, deformator="fc").train()
    before = {name: value.clone() for name, value in statistics.state_dict().items()}
    assert next(iter(statistics.stages(data))).collapsed() is None
    assert all(torch.equal(value, before[name]) for name, value in statistics.state_dict().items())
    assert statistics.deformator.training


@given(
    draws=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20),
    scale=st.floats(0.5, 10),
    least=st.floats(0, 2),
)
def test_steps_keep_their_sign_and_are_long_enough(
    draws: list[float], scale: float, least: float
) -> None:
    raw = torch.tensor(draws)
    steps = sampled_steps(raw, "uniform", scale, least)
    assert torch.equal(steps.sign(), (2 * raw - 1).sign())
    moved = steps[steps != 0].abs()
    assert (moved >= least * (1 - 1e-6)).all()
    assert (moved <= max(scale, least) * (1 + 1e-6)).all()
    assert torch.equal(sampled_steps(raw, "normal", scale, 0.0), scale * raw)


def test_a_lenet_sees_either_image_of_any_number_of_channels() -> None:
    predictor = LeNetPredictor(5, channels=1, width=1).eval()
    before, after = torch.rand(2, 3, 1, 40, 40)
    logits, steps = predictor(before, after)
    assert (logits.shape, steps.shape) == ((3, 5), (3,))
    assert not torch.equal(predictor(after, before)[0], logits)
