"""Network pickles of NVIDIA's stylegan2-ada-pytorch, read without running anything in them.

Such a file embeds the source text of its network classes, which the official loader executes.
Here the pickle goes through ``pickle_stream``, with stand-ins for the few names that a StyleGAN2
file needs; its tensors are pickles inside the pickle, and are read in the same way.
"""

from __future__ import annotations

import io
import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from bench.checkpoints.container import asks_for_code, require
from bench.checkpoints.pickle_stream import ForeignName, MalformedPickle, TakesState, read_pickle
from bench.errors import Refused

NETWORKS = ("G", "D", "G_ema")


@dataclass(frozen=True)
class StoredNetwork:
    """One network of a snapshot.

    Attributes:
        class_name: The class that it was saved from.
        init_kwargs: The arguments that it was made with; those left at their defaults are absent.
        tensors: Parameters and persistent buffers by their names in the state dict.
    """

    class_name: str
    init_kwargs: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """What a network pickle holds.

    Attributes:
        networks: Those of G, D and G_ema that are there.
        left_out: The file's other entries that are not empty.
        embedded_sources: How many modules carry source text, which was ignored.
    """

    networks: dict[str, StoredNetwork]
    left_out: tuple[str, ...]
    embedded_sources: int


def read_snapshot(path: Path) -> Snapshot:
    """Read a ``network-snapshot-*.pkl`` or a released ``.pkl``, on any device, to the CPU.

    Raises:
        MissingFile: There is no such file.
        Refused: The file asks for a name outside the allow-list, is a TensorFlow pickle, is no
            pickle at all, or is damaged.
    """
    require(path, "nvidia")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _snapshot(read_pickle(cast(BinaryIO, data), _NAMES))
    except ForeignName as foreign:
        raise _refusal(path, foreign) from foreign
    except (MalformedPickle, RecursionError) as error:
        raise Refused(
            f"{path} cannot be read as a network pickle of NVIDIA ({error}); fetch it again."
        ) from error


def _refusal(path: Path, foreign: ForeignName) -> Refused:
    name = f"{foreign.module}.{foreign.name}"
    if foreign.module.startswith(("dnnlib.tflib", "tfutil")):
        return Refused(
            f"{path} is a TensorFlow pickle ({ascii(name)[1:-1]}), which is not read here; convert "
            "it to a PyTorch pickle with legacy.py of stylegan2-ada-pytorch first."
        )
    return asks_for_code(path, name)


@dataclass(frozen=True)
class _Module:
    """Stand-in for any decorated module: its state, unread."""

    class_name: str
    state: dict[str, Any]
    embeds_source: bool

    def table(self, name: str) -> dict[str, Any]:
        """``_parameters``, ``_buffers`` or ``_modules``, without the empty entries."""
        entries = self.state.get(name, {})
        _expect_types(dict, entries)
        return {key: value for key, value in entries.items() if value is not None}


def _module(meta: dict[str, Any]) -> _Module:
    """``torch_utils.persistence._reconstruct_persistent_obj``."""
    _expect_types(dict, meta, meta.get("state"))
    return _Module(str(meta.get("class_name")), meta["state"], bool(meta.get("module_src")))


def _snapshot(content: Any) -> Snapshot:
    if type(content) is not dict or not any(name in content for name in NETWORKS):
        raise MalformedPickle("it holds none of G, D and G_ema")
    networks, embedded_sources = {}, 0
    for name in NETWORKS:
        if content.get(name) is None:
            continue
        parts = dict(_parts(content[name], "", set()))
        networks[name] = _network(parts)
        embedded_sources += sum(part.embeds_source for part in parts.values())
    left_out = tuple(
        str(name) for name, value in content.items() if value is not None and name not in networks
    )
    return Snapshot(networks, left_out, embedded_sources)


def _network(parts: dict[str, _Module]) -> StoredNetwork:
    whole = parts[""]
    if whole.state.get("_init_args"):
        raise MalformedPickle(f"{whole.class_name!r} was made with unnamed arguments")
    init_kwargs = whole.state.get("_init_kwargs", {})
    _expect_types(dict, init_kwargs)
    tensors = {}
    for prefix, part in parts.items():
        not_saved = part.state.get("_non_persistent_buffers_set", ())
        for name, tensor in (part.table("_parameters") | part.table("_buffers")).items():
            _expect_types(Tensor, tensor)
            if name not in not_saved:
                tensors[f"{prefix}{name}"] = tensor
    return StoredNetwork(whole.class_name, init_kwargs, tensors)


def _parts(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, _Module]]:
    """A module and all modules within it by the prefixes of their tensors' names."""
    _expect_types(_Module, module)
    if id(module) in seen:  # never so in a real file; in a forged one it could go on for ever
        raise MalformedPickle(f"the module {prefix!r} is there twice")
    seen.add(id(module))
    yield prefix, module
    for name, child in module.table("_modules").items():
        yield from _parts(child, f"{prefix}{name}.", seen)


# ----- tensors: pickles inside the pickle, and the three functions that make a tensor of them


def _storage(stream: bytes) -> Tensor:
    """Read the argument of ``torch.storage._load_from_bytes``: a whole legacy torch.save file.

    Five pickles (magic number, version, system, the object, its keys), then for every key the
    number of elements and the raw data.

    Returns:
        One-dimensional tensor of all elements.
    """
    file = io.BytesIO(stream)
    _, version = read_pickle(file, {}), read_pickle(file, {})
    system = read_pickle(file, {})
    dtype, key, count = read_pickle(file, _STORAGES, _persistent_storage)
    keys = read_pickle(file, {})
    if version != 1001 or system.get("little_endian") is not True or keys != [key]:
        raise MalformedPickle("a tensor's data is in an unknown format")
    if struct.unpack("<q", file.read(8))[0] != count:
        raise MalformedPickle("a tensor's data has another length than its header says")
    raw = bytearray(stream[file.tell() :])
    if len(raw) != count * dtype.itemsize:
        raise MalformedPickle("a tensor's data is cut off")
    return torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)


def _persistent_storage(identity: tuple[Any, ...]) -> tuple[torch.dtype, str, int]:
    kind, dtype, key, location, count, view = identity
    if kind != "storage" or type(dtype) is not torch.dtype or view is not None:
        raise MalformedPickle("a tensor refers to something that is no storage")
    # The device that it was saved from, such as cuda:0, does not matter here.
    _expect_types(str, key, location)
    _expect_types(int, count)
    return dtype, key, count


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    """``torch._utils._rebuild_tensor_v2``; what follows the stride matters to autograd only."""
    _expect_types(Tensor, storage)
    _expect_types(int, offset, *size, *stride)
    steps = [(n - 1) * step for n, step in zip(size, stride, strict=True)]
    if min((offset, *size, *stride)) < 0 or math.prod(size) > storage.numel():
        raise MalformedPickle("a tensor is larger than its data")
    if math.prod(size) and offset + sum(steps) >= storage.numel():
        raise MalformedPickle("a tensor reaches beyond its data")
    return storage.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    """``torch._utils._rebuild_parameter``; whether it wants gradients is not the file's choice."""
    _expect_types(Tensor, tensor)
    return tensor


def _expect_types(kind: type, *values: Any) -> None:
    if not all(type(value) is kind for value in values):
        raise MalformedPickle(f"something else stands where a {kind.__name__} belongs")


# ----- the other names


@dataclass
class _NumpyType(TakesState):
    """Stand-in for ``numpy.dtype``, of scalars only."""

    code: str

    def set_state(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", "|"):
            raise MalformedPickle("a number is not little-endian")


def _numpy_type(code: str, *_: Any) -> _NumpyType:
    if code not in _NUMBERS:
        raise MalformedPickle("a number is of an unknown type")
    return _NumpyType(code)


def _numpy_scalar(kind: _NumpyType, raw: bytes) -> int | float | bool:
    _expect_types(_NumpyType, kind)
    value: int | float | bool = struct.unpack(_NUMBERS[kind.code], raw)[0]
    return value


def _dict() -> dict[str, Any]:
    return {}


def _set(members: list[str | int]) -> set[str | int]:
    if not all(type(member) in (str, int) for member in members):
        raise MalformedPickle("a member of a set is neither a text nor an integer")
    return set(members)


_NUMBERS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}

_STORAGES = {
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

# Everything that generators, discriminators and the augmentation pipe of 2020 to now refer to.
_NAMES = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    ("collections", "OrderedDict"): _dict,
    ("dnnlib.util", "EasyDict"): _dict,
    ("builtins", "set"): _set,
    ("numpy", "dtype"): _numpy_type,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}
