from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from baselines.base import Batch, TrainingData
from baselines.ganspace import GANSpace
from baselines.nets import dcgan
from baselines.nets.single_layer import SingleLayer
from baselines.randomness import Draws
from bench.checkpoints.states import read_states

TINY: dict[str, Any] = {
    "num_directions": 3,
    "components": 5,
    "codes": 200,
    "codes_per_step": 50,
    "deviation_codes": 300,
}


def make(data: TrainingData, **changes: Any) -> GANSpace:
    return GANSpace(GANSpace.configure("paper", {**TINY, **changes}), data)  # type: ignore[arg-type]


def trained(data: TrainingData, **changes: Any) -> GANSpace:
    method = make(data, **changes)
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


def test_released_components_stand_for_training(
    tiny_data: TrainingData, ws: Tensor, tmp_path: Path
) -> None:
    method = trained(tiny_data, num_directions=4, center=True)
    np.savez(
        tmp_path / "stylegan2-ffhq_style_ipca_c4_n200_w.npz",
        lat_comp=method.subspace.components[:4, None].float().numpy(),  # (C, 1, D)
        lat_mean=method.subspace.mean[None].float().numpy(),
        lat_stdev=method.deviations.numpy(),
    )
    states = read_states("ganspace", next(tmp_path.iterdir()))
    for unit in ("deviation", "length"):
        loaded = make(tiny_data, center=True, unit=unit)
        loaded.load_reference(states)
        assert list(loaded.stages(tiny_data)) == []
        steps = torch.tensor([1.0, -2.0])
        moved = loaded.shift(ws, torch.tensor([0, 2]), steps)
        if unit == "length":
            steps /= method.deviations[[0, 2]]
        torch.testing.assert_close(moved, method.shift(ws, torch.tensor([0, 2]), steps))
    with pytest.raises(ValueError, match=r"has 4 components.*--set num_directions=4 or fewer"):
        make(tiny_data, num_directions=5).load_reference(states)


def test_components_of_another_generator_are_refused(tiny_data: TrainingData) -> None:
    single = SingleLayer(dcgan.Generator(32, 1, 8, width=2))
    in_z = {"lat_comp": torch.eye(8), "lat_mean": torch.zeros(8), "lat_stdev": torch.ones(8)}
    in_w = {**in_z, "lat_stdev": torch.linspace(2, 1, 8)}
    method = make(replace(tiny_data, generator=single))
    method.load_reference({"components": in_z})
    moved = method.shift(torch.zeros(3, 1, 8), torch.arange(3), 1.0)
    assert torch.equal(moved[:, 0], torch.eye(8)[:3])
    with pytest.raises(ValueError, match="directions in W, and this generator is searched in Z"):
        method.load_reference({"components": in_w})
    with pytest.raises(ValueError, match="directions in Z, and this generator is searched in W"):
        make(tiny_data).load_reference({"components": in_z})
    with pytest.raises(ValueError, match="have 9 numbers and this generator's codes 8"):
        make(tiny_data).load_reference({"components": {**in_w, "lat_comp": torch.eye(9)}})
    with pytest.raises(ValueError, match="no components of GANSpace"):
        method.load_reference({})


@pytest.mark.parametrize(
    ("changes", "named"), [({"codes": 210}, "codes_per_step"), ({"components": 2}, "components")]
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        GANSpace.configure("paper", {**TINY, **changes})


def test_layers_beyond_the_generator_are_named(tiny_data: TrainingData) -> None:
    with pytest.raises(ValueError, match="layers 0 to 5"):
        trained(tiny_data, layers="4-6")
