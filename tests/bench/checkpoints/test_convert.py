from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from baselines.nets.stylegan2 import Generator
from bench.checkpoints import convert, read_generator, write_generator_file
from bench.checkpoints.architecture import OtherArchitecture
from bench.checkpoints.generator_file import settings_of
from bench.errors import BenchError, Refused

GOLDEN = Path(__file__).parents[2] / "data" / "discovery"
SNAPSHOT = GOLDEN / "sg2_nv_pickle" / "network-snapshot-000000.pkl"
CONDITIONAL = GOLDEN / "sg2_nv_pickle_2021style" / "network-snapshot-000000.pkl"
TRAINING = GOLDEN / "sg2_ros_checkpoint" / "010000.pt"


@pytest.mark.parametrize("source", [SNAPSHOT, CONDITIONAL, TRAINING])
def test_a_converted_file_is_the_same_generator(tmp_path: Path, source: Path) -> None:
    report = convert(source, tmp_path / "new" / "generator.safetensors")
    original, copy = read_generator(source), read_generator(report.target)
    assert settings_of(copy) == settings_of(original) == report.settings
    wanted = original.state_dict()
    assert copy.state_dict().keys() == wanted.keys()
    assert all(torch.equal(copy.state_dict()[name], wanted[name]) for name in wanted)
    assert copy.sha256 == report.sha256 != original.sha256
    assert not copy.training
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    again = convert(source, tmp_path / "again.safetensors")
    assert again.sha256 == report.sha256


def test_nvidia_tensors_arrive_bit_for_bit(tmp_path: Path) -> None:
    convert(SNAPSHOT, tmp_path / "g.safetensors")
    got, stored = (
        load_file(tmp_path / "g.safetensors"),
        load_file(SNAPSHOT.with_name("state_dict.safetensors")),
    )
    wanted = {name[6:]: tensor for name, tensor in stored.items() if name[:6] == "G_ema/"}
    assert got.keys() == wanted.keys()
    assert all(torch.equal(got[name], wanted[name]) for name in wanted)


def test_the_report_says_what_was_found(tmp_path: Path) -> None:
    report = convert(CONDITIONAL, tmp_path / "g.safetensors")
    text = str(report)
    for part in (
        "G, D, G_ema",
        "16 px, 3 channels, z 16, w 24, labels of width 3, 2 mapping layers",
        "16 at 4 px, 16 at 8 px, 10 at 16 px",
        f"{report.tensors} tensors, {report.parameters:,} parameters",
        "left out: G, D, training_set_kwargs, augment_pipe",
        "source text: ignored, never executed",
        report.sha256,
    ):
        assert part in text
    assert "w_avg is absent" in str(convert(TRAINING, tmp_path / "t.safetensors"))


def test_an_unwritable_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"file/g\.safetensors cannot be written"):
        convert(CONDITIONAL, tmp_path / "file" / "g.safetensors")


def write(path: Path, tensors: dict[str, torch.Tensor], **stated: Any) -> Path:
    save_file(tensors, path, {"generator": json.dumps({"settings": stated})})
    return path


def tensors() -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in read_generator(SNAPSHOT).state_dict().items()}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"synthesis_kwargs": {"channel_base": 256, "channel_max": 20}},
         r"synthesis\.b16\.conv0\.weight is of shape 20 x 20 x 3 x 3, expected of shape "
         r"16 x 20 x 3 x 3; change .*channel_base"),
        ({"w_dim": 16}, r"conv1\.affine\.weight is of shape 20 x 32, .* 20 x 16; change w_dim"),
        ({"img_channels": 1}, r"torgb\.weight is of shape 3 x 20 x 1 x 1, .*change img_channels"),
        ({"z_dim": 64}, r"mapping\.fc0\.weight is of shape 32 x 32, .* 32 x 64; change z_dim"),
        ({"c_dim": 2}, r"mapping\.embed\.weight is absent, .*change c_dim"),
        ({"img_resolution": 64}, r"img_resolution = 64, but synthesis\.b32\.conv1.* makes it 32"),
        ({"img_resolution": 1 << 5000}, "img_resolution"),
        ({"mapping_kwargs": {"num_layers": 10**9}}, r"num_layers = .* mapping\.fc3.* makes it 4"),
        ({"synthesis_kwargs": {"architecture": "resnet"}}, "architecture = 'resnet'"),
        ({"mapping_kwargs": {"activation": "relu"}}, "activation = 'relu'"),
        ({"synthesis_kwargs": {"channels": {"4": 10**12}}}, "no StyleGAN2 network"),
        ({"new_option": 1}, "new_option"),
        ({"mapping_kwargs": 3}, "no StyleGAN2 network"),
    ],
)  # fmt: skip
def test_settings_that_contradict_the_tensors_are_told(
    tmp_path: Path, stated: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "g.safetensors", tensors(), **stated)
    with pytest.raises(OtherArchitecture, match=rf"g\.safetensors.*{message}"):
        read_generator(path)


def test_tensors_without_a_header_are_enough(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "g.safetensors")
    z = torch.ones(2, 32)
    wanted = read_generator(SNAPSHOT)(z)
    assert torch.allclose(read_generator(tmp_path / "g.safetensors")(z), wanted, atol=1e-5)


def test_other_networks_are_told_by_a_tensor(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.safetensors")
    with pytest.raises(OtherArchitecture, match=r"synthesis\.b4\.const.*--generator"):
        read_generator(tmp_path / "resnet.safetensors")
    extra = tensors() | {"synthesis.b32.skip.weight": torch.zeros(1)}
    save_file(extra, tmp_path / "extra.safetensors")
    with pytest.raises(OtherArchitecture, match=r"b32\.skip\.weight is of shape 1, .* absent"):
        read_generator(tmp_path / "extra.safetensors")


def test_a_generator_of_ours_keeps_its_settings(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        generator = Generator(
            8, 2, 12, 16, 1, {"num_layers": 2, "lr_multiplier": 0.1}, {"channel_base": 64}
        )
    path = tmp_path / "g.safetensors"
    write_generator_file(path, generator, {"command": "bench pretrain"})
    assert settings_of(read_generator(path)) == settings_of(generator)


DAMAGED = st.lists(
    st.tuples(st.integers(0, 4_000), st.binary(max_size=9), st.integers(0, 6)),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("source", [CONDITIONAL, TRAINING], ids=["safetensors", "torch"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=DAMAGED)
def test_damage_never_ends_in_anything_but_our_error(
    tmp_path: Path, source: Path, edits: list[tuple[int, bytes, int]]
) -> None:
    whole = tmp_path / "whole.safetensors"
    if source is TRAINING:
        whole = source
    elif not whole.exists():
        convert(source, whole)
    content = bytearray(whole.read_bytes())
    for position, replacement, removed in edits:
        content[position : position + removed] = replacement
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    try:
        read_generator(damaged)
    except BenchError:
        return


def test_a_header_length_that_looks_like_a_pickle_is_no_obstacle(tmp_path: Path) -> None:
    # Headers are padded to 8 bytes, so 32 lengths in a row meet one that ends in 0x80.
    for padding in range(0, 257, 8):
        save_file({"a": torch.ones(1)}, tmp_path / "g.safetensors", {"about": "-" * padding})
        with pytest.raises(OtherArchitecture):
            read_generator(tmp_path / "g.safetensors")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "g.safetensors", {"generator": "{"})
    with pytest.raises(Refused, match="damaged header"):
        read_generator(tmp_path / "g.safetensors")
