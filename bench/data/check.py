"""What is in a folder of images, and which of its files cannot be used and why.

``check_folder`` is behind ``bench data check PATH``; ``bench.data.image_folder`` opens its images
by the same rules. Needs no torch.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from bench.errors import BenchError, MissingFile

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# Modes that Pillow turns into 8-bit RGB without loss; it would clip 16-bit and float images.
LOSSLESS_MODES = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
_END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_TAIL = 64  # bytes; a marker further from the end than that makes a file worth decoding


@dataclass(frozen=True)
class Picture:
    """One image file that can be used.

    Attributes:
        path: Relative to the folder, with forward slashes.
        width: Pixels, as stored.
        height: Pixels, as stored.
        mode: Pillow's name for the kind of pixels, such as ``RGB``.
        bytes: Size of the file.
    """

    path: str
    width: int
    height: int
    mode: str
    bytes: int


@dataclass(frozen=True)
class BadImage:
    """One file that is an image by its name and cannot be used.

    Attributes:
        path: Relative to the folder, with forward slashes.
        reason: The end of a sentence that begins with the path.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


@dataclass(frozen=True)
class FolderReport:
    """What is in a folder of images.

    Attributes:
        folder: The folder.
        pictures: Usable images, by path.
        bad: Unusable images, by path.
        ignored: How many files are no images by their names, for each ending.
    """

    folder: Path
    pictures: tuple[Picture, ...]
    bad: tuple[BadImage, ...]
    ignored: dict[str, int]

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """How many usable images have each (width, height), the commonest first."""
        return dict(Counter((one.width, one.height) for one in self.pictures).most_common())

    @property
    def modes(self) -> dict[str, int]:
        """How many usable images have each mode, the commonest first."""
        return dict(Counter(one.mode for one in self.pictures).most_common())

    def as_json(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        return {
            "folder": str(self.folder),
            "images": len(self.pictures),
            "bytes": sum(one.bytes for one in self.pictures),
            "sizes": {f"{width}x{height}": n for (width, height), n in self.sizes.items()},
            "modes": self.modes,
            "bad": {one.path: one.reason for one in self.bad},
            "ignored": self.ignored,
        }


def check_folder(folder: Path, smallest: int = 1, decode: bool = True) -> FolderReport:
    """Look at every file of a folder and its subfolders.

    Files and folders whose names begin with a dot are passed over, links to folders are not
    followed.

    Args:
        folder: Where to look.
        smallest: Images whose shorter side has fewer pixels are bad.
        decode: Decode every image to the end. Without it, headers and ends of files are read, and
            only files with a suspicious end are decoded, which overlooks damage in the middle.

    Raises:
        MissingFile: There is no such folder.
        BenchError: ``folder`` is a file.
    """
    if not folder.exists():
        raise MissingFile(f"There is no folder {folder}; give the one that holds the images.")
    if not folder.is_dir():
        raise BenchError(f"{folder} is a file; give the folder that holds the images.")
    files = sorted(_files(folder))
    images = [name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    others = Counter(Path(name).suffix.lower() for name in set(files).difference(images))
    look = partial(_examine, folder, smallest=smallest, decode=decode)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(look, images))
    return FolderReport(
        folder,
        tuple(one for one in found if isinstance(one, Picture)),
        tuple(one for one in found if isinstance(one, BadImage)),
        dict(others.most_common()),
    )


def explain(error: Exception) -> str:
    """Why Pillow could not decode an image: the end of a sentence that begins with its name."""
    if isinstance(error, UnidentifiedImageError):
        return "is no image, or of a kind that Pillow does not read"
    if "truncated" in str(error).lower():
        return "is truncated"
    return f"cannot be decoded ({error})"


# What Pillow raises for damaged files, beside OSError.
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _files(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(place).relative_to(folder)
        yield from ((here / name).as_posix() for name in names if not name.startswith("."))


def _examine(folder: Path, name: str, smallest: int, decode: bool) -> Picture | BadImage:
    path = folder / name
    try:
        size = path.stat().st_size
        if size == 0:
            return BadImage(name, "is empty")
        with Image.open(path) as image:
            width, height = image.size
            if image.mode not in LOSSLESS_MODES:
                return BadImage(name, f"has pixels of the mode {image.mode}, which is not 8-bit")
            if min(width, height) < smallest:
                wanted = f"below the {smallest} asked for"
                return BadImage(name, f"has {width} x {height} pixels, {wanted}")
            if decode or not _ends_well(path, image.format):
                image.load()
            return Picture(name, width, height, image.mode, size)
    except DECODING_ERRORS as error:
        return BadImage(name, explain(error))


def _ends_well(path: Path, kind: str | None) -> bool:
    marker = _END_MARKERS.get(kind or "")
    if marker is None:
        return False
    with path.open("rb") as stream:
        stream.seek(0, io.SEEK_END)
        stream.seek(-min(_TAIL, stream.tell()), io.SEEK_END)
        return marker in stream.read()
