"""dSprites, read from the published file: 737,280 white shapes on black, five factors.

Matthey, Higgins, Hassabis and Lerchner, dSprites: Disentanglement testing Sprites dataset (2017),
https://github.com/deepmind/dsprites-dataset. The file ``dsprites_ndarray_*.npz`` holds ``imgs``,
uint8 (737280, 64, 64) of 0 and 1, and ``latents_classes``, the factors, last fastest; its first
factor, the colour, has one value and is left out here, as the disentanglement library does. Its
metadata is a pickle, which is never read.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import IO, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from bench.data.base import Dataset
from bench.errors import BenchError, MissingFile
from bench.files import sha256_of

FILE_NAME = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FACTORS = ("shape", "scale", "orientation", "position_x", "position_y")
FACTOR_SIZES = (3, 6, 40, 32, 32)
_COUNT, _SIZE = 737_280, 64
_COLOURS = 1
_ROWS_AT_ONCE = 8192  # 32 MB
# All that a damaged archive, or a damaged array in it, leads to.
_READING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class DSprites(Dataset):
    """The 737,280 images of dSprites, one channel.

    Attributes are the five factors, each scaled linearly to [0, 1] by its index. All images are
    read when the first is asked for (some seconds) and kept as bits, 377 MB.

    Args:
        path: The file ``dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz``, or the folder that holds
            it.
        size: Height and width of the images given out; those below 64 pixels are averaged down.

    Raises:
        MissingFile: The file is not there.
        BenchError: It is not the published one.
        ValueError: ``size`` is not within 1 to 64.
    """

    needs_path: ClassVar[bool] = True
    name = "dsprites"
    channels = 1
    attributes = Attributes(FACTORS)
    factor_sizes = FACTOR_SIZES

    def __init__(self, path: Path, size: int = _SIZE) -> None:
        if not 1 <= size <= _SIZE:
            raise ValueError(f"The images of dSprites have 64 pixels; size {size} is not there.")
        self.size = size
        self.resizing = None if size == _SIZE else "means of areas"
        self._path = path / FILE_NAME if path.is_dir() else path
        self._check()

    def __len__(self) -> int:
        return _COUNT

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = self._checked(indices)
        pixels = np.unpackbits(self._bits[indices.numpy()], axis=1)
        images = torch.from_numpy(pixels).view(-1, 1, _SIZE, _SIZE).float().mul_(2).sub_(1)
        if self.size < _SIZE:
            images = functional.interpolate(images, self.size, mode="area")
        return images, self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return self.factors(indices) / (torch.tensor(FACTOR_SIZES) - 1)

    def factors(self, indices: Tensor) -> Tensor:
        """Factor indices, int64 (N, 5), of image indices (N,)."""
        return torch.stack(torch.unravel_index(self._checked(indices), FACTOR_SIZES), dim=1)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {self.size} {self._file_hash}".encode()).hexdigest()

    @cached_property
    def _file_hash(self) -> str:
        return sha256_of(self._path)

    @cached_property
    def _bits(self) -> NDArray[np.uint8]:
        """All images, (737280, 512): eight pixels in a byte."""
        bits = np.empty((_COUNT, _SIZE * _SIZE // 8), np.uint8)
        try:
            with zipfile.ZipFile(self._path) as archive, archive.open("imgs.npy") as member:
                _header(member)
                done = 0
                for pixels in _blocks(member):
                    bits[done : done + len(pixels)] = np.packbits(pixels, axis=1)
                    done += len(pixels)
        except _READING_ERRORS as error:
            raise self._unusable(f"is damaged ({error})") from error
        return bits

    def _check(self) -> None:
        """Refuse any other file, without reading its images."""
        if not self._path.is_file():
            raise MissingFile(
                f"There is no file {self._path}: get {FILE_NAME} from "
                "https://github.com/deepmind/dsprites-dataset, and say where it is by --data."
            )
        try:
            with zipfile.ZipFile(self._path) as archive:
                images, classes = (_held(archive, name) for name in ("imgs", "latents_classes"))
                if images != ((_COUNT, _SIZE, _SIZE), "uint8"):
                    raise self._unusable(f"holds images {images[0]} of type {images[1]}")
                if classes != ((_COUNT, 1 + len(FACTOR_SIZES)), "int64"):
                    raise self._unusable(f"holds factors {classes[0]} of type {classes[1]}")
                with archive.open("latents_classes.npy") as member:
                    factors = np.lib.format.read_array(member, allow_pickle=False)
        except _READING_ERRORS as error:
            raise self._unusable(f"cannot be read ({error})") from error
        if not np.array_equal(factors, self._expected_classes()):
            raise self._unusable("holds factors of another order")

    def _expected_classes(self) -> NDArray[np.int64]:
        grid = np.unravel_index(np.arange(_COUNT), (_COLOURS, *FACTOR_SIZES))
        return np.stack(grid, axis=1).astype(np.int64)

    def _unusable(self, fault: str) -> BenchError:
        return BenchError(
            f"{self._path} {fault}, so it is not the published {FILE_NAME}: get it again from "
            "https://github.com/deepmind/dsprites-dataset."
        )


def _held(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and type of an array."""
    with archive.open(f"{name}.npy") as member:
        return _header(member)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], str]:
    """Shape and type of the array that begins here; its numbers come next.

    Raises:
        ValueError: It is no array, or its numbers come in another order.
    """
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("it has arrays of another version")
    shape, in_columns, kind = np.lib.format.read_array_header_1_0(member)
    if in_columns:
        raise ValueError("it has arrays in the order of columns")
    return shape, str(kind)


def _blocks(member: IO[bytes]) -> Iterator[NDArray[np.uint8]]:
    """The images, some rows (N, 4096) at a time, up to the end, where the archive's sum is held.

    Raises:
        ValueError: There are not as many as said, or other values than 0 and 1.
    """
    row = _SIZE * _SIZE
    for start in range(0, _COUNT, _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, _COUNT - start)
        pixels = np.frombuffer(member.read(count * row), np.uint8)
        if len(pixels) < count * row:
            raise ValueError(f"it ends before image {start + count}")
        if pixels.max() > 1:
            raise ValueError("it has pixels other than 0 and 1")
        yield pixels.reshape(count, row)
    if member.read(1):
        raise ValueError("it goes on after the last image")
