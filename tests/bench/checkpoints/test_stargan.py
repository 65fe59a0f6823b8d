from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.checkpoints.stargan import read_states
from bench.checkpoints.states import read_states as read_by_method
from bench.errors import MissingFile, Refused

G = {"main.0.weight": torch.ones(2, 3), "main.1.num_batches_tracked": torch.tensor(0)}
D = {"conv2.weight": torch.zeros(1, 2)}


class Trap:
    """What torch.load would call, were it not for weights_only."""

    def __reduce__(self) -> Any:
        return exit, (3,)


def save(folder: Path, iteration: int, legacy: bool = False, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for network, state in (("G", G), ("D", D)):
        state = {prefix + name: value + iteration for name, value in state.items()}
        file = folder / f"{iteration}-{network}.ckpt"
        torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    return folder / f"{iteration}-G.ckpt"


@pytest.mark.parametrize("legacy", [True, False])  # the released files are of PyTorch 0.4
def test_a_pair_is_read_from_either_file_and_from_its_folder(tmp_path: Path, legacy: bool) -> None:
    save(tmp_path / "run" / "models", 9000)
    file = save(tmp_path / "run" / "models", 10000, legacy, prefix="module.")
    for path in (file, file.with_name("10000-D.ckpt"), file.parent, tmp_path / "run"):
        states = read_states(path)
        assert list(states) == ["G", "D"]
        for state, wanted in ((states["G"], G), (states["D"], D)):
            assert state.keys() == wanted.keys()
            assert all(torch.equal(state[name], wanted[name] + 10000) for name in wanted)


def test_the_catalog_leads_to_the_reader(tmp_path: Path) -> None:
    assert read_by_method("stargan", save(tmp_path, 1)).keys() == {"G", "D"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="holds no checkpoint of StarGAN"):
        read_states(tmp_path)
    file = save(tmp_path, 7)
    (tmp_path / "7-D.ckpt").unlink()
    for path in (file, tmp_path):
        with pytest.raises(MissingFile, match=r"7-D\.ckpt is missing.*beside 7-G\.ckpt"):
            read_states(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path, 7)
    whole = file.read_bytes()
    other = tmp_path / "weights.149.pth"
    other.write_bytes(whole)
    with pytest.raises(Refused, match="not named like StarGAN's"):
        read_states(other)
    file.write_bytes(b"<!DOCTYPE html><html></html>")
    with pytest.raises(Refused, match="web page"):
        read_states(file)
    torch.save({"G": G}, file)
    with pytest.raises(Refused, match="not one network's state dict"):
        read_states(file)
    torch.save({"weights": Trap()}, file)
    with pytest.raises(Refused, match="nothing in it was executed"):
        read_states(file)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_file_cut_off_is_refused_wherever_it_ends(tmp_path: Path, legacy: bool) -> None:
    file = save(tmp_path, 7, legacy)
    whole = file.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(Refused):
            read_states(file)
