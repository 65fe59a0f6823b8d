"""EigenGAN's weights: arrays of the TensorFlow program, PyTorch files of the port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from baselines.base import Attributes, TrainingData
from baselines.eigengan import EigenGAN
from bench.checkpoints.eigengan import read_states
from bench.checkpoints.states import read_states as read_by_method
from bench.errors import MissingFile, Refused

GOLDEN = Path(__file__).parents[2] / "data" / "conditional"
TINY = {"noise_dim": 10, "n_basis": 3, "dim_10": 0.125, "discriminator_features": 12}


def make(**changes: Any) -> EigenGAN:
    data = TrainingData(None, Attributes(("any",)), 32, 3)  # type: ignore[arg-type]
    return EigenGAN(EigenGAN.configure("paper", {**TINY, **changes}), data)  # type: ignore[arg-type]


def variables() -> dict[str, Any]:
    """All of a checkpoint: both networks, averages, slots of the optimiser, counters."""
    generator = load_file(GOLDEN / "eigengan_tf_generator" / "weights.safetensors")
    discriminator = load_file(GOLDEN / "eigengan_tf_discriminator" / "weights.safetensors")
    averages = {f"{name}/G_ema": value + 1 for name, value in generator.items()}
    slots = {f"{name}/Adam": value for name, value in discriminator.items()}
    return {**generator, **discriminator, **averages, **slots, "beta1_power": np.float32(0.5)}


def save(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def test_arrays_of_the_original_become_networks(tmp_path: Path) -> None:
    path = save(tmp_path / "variables.npz", variables())
    states = read_by_method("eigengan", tmp_path)
    assert states.keys() == {
        "original/generator",
        "original/average",
        "original/discriminator",
    }
    for name, value in read_states(path)["original/average"].items():
        torch.testing.assert_close(value, states["original/generator"][name] + 1)
    method = make()
    method.load_reference(states)
    assert list(method.stages(TrainingData(None, Attributes(()), 32, 3))) == []  # type: ignore[arg-type]


def test_averages_copied_for_sampling_are_found_too(tmp_path: Path) -> None:
    arrays = {
        name.replace("G/", "G_test/") + ":0": value
        for name, value in variables().items()
        if name.startswith("G/") and not name.endswith("G_ema")
    }
    states = read_states(save(tmp_path / "a.npz", arrays))
    assert states.keys() == {"original/average"}
    make().load_reference(states)


def test_files_of_the_port(tmp_path: Path) -> None:
    port = make(form="port", base_channels=4, max_channels=8)
    generator = port.generator.state_dict()
    saved = {"step": 3, "config": {}, "g": generator, "g_ema": generator}
    saved["d"] = port.discriminator.state_dict()
    torch.save(saved, tmp_path / "0200000.pt")
    torch.save(generator, tmp_path / "generator.pt")
    assert read_states(tmp_path / "generator.pt").keys() == {"average"}
    states = read_states(tmp_path / "0200000.pt")
    assert states.keys() == {"generator", "average", "discriminator"}
    make(form="port", base_channels=4, max_channels=8, discriminator_features=8).load_reference(
        {name: states[name] for name in ("generator", "average")}
    )


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"no file .*absent\.npz"):
        read_states(tmp_path / "absent.npz")
    with pytest.raises(MissingFile):
        read_states(tmp_path / "absent.pt")
    with pytest.raises(Refused, match="no network of EigenGAN"):
        read_states(save(tmp_path / "foreign.npz", {"encoder/kernel": np.ones((2, 2))}))
    with pytest.raises(Refused, match="not of EigenGAN's shapes"):
        read_states(save(tmp_path / "flat.npz", {"G/U_0": np.ones((2, 2))}))
    with pytest.raises(Refused, match=r"projection\.L that are not finite"):
        read_states(save(tmp_path / "nan.npz", {"G/L_0": np.full(3, np.nan)}))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(Refused, match="no network of EigenGAN"):
        read_states(tmp_path / "list.pt")
    cut = (tmp_path / "foreign.npz").read_bytes()[:60]
    (tmp_path / "cut.npz").write_bytes(cut)
    with pytest.raises(Refused, match="cut off"):
        read_states(tmp_path / "cut.npz")
