"""AttGAN's checkpoint files as the reference's training program writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from baselines.attgan import AttGAN
from baselines.base import Attributes, TrainingData
from bench.checkpoints.attgan import read_states
from bench.errors import BenchError, MissingFile, Refused

TINY = {
    "layers": 2,
    "encoder_width": 4,
    "decoder_width": 4,
    "discriminator_layers": 2,
    "discriminator_width": 4,
    "head_width": 8,
}


def make() -> AttGAN:
    data = TrainingData(None, Attributes(("Male", "Young")), 16, 3)  # type: ignore[arg-type]
    return AttGAN(AttGAN.configure("paper", TINY), data)  # type: ignore[arg-type]


def prefixed(network: nn.Module) -> dict[str, Any]:
    return {f"module.{name}": value for name, value in network.state_dict().items()}


def experiment(folder: Path) -> tuple[Path, AttGAN]:
    """An experiment with two epochs: the last with all of the training's state."""
    first, last = make(), make()
    optimizer = torch.optim.Adam(last.generator.parameters(), betas=(0.5, 0.999))
    sum(p.sum() for p in last.generator.parameters()).backward()
    optimizer.step()
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "setting.txt").write_text("{}")
    torch.save({"G": first.generator.state_dict()}, folder / "checkpoint" / "weights.9.pth")
    content = {
        "G": prefixed(last.generator),
        "D": prefixed(last.discriminators),
        "optim_G": optimizer.state_dict(),
    }
    torch.save(content, folder / "checkpoint" / "weights.10.pth")
    return folder, last


def test_a_folder_gives_its_last_epoch_and_the_networks_take_it_over(tmp_path: Path) -> None:
    folder, last = experiment(tmp_path / "128_shortcut1_inject1_none")
    images, labels = torch.rand(2, 3, 16, 16) * 2 - 1, torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    for path in (folder, folder / "checkpoint", folder / "checkpoint" / "weights.10.pth"):
        states = read_states(path)
        assert states.keys() == {"G", "D"}
        method = make()
        method.load_reference(states)
        with torch.no_grad():
            edited = method.eval().edit(images, labels, 1 - labels)
            assert torch.equal(edited, last.eval().edit(images, labels, 1 - labels))


def test_a_file_of_the_generator_alone_is_enough(tmp_path: Path) -> None:
    folder, _ = experiment(tmp_path)
    states = read_states(folder / "checkpoint" / "weights.9.pth")
    assert states.keys() == {"G"}
    make().load_reference(states)


def test_nothing_there_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"no checkpoint of AttGAN.*weights\.<epoch>\.pth"):
        read_states(tmp_path)
    with pytest.raises(MissingFile, match="cannot be opened"):
        read_states(tmp_path / "weights.1.pth")


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(1)],
        {"state": {"x": torch.zeros(1)}},
        {"G": {"x": 1}},
        {"G": {}},
        {"G": {"x": torch.zeros(1)}, "D": 3},
    ],
)
def test_foreign_content_is_refused(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "weights.1.pth"
    torch.save(content, file)
    with pytest.raises(Refused, match=str(file)):
        read_states(file)


def test_what_asks_for_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.1.pth"
    torch.save({"G": make().generator}, file)
    with pytest.raises(Refused, match="nothing in it was executed"):
        read_states(file)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    folder, _ = experiment(tmp_path)
    file = folder / "checkpoint" / "weights.10.pth"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BenchError, match=r"weights\.10\.pth"):
        read_states(folder)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.1.pth"
    file.write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(Refused, match="web page"):
        read_states(file)
