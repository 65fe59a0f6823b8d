"""Images as users point at them: files, folders, or places in a dataset's test part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.data.check import DECODING_ERRORS, explain
from bench.data.image_folder import ImageFolder, read_square, scaled
from bench.data.subset import Subset
from bench.errors import BenchError

RESIZING = "files are cut to their central square and resized by Lanczos"

_TEST = "test:"


def pointed_images(
    pointers: Iterable[str], test: Subset, size: int | None = None
) -> tuple[Tensor, list[str]]:
    """The images that some pointers lead to, as a method of the dataset takes them.

    Files and folders are made square and resized as by ``ImageFolder``; smaller images are not
    enlarged.

    Args:
        pointers: Each is the path of an image or of a folder of images, or ``test:PLACES`` with
            places of the test part, as in ``test:3,17``.
        test: The test part of the dataset.
        size: Height and width of the images in pixels; None for the dataset's.

    Returns:
        Images, float32 (N, C, H, W) in [-1, 1], and their names.

    Raises:
        BenchError: A pointer leads nowhere, to what is no image or too small a one, or into a
            dataset of another size.
    """
    size = size or test.dataset.size
    found = [pair for pointer in pointers for pair in _follow(pointer, test, size)]
    images, names = (list(part) for part in zip(*found, strict=True)) if found else ([], [])
    return torch.stack(images) if images else torch.empty(0), names


def is_file(pointer: str) -> bool:
    """Whether a pointer leads to files, which ``RESIZING`` is done to."""
    return not pointer.startswith(_TEST)


def _follow(pointer: str, test: Subset, size: int) -> Iterator[tuple[Tensor, str]]:
    if not is_file(pointer):
        places = _places(pointer, len(test))
        if size != test.dataset.size:
            raise BenchError(
                f"The test part has images of {test.dataset.size} pixels and {size} are asked "
                f"for: give files in place of {pointer!r}."
            )
        images, _ = test.batch(torch.tensor(places))
        yield from zip(images, (f"{_TEST}{place}" for place in places), strict=True)
        return
    path = Path(pointer)
    if path.is_dir():
        folder = ImageFolder(path, size)
        images, _ = folder.batch(torch.arange(len(folder)))
        names = [str(picture.path) for picture in folder.report.pictures]
    else:
        images, names = scaled(np.stack([_read(path, size)])), [path.name]
    yield from zip(_in_channels(images, test.dataset.channels), names, strict=True)


def _read(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as image:
            width, height = image.size
        if min(width, height) < size:
            raise BenchError(
                f"{path} has {width} x {height} pixels and the method works on {size} x {size}: "
                "give a larger image."
            )
        return read_square(path, size)
    except FileNotFoundError:
        raise BenchError(
            f"There is no image {path}: give a file, a folder, or places of the test part as "
            f"{_TEST}3,17."
        ) from None
    except DECODING_ERRORS as error:
        raise BenchError(f"{path} {explain(error)}: give another image.") from error


def _places(pointer: str, count: int) -> list[int]:
    text = pointer.removeprefix(_TEST)
    try:
        places = [int(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(
            f"{pointer!r} names no places of the test part; write them as {_TEST}3,17."
        ) from None
    outside = [place for place in places if not 0 <= place < count]
    if outside:
        raise BenchError(
            f"The test part has the places 0 to {count - 1}; {pointer!r} asks for {outside[0]}."
        )
    return places


def _in_channels(images: Tensor, channels: int) -> Tensor:
    """Colour images (N, 3, H, W), grey where the method has one channel (their mean)."""
    return images if channels == images.shape[1] else images.mean(dim=1, keepdim=True)
