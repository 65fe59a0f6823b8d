"""Weights of reference implementations, kept as one safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.checkpoints.states import checkpoint_hash, convert_states, read_states
from bench.errors import BenchError, MissingFile, Refused

READER = "bench.checkpoints.stargan:read_states"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A folder as StarGAN leaves it, of tiny tensors."""
    folder = tmp_path / "models"
    folder.mkdir()
    for network in "GD":
        state = {"main.0.weight": torch.randn(2, 3), "main.1.steps": torch.tensor(7)}
        torch.save(state, folder / f"10-{network}.ckpt")
    return folder


def test_a_converted_checkpoint_has_the_same_weights(official: Path, tmp_path: Path) -> None:
    wanted = read_states("stargan", official)
    report = convert_states("stargan", official, tmp_path / "new" / "stargan.safetensors")
    assert report.networks == {"G": 7, "D": 7}
    assert report.sha256 == checkpoint_hash(report.target)
    for method in ("stargan", "stargan-infonce", "stargan-finetuned"):
        found = read_states(method, report.target)
        assert found.keys() == wanted.keys() == {"G", "D"}
        for network, state in wanted.items():
            assert found[network].keys() == state.keys()
            assert all(torch.equal(found[network][name], state[name]) for name in state)
    with pytest.raises(Refused, match="none of attgan: give its own"):
        read_states("attgan", report.target)


def test_what_the_suite_has_trained_is_refused_with_another_way(tmp_path: Path) -> None:
    run = tmp_path / "small-s0-0123456789"
    weights = run / "checkpoint" / "01-00000000" / "model.safetensors"
    stage = tmp_path / "train-0123456789" / "weights.safetensors"
    records = (run / "spec.json", run / "provenance.json", stage.with_name("artefact.json"))
    for path in (weights, stage, *records):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    for method, path, message in (
        ("stargan", run, "the command that made the run continues or reads it"),
        ("sefa", weights, f"{run} is a run of this suite"),
        ("stargan", stage, f"{stage.parent} .* give it by --artefact"),
    ):
        with pytest.raises(Refused, match=message):
            read_states(method, path)


def _header(**fields: Any) -> dict[str, str]:
    return {"states": json.dumps(fields)}


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        ({"G/a": torch.ones(2)}, {}),
        ({"G/a": torch.ones(2)}, {"states": "{"}),
        ({"G/a": torch.ones(2)}, {"states": "[]"}),
        ({"G/a": torch.ones(2)}, _header(reader=READER)),
        ({"E/a": torch.ones(2)}, _header(reader=READER, networks=["G"])),
    ],
)
def test_files_of_others_are_refused(
    tensors: dict[str, Tensor], header: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(tensors, path, header)
    with pytest.raises(Refused, match="was not written by `bench convert --method`"):
        read_states("stargan", path)


def test_what_is_missing_or_cut_off_is_told(official: Path, tmp_path: Path) -> None:
    written = convert_states("stargan", official, tmp_path / "stargan.safetensors").target
    written.write_bytes(written.read_bytes()[:-5])
    with pytest.raises(Refused, match="was not written by `bench convert --method`"):
        read_states("stargan", written)
    with pytest.raises(MissingFile, match="There is no checkpoint"):
        read_states("stargan", tmp_path / "nowhere")
    with pytest.raises(MissingFile, match="There is no checkpoint"):
        checkpoint_hash(tmp_path / "nowhere")
    with pytest.raises(BenchError, match="sefa reads no checkpoint of another program"):
        read_states("sefa", official)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be written"):
        convert_states("stargan", official, tmp_path / "file" / "stargan.safetensors")


def test_a_folders_hash_is_of_names_and_contents(official: Path) -> None:
    before = checkpoint_hash(official)
    file = official / "10-G.ckpt"
    content = file.read_bytes()
    file.write_bytes(content + b"!")
    assert checkpoint_hash(official) != before
    file.write_bytes(content)
    assert checkpoint_hash(official) == before
    file.rename(official / "20-G.ckpt")
    assert checkpoint_hash(official) != before
