"""3D Shapes, read from the original file ``3dshapes.h5``.

The file holds ``images``, uint8 (480000, 64, 64, 3), and ``labels``, float64 (480000, 6), in the
order of the factors (Burgess and Kim, 3D Shapes Dataset, 2018). Reading it needs the package h5py.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from bench.data.shapes3d import ORIENTATIONS, SCALES, FactorGrid
from bench.errors import BenchError, MissingFile
from bench.files import sha256_of

FILE_NAME = "3dshapes.h5"
_OWN_SIZE = 64
_PROBES = (0, 1, 123_456, 479_999)  # images whose labels are compared with the order expected


class Shapes3DFile(FactorGrid):
    """The 480,000 images of the original 3D Shapes.

    Attributes, order and factors are those of ``bench.data.shapes3d``. Images are read when they
    are asked for and not kept.

    Args:
        path: The file ``3dshapes.h5``, or the folder that holds it.
        size: Height and width of the images given out; those below 64 pixels are averaged down.

    Raises:
        MissingFile: The file is not there.
        BenchError: The package h5py is not installed, or the file is not the original's.
        ValueError: ``size`` is not within 1 to 64.
    """

    needs_path: ClassVar[bool] = True
    name = "3dshapes"

    def __init__(self, path: Path, size: int = _OWN_SIZE) -> None:
        if not 1 <= size <= _OWN_SIZE:
            raise ValueError(f"The images of 3dshapes.h5 have 64 pixels; size {size} is not there.")
        self.size = size
        self.resizing = None if size == _OWN_SIZE else "means of areas"
        self._path = path / FILE_NAME if path.is_dir() else path
        self._images = self._open()

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        wanted, places = self._checked(indices).unique(return_inverse=True)
        try:
            # h5py reads ascending indices only, each once.
            pixels = torch.from_numpy(self._images[wanted.numpy()])[places]
        except OSError as error:
            raise self._unusable(f"is damaged ({error})") from error
        images = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        if self.size < _OWN_SIZE:
            images = functional.interpolate(images, self.size, mode="area")
        return images.contiguous(), self.normalised(indices)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {self.size} {self._file_hash}".encode()).hexdigest()

    @cached_property
    def _file_hash(self) -> str:
        return sha256_of(self._path)

    def _open(self) -> Any:
        try:
            import h5py
        except ImportError as error:
            raise BenchError(
                "Reading 3dshapes.h5 needs the package h5py: pip install h5py."
            ) from error
        if not self._path.is_file():
            raise MissingFile(
                f"There is no file {self._path}; run `bench fetch 3dshapes`, or use the dataset "
                "shapes3d, which needs no file."
            )
        try:
            file = h5py.File(self._path, "r")
            images, labels = file["images"], file["labels"]
        except (OSError, KeyError) as error:
            raise self._unusable(f"cannot be read ({error})") from error
        if images.shape != (len(self), 64, 64, 3) or images.dtype != "uint8":
            raise self._unusable(f"holds images {images.shape} of type {images.dtype}")
        if labels.shape != (len(self), 6):
            raise self._unusable(f"holds labels {labels.shape}")
        if not torch.allclose(torch.from_numpy(labels[list(_PROBES)]), self._labels()):
            raise self._unusable("holds labels of another order")
        return images

    def _labels(self) -> Tensor:
        """The labels of the probed images as the original has them."""
        factors = self.factors(torch.tensor(_PROBES))
        scale, orientation = torch.tensor(SCALES), torch.tensor(ORIENTATIONS)
        return torch.cat(
            [
                factors[:, :3] / 10,
                scale[factors[:, 3:4]],
                factors[:, 4:5],
                orientation[factors[:, 5:6]],
            ],
            dim=1,
        ).double()

    def _unusable(self, fault: str) -> BenchError:
        return BenchError(
            f"{self._path} {fault}, so it is not the original 3dshapes.h5: delete it and run "
            "`bench fetch 3dshapes`."
        )
