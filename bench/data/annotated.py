"""Image files beside a table of binary labels: what CelebA and CelebA-HQ have in common."""

from __future__ import annotations

import hashlib
import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from baselines.base import Attributes
from bench.data.base import Dataset, Split
from bench.data.celeba_annotations import exclusive_groups
from bench.data.check import DECODING_ERRORS, LOSSLESS_MODES, check_folder, explain
from bench.data.image_folder import BadImageWarning
from bench.errors import BenchError

Pixels = NDArray[np.uint8]
OnBadImage = Literal["skip", "fail"]

_NAMED = 5  # so many files are named in a message
_KEPT = 1 << 29  # bytes; smaller datasets keep the pixels that they have decoded


class LabelWarning(UserWarning):
    """Labels of which nothing can be learnt, or images without labels."""


@dataclass(frozen=True)
class Rows:
    """One row for each image.

    Attributes:
        files: Paths of the images, relative to a folder.
        labels: int8 (N, A) of 0 and 1.
        train: bool (N,), images to train on.
        test: bool (N,), images to test on.
        identities: int64 (N,), or None.
    """

    files: NDArray[np.str_]
    labels: NDArray[np.int8]
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    identities: NDArray[np.int64] | None = None

    def only(self, kept: NDArray[np.bool_]) -> Rows:
        """The rows where ``kept``, bool (N,), holds."""
        return Rows(
            self.files[kept],
            self.labels[kept],
            self.train[kept],
            self.test[kept],
            None if self.identities is None else self.identities[kept],
        )


class AnnotatedImages(Dataset):
    """Images with binary attributes, decoded by several threads when they are asked for.

    Images of at most half a gigabyte in all are kept once they are decoded.

    Args:
        folder: Where the images lie.
        rows: The images; an empty name stands for one that is missing.
        names: The attributes, in the order of the columns.
        size: Height and width in pixels of the images given out.
        on_bad_image: ``"fail"`` refuses rows without images now, and an image that cannot be used
            when it is read. ``"skip"`` decodes every image first and leaves out what is bad.

    Raises:
        BenchError: An image is missing or bad.
        ValueError: An option is out of its range.
    """

    needs_path: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 32},
        "small": {"size": 32},
    }
    everything: ClassVar[Mapping[str, Any]] = {"attributes": "all"}

    def __init__(
        self,
        folder: Path,
        rows: Rows,
        names: Sequence[str],
        size: int,
        on_bad_image: OnBadImage = "fail",
    ) -> None:
        if on_bad_image not in ("skip", "fail"):
            raise ValueError(f"on_bad_image is 'skip' or 'fail', not {on_bad_image!r}.")
        if size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        self.size, self._folder = size, folder
        self.attributes = Attributes(tuple(names), exclusive_groups(names))
        self._rows = self._usable(rows, on_bad_image)
        self._check_labels()
        count = len(self._rows.files)
        keep = count * size * size * 3 <= _KEPT
        # Memory is taken up by what has been written only.
        self._kept = np.empty((count, size, size, 3), np.uint8) if keep else None
        self._decoded = np.zeros(count, np.bool_)
        self._read(0)  # a folder of other images is refused before anything is trained

    @abstractmethod
    def fault(self, width: int, height: int) -> str | None:
        """Why images of a size in pixels are none of this dataset, the end of a sentence; or None.

        The sentence begins with the name of the file.
        """

    @abstractmethod
    def prepared(self, image: Image.Image) -> Image.Image:
        """The part of an RGB image that is used, resized to (size, size)."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The options that change images or split, beside the size, for the fingerprint."""

    def __len__(self) -> int:
        return len(self._rows.files)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = self._checked(indices)
        pixels = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for place, image in enumerate(self._pool.map(self._read, indices.tolist())):
            pixels[place] = image
        return normalised(pixels), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return torch.from_numpy(self._rows.labels)[self._checked(indices)].float()

    def identities(self, indices: Tensor) -> Tensor | None:
        if self._rows.identities is None:
            return None
        return torch.from_numpy(self._rows.identities)[self._checked(indices)]

    def split(self, name: Split) -> Tensor:
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        return torch.from_numpy(np.flatnonzero(getattr(self._rows, name)))

    def fingerprint(self) -> str:
        """SHA-256 of options, labels, identities and split, and of each file's name and size."""
        settings = {"name": self.name, "size": self.size, **self.settings()}
        digest = hashlib.sha256(repr((settings, self.attributes.names)).encode())
        rows = self._rows
        for array in (rows.labels, rows.train, rows.test, rows.identities):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        sizes: dict[str, int] = {}
        for folder in sorted({file.rpartition("/")[0] for file in rows.files.tolist()}):
            with os.scandir(self._folder / folder) as entries:
                found = {entry.name: entry.stat().st_size for entry in entries}
            sizes |= {f"{folder}/{name}" if folder else name: found[name] for name in found}
        for file in rows.files:
            digest.update(f"\n{file} {sizes.get(file)}".encode())
        return digest.hexdigest()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(thread_name_prefix="decode")

    def _read(self, index: int) -> Pixels:
        if self._kept is None:
            return self._decode(self._folder / self._rows.files[index])
        if not self._decoded[index]:
            self._kept[index] = self._decode(self._folder / self._rows.files[index])
            self._decoded[index] = True
        return self._kept[index]

    def _decode(self, path: Path) -> Pixels:
        try:
            with Image.open(path) as image:
                fault = self.fault(*image.size)
                if image.mode not in LOSSLESS_MODES:
                    fault = f"has pixels of the mode {image.mode}, which is not 8-bit"
                if fault is None:
                    return np.asarray(self.prepared(image.convert("RGB")))
        except DECODING_ERRORS as error:
            fault = explain(error)
        raise BenchError(f"{path} {fault}: mend or remove it, or use --on-bad-image skip.")

    def _usable(self, rows: Rows, on_bad_image: OnBadImage) -> Rows:
        missing = rows.files == ""
        if on_bad_image == "fail":
            if missing.any():
                raise BenchError(
                    f"{missing.sum():,} of {len(missing):,} label rows have no image in "
                    f"{self._folder}: complete the images (`bench data check` names the rows), or "
                    "leave the rows out by --on-bad-image skip."
                )
            return rows
        report = check_folder(self._folder)
        good = {one.path for one in report.pictures if not self.fault(one.width, one.height)}
        kept = np.array([file in good for file in rows.files.tolist()], np.bool_)
        used = rows.only(kept)
        if not used.train.any() or not used.test.any():
            raise BenchError(f"{self._folder} holds too few usable images to train and to test on.")
        if not kept.all():
            bad = [str(one) for one in report.bad]
            bad += [
                f"{one.path} {self.fault(one.width, one.height)}"
                for one in report.pictures
                if one.path not in good
            ]
            named = f": {'; '.join(bad[:_NAMED])}" if bad else ""
            warnings.warn(
                f"{(~kept).sum():,} of {len(kept):,} label rows are left out, {missing.sum():,} of "
                f"them without an image{named}.",
                BadImageWarning,
                stacklevel=4,
            )
        return used

    def _check_labels(self) -> None:
        """Warn of attributes that cannot be learnt from the images that are used."""
        trained = self._rows.labels[self._rows.train]
        constant = trained.min(0) == trained.max(0)
        names = [name for name, same in zip(self.attributes.names, constant, strict=True) if same]
        if names:
            warnings.warn(
                f"All training images have the same label for {', '.join(names)}: nothing can be "
                "learnt of that; leave it out by --set dataset.attributes=[...].",
                LabelWarning,
                stacklevel=4,
            )


def normalised(pixels: Pixels) -> Tensor:
    """uint8 (N, H, W, C) as float32 (N, C, H, W) in [-1, 1]."""
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return scaled.contiguous()


class SquareImages(AnnotatedImages):
    """Square images, used whole."""

    def fault(self, width: int, height: int) -> str | None:
        if width == height:
            return None
        return f"has {width} x {height} pixels, which is no square"

    def prepared(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), Image.Resampling.BILINEAR)

    def settings(self) -> dict[str, Any]:
        return {}
