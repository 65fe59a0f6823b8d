"""CelebA's annotations: names, named selections, exclusive groups, and the text files themselves.

The layout is that of Liu et al., Deep Learning Face Attributes in the Wild (2015). An attribute file
has the number of images, the names, then a row for each image (``000001.jpg -1  1 ...``); the files of
identities and of the partition have ``000001.jpg 2880`` a line. Copies as CSV begin with a header
(``image_id,...``) instead. Needs no torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError
from bench.files import write_bytes

ATTRIBUTES = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)

# The selections of the reference programs, in the order of their channels.
ATTRIBUTE_SETS: dict[str, tuple[str, ...]] = {
    "stargan": ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"),
    "attgan": (
        "Bald",
        "Bangs",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Male",
        "Mouth_Slightly_Open",
        "Mustache",
        "No_Beard",
        "Pale_Skin",
        "Young",
    ),
    "icgan": (
        "Bald",
        "Bangs",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Bushy_Eyebrows",
        "Eyeglasses",
        "Gray_Hair",
        "Heavy_Makeup",
        "Male",
        "Mouth_Slightly_Open",
        "Mustache",
        "Pale_Skin",
        "Receding_Hairline",
        "Smiling",
        "Straight_Hair",
        "Wavy_Hair",
        "Wearing_Hat",
    ),
    "all": ATTRIBUTES,
}

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
HAIR_FORMS = ("Straight_Hair", "Wavy_Hair")

ATTRIBUTE_FILE = "list_attr_celeba.txt"
PARTITION_FILE = "list_eval_partition.txt"
IDENTITY_FILE = "identity_CelebA.txt"


def exclusive_groups(names: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The groups among some attributes of which a face shows at most one: colours, forms of hair.

    Args:
        names: The attributes in use.

    Returns:
        Groups of two names or more, each in the order of ``HAIR_COLOURS`` or ``HAIR_FORMS``.
    """
    groups = (tuple(n for n in group if n in names) for group in (HAIR_COLOURS, HAIR_FORMS))
    return tuple(group for group in groups if len(group) > 1)


def image_name(index: int) -> str:
    """The file name of the image with a 0-based index: ``000001.jpg`` for 0."""
    return f"{index + 1:06d}.jpg"


def write_annotations(
    folder: Path, labels: ArrayLike, identities: ArrayLike, partition: ArrayLike
) -> None:
    """Write the three files in the official text layout, for images ``000001.jpg`` and on.

    Args:
        folder: Where they go: ``list_attr_celeba.txt``, ``identity_CelebA.txt`` and
            ``list_eval_partition.txt``.
        labels: (N, 40) of 0 and 1 (or -1 and 1), columns in the order of ``ATTRIBUTES``.
        identities: (N,) whole numbers.
        partition: (N,) of 0 (training), 1 (validation) and 2 (test).

    Raises:
        ValueError: The shapes do not go together.
    """
    positive = np.asarray(labels) > 0
    people, parts = np.asarray(identities), np.asarray(partition)
    count = len(positive)
    if positive.shape != (count, len(ATTRIBUTES)) or not (people.shape == parts.shape == (count,)):
        raise ValueError(
            f"CelebA's files take labels (N, {len(ATTRIBUTES)}) with identities and partition (N,),"
            f" not {positive.shape}, {people.shape} and {parts.shape}."
        )
    rows = (" ".join(" 1" if value else "-1" for value in row) for row in positive)
    table = [str(count), " ".join(ATTRIBUTES) + " "]
    table += [f"{image_name(index)} {row}" for index, row in enumerate(rows)]
    _write(folder / ATTRIBUTE_FILE, table)
    _write(folder / IDENTITY_FILE, [f"{image_name(i)} {one}" for i, one in enumerate(people)])
    _write(folder / PARTITION_FILE, [f"{image_name(i)} {one}" for i, one in enumerate(parts)])


def _write(path: Path, lines: Sequence[str]) -> None:
    write_bytes(path, ("\n".join(lines) + "\n").encode())
