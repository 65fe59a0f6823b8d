from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from baselines.age import AGE, AGEConfig
from baselines.base import Attributes, TrainingData
from bench.checkpoints.age import read_states
from bench.checkpoints.states import read_states as read_by_method
from bench.errors import BenchError, MissingFile, Refused
from tests.bench.checkpoints import streams

pytestmark = pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")

TINY = AGEConfig(z_dim=6, generator_width=2, encoder_width=3)
Save = Callable[..., Path]


def method() -> AGE:
    torch.manual_seed(2)
    none: Any = None
    return AGE(TINY, TrainingData(none, Attributes(()), 32, 3))


class Trap:
    """What an ordinary unpickler would call."""

    def __reduce__(self) -> Any:
        return os.getcwd, ()


@pytest.fixture
def save(tmp_path: Path) -> Iterator[Save]:
    """Saves both networks as the released code does, by today's PyTorch."""
    package, base = ModuleType("models"), ModuleType("models.base")
    sys.modules.update({"models": package, "models.base": base})
    for name in ("_netE_Base", "_netG_Base", "_netD"):
        kind = type(name, (nn.Module,), {"__module__": "models.base"})
        setattr(base, name, kind)

    def save(
        encoder: str = "netE_epoch_5.pth",
        generator: str = "netG_epoch_5.pth",
        legacy: bool = True,
        classes: tuple[str, str] = ("_netE_Base", "_netG_Base"),
        **more: Any,
    ) -> Path:
        networks = (method().encoder, method().generator)
        for file, kind, network in zip((encoder, generator), classes, networks, strict=True):
            module = getattr(base, kind)()
            module.main, module.noise, module.ngpu = network.main, "sphere", 1
            for name, value in more.items():
                setattr(module, name, value)
            torch.save(module, tmp_path / file, _use_new_zipfile_serialization=not legacy)
        return tmp_path / encoder

    yield save
    del sys.modules["models"], sys.modules["models.base"]


def check(states: dict[str, dict[str, Tensor]], counted: bool = True) -> None:
    assert list(states) == ["E", "G"]
    for state, network in ((states["E"], method().encoder), (states["G"], method().generator)):
        wanted = {
            name: value
            for name, value in network.state_dict().items()
            if counted or "num_batches" not in name
        }
        assert state.keys() == wanted.keys()
        for name, value in wanted.items():
            assert torch.equal(state[name], value), name
    method().load_reference(states)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pair_is_read_from_either_file_and_from_its_folder(save: Save, legacy: bool) -> None:
    encoder = save(legacy=legacy)
    for path in (encoder, encoder.with_name("netG_epoch_5.pth"), encoder.parent):
        check(read_states(path))
    released = save("celeba_e.pth", "celeba_g.pth", legacy=legacy)
    check(read_states(released))
    check(read_states(released.with_name("celeba_g.pth")))
    assert read_by_method("age", encoder).keys() == {"E", "G"}


def test_the_last_epoch_of_a_folder_is_taken(save: Save, tmp_path: Path) -> None:
    save("netE_epoch_9.pth", "netG_epoch_9.pth")
    save("netE_epoch_10_it_5000.pth", "netG_epoch_10_it_5000.pth")
    (tmp_path / "netG_epoch_10_it_5000.pth").unlink()
    with pytest.raises(MissingFile, match=r"netG_epoch_10_it_5000\.pth is missing.*beside netE"):
        read_states(tmp_path)
    save("netE_epoch_10.pth", "netG_epoch_10.pth")
    check(read_states(tmp_path))


def test_what_is_missing_or_ambiguous_is_named(save: Save, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="holds no checkpoint of AGE"):
        read_states(tmp_path)
    save("cifar10_e.pth", "cifar10_g.pth")
    save("celeba_e.pth", "celeba_g.pth")
    with pytest.raises(BenchError, match=r"celeba_e\.pth, cifar10_e\.pth: give one"):
        read_states(tmp_path)
    (tmp_path / "celeba_e.pth").unlink()
    with pytest.raises(MissingFile, match=r"celeba_e\.pth is missing.*beside celeba_g"):
        read_states(tmp_path / "celeba_g.pth")


def test_foreign_files_are_refused(save: Save, tmp_path: Path) -> None:
    file = save()
    (tmp_path / "weights.pth").write_bytes(file.read_bytes())
    with pytest.raises(Refused, match="not named like AGE's"):
        read_states(tmp_path / "weights.pth")
    save(classes=("_netG_Base", "_netE_Base"))
    with pytest.raises(Refused, match="holds a _netG_Base where AGE's _netE_Base belongs"):
        read_states(file)
    torch.save(dict(method().encoder.state_dict()), file)
    with pytest.raises(Refused, match="something else stands where a Module belongs"):
        read_states(file)
    file.write_bytes(b"<!DOCTYPE html><html></html>")
    with pytest.raises(Refused, match="web page"):
        read_states(file)


@pytest.mark.parametrize("legacy", [True, False])
def test_what_asks_for_code_is_refused_by_name(save: Save, legacy: bool) -> None:
    file = save(legacy=legacy, trap=Trap())
    with pytest.raises(Refused, match=r"asks for posix\.getcwd, which no AGE checkpoint needs"):
        read_states(file)
    save(legacy=legacy, classes=("_netD", "_netG_Base"))
    with pytest.raises(Refused, match=r"asks for models\.base\._netD"):
        read_states(file)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_file_cut_off_is_refused_wherever_it_ends(save: Save, legacy: bool) -> None:
    file = save(legacy=legacy)
    whole = file.read_bytes()
    for length in (1, 20, 200, *(int(share * len(whole)) for share in (0.3, 0.9)), len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(Refused):
            read_states(file)
    file.write_bytes(whole + b"more")
    if legacy:  # a zip file may have a comment
        with pytest.raises(Refused, match="more in it"):
            read_states(file)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    legacy=st.booleans(),
    edits=st.lists(
        st.tuples(st.floats(0, 0.6), st.binary(max_size=8), st.integers(0, 8)),
        min_size=1,
        max_size=3,
    ),
)
def test_damage_ends_in_one_sentence(
    save: Save, tmp_path: Path, legacy: bool, edits: list[tuple[float, bytes, int]]
) -> None:
    file, whole = tmp_path / "netE_epoch_5.pth", tmp_path / f"{legacy}"
    if not whole.exists():
        whole.write_bytes(save(legacy=legacy).read_bytes())
    content = bytearray(whole.read_bytes())
    for share, replacement, removed in edits:
        position = int(share * len(content))
        content[position : position + removed] = replacement
    file.write_bytes(bytes(content))
    message = "."
    try:
        read_states(file)
    except BenchError as error:
        message = str(error)
    assert message.endswith(".")
    assert "\n" not in message


# ----- files of Python 2 and PyTorch 0.1, in which texts are bytes and parameters have a state


def text(content: str) -> bytes:
    return b"U" + bytes([len(content)]) + content.encode()


def ordered(entries: dict[str, bytes]) -> bytes:
    pairs = b"".join(b"](" + text(key) + value + b"e" for key, value in entries.items())
    return streams.called(streams.name("collections", "OrderedDict"), b"](" + pairs + b"e")


class OldFile:
    """Writes a module as the released program did."""

    def __init__(self) -> None:
        self.storages: dict[str, Tensor] = {}
        self.known: set[tuple[str, str]] = set()

    def tensor(self, tensor: Tensor) -> bytes:
        key = str(94_000_000 + len(self.storages))
        self.storages[key] = tensor
        identity = b"(" + text("storage") + streams.name("torch", "FloatStorage") + text(key)
        identity += text("cuda:0") + streams.value(tensor.numel()) + b"NtQ"
        rebuild = streams.name("torch._utils", "_rebuild_tensor")
        strides = streams.value(tensor.stride())
        return streams.called(
            rebuild, identity, b"K\x00", streams.value(tuple(tensor.shape)), strides
        )

    def parameter(self, tensor: Tensor) -> bytes:
        made = streams.called(streams.name("torch.nn.parameter", "Parameter"), self.tensor(tensor))
        return made + b"(\x88\x89" + ordered({}) + b"tb"  # requires_grad, volatile, hooks

    def kind(self, module: str, name: str) -> bytes:
        pushed = streams.name(module, name)
        if (module, name) in self.known:
            return pushed
        self.known.add((module, name))
        return b"(" + text("module") + pushed + text("base.py") + text("import os") + b"tQ"

    def module(self, module: nn.Module, kind: tuple[str, str] | None = None) -> bytes:
        own = kind or (type(module).__module__, type(module).__name__)
        parameters = {
            name: b"N" if value is None else self.parameter(value.detach())
            for name, value in module._parameters.items()
        }
        buffers = {
            name: self.tensor(value)
            for name, value in module._buffers.items()
            if value is not None and value.is_floating_point()
        }
        modules = {name: self.module(child) for name, child in module.named_children()}
        backend = streams.name("torch.nn.backends.thnn", "_get_thnn_function_backend")
        state = {
            "_backend": streams.called(backend),
            "_parameters": ordered(parameters),
            "_buffers": ordered(buffers),
            "_modules": ordered(modules),
            "_forward_hooks": ordered({}),
            "training": b"\x88",
            "kernel_size": b"K\x04K\x04\x86",
            "negative_slope": streams.value(0.2),
        }
        items = b"".join(text(key) + value for key, value in state.items())
        return self.kind(*own) + b")\x81}(" + items + b"ub"

    def written(self, content: bytes) -> bytes:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        parts = [pickle.dumps(part, 2) for part in (streams.MAGIC, 1001, system)]
        keys = sorted(self.storages)
        listed = b"](" + b"".join(map(text, keys)) + b"e"
        parts += [b"\x80\x02" + content + b".", b"\x80\x02" + listed + b"."]
        for key in keys:
            tensor = self.storages[key].contiguous()
            parts += [struct.pack("<q", tensor.numel()), tensor.numpy().tobytes()]
        return b"".join(parts)


def test_files_of_python_2_are_read(tmp_path: Path) -> None:
    networks = {"E": method().encoder, "G": method().generator}
    for letter, network in networks.items():
        file = OldFile()
        content = file.module(network, ("models.base", f"_net{letter}_Base"))
        (tmp_path / f"celeba_{letter.lower()}.pth").write_bytes(file.written(content))
    check(read_states(tmp_path), counted=False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"U\x01aQ", "tuple belongs"),
        (b"(U\x05otherN\x87Q", "do not fit|no storage|not enough"),
        (b"(U\x06moduleU\x01xtQ", "Module belongs"),
        (streams.called(streams.name("collections", "OrderedDict"), b"](K\x01e"), "list belongs"),
        (streams.called(streams.name("torch.nn.parameter", "Parameter"), b"N"), "Tensor belongs"),
    ],
)
def test_malformed_modules_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    for letter in "eg":
        (tmp_path / f"celeba_{letter}.pth").write_bytes(OldFile().written(content))
    with pytest.raises(Refused, match=rf"celeba_e\.pth cannot be read .*({reason})"):
        read_states(tmp_path)


def test_data_beyond_the_file_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    identity = b"(" + text("storage") + streams.name("torch", "FloatStorage") + text("1")
    identity += text("cpu") + streams.value(10**12) + b"NtQ"
    for letter in "eg":
        (tmp_path / f"celeba_{letter}.pth").write_bytes(OldFile().written(identity))
    with pytest.raises(Refused, match="cut off"):
        read_states(tmp_path)
