"""Any folder of images as a dataset: subfolders included; clusters may be its classes."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from baselines.base import Attributes
from bench.data.base import Dataset
from bench.data.check import DECODING_ERRORS, FolderReport, check_folder, explain
from bench.data.classes import require_every_class
from bench.data.cluster_labels import read_clusters
from bench.errors import BenchError, listed

_NAMED = 5  # so many bad files are named in a message
_SAMPLE = 1 << 12  # bytes from either end of a file that enter the fingerprint


class BadImageWarning(UserWarning):
    """Some files of an image folder are left out."""


class ImageFolder(Dataset):
    """The images of a folder and its subfolders, in the order of their paths.

    An image is turned upright (EXIF), made RGB (transparency is dropped), cropped to the square in
    its middle and resized with a Lanczos filter. Images are decoded when they are asked for and
    not kept.

    Args:
        path: The folder.
        size: Height and width in pixels of the images given out; None for their own size, which
            has to be the same square for all. Smaller images are not enlarged: they are bad.
        on_bad_image: ``"fail"`` refuses a folder with unreadable, truncated or wrong-sized images,
            as far as headers and ends of files show them, and names them; damage in the middle of
            a file is found and named when the image is read. ``"skip"`` decodes every image first
            and leaves the bad ones out with a warning that names them.
        labels: Clusters to take as classes (``cluster_0``, ...): a CSV file of all images, by their
            paths in the folder, or a folder with one for each part
            (``bench.data.cluster_labels``); empty for none, and no attributes.
        clusters: Which of a folder's clusterings, by its number of clusters; None if it has one.

    Attributes:
        report: What was found in the folder.

    Raises:
        MissingFile: A file of labels is not there.
        BenchError: The folder is not there or holds no usable image, or holds a bad one; or the
            labels do not go together with the images.
        ValueError: An option is out of its range.
    """

    needs_path: ClassVar[bool] = True
    paths: ClassVar[tuple[str, ...]] = ("labels",)
    name = "image-folder"
    attributes = Attributes(())

    def __init__(
        self,
        path: Path,
        size: int | None = None,
        on_bad_image: Literal["skip", "fail"] = "fail",
        labels: str = "",
        clusters: int | None = None,
    ) -> None:
        if on_bad_image not in ("skip", "fail"):
            raise ValueError(f"on_bad_image is 'skip' or 'fail', not {on_bad_image!r}.")
        if size is not None and size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        self.report: FolderReport = check_folder(path, size or 1, decode=on_bad_image == "skip")
        self._refuse_or_warn(on_bad_image)
        self.size = size or self._own_size()
        self.resizing = None if size is None else "square in the middle, Lanczos filter"
        self._labels = self._read_labels(labels, clusters)

    def __len__(self) -> int:
        return len(self.report.pictures)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = [self._read(index) for index in self._checked(indices).tolist()]
        pixels = np.stack(images) if images else np.empty((0, self.size, self.size, 3), np.uint8)
        return scaled(pixels), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return self._labels[self._checked(indices)]

    def image_names(self, indices: Tensor) -> list[str]:
        """The paths of images in the folder."""
        return [str(self.report.pictures[index].path) for index in self._checked(indices).tolist()]

    def fingerprint(self) -> str:
        """SHA-256 of size, every file's path, length, beginning and end, and labels if any."""
        digest = hashlib.sha256(f"{self.name} {self.size}".encode())
        for picture in self.report.pictures:
            digest.update(f"\n{picture.path} {picture.bytes}\n".encode())
            with (self.report.folder / picture.path).open("rb") as stream:
                digest.update(stream.read(_SAMPLE))
                stream.seek(-min(_SAMPLE, picture.bytes), io.SEEK_END)
                digest.update(stream.read())
        if self.attributes.names:
            digest.update(f"\n{self.attributes.names}\n".encode())
            digest.update(self._labels.argmax(dim=1).numpy().tobytes())
        return digest.hexdigest()

    def _read_labels(self, labels: str, clusters: int | None) -> Tensor:
        """One-hot clusters (N, K), of which the attributes are made; (N, 0) for none."""
        train, test = self.split("train"), self.split("test")
        parts = {("train",): self.image_names(train), ("test", "val"): self.image_names(test)}
        found = read_clusters(labels, parts, clusters)
        if found is None:
            return torch.empty(len(self), 0)
        names, classes = found
        where = f"The training part of {self.report.folder} has"
        require_every_class(names, classes[: len(train)], where, "give another clustering")
        self.attributes = Attributes(names, (names,), classes=True)
        one_hot = torch.zeros(len(self), len(names))
        one_hot[torch.cat([train, test]), torch.from_numpy(classes)] = 1
        return one_hot

    def _read(self, index: int) -> np.ndarray:
        path = self.report.folder / self.report.pictures[index].path
        try:
            return read_square(path, self.size)
        except DECODING_ERRORS as error:
            raise BenchError(
                f"{path} {explain(error)}: mend or remove it, or use --on-bad-image skip."
            ) from error

    def _refuse_or_warn(self, on_bad_image: str) -> None:
        folder, bad = self.report.folder, self.report.bad
        named = listed(bad)
        if bad and on_bad_image == "fail":
            raise BenchError(
                f"{len(bad)} of the images in {folder} cannot be used: {named}; mend or "
                f"remove them (`bench data check {folder}` shows all), or use --on-bad-image skip."
            )
        if not self.report.pictures:
            unusable = f" that can be used ({named})" if bad else ""
            raise BenchError(f"{folder} holds no image{unusable}; give a folder of images.")
        if bad:
            left_out = f"{len(bad)} of {len(bad) + len(self)} images in {folder} are left out"
            warnings.warn(f"{left_out}: {named}.", BadImageWarning, stacklevel=3)

    def _own_size(self) -> int:
        (width, height), *others = self.report.sizes
        if others or width != height:
            first = {(one.width, one.height): one.path for one in reversed(self.report.pictures)}
            shown = [f"{first[w, h]} has {w} x {h}" for w, h in list(self.report.sizes)[:_NAMED]]
            raise BenchError(
                f"The images in {self.report.folder} are not all of one square size "
                f"({', '.join(shown)}); say with --set dataset.size=64 how many pixels to give out."
            )
        return width


def read_square(path: Path, size: int) -> np.ndarray:
    """The square in the middle of an image, upright, RGB, resized with a Lanczos filter.

    Args:
        path: The image's file.
        size: Height and width in pixels to give out.

    Returns:
        uint8 (size, size, 3).

    Raises:
        bench.data.check.DECODING_ERRORS: The file cannot be decoded.
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    square = upright.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def scaled(pixels: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()
