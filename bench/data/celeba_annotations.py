"""CelebA's annotations: names, named selections, exclusive groups, and reading the files.

The layout is that of Liu et al., Deep Learning Face Attributes in the Wild (2015). An attribute
file has the number of images, the names, then a row for each image (``000001.jpg -1  1 ...``); the
files of identities and of the partition have ``000001.jpg 2880`` a line. Copies as CSV begin with a
header (``image_id,...``) instead. Needs no torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
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
    "infoscc-5": ("Bald", "Mustache", "Wearing_Hat", "Eyeglasses", "Wearing_Necktie"),
    "infoscc-10": (
        "Bald",
        "Black_Hair",
        "Blond_Hair",
        "Brown_Hair",
        "Gray_Hair",
        "Mustache",
        "Wearing_Hat",
        "Eyeglasses",
        "Wearing_Necktie",
        "Double_Chin",
    ),
    "infoscc-15": (
        "Bald",
        "Blurry",
        "Chubby",
        "Double_Chin",
        "Eyeglasses",
        "Goatee",
        "Gray_Hair",
        "Mustache",
        "Narrow_Eyes",
        "Pale_Skin",
        "Receding_Hairline",
        "Rosy_Cheeks",
        "Sideburns",
        "Wearing_Hat",
        "Wearing_Necktie",
    ),
    "all": ATTRIBUTES,
}

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
HAIR_FORMS = ("Straight_Hair", "Wavy_Hair")

ATTRIBUTE_FILE = "list_attr_celeba.txt"
PARTITION_FILE = "list_eval_partition.txt"
IDENTITY_FILE = "identity_CelebA.txt"
HQ_MAPPING_FILES = ("image_list.txt", "CelebA-HQ-to-CelebA-mapping.txt")  # CelebA-HQ to CelebA


@dataclass(frozen=True)
class AttributeTable:
    """The contents of an attribute file.

    Attributes:
        path: Where it was read.
        files: File names of the images, in the order of the rows.
        names: The attributes, in the order of the columns.
        values: int8 (N, A) of 0 and 1.
    """

    path: Path
    files: tuple[str, ...]
    names: tuple[str, ...]
    values: NDArray[np.int8]

    def columns(self, names: Sequence[str]) -> NDArray[np.int8]:
        """Some columns in the order asked for, (N, len(names)).

        Raises:
            BenchError: The file has no such attribute; the message holds the nearest names.
        """
        for name in names:
            if name not in self.names:
                hint = nearest_names(name, names, self.names)
                raise BenchError(f"{self.path} has no attribute {name!r}; {hint}")
        return self.values[:, [self.names.index(name) for name in names]]


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


def attribute_names(attributes: str | Sequence[str]) -> tuple[str, ...]:
    """The names meant by the option ``attributes``: a set's name, or the names themselves.

    Names are a list, or a text with commas between them. Whether there are such attributes is for
    the dataset to say.

    Raises:
        ValueError: A name stands twice, or none is given.
    """
    if isinstance(attributes, str):
        if attributes in ATTRIBUTE_SETS:
            return ATTRIBUTE_SETS[attributes]
        parts = (part.strip() for part in attributes.split(","))
        names = tuple(part for part in parts if part)
    else:
        names = tuple(attributes)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"attributes is one of {', '.join(ATTRIBUTE_SETS)}, or takes names such as Male,Young "
            f'or ["Male", "Young"], not {attributes!r}.'
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"attributes names {', '.join(twice)} more than once.")
    return names


def nearest_names(unknown: str, asked: Sequence[str], known: Sequence[str]) -> str:
    """What is meant by an unknown name, the end of a sentence.

    Args:
        unknown: The name.
        asked: All names that are asked for; a name alone may be meant for a set's.
        known: The attributes that there are.
    """
    choices = (*known, *ATTRIBUTE_SETS) if len(asked) == 1 else tuple(known)
    near = difflib.get_close_matches(unknown, choices, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"attributes is one of {', '.join(ATTRIBUTE_SETS)}, or names of {', '.join(known)}."


def read_attributes(path: Path) -> AttributeTable:
    """Read an attribute file, in text or as CSV; -1 and 0 both mean that an attribute is absent.

    Raises:
        BenchError: The file is malformed; the message names the line.
    """
    lines = read_lines(path)
    if _is_csv(lines):
        first, names, stated = 1, lines[0].split(",")[1:], None
        lines = [line.replace(",", " ") for line in lines]
    else:
        if not lines[0].strip().isdigit():
            raise _malformed(path, 1, "stands something else than the number of images")
        first, stated = 2, int(lines[0])
        names = lines[1].split() if len(lines) > 1 else []
    rows = lines[first:]
    if not rows:
        raise _malformed(path, len(lines), "the file ends without a row of labels")
    if stated is not None and stated != len(rows):
        raise _malformed(path, 1, f"{stated:,} images are stated, but {len(rows):,} rows follow")
    parts = [row.split(maxsplit=1) for row in rows]
    try:
        values = np.loadtxt([part[1] for part in parts], np.int8, comments=None, ndmin=2)
        sound = values.shape[1] == len(names) and values.min() >= -1 and values.max() <= 1
    except (ValueError, IndexError):
        sound = False
    if not sound:
        raise _first_fault(path, rows, first + 1, names)
    files = tuple(part[0] for part in parts)
    _refuse_repeated(path, files, first + 1)
    return AttributeTable(
        path, files, tuple(name.strip() for name in names), (values > 0).astype(np.int8)
    )


def read_numbers(path: Path) -> dict[str, int]:
    """Read the file of identities or of the partition, in text or as CSV.

    Returns:
        A number for each file name, in the order of the file.

    Raises:
        BenchError: The file is malformed; the message names the line.
    """
    lines = read_lines(path)
    start = 1 if lines[0].startswith("image_id") else 0
    numbers: dict[str, int] = {}
    for line, text in enumerate(lines[start:], start + 1):
        fields = text.replace(",", " ").split()
        if len(fields) != 2 or not fields[1].isdigit():
            raise _malformed(path, line, f"stands {text[:40]!r} in place of a file and a number")
        if fields[0] in numbers:
            raise _malformed(path, line, f"{fields[0]} stands a second time")
        numbers[fields[0]] = int(fields[1])
    return numbers


def _write(path: Path, lines: Sequence[str]) -> None:
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, at least one, without empty ones at its end.

    Raises:
        BenchError: The file is empty or no text.
    """
    try:
        lines = path.read_text("utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read as text: {error}.") from error
    if not lines:
        raise BenchError(f"{path} is empty; fetch it again.")
    return lines


def _is_csv(lines: Sequence[str]) -> bool:
    return "," in lines[0]


def _first_fault(path: Path, rows: Sequence[str], first: int, names: Sequence[str]) -> BenchError:
    """What is wrong in the first row of labels that is not as it should be."""
    for line, row in enumerate(rows, first):
        values = row.split()[1:]
        if len(values) != len(names):
            return _malformed(path, line, f"stand {len(values)} labels for {len(names)} attributes")
        for name, value in zip(names, values, strict=True):
            if value not in ("-1", "0", "1"):
                return _malformed(path, line, f"{name} is {value!r}, which is neither -1 nor 1")
    return BenchError(f"{path} holds labels that are no whole numbers; fetch it again.")


def _refuse_repeated(path: Path, files: Sequence[str], first: int) -> None:
    if len(set(files)) < len(files):
        seen: set[str] = set()
        for line, file in enumerate(files, first):
            if file in seen:
                raise _malformed(path, line, f"{file} stands a second time")
            seen.add(file)


def _malformed(path: Path, line: int, fault: str) -> BenchError:
    return BenchError(f"{path}, line {line}: {fault}; fetch the file again or mend it.")
