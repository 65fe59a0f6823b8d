"""Torch7 files of IcGAN, written here byte by byte."""

from __future__ import annotations

import builtins
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.base import Attributes, TrainingData
from baselines.icgan import IcGAN
from bench.checkpoints.icgan import read_states
from bench.errors import BenchError, MissingFile, Refused

FILES = {"G": "celeba_24_G.t7", "Ez": "celeba_encZ_7.t7", "Ey": "celeba_encY_5.t7"}
SETTINGS: dict[str, Any] = {
    "z_dim": 5,
    "generator_width": 4,
    "encoder_width": 3,
    "encoder_layers": 2,
    "y_encoder_dense": 6,
}


class Writer:
    """Torch7's binary serialisation, as far as networks use it."""

    def __init__(self) -> None:
        self.data, self.objects = b"", 0

    def value(self, value: Any) -> None:
        if value is None:
            self._pack("i", 0)
        elif isinstance(value, int):
            self._pack("=id", 1, value)
        elif isinstance(value, Mapping):
            self._pack("iii", 3, self._number(), len(value))
            for key, item in value.items():
                self.text(key) if isinstance(key, str) else self.value(key)
                self.value(item)
        elif isinstance(value, tuple):
            name, fields = value
            self._torch(name)
            self.value(fields)
        else:
            self._tensor(value)

    def text(self, text: str) -> None:
        self._pack("i", 2)
        self._string(text)

    def _torch(self, name: str) -> None:
        self._pack("ii", 4, self._number())
        self._string("V 1")
        self._string(name)

    def _tensor(self, tensor: Tensor) -> None:
        self._torch("torch.FloatTensor")
        self._pack("i", tensor.ndim)
        self._pack(f"={tensor.ndim}q", *tensor.shape)
        self._pack(f"={tensor.ndim}q", *tensor.stride())
        self._pack("=q", 1)
        self._torch("torch.FloatStorage")
        self._pack("=q", tensor.numel())
        self.data += tensor.numpy().astype(np.float32).tobytes()

    def _number(self) -> int:
        self.objects += 1
        return self.objects

    def _string(self, text: str) -> None:
        self._pack("i", len(text))
        self.data += text.encode()

    def _pack(self, form: str, *values: float) -> None:
        self.data += struct.pack(form, *values)


def network_bytes(layers: Sequence[Mapping[str, Any]]) -> bytes:
    writer = Writer()
    modules = {place: ("nn.Module", dict(layer)) for place, layer in enumerate(layers, 1)}
    writer.value(("nn.Sequential", {"modules": modules}))
    return writer.data


def make(**changes: Any) -> IcGAN:
    torch.manual_seed(0)
    data = TrainingData(None, Attributes(("Bald", "Male", "Young")), 16, 3)  # type: ignore[arg-type]
    return IcGAN(IcGAN.configure("paper", {**SETTINGS, **changes}), data)  # type: ignore[arg-type]


def write(folder: Path, method: IcGAN) -> dict[str, dict[str, Tensor]]:
    """The method's networks as files; one convolution has a flat kernel, as older versions do."""
    networks = {"G": method.generator, "Ez": method.z_encoder, "Ey": method.y_encoder}
    states = {}
    for name, network in networks.items():
        states[name] = {
            key: value
            for key, value in network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        layers: list[dict[str, Any]] = [{} for _ in network.main]  # type: ignore[union-attr, arg-type]
        for key, value in states[name].items():
            _, place, field = key.split(".")
            layers[int(place)][field] = value
        if name == "Ey":
            inputs, height, width = layers[0]["weight"].shape[1:]
            layers[0] |= {"weight": layers[0]["weight"].flatten(1), "nInputPlane": inputs}
            layers[0] |= {"kH": height, "kW": width}
        (folder / FILES[name]).write_bytes(network_bytes(layers))
    return states


@pytest.mark.parametrize("given", [".", *FILES.values()])
def test_a_network_comes_back_as_it_was_written(tmp_path: Path, given: str) -> None:
    pytest.importorskip("torchfile")
    written = write(tmp_path, make())
    found = read_states(tmp_path / given)
    assert found.keys() == written.keys()
    for name, state in written.items():
        assert found[name].keys() == state.keys()
        for key, value in state.items():
            assert torch.equal(found[name][key], value), key
    other = make()
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_reference(found)
    assert torch.equal(other.generator.main[1].weight, written["G"]["main.1.weight"])  # type: ignore[union-attr, index]


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchfile")
    write(tmp_path, make())
    file = tmp_path / FILES["Ey"]
    whole = file.read_bytes()
    for length in (0, 3, 40, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(Refused, match=r"celeba_encY_5\.t7.*fetch it again"):
            read_states(tmp_path)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"PK\x03\x04" + bytes(60)])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("torchfile")
    write(tmp_path, make())
    (tmp_path / FILES["G"]).write_bytes(content)
    with pytest.raises(Refused, match=r"celeba_24_G\.t7 is no Torch7 network"):
        read_states(tmp_path)


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchfile")
    write(tmp_path, make())
    (tmp_path / FILES["Ez"]).write_bytes(network_bytes([{}, {}]))
    with pytest.raises(Refused, match="no layers with weights"):
        read_states(tmp_path)


def test_a_missing_or_a_second_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, make())
    (tmp_path / "celeba_20_G.t7").write_bytes(b"")
    with pytest.raises(Refused, match=r"celeba_20_G\.t7 and celeba_24_G\.t7"):
        read_states(tmp_path)
    (tmp_path / "celeba_20_G.t7").unlink()
    (tmp_path / FILES["Ey"]).unlink()
    with pytest.raises(MissingFile, match=r"put celeba_encY_5\.t7 there"):
        read_states(tmp_path)


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, make())
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torchfile":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BenchError, match=r"gan-attribute-bench\[torch7\]"):
        read_states(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_dim": 7}, r"z_dim 5, and this run has 7: choose --set z_dim=5"),
        ({"generator_width": 8}, r"generator_width 4.* 8: choose --set generator_width=4"),
        ({"encoder_width": 2}, r"encoder_width 3.* 2: choose --set encoder_width=3"),
        ({"encoder_layers": 1}, r"encoder_layers 2.* 1: choose --set encoder_layers=2"),
        ({"y_encoder_dense": 9}, r"y_encoder_dense 6.* 9: choose --set y_encoder_dense=6"),
        ({"form": "tensorflow"}, r"of the form torch7, not tensorflow: set form=torch7"),
    ],
)
def test_weights_that_do_not_fit_name_the_setting(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes).load_reference(states_of(make()))


@pytest.mark.parametrize(
    ("size", "channels", "names", "message"),
    [
        (16, 3, ("Bald", "Male"), r"attributes 3, and this run has 2: choose --set dataset.attr"),
        (32, 3, ("Bald", "Male", "Young"), r"size 16, and this run has 32: choose --set data"),
        (16, 1, ("Bald", "Male", "Young"), r"channels 3, and this run has 1: choose another"),
    ],
)
def test_weights_of_another_dataset_name_its_option(
    size: int, channels: int, names: tuple[str, ...], message: str
) -> None:
    data = TrainingData(None, Attributes(names), size, channels)  # type: ignore[arg-type]
    method = IcGAN(IcGAN.configure("paper", SETTINGS), data)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        method.load_reference(states_of(make()))
    with pytest.raises(ValueError, match="no network of IcGAN"):
        method.load_reference({"G": {}})
    with pytest.raises(ValueError, match=r"\['D'\]"):
        method.load_reference({"D": {}})


def states_of(method: IcGAN) -> dict[str, dict[str, Tensor]]:
    networks = {"G": method.generator, "Ez": method.z_encoder, "Ey": method.y_encoder}
    return {name: network.state_dict() for name, network in networks.items()}
