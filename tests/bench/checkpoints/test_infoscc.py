"""InfoSCC-GAN's checkpoint files as the released programs write them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.checkpoints.infoscc import read_states
from bench.errors import MissingFile, Refused

ENCODER = {"_features.0.weight": torch.ones(4, 3, 7, 7), "_l2.weight": torch.ones(8, 32)}
CLASSIFIER = {"model.weight": torch.ones(3, 32), "model.bias": torch.zeros(3)}
GENERATOR = {"concat_fc.weight": torch.ones(5, 8), "fc.bias": torch.zeros(2)}


def generator_file(**changes: Any) -> dict[str, Any]:
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.Adam([weight], betas=(0.5, 0.99))
    weight.sum().backward()
    optimizer.step()
    content = {
        "step": 200_000,
        "config": {"loss": "lsgan", "dataset": {"size": 256, "columns": ["Bald"]}, "x": None},
        "g": GENERATOR,
        "d": {"main.0.weight": torch.ones(1)},
        "g_ema": {name: 2 * value for name, value in GENERATOR.items()},
        "g_optim": optimizer.state_dict(),
    }
    return {**content, **changes}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_gives_all_networks_whatever_its_files_are_called(tmp_path: Path) -> None:
    torch.save({f"module.{name}": value for name, value in ENCODER.items()}, tmp_path / "afhq.pth")
    torch.save(CLASSIFIER, tmp_path / "afhq_classifier_3.pth")
    torch.save(generator_file(fid=np.float64(11.59)), tmp_path / "afhq_generator.pt")
    (tmp_path / "notes.txt").write_text("no checkpoint")
    states = read_states(tmp_path)
    assert states.keys() == {"encoder", "classifier", "generator", "average", "discriminator"}
    assert_same(states["encoder"], ENCODER)
    assert_same(states["classifier"], CLASSIFIER)
    assert_same(states["generator"], GENERATOR)
    assert torch.equal(states["average"]["concat_fc.weight"], 2 * GENERATOR["concat_fc.weight"])
    assert read_states(tmp_path / "afhq.pth").keys() == {"encoder"}
    torch.save(GENERATOR, tmp_path / "alone.pt")
    assert read_states(tmp_path / "alone.pt").keys() == {"average"}


@pytest.mark.parametrize("fid", [np.float64(11.59), np.float32(11.59), 11.59])
def test_a_generator_may_come_with_its_fid_of_any_numpy(tmp_path: Path, fid: float) -> None:
    new, old = tmp_path / "0200000.pt", tmp_path / "old" / "0200000.pt"
    torch.save(generator_file(fid=fid), new)
    assert read_states(new).keys() == {"generator", "average", "discriminator"}
    old.parent.mkdir()
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():  # as written by NumPy 1
            content = source.read(name).replace(b"cnumpy._core.", b"cnumpy.core.")
            target.writestr(name, content)
    assert read_states(old).keys() == {"generator", "average", "discriminator"}


class Trap:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Trap(), "was refused, and nothing in it was executed"),
        (generator_file(fid=Trap()), "was refused, and nothing in it was executed"),
        ([torch.ones(1)], "holds no network"),
        ({"weight": torch.ones(1)}, "holds no network"),
        (generator_file(g_ema="lost"), "holds no network"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "0000001.pt")
    with pytest.raises(Refused, match=message):
        read_states(tmp_path / "0000001.pt")


def test_folders_without_or_with_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="holds no checkpoint of InfoSCC-GAN"):
        read_states(tmp_path)
    for epoch in ("model_0001.pth", "model_0002.pth"):
        torch.save(ENCODER, tmp_path / epoch)
    with pytest.raises(Refused, match=r"encoder twice, in model_0001\.pth and model_0002\.pth"):
        read_states(tmp_path)
