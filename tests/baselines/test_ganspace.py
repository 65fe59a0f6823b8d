from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Batch, TrainingData
from baselines.ganspace import GANSpace
from baselines.randomness import Draws

TINY: dict[str, Any] = {
    "num_directions": 3,
    "components": 5,
    "codes": 200,
    "codes_per_step": 50,
    "deviation_codes": 300,
}


def trained(data: TrainingData, **changes: Any) -> GANSpace:
    method = GANSpace(GANSpace.configure("paper", {**TINY, **changes}), data)  # type: ignore[arg-type]
    for stage in method.stages(data):
        for step in range(stage.steps):
            stage.step(Batch(step, Draws(3, step, 0, 1)))
    return method


@pytest.fixture
def ws() -> Tensor:
    return torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("solver", ["covariance", "incremental"])
def test_a_step_is_one_deviation_along_a_unit_component(
    solver: str, tiny_data: TrainingData, ws: Tensor
) -> None:
    method = trained(tiny_data, solver=solver)
    change = method.shift(ws, torch.tensor([0, 2]), torch.tensor([1.0, -2.0])) - ws
    lengths = change.norm(dim=2)  # one for each code and layer
    torch.testing.assert_close(lengths[0], method.deviations[0].expand(6))
    torch.testing.assert_close(lengths[1], 2 * method.deviations[2].expand(6))
    codes = tiny_data.generator.mapping(torch.randn(4_000, 6))[:, 0]
    measured = (codes @ method.subspace.components[:3].float().T).std(0)
    torch.testing.assert_close(method.deviations, measured, rtol=0.2, atol=0)


def test_only_the_chosen_layers_move(tiny_data: TrainingData, ws: Tensor) -> None:
    method = trained(tiny_data, layers="1-2,5")
    change = method.shift(ws, 0, 1.0) - ws
    assert (change.norm(dim=2) > 0).tolist() == [[False, True, True, False, False, True]] * 2
    assert method.attention()[0].tolist() == [0, 1, 1, 0, 0, 1]


def test_a_centred_edit_sets_the_component(tiny_data: TrainingData, ws: Tensor) -> None:
    method = trained(tiny_data, center=True, layers="2-4")
    moved = method.shift(ws, 1, 2.0)
    component, mean = method.subspace.components[1].float(), method.subspace.mean.float()
    along = (moved - mean) @ component
    torch.testing.assert_close(along[:, 2:5], (2 * method.deviations[1]).expand(2, 3))
    assert torch.equal(moved[:, :2], ws[:, :2])


@pytest.mark.parametrize(
    ("changes", "named"), [({"codes": 210}, "codes_per_step"), ({"components": 2}, "components")]
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        GANSpace.configure("paper", {**TINY, **changes})


def test_layers_beyond_the_generator_are_named(tiny_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="layers 0 to 5"):
        trained(tiny_data, layers="4-6")
