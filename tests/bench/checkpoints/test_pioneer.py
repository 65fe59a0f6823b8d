from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.checkpoints.pioneer import read_states
from bench.checkpoints.states import read_states as read_by_method
from bench.errors import MissingFile, Refused


class Trap:
    """What torch.load would call, were it not for weights_only."""

    def __reduce__(self) -> Any:
        return exit, (3,)


def content(samples: int) -> dict[str, Any]:
    weights = {"module.to_rgb.5.weight": torch.full((2, 3), float(samples))}
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter], betas=(0.0, 0.99))
    parameter.sum().backward()
    optimizer.step()
    return {
        "G_state_dict": weights,
        "D_state_dict": {"module.from_rgb.3.bias": torch.ones(4)},
        "G_running_state_dict": weights,
        "optimizerD": optimizer.state_dict(),
        "optimizerG": optimizer.state_dict(),
        "iteration": samples,
        "phase": 5,
        "alpha": 1,
    }


def save(folder: Path, samples: int, legacy: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{samples:06}_state"
    torch.save(content(samples), file, _use_new_zipfile_serialization=not legacy)
    return file


@pytest.mark.parametrize("legacy", [True, False])  # the released files are of PyTorch 0.3
def test_a_checkpoint_is_read_from_its_file_and_from_its_folder(
    tmp_path: Path, legacy: bool
) -> None:
    save(tmp_path / "checkpoint", 604000, legacy)
    file = save(tmp_path / "checkpoint", 36200000, legacy)
    for path in (file, file.parent, tmp_path):
        states = read_states(path)
        assert states["G_running"].keys() == {"to_rgb.5.weight"}
        assert states["G_running"]["to_rgb.5.weight"].mean() == 36200000
        assert states["D"].keys() == {"from_rgb.3.bias"}
        assert {name: float(value) for name, value in states["progress"].items()} == {
            "phase": 5,
            "alpha": 1,
        }


def test_the_latest_state_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    save(tmp_path, 7).rename(tmp_path / "latest_state")
    assert read_states(tmp_path).keys() == {"D", "G_running", "G", "progress"}


def test_the_catalog_leads_to_the_reader(tmp_path: Path) -> None:
    assert "G_running" in read_by_method("pioneer", save(tmp_path, 1))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"holds no checkpoint of Pioneer.*<samples>_state"):
        read_states(tmp_path)
    for role in ("D", "G_running"):
        left = {name: value for name, value in content(1).items() if name != f"{role}_state_dict"}
        torch.save(left, tmp_path / "1_state")
        with pytest.raises(Refused, match=f"no network under the name {role}_state_dict"):
            read_states(tmp_path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "1_state"
    file.write_bytes(b"<!DOCTYPE html><html></html>")
    with pytest.raises(Refused, match="web page"):
        read_states(file)
    torch.save([torch.ones(1)], file)
    with pytest.raises(Refused, match="no network"):
        read_states(file)
    torch.save({**content(1), "alpha": "full"}, file)
    with pytest.raises(Refused, match="phase and alpha"):
        read_states(file)
    torch.save({**content(1), "extra": Trap()}, file)
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
