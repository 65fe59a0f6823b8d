"""What the annotations in a folder of CelebA say, and whether they go together with its images.

Behind ``bench data check`` for a folder in CelebA's layout. Needs no torch.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.celeba_annotations import (
    ATTRIBUTES,
    AttributeTable,
    exclusive_groups,
    read_attributes,
    read_numbers,
)
from bench.data.celeba_folder import IMAGE_SIZE, CelebAFolder, find_celeba, image_files, stem
from bench.data.check import FolderReport

_PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class LabelReport:
    """What CelebA's annotations say.

    Attributes:
        path: The attribute file.
        rows: How many images it labels.
        positives: How many images have each attribute.
        unknown: Columns that are none of CelebA's attributes, with the nearest of these or None.
        missing: Attributes of CelebA that have no column.
        without_image: Files that have a row and are not there.
        without_row: Image files that have no row.
        wrong_size: Image files that have not CelebA's size, as ``bench data check`` names them.
        conflicts: How many rows have several attributes of an exclusive group, by those attributes.
        identities: How many people there are; None without the file of identities.
        without_identity: How many rows have no identity.
        parts: How many rows are in each part of the official partition; None without its file.
        without_part: How many rows are in no part.
    """

    path: Path
    rows: int
    positives: dict[str, int]
    unknown: dict[str, str | None]
    missing: tuple[str, ...]
    without_image: tuple[str, ...]
    without_row: tuple[str, ...]
    wrong_size: tuple[str, ...]
    conflicts: dict[str, int]
    identities: int | None
    without_identity: int
    parts: dict[str, int] | None
    without_part: int

    @property
    def constant(self) -> tuple[str, ...]:
        """Attributes that all images have, or none."""
        return tuple(name for name, n in self.positives.items() if n in (0, self.rows))

    @property
    def usable(self) -> bool:
        """Whether ``celeba`` opens the folder, with any attribute, without leaving out a row."""
        return self.faults == 0

    @property
    def faults(self) -> int:
        """How many columns, rows and images are not as they should be."""
        lists = (self.unknown, self.missing, self.without_image, self.wrong_size)
        return sum(map(len, lists)) + self.without_identity + self.without_part

    def as_json(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        return {
            "file": str(self.path),
            "rows": self.rows,
            "positives": self.positives,
            "constant": list(self.constant),
            "unknown": self.unknown,
            "missing": list(self.missing),
            "without_image": list(self.without_image),
            "without_row": list(self.without_row),
            "wrong_size": list(self.wrong_size),
            "conflicts": self.conflicts,
            "identities": self.identities,
            "without_identity": self.without_identity,
            "parts": self.parts,
            "without_part": self.without_part,
        }


def check_labels(path: Path, images: FolderReport) -> LabelReport:
    """Look at the annotations in a folder of CelebA.

    Args:
        path: The folder.
        images: What is in it, by ``bench.data.check.check_folder``.

    Raises:
        MissingFile: The folder of images is not there.
        BenchError: A file of annotations is malformed.
    """
    folder = find_celeba(path)
    table = read_attributes(folder.attributes)
    found, labelled = image_files(folder.images), {stem(file) for file in table.files}
    people, parts = _numbers(folder.identities, table), _numbers(folder.partition, table)
    return LabelReport(
        path=folder.attributes,
        rows=len(table.files),
        positives=dict(zip(table.names, table.values.sum(0, dtype=int).tolist(), strict=True)),
        unknown={name: _nearest(name) for name in table.names if name not in ATTRIBUTES},
        missing=tuple(name for name in ATTRIBUTES if name not in table.names),
        without_image=tuple(file for file in table.files if stem(file) not in found),
        without_row=tuple(file for name, file in found.items() if name not in labelled),
        wrong_size=_wrong_size(path, folder, images),
        conflicts=_conflicts(table),
        identities=None if people is None else len(set(people) - {None}),
        without_identity=0 if people is None else people.count(None),
        parts=None if parts is None else {n: parts.count(k) for k, n in enumerate(_PARTS)},
        without_part=0 if parts is None else sum(part not in (0, 1, 2) for part in parts),
    )


def _nearest(name: str) -> str | None:
    return next(iter(difflib.get_close_matches(name, ATTRIBUTES, 1)), None)


def _numbers(path: Path | None, table: AttributeTable) -> list[int | None] | None:
    if path is None:
        return None
    numbers = read_numbers(path)
    return [numbers.get(file) for file in table.files]


def _wrong_size(path: Path, folder: CelebAFolder, images: FolderReport) -> tuple[str, ...]:
    place = folder.images.relative_to(path).as_posix()
    return tuple(
        one.path
        for one in images.pictures
        if one.path.rpartition("/")[0] == place and (one.width, one.height) != IMAGE_SIZE
    )


def _conflicts(table: AttributeTable) -> dict[str, int]:
    found: Counter[str] = Counter()
    for group in exclusive_groups(table.names):
        labels = table.columns(group)
        for row in labels[labels.sum(1) > 1]:
            found[" + ".join(np.array(group)[row > 0])] += 1
    return dict(found.most_common())
