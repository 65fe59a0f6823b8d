"""Checkpoints of BiGAN's ``train_gan.py``: lists of arrays, ``<epoch>_<role>_params.jl``.

The program saves them by joblib, whose files are pickles. Those from version 0.10 on hold their
arrays' bytes between the pickle's opcodes and go through ``pickle_stream``; those of older versions
have one ``.npy`` file beside them for each array (``..._params.jl_01.npy``), and only these are
read. Whoever loads a ``.jl`` file in a program that he trusts may give its arrays as
``<epoch>_<role>_params.npz`` too: ``numpy.savez(file, *joblib.load("...jl"))``.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.checkpoints.container import container_of
from bench.checkpoints.pickle_stream import ForeignName, MalformedPickle, TakesState, read_pickle
from bench.errors import MissingFile, Refused

ROLES = ("gen", "encode", "joint_discrim", "discrim")

_NAME = re.compile(rf"(\d+)_({'|'.join(ROLES)})_params\.(jl|npz)")
_SIDECAR = re.compile(r"_(\d+)\.npy")
_LIBRARIES = ("joblib", "sklearn.externals.joblib")
_TYPES = {"f4", "f8", "i4", "i8"}
_ARRAY_CLASSES = ("ndarray", "memmap")

# What numpy makes of a damaged file.
_MADE_OF_DAMAGE = (EOFError, KeyError, MemoryError, OSError, ValueError, zipfile.BadZipFile)

_Array = NDArray[Any]


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read all networks of one epoch to the CPU, executing nothing.

    Args:
        path: One of the files of an epoch, or a folder, itself or its ``models``, that holds such:
            those of the last epoch are taken.

    Returns:
        The arrays by role (``gen``, ``encode``, ``joint_discrim``, ``discrim``: those that are
        there), each under its place in the list (``000``, ``001``, ...).

    Raises:
        MissingFile: There is no such file.
        Refused: A file is damaged, asks for more than arrays, or is named otherwise.
    """
    path = _last_generator(path) if path.is_dir() else path
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise Refused(
            f"{path} is not named like BiGAN's checkpoints: give a file such as 100_gen_params.jl "
            "or its folder."
        )
    files = {role: path.with_name(f"{named[1]}_{role}_params.{named[3]}") for role in ROLES}
    return {
        role: {f"{place:03}": torch.from_numpy(array) for place, array in enumerate(_read(file))}
        for role, file in files.items()
        if file.exists()
    }


def _last_generator(folder: Path) -> Path:
    for place in (folder, folder / "models"):
        found = {
            int(name[1]): file
            for file in place.glob("*_gen_params.*")
            if (name := _NAME.fullmatch(file.name))
        }
        if found:
            return found[max(found)]
    raise MissingFile(
        f"{folder} holds no checkpoint of BiGAN: give the folder with its files "
        "<epoch>_gen_params.jl and <epoch>_encode_params.jl."
    )


def _read(file: Path) -> list[_Array]:
    sidecars = {
        int(number[1]): other
        for other in file.parent.glob(f"{file.name}_*.npy")
        if (number := _SIDECAR.fullmatch(other.name.removeprefix(file.name)))
    }
    try:
        if sidecars:
            return _in_order(file, sidecars)
        if file.suffix == ".npz":
            return _zipped(file)
        return _streamed(file)
    except (MalformedPickle, RecursionError, *_MADE_OF_DAMAGE) as error:
        raise Refused(
            f"{file} was refused, and nothing in it was executed: it is damaged or holds more than "
            f"a list of arrays ({error}); fetch it again, or give its arrays as {file.stem}.npz."
        ) from error


def _in_order(file: Path, sidecars: dict[int, Path]) -> list[_Array]:
    absent = set(range(1, max(sidecars) + 1)) - sidecars.keys()
    if absent:
        raise MissingFile(
            f"{file}_{min(absent):02}.npy is missing: joblib wrote one such file for each array, "
            f"so put it beside {file.name}."
        )
    return [_native(np.load(sidecars[n], allow_pickle=False)) for n in sorted(sidecars)]


def _zipped(file: Path) -> list[_Array]:
    container_of(file)
    with np.load(file, allow_pickle=False) as arrays:
        return [_native(arrays[f"arr_{place}"]) for place in range(len(arrays.files))]


def _streamed(file: Path) -> list[_Array]:
    container_of(file)
    with file.open("rb") as stream:
        names: dict[tuple[str, str], Any] = {("numpy", "dtype"): _Type}
        names |= {("numpy", one): one for one in _ARRAY_CLASSES}
        for library in _LIBRARIES:
            names[f"{library}.numpy_pickle", "NumpyArrayWrapper"] = lambda: _Stored(stream)
        try:
            content = read_pickle(stream, names)
        except ForeignName as foreign:
            raise MalformedPickle(f"it asks for {ascii(str(foreign))[1:-1]}") from foreign
    if type(content) is not list or not all(type(one) is _Stored for one in content):
        raise MalformedPickle("it is no list of arrays")
    return [_native(one.array) for one in content]


@dataclass
class _Type(TakesState):
    """Stand-in for ``numpy.dtype``: its code, and the byte order that follows as its state."""

    code: str
    align: Any
    copy: Any
    order: str = "="

    def set_state(self, state: Any) -> None:
        _, order, *_ = state
        if order not in ("<", ">", "="):
            raise MalformedPickle("an array has no byte order")
        self.order = order

    def dtype(self) -> np.dtype[Any]:
        """The type, if it is one of the few numeric ones that weights have."""
        if self.code not in _TYPES:
            raise MalformedPickle("an array is not of numbers")
        return np.dtype(self.order + self.code)


class _Stored(TakesState):
    """Stand-in for joblib's wrapper: an array whose bytes follow its state in the stream."""

    array: _Array

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def set_state(self, state: Any) -> None:
        kind, shape, order = state["dtype"], state["shape"], state["order"]
        if type(kind) is not _Type or type(shape) is not tuple or order not in ("C", "F"):
            raise MalformedPickle("an array is not described as joblib does it")
        dtype = kind.dtype()
        if state.get("numpy_array_alignment_bytes") is not None:
            (padding,) = self._bytes(1)
            self._bytes(padding)
        if not all(type(length) is int and length >= 0 for length in shape):
            raise MalformedPickle("an array has no shape")
        numbers = np.frombuffer(self._bytes(math.prod(shape) * dtype.itemsize), dtype)
        turned: Sequence[int] = shape if order == "C" else shape[::-1]
        self.array = numbers.reshape(turned) if order == "C" else numbers.reshape(turned).T

    def _bytes(self, count: int) -> bytes:
        left = os.fstat(self._stream.fileno()).st_size - self._stream.tell()
        if count > left:
            raise MalformedPickle("it ends within an array")
        return self._stream.read(count)


def _native(array: _Array) -> _Array:
    """A copy in this machine's byte order and C order, of numbers only."""
    if array.dtype.kind not in "fi":
        raise ValueError("an array is not of numbers")
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
