"""Files of GANSpace's components, written here as its program does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.checkpoints.ganspace import read_states
from bench.errors import Refused

# Directions in the Z of a PGGAN, of two components of a layer's activations.
ARRAYS: dict[str, Any] = {
    "act_comp": np.ones((2, 1, 4, 8, 8), np.float32),
    "act_mean": np.ones((1, 4, 8, 8), np.float32),
    "act_stdev": np.ones(2, np.float32),
    "lat_comp": np.arange(6, dtype=np.float32).reshape(2, 1, 3, 1, 1),
    "lat_mean": np.full((1, 3, 1, 1), 7, np.float32),
    "lat_stdev": np.ones(2, np.float32),
    "var_ratio": np.ones(2, np.float32),
    "random_stdevs": np.ones(2, np.float32),
}


def test_latent_directions_are_read_whatever_was_analysed(tmp_path: Path) -> None:
    path = tmp_path / "progan-bedroom_layer4_ipca_c2_n1000.npz"
    np.savez_compressed(path, **ARRAYS)
    (found,) = read_states(path).values()
    assert {name: value.tolist() for name, value in found.items()} == {
        "lat_comp": [[0, 1, 2], [3, 4, 5]],
        "lat_mean": [7, 7, 7],
        "lat_stdev": [1, 1],
    }
    assert {value.dtype for value in found.values()} == {torch.float32}


class Trap:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lat_stdev": None, "lat_mean": None}, "has no lat_mean, lat_stdev: give a file"),
        ({"lat_mean": np.ones((1, 4))}, r"no components of GANSpace \(.*lat_mean \(1, 4\)"),
        ({"lat_stdev": np.ones(3)}, r"lat_stdev \(3,\)\): give a file whose lat_comp has a row"),
        ({"lat_stdev": np.ones(2, np.int64)}, "floating-point"),
        ({"lat_comp": np.full((2, 1, 3, 1, 1), np.nan)}, "lat_comp that are not finite"),
        ({"lat_comp": np.array([Trap()])}, "nothing in it was executed: .*plain arrays"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "components.npz"
    arrays = {name: value for name, value in {**ARRAYS, **changes}.items() if value is not None}
    np.savez(path, **arrays)
    with pytest.raises(Refused, match=message):
        read_states(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"is a folder: give one of GANSpace's \.npz files"):
        read_states(tmp_path)
    np.save(tmp_path / "lat_comp.npy", ARRAYS["lat_comp"])
    np.savez(tmp_path / "whole.npz", **ARRAYS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:500])
    for name in ("lat_comp.npy", "cut.npz"):
        with pytest.raises(Refused, match=r"cut off or no \.npz archive"):
            read_states(tmp_path / name)
