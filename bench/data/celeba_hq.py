"""CelebA-HQ: 30,000 faces of CelebA at high resolution, with CelebA's attributes.

Karras et al., Progressive Growing of GANs (2018); with annotations of its own as CelebAMask-HQ, Lee
et al., MaskGAN (2020). ``image_list.txt`` (``CelebA-HQ-to-CelebA-mapping.txt`` in CelebAMask-HQ)
says which row of CelebA's attribute file an image has; where CelebAMask-HQ's own attribute file is
there, it is read instead. The split is AttGAN-PyTorch's: 28,000 training, 500 validation (left
out) and 1,500 test images, in the order of their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.data.annotated import OnBadImage, Rows, SquareImages
from bench.data.celeba_annotations import (
    ATTRIBUTE_FILE,
    HQ_MAPPING_FILES,
    IDENTITY_FILE,
    AttributeTable,
    attribute_names,
    image_name,
    read_attributes,
    read_lines,
    read_numbers,
)
from bench.data.celeba_folder import find_annotations, image_files, stem
from bench.errors import BenchError, MissingFile

COUNT, TRAIN, TEST = 30_000, 28_000, 1_500

MASK_HQ_FILE = "CelebAMask-HQ-attribute-anno.txt"
_ROOTS = ("", "CelebAMask-HQ", "celeba-hq", "CelebA-HQ", "celeba_hq")
_IMAGES = ("CelebA-HQ-img", "celeba-hq", "images", "celeba-1024", "celeba-512", "celeba-256")


class CelebAHQ(SquareImages):
    """CelebA-HQ's images in the order of their numbers, resized as a whole.

    Args:
        path: The folder that holds the images (``CelebA-HQ-img/`` or ``images/``), and either
            ``CelebAMask-HQ-attribute-anno.txt`` or ``image_list.txt`` with CelebA's
            ``list_attr_celeba.txt``. Identities need the mapping and ``identity_CelebA.txt``.
        size: Height and width in pixels; Pillow's bilinear filter, as AttGAN-PyTorch.
        attributes: ``stargan`` (5), ``attgan`` (13), ``icgan`` (18), ``infoscc-5``, ``infoscc-10``,
            ``infoscc-15``, ``all`` (40), or names: a list, or a text with commas.
        on_bad_image: ``"fail"`` refuses rows without images, and a bad image when it is read;
            ``"skip"`` decodes every image first and leaves out what is bad.

    Raises:
        MissingFile: A part of CelebA-HQ is not there.
        BenchError: A file is malformed, or has not the attributes asked for.
        ValueError: An option is out of its range.
    """

    name = "celeba-hq"
    resizing = "bilinear filter with antialiasing"

    def __init__(
        self,
        path: Path,
        size: int = 256,
        attributes: str | Sequence[str] = "stargan",
        on_bad_image: OnBadImage = "fail",
    ) -> None:
        names = attribute_names(attributes)
        if not path.is_dir():
            raise MissingFile(
                f"There is no folder {path}; give the one that holds CelebA-HQ by --data."
            )
        folder = _images_folder(path)
        super().__init__(folder, _rows(path, folder, names), names, size, on_bad_image)


def original_rows(path: Path) -> list[int]:
    """The 0-based row of CelebA's attribute file for each image of CelebA-HQ.

    Args:
        path: ``image_list.txt`` or ``CelebA-HQ-to-CelebA-mapping.txt``: a header, then lines
            ``idx orig_idx orig_file ...``.

    Raises:
        BenchError: The file is malformed; the message names the line.
    """
    rows: list[int] = []
    for line, text in enumerate(read_lines(path)[1:], 2):
        fields = text.split()
        if len(fields) < 2 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise BenchError(
                f"{path}, line {line}: stands {text[:40]!r} in place of an image's number and its "
                "row in CelebA; fetch the file again."
            )
        if int(fields[0]) != len(rows):
            raise BenchError(
                f"{path}, line {line}: stands image {fields[0]} where {len(rows)} is due; fetch "
                "the file again."
            )
        rows.append(int(fields[1]))
    return rows


def _rows(path: Path, folder: Path, names: Sequence[str]) -> Rows:
    """The images by their numbers, with labels, parts and identities."""
    mapping_file = next((found for name in HQ_MAPPING_FILES if (found := _find(path, name))), None)
    mapping = original_rows(mapping_file) if mapping_file else None
    own, original = _find(path, MASK_HQ_FILE), find_annotations(path, ATTRIBUTE_FILE)
    if own is not None:
        labels = _by_number(read_attributes(own)).columns(names)
    elif mapping is not None and original is not None:
        labels = _picked(read_attributes(original).columns(names), mapping, original)
    else:
        raise MissingFile(
            f"{path} holds no labels of CelebA-HQ: put {MASK_HQ_FILE} there, or "
            f"{HQ_MAPPING_FILES[0]} with CelebA's {ATTRIBUTE_FILE}."
        )
    count = len(labels)
    if count != COUNT:
        raise BenchError(
            f"CelebA-HQ has {COUNT:,} images, by whose numbers it is split, but {path} has labels "
            f"of {count:,}: complete the annotations."
        )
    identities = None
    people = find_annotations(path, IDENTITY_FILE)
    if mapping is not None and people is not None:
        numbers = read_numbers(people)
        known = np.array([numbers.get(image_name(row), -1) for row in range(max(mapping) + 1)])
        identities = _picked(known, mapping, people)
    places = np.arange(count)
    return Rows(_images(folder, count), labels, places < TRAIN, places >= count - TEST, identities)


def _by_number(table: AttributeTable) -> AttributeTable:
    """The rows in the order of the images' numbers."""
    numbers = [_number(file) for file in table.files]
    if sorted(numbers) != list(range(len(numbers))):
        raise BenchError(
            f"{table.path} has not one row for each image 0.jpg, 1.jpg, ...: fetch it again."
        )
    order = np.argsort(numbers)
    files = tuple(table.files[row] for row in order)
    return AttributeTable(table.path, files, table.names, table.values[order])


def _picked(values: np.ndarray, rows: list[int], path: Path) -> np.ndarray:
    if rows and max(rows) >= len(values):
        raise BenchError(
            f"CelebA-HQ needs row {max(rows):,} of {path}, which has {len(values):,}: fetch it "
            "again."
        )
    return values[rows]


def _images(folder: Path, count: int) -> np.ndarray:
    """The image of each number, such as ``7.jpg`` or ``00007.png`` for 7; empty for none."""
    found = {_number(file): file for file in image_files(folder).values()}
    return np.array([found.get(number, "") for number in range(count)])


def _number(file: str) -> int:
    digits = re.search(r"(\d+)$", stem(file))
    return int(digits[1]) if digits else -1


def _images_folder(path: Path) -> Path:
    folders = (root / name for root in _roots(path) for name in _IMAGES)
    found = next((folder for folder in folders if folder.is_dir()), None)
    if found is None:
        raise MissingFile(f"{path} holds no folder {_IMAGES[0]}; put CelebA-HQ's images there.")
    return found


def _find(path: Path, name: str) -> Path | None:
    return next((file for root in _roots(path) if (file := root / name).is_file()), None)


def _roots(path: Path) -> Iterator[Path]:
    return (path / root for root in _ROOTS)
