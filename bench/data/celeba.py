"""CelebA: 202,599 aligned faces of 10,177 people with 40 binary attributes.

Liu et al., Deep Learning Face Attributes in the Wild (2015). Files are read in the layouts of
``bench.data.celeba_folder``; crops, selections of attributes and splits are those of the reference
programs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.annotated import AnnotatedImages, LabelWarning, OnBadImage, Rows
from bench.data.celeba_annotations import (
    PARTITION_FILE,
    AttributeTable,
    attribute_names,
    read_attributes,
    read_numbers,
)
from bench.data.celeba_folder import IMAGE_SIZE, CelebAFolder, find_celeba, image_files, stem
from bench.data.celeba_splits import CelebASplit, split_rows
from bench.errors import BenchError, MissingFile


@dataclass(frozen=True)
class Crop:
    """A square part of an image.

    Attributes:
        side: Height and width in pixels.
        corner: Top and left in pixels; None for the centre, rounded as torchvision's CenterCrop.
    """

    side: int
    corner: tuple[int, int] | None = None

    def of(self, image: Image.Image) -> Image.Image:
        """The part of an image."""
        top, left = self.corner or (
            round((image.height - self.side) / 2),
            round((image.width - self.side) / 2),
        )
        return image.crop((left, top, left + self.side, top + self.side))


# By the program that cuts so: yunjey/stargan; elvisyjlin/AttGAN-PyTorch; csmliu/STGAN and the
# first LynnHo/AttGAN-Tensorflow; Larsen et al. (VAE/GAN); PrateekMunjal's VAE-GAN and alpha-GAN;
# Guim3/IcGAN; DCGAN and its followers.
CROPS: Mapping[str, Crop] = {
    "stargan": Crop(178),
    "attgan": Crop(170),
    "stgan": Crop(170, (26, 3)),
    "vae-gan": Crop(148, (40, 15)),
    "alpha-gan": Crop(140),
    "icgan": Crop(138, (40, 30)),
    "dcgan": Crop(108),
}
WHOLE = "infoscc"  # vkinakh/InfoSCC-GAN cuts nothing off and changes the aspect ratio


class CelebA(AnnotatedImages):
    """CelebA's aligned images, in the order of the attribute file.

    All crops are resized by Pillow's bilinear filter with antialiasing, as StarGAN and
    AttGAN-PyTorch do (STGAN takes the bicubic filter, IcGAN Torch7's own bilinear one).

    Args:
        path: The folder; ``bench.data.celeba_folder`` says what may lie where.
        size: Height and width in pixels.
        attributes: ``stargan`` (5), ``attgan`` (13), ``icgan`` (18), ``infoscc-5``, ``infoscc-10``,
            ``infoscc-15``, ``all`` (40), or names: a list, or a text with commas.
        split: ``official`` (the partition file), or that of a program: ``stargan``, ``attgan``,
            ``icgan`` (``bench.data.celeba_splits``).
        crop: ``stargan``, ``attgan``, ``stgan``, ``vae-gan``, ``alpha-gan``, ``icgan`` or ``dcgan``
            (``CROPS``), or ``infoscc`` for the whole image, squeezed into a square.
        on_bad_image: ``"fail"`` refuses rows without images, and a bad image when it is read;
            ``"skip"`` decodes every image first and leaves out what is bad.

    Raises:
        MissingFile: A part of CelebA is not there.
        BenchError: A file is malformed, or has not the attributes asked for.
        ValueError: An option is out of its range.
    """

    name = "celeba"

    def __init__(
        self,
        path: Path,
        size: int = 128,
        attributes: str | Sequence[str] = "stargan",
        split: CelebASplit = "official",
        crop: str = "stargan",
        on_bad_image: OnBadImage = "fail",
    ) -> None:
        if crop not in (*CROPS, WHOLE):
            raise ValueError(f"crop is one of {', '.join((*CROPS, WHOLE))}, not {crop!r}.")
        names = attribute_names(attributes)
        self._crop, self._settings = CROPS.get(crop), {"crop": crop, "split": split}
        part = f"crop {crop}" if crop in CROPS else "whole image squeezed"
        self.resizing = f"{part}, bilinear filter with antialiasing"
        folder = find_celeba(path)
        table = read_attributes(folder.attributes)
        super().__init__(
            folder.images, celeba_rows(folder, table, names, split), names, size, on_bad_image
        )

    def fault(self, width: int, height: int) -> str | None:
        if (width, height) == IMAGE_SIZE:
            return None
        return f"has {width} x {height} pixels in place of the {IMAGE_SIZE[0]} x {IMAGE_SIZE[1]}"

    def prepared(self, image: Image.Image) -> Image.Image:
        if self._crop is not None:
            return prepare(image, self._crop, self.size)
        return image.resize((self.size, self.size), Image.Resampling.BILINEAR)

    def settings(self) -> dict[str, Any]:
        return self._settings


def prepare(image: Image.Image, crop: Crop, size: int) -> Image.Image:
    """Crop an image and resize it by Pillow's bilinear filter, which averages when it shrinks."""
    return crop.of(image).resize((size, size), Image.Resampling.BILINEAR)


def celeba_rows(
    folder: CelebAFolder, table: AttributeTable, names: Sequence[str], split: CelebASplit
) -> Rows:
    """The rows of an attribute file with their images, parts and identities.

    Raises:
        MissingFile: The official split is asked for and there is no partition file.
        BenchError: The annotations do not go together.
    """
    labels = table.columns(names)
    partition = _partition(folder, table) if split == "official" else None
    parts = split_rows(split, len(table.files), partition)
    train, test = (np.isin(np.arange(len(table.files)), rows) for rows in parts)
    identities = None
    if folder.identities is not None:
        identities = aligned(table, folder.identities)
    return Rows(images_of(table, folder.images), labels, train, test, identities)


def aligned(table: AttributeTable, path: Path) -> NDArray[np.int64]:
    """The numbers of an annotation file in the order of the attribute file's rows.

    Raises:
        BenchError: The file is malformed, or an image has no number.
    """
    numbers = read_numbers(path)
    missing = [row for row, file in enumerate(table.files) if file not in numbers]
    if len(missing) == 1:
        row = missing[0]
        raise BenchError(
            f"{path} has no line for {table.files[row]}, row {row + 1:,} of {table.path}: remove "
            "that row, or add the line."
        )
    if missing:
        row = missing[0]
        raise BenchError(
            f"{path} has no line for {len(missing):,} rows of {table.path}, {table.files[row]} in "
            f"row {row + 1:,} for one: remove those rows, or add the lines."
        )
    return np.array([numbers[file] for file in table.files], np.int64)


def images_of(table: AttributeTable, folder: Path) -> NDArray[np.str_]:
    """The image of each row, whatever its ending; empty where there is none.

    Images without a row are warned of.

    Raises:
        BenchError: No row has an image.
    """
    found = image_files(folder)
    stems = [stem(file) for file in table.files]
    images = np.array([found.get(stem, "") for stem in stems])
    if not (images != "").any():
        raise BenchError(
            f"{folder} holds none of the images of {table.path}, such as {table.files[0]}: unpack "
            "them there."
        )
    spare = sorted(found.keys() - set(stems))
    if spare:
        warnings.warn(
            f"{len(spare):,} images in {folder} have no labels, {found[spare[0]]} for one, and are "
            "left out.",
            LabelWarning,
            stacklevel=5,
        )
    return images


def _partition(folder: CelebAFolder, table: AttributeTable) -> NDArray[np.int64]:
    if folder.partition is None:
        raise MissingFile(
            f"There is no {PARTITION_FILE} (nor .csv) beside {folder.attributes}: put it there, or "
            "take a split without it by --set dataset.split=stargan."
        )
    partition = aligned(table, folder.partition)
    if partition.max() > 2:
        file = table.files[int(partition.argmax())]
        raise BenchError(
            f"{folder.partition} has {file} in the part {partition.max()}, but the parts are 0, 1 "
            "and 2: fetch it again."
        )
    return partition
