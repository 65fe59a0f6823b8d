from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.checkpoints import read_generator
from bench.checkpoints.architecture import OtherArchitecture
from bench.checkpoints.rosinality import (
    discriminator_names,
    generator_names,
    generator_to_nvidia,
    generator_to_rosinality,
    read_rosinality,
)
from bench.errors import Refused

GOLDEN = Path(__file__).parents[2] / "data" / "discovery"
TRAINING = GOLDEN / "sg2_ros_checkpoint" / "010000.pt"
CONVERTED = GOLDEN / "sg2_ros_checkpoint" / "stylegan2-tiny-config-f.pt"


class Trap:
    """What torch.load would call, were it not for weights_only."""

    def __reduce__(self) -> tuple[Any, ...]:
        return shutil.rmtree, ("no such folder",)


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def averaged() -> dict[str, Tensor]:
    return read_rosinality(TRAINING).networks["g_ema"]


def test_names_are_those_of_the_golden_map() -> None:
    pairs = json.loads((GOLDEN / "sg2_key_map" / "key_map.json").read_text())
    wanted = {(p["nvidia"], p["rosinality"]) for p in pairs if "w_avg" not in p["nvidia"]}
    got = {(f"G/{nvidia}", f"g_ema/{ros}") for nvidia, ros in generator_names(16, 3)}
    got |= {(f"D/{nvidia}", f"d/{ros}") for nvidia, ros in discriminator_names(16)}
    assert got == wanted


def test_training_options_are_allowed_for_this_call_only() -> None:
    assert read_rosinality(TRAINING).left_out == ("g_optim", "d_optim", "args", "ada_aug_p")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_names_are_refused_by_name(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "trap.pt"
    torch.save({"g_ema": {}, "x": Trap()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(Refused, match=r"trap\.pt was refused.* asks for shutil\.rmtree,"):
        read_rosinality(path)


@pytest.mark.parametrize("length", [4, 100, 50_000, CONVERTED.stat().st_size - 1])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(CONVERTED.read_bytes()[:length])
    with pytest.raises(Refused, match=r"cut\.pt cannot be read .*damaged"):
        read_rosinality(path)


def test_what_is_missing_is_drawn_in_the_same_way_every_time() -> None:
    first, second = (read_generator(CONVERTED).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    noise = [first[f"synthesis.b32.conv{i}.noise_const"] for i in (0, 1)]
    assert not torch.equal(*noise)
    assert all(abs(float(n.std()) - 1) < 0.1 for n in noise)
    generator = read_generator(TRAINING)  # this file has no average of w
    z = torch.randn(20_000, 24, generator=torch.Generator().manual_seed(1))
    difference = generator.mapping(z)[:, 0].mean(dim=0) - generator.mapping.w_avg
    assert difference.norm() < 0.05 * generator.mapping.w_avg.norm()


def test_a_bare_state_dict_is_a_checkpoint_too(tmp_path: Path) -> None:
    bare = save(tmp_path / "bare.pt", averaged())
    renamed = save(tmp_path / "nvidia.pt", dict(read_generator(TRAINING).state_dict()))
    z = torch.ones(1, 24)
    wanted = read_generator(TRAINING)(z)
    assert torch.equal(read_generator(bare)(z), wanted)
    assert torch.equal(read_generator(renamed)(z), wanted)


def changed(name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    state = averaged()
    state.pop(name)
    return state if tensor is None else state | {name: tensor}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv1.weight": torch.zeros(3)}, "no tensor 'conv1.weight'"),
        (changed("style.2.bias", None), r"style\.2\.bias of rosinality's StyleGAN2 is missing"),
        (changed("conv1.noise.weight", torch.zeros(2)), r"conv1\.noise\.weight .*shape \(2,\)"),
        (
            changed("convs.2.activate.bias", torch.zeros(5)),
            r"synthesis\.b16\.conv0\.bias is of shape 5, expected of shape 12; change .*channel",
        ),
        (changed("convs.0.conv.blur.kernel", torch.ones(4, 4)), "resampling filter"),
    ],
)
def test_other_architectures_are_told_by_a_tensor(
    tmp_path: Path, state: dict[str, Tensor], message: str
) -> None:
    path = save(tmp_path / "other.pt", {"g_ema": state})
    with pytest.raises(OtherArchitecture, match=rf"other\.pt.*{message}"):
        read_generator(path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": 1}, {"g": {"a": torch.ones(1)}}])
def test_files_without_an_averaged_generator_say_what_they_hold(
    tmp_path: Path, content: Any
) -> None:
    with pytest.raises((Refused, OtherArchitecture), match=r"list|state_dict|it holds g"):
        read_generator(save(tmp_path / "none.pt", content))


def test_generators_that_the_other_layout_cannot_hold_are_refused() -> None:
    tensors = generator_to_nvidia(averaged())
    with pytest.raises(OtherArchitecture, match="conditional"):
        generator_to_rosinality(tensors | {"mapping.embed.weight": torch.ones(24, 3)})
    with pytest.raises(OtherArchitecture, match="equal width"):
        generator_to_rosinality(tensors | {"mapping.fc0.weight": torch.ones(24, 12)})
