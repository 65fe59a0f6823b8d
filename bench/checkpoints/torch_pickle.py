"""Modules and tensors that torch.save has pickled, read without running anything.

A pickle names the classes of its modules and the functions that make its tensors. Here each goes
through ``pickle_stream`` with stand-ins: a module is what it holds in its tables, a tensor is a
view of a storage that is filled when the file's data are reached. Files are those of torch.save
from before its zip format (five pickles, then raw data), and zip files.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from bench.checkpoints.container import asks_for_code, require
from bench.checkpoints.pickle_stream import (
    ForeignName,
    MalformedPickle,
    Names,
    TakesState,
    read_pickle,
)
from bench.errors import Refused

# What else a damaged zip file ends in.
_MADE_OF_DAMAGE = (zipfile.BadZipFile, LookupError, NotImplementedError, OSError, RuntimeError)


@dataclass
class StoredPart:
    """A module without those within it: its class and its state, unread."""

    class_name: str
    state: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> dict[str, Any]:
        """``_parameters``, ``_buffers`` or ``_modules``, without the empty entries."""
        entries = self.state.get(name, {})
        expect_types(dict, entries)
        return {key: value for key, value in entries.items() if value is not None}


def parts_of(module: Any) -> dict[str, StoredPart]:
    """A module and all modules within it by the prefixes of their tensors' names.

    Raises:
        MalformedPickle: Something in it is no module, or is there twice.
    """
    return dict(_parts(module, "", set()))


def tensors_of(parts: Mapping[str, StoredPart]) -> dict[str, Tensor]:
    """Parameters and persistent buffers by their names in the state dict, with memory of their own.

    Raises:
        MalformedPickle: One is no tensor.
    """
    tensors = {}
    for prefix, part in parts.items():
        not_saved = part.state.get("_non_persistent_buffers_set", ())
        for name, value in (part.table("_parameters") | part.table("_buffers")).items():
            tensor = value.tensor if type(value) is _OldParameter else value
            expect_types(Tensor, tensor)
            if name not in not_saved:
                tensors[f"{prefix}{name}"] = tensor.clone(memory_format=torch.contiguous_format)
    return tensors


def read_module(path: Path, title: str, classes: Iterable[tuple[str, str]]) -> StoredPart:
    """Read a file of one whole module, as torch.save(module) has written it, to the CPU.

    Args:
        path: The file, of any version of PyTorch from 0.1.10 on and of Python 2 or 3.
        title: Whose checkpoints such files are, for messages.
        classes: The modules that may be in it, as pairs (module, name) of their definition, besides
            the layers of PyTorch that need no more than their tables.

    Raises:
        MissingFile: There is no such file.
        Refused: It names something else, holds no module, or is damaged.
    """
    require(path, "torch")
    names = dict(_NAMES)
    for module, name in (*_LAYERS, *classes):
        names[module, name] = _class(name)
    try:
        content = _read_zip(path, names) if zipfile.is_zipfile(path) else _read_file(path, names)
        expect_types(_Module, content)
    except ForeignName as foreign:
        raise asks_for_code(path, f"{foreign.module}.{foreign.name}", title) from foreign
    except (MalformedPickle, RecursionError, *_MADE_OF_DAMAGE) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Refused(
            f"{path} cannot be read as a checkpoint of {title} ({reason}); fetch it again."
        ) from error
    return cast(StoredPart, content)


def read_stream(file: BinaryIO, names: Names) -> Any:
    """Read what torch.save wrote before its zip format: five pickles, then the storages' data.

    The pickles are a magic number, the format's version, the system, the object, and the keys of
    its storages; then come, for every key, the number of elements and the raw data.

    Args:
        file: At its first byte.
        names: See ``read_pickle``.

    Raises:
        ForeignName: See ``read_pickle``.
        MalformedPickle: Likewise, or the data do not fit the object.
    """
    file.seek(0, io.SEEK_END)
    storages = _Storages(file.tell())
    file.seek(0)
    _, version, system = (read_pickle(file, {}) for _ in range(3))
    content = read_pickle(file, {**names, **STORAGES}, storages.of_identity)
    keys = read_pickle(file, {})
    expect_types(dict, system)
    if version != 1001 or system.get("little_endian") is not True:
        raise MalformedPickle("its tensors are in an unknown format")
    if keys != sorted(storages.by_key):
        raise MalformedPickle("its tensors and their data do not belong together")
    for key in keys:
        header, storage = file.read(8), storages.by_key[key]
        if len(header) != 8 or struct.unpack("<q", header)[0] != storage.numel():
            raise MalformedPickle("a tensor's data has another length than its header says")
        _fill(storage, file.read(storage.nbytes))
    if file.read(1):
        raise MalformedPickle("there is more in it than its tensors")
    return content


def strided(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    """``torch._utils._rebuild_tensor``, or ``..._v2`` with more that matters to autograd only."""
    expect_types(Tensor, storage)
    expect_types(int, offset, *size, *stride)
    steps = [(n - 1) * step for n, step in zip(size, stride, strict=True)]
    if min((offset, *size, *stride)) < 0 or math.prod(size) > storage.numel():
        raise MalformedPickle("a tensor is larger than its data")
    if math.prod(size) and offset + sum(steps) >= storage.numel():
        raise MalformedPickle("a tensor reaches beyond its data")
    return storage.as_strided(size, stride, offset)


def parameter(tensor: Tensor, *_: Any) -> Tensor:
    """``torch._utils._rebuild_parameter``; whether it wants gradients is not the file's choice."""
    expect_types(Tensor, tensor)
    return tensor


def string_set(members: list[str | int]) -> set[str | int]:
    """``builtins.set``."""
    if not all(type(member) in (str, int) for member in members):
        raise MalformedPickle("a member of a set is neither a text nor an integer")
    return set(members)


def expect_types(kind: type, *values: Any) -> None:
    """Make sure that all values are of one type, and not of one derived from it.

    Raises:
        MalformedPickle: One is not.
    """
    if not all(type(value) is kind for value in values):
        raise MalformedPickle(f"something else stands where a {kind.__name__.lstrip('_')} belongs")


@dataclass
class _Module(StoredPart, TakesState):
    """Stand-in for a module that is pickled as any object: a class, then its state."""

    def set_state(self, state: Any) -> None:
        expect_types(dict, state)
        self.state = state


def _class(name: str) -> Callable[[], _Module]:
    return lambda: _Module(name)


@dataclass
class _OldParameter(TakesState):
    """Stand-in for ``torch.nn.Parameter`` before PyTorch 0.4; its state matters to autograd."""

    tensor: Tensor

    def set_state(self, state: Any) -> None:
        """Nothing to take."""


@dataclass
class _Storages:
    """The storages that an object refers to, by key; filled when their data are reached."""

    bytes_left: int  # of the file: what claims more is refused before there is memory for it
    by_key: dict[str, Tensor] = field(default_factory=dict)

    def of_identity(self, identity: tuple[Any, ...]) -> Any:
        """What a persistent id stands for: a storage, or a module's class beside its source."""
        expect_types(tuple, identity)
        if identity[0] == "module":  # the source text, if any, is only ever looked at
            return identity[1]
        kind, dtype, key, location, count, *view = identity
        if kind != "storage" or type(dtype) is not torch.dtype or view not in ([], [None]):
            raise MalformedPickle("a tensor refers to something that is no storage")
        # The device that it was saved from, such as cuda:0, does not matter here.
        expect_types(str, key, location)
        expect_types(int, count)
        if key not in self.by_key:
            self.bytes_left -= count * dtype.itemsize
            if count < 0 or self.bytes_left < 0:
                raise MalformedPickle("a tensor's data is cut off")
            self.by_key[key] = torch.empty(count, dtype=dtype)
        storage = self.by_key[key]
        if (storage.dtype, storage.numel()) != (dtype, count):
            raise MalformedPickle("a tensor's data is there twice, in different ways")
        return storage


def _read_file(path: Path, names: Names) -> Any:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return read_stream(cast(BinaryIO, data), names)


def _read_zip(path: Path, names: Names) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        storages = _Storages(path.stat().st_size)
        stream = io.BytesIO(archive.read(entries["data.pkl"]))
        content = read_pickle(stream, {**names, **STORAGES}, storages.of_identity)
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise MalformedPickle("its tensors are in an unknown format")
        for key, storage in storages.by_key.items():
            entry = entries[f"data/{key}"]
            if entry.file_size != storage.nbytes:  # before it is unpacked
                raise MalformedPickle("a tensor's data has another length than its header says")
            _fill(storage, archive.read(entry))
    return content


def _fill(storage: Tensor, raw: bytes) -> None:
    if len(raw) != storage.nbytes:
        raise MalformedPickle("a tensor's data is cut off")
    if raw:
        storage.copy_(torch.frombuffer(bytearray(raw), dtype=storage.dtype))


def _parts(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, StoredPart]]:
    if not isinstance(module, StoredPart):
        raise MalformedPickle("something else stands where a module belongs")
    if id(module) in seen:  # never so in a real file; in a forged one it could go on for ever
        raise MalformedPickle(f"the module {prefix!r} is there twice")
    seen.add(id(module))
    yield prefix, module
    for name, child in module.table("_modules").items():
        yield from _parts(child, f"{prefix}{name}.", seen)


def _ordered(pairs: Any = ()) -> dict[str | int, Any]:
    """``collections.OrderedDict``; of Python 2, with its entries as a list of lists."""
    entries: dict[str | int, Any] = {}
    for pair in pairs:
        expect_types(list, pair)
        key, value = pair
        if type(key) not in (str, int):
            raise MalformedPickle("a key is neither a text nor an integer")
        entries[key] = value
    return entries


def _old_parameter(tensor: Tensor, *_: Any) -> _OldParameter:
    return _OldParameter(parameter(tensor))


def _backend() -> None:
    """``torch.nn.backends.thnn``'s functions, which old modules refer to."""


STORAGES: dict[tuple[str, str], Any] = {
    ("torch", "FloatStorage"): torch.float32,
    ("torch", "DoubleStorage"): torch.float64,
    ("torch", "HalfStorage"): torch.float16,
    ("torch", "BFloat16Storage"): torch.bfloat16,
    ("torch", "LongStorage"): torch.int64,
    ("torch", "IntStorage"): torch.int32,
    ("torch", "ShortStorage"): torch.int16,
    ("torch", "CharStorage"): torch.int8,
    ("torch", "ByteStorage"): torch.uint8,
    ("torch", "BoolStorage"): torch.bool,
}

_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("__builtin__", "set"): string_set,
    ("builtins", "set"): string_set,
    ("torch._utils", "_rebuild_tensor"): strided,
    ("torch._utils", "_rebuild_tensor_v2"): strided,
    ("torch._utils", "_rebuild_parameter"): parameter,
    ("torch.nn.parameter", "Parameter"): _old_parameter,
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _backend,
}

_LAYERS = (
    ("torch.nn.modules.container", "Sequential"),
    ("torch.nn.modules.conv", "Conv2d"),
    ("torch.nn.modules.conv", "ConvTranspose2d"),
    ("torch.nn.modules.batchnorm", "BatchNorm2d"),
    ("torch.nn.modules.activation", "LeakyReLU"),
    ("torch.nn.modules.activation", "ReLU"),
    ("torch.nn.modules.activation", "Tanh"),
    ("torch.nn.modules.pooling", "AvgPool2d"),
)
