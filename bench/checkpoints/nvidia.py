"""Network pickles of NVIDIA's stylegan2-ada-pytorch, read without running anything in them.

Such a file embeds the source text of its network classes, which the official loader executes.
Here the pickle goes through ``pickle_stream``, with stand-ins for the few names that a StyleGAN2
file needs; its tensors are pickles inside the pickle, and are read in the same way.
"""

from __future__ import annotations

import io
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from torch import Tensor

from bench.checkpoints.container import asks_for_code, require
from bench.checkpoints.pickle_stream import ForeignName, MalformedPickle, TakesState, read_pickle
from bench.checkpoints.torch_pickle import (
    StoredPart,
    expect_types,
    parameter,
    parts_of,
    read_stream,
    strided,
    string_set,
    tensors_of,
)
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


@dataclass
class _Module(StoredPart):
    """Stand-in for any decorated module."""

    embeds_source: bool = False


def _module(meta: dict[str, Any]) -> _Module:
    """``torch_utils.persistence._reconstruct_persistent_obj``."""
    expect_types(dict, meta, meta.get("state"))
    return _Module(str(meta.get("class_name")), meta["state"], bool(meta.get("module_src")))


def _snapshot(content: Any) -> Snapshot:
    if type(content) is not dict or not any(name in content for name in NETWORKS):
        raise MalformedPickle("it holds none of G, D and G_ema")
    networks, embedded_sources = {}, 0
    for name in NETWORKS:
        if content.get(name) is None:
            continue
        parts = parts_of(content[name])
        networks[name] = _network(parts)
        embedded_sources += sum(_embeds_source(part) for part in parts.values())
    left_out = tuple(
        str(name) for name, value in content.items() if value is not None and name not in networks
    )
    return Snapshot(networks, left_out, embedded_sources)


def _embeds_source(part: StoredPart) -> bool:
    return isinstance(part, _Module) and part.embeds_source


def _network(parts: dict[str, StoredPart]) -> StoredNetwork:
    whole = parts[""]
    if whole.state.get("_init_args"):
        raise MalformedPickle(f"{whole.class_name!r} was made with unnamed arguments")
    init_kwargs = whole.state.get("_init_kwargs", {})
    expect_types(dict, init_kwargs)
    return StoredNetwork(whole.class_name, init_kwargs, tensors_of(parts))


def _storage(stream: bytes) -> Tensor:
    """Read the argument of ``torch.storage._load_from_bytes``: a whole file of torch.save.

    Returns:
        One-dimensional tensor of all elements.
    """
    storage = read_stream(io.BytesIO(stream), {})
    expect_types(Tensor, storage)
    return cast(Tensor, storage)


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
    expect_types(_NumpyType, kind)
    value: int | float | bool = struct.unpack(_NUMBERS[kind.code], raw)[0]
    return value


def _dict() -> dict[str, Any]:
    return {}


_NUMBERS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}

# Everything that generators, discriminators and the augmentation pipe of 2020 to now refer to.
_NAMES = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    ("collections", "OrderedDict"): _dict,
    ("dnnlib.util", "EasyDict"): _dict,
    ("builtins", "set"): string_set,
    ("numpy", "dtype"): _numpy_type,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("torch._utils", "_rebuild_parameter"): parameter,
    ("torch._utils", "_rebuild_tensor_v2"): strided,
    ("torch.storage", "_load_from_bytes"): _storage,
}
