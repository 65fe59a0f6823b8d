"""Where things lie in a folder of CelebA, in the layouts that its copies come in.

As downloaded (``img_align_celeba/`` beside the text files, or ``Img/``, ``Anno/`` and ``Eval/``),
as torchvision keeps it (all of that in ``celeba/``), as Kaggle's copy unpacks (CSV files beside
``img_align_celeba/img_align_celeba/``), and as StarGAN's script leaves it (``images/``). Needs no
torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.data.celeba_annotations import (
    ATTRIBUTE_FILE,
    HQ_MAPPING_FILES,
    IDENTITY_FILE,
    PARTITION_FILE,
)
from bench.data.check import IMAGE_SUFFIXES
from bench.errors import MissingFile

IMAGE_SIZE = (178, 218)  # width, height of the aligned images

_ROOTS = ("", "celeba", "CelebA")
_TEXTS = ("", "Anno", "Eval")
_IMAGES = ("img_align_celeba", "Img/img_align_celeba", "images", "img_align_celeba_png")


@dataclass(frozen=True)
class CelebAFolder:
    """The parts of a copy of CelebA.

    Attributes:
        images: The folder of aligned images.
        attributes: The attribute file.
        partition: The official partition, or None.
        identities: Who the images show, or None.
    """

    images: Path
    attributes: Path
    partition: Path | None
    identities: Path | None


def holds_celeba(path: Path) -> bool:
    """Whether a folder has attribute file and images as CelebA's copies, and is no CelebA-HQ."""
    return (
        find_annotations(path, ATTRIBUTE_FILE) is not None
        and any(folder.is_dir() for folder in _image_folders(path))
        and not any((path / name).exists() for name in HQ_MAPPING_FILES)
    )


def find_celeba(path: Path) -> CelebAFolder:
    """Find the parts of CelebA in a folder.

    Raises:
        MissingFile: There is no such folder, no attribute file or no folder of images in it.
    """
    if not path.is_dir():
        raise MissingFile(f"There is no folder {path}; give the one that holds CelebA by --data.")
    attributes = find_annotations(path, ATTRIBUTE_FILE)
    if attributes is None:
        raise MissingFile(
            f"{path} holds no {ATTRIBUTE_FILE} (nor .csv): put CelebA's text files there, beside "
            "the folder img_align_celeba."
        )
    images = next((folder for folder in _image_folders(path) if folder.is_dir()), None)
    if images is None:
        zipped = next(
            (found for root in _roots(path) for found in root.glob("**/img_align*.zip")), None
        )
        remedy = f"unpack {zipped}" if zipped else "put CelebA's aligned images there"
        raise MissingFile(f"{path} holds no folder img_align_celeba: {remedy}.")
    nested = images / images.name
    return CelebAFolder(
        nested if nested.is_dir() else images,
        attributes,
        find_annotations(path, PARTITION_FILE),
        find_annotations(path, IDENTITY_FILE),
    )


def find_annotations(path: Path, name: str) -> Path | None:
    """The file of annotations with a name, as text or as CSV, or None."""
    places = (root / sub / name for root in _roots(path) for sub in _TEXTS)
    files = (file for place in places for file in (place, place.with_suffix(".csv")))
    return next((file for file in files if file.is_file()), None)


def image_files(folder: Path) -> dict[str, str]:
    """The names of the images in a folder, by their names without the ending."""
    with os.scandir(folder) as entries:  # a Path for each of 200,000 files takes a second
        names = sorted(entry.name for entry in entries)
    images = (name for name in names if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != ".")
    return {stem(name): name for name in images}


def stem(name: str) -> str:
    """A file's name without the ending."""
    return name.rpartition(".")[0] or name


def _roots(path: Path) -> Iterator[Path]:
    return (path / root for root in _ROOTS)


def _image_folders(path: Path) -> Iterator[Path]:
    return (root / sub for root in _roots(path) for sub in _IMAGES)
