"""Grey images of ten classes: MNIST, Fashion-MNIST, and scikit-learn's handwritten digits.

The class is given as ten exclusive attributes. Who wrote a digit is not known, so that there are no
identities.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from bench.data.base import Dataset, Split
from bench.data.classes import require_every_class
from bench.errors import BenchError, MissingFile

_UNSIGNED_BYTES = 8  # the code of the type in the header of an IDX file


class ClassImages(Dataset, ABC):
    """Grey images in memory, resized when they are asked for, with one-hot classes.

    Attributes:
        classes: Names of the classes, the attributes.
        presets: 32 pixels a side in ``smoke`` and ``small``.

    Args:
        pixels: uint8 (N, H, W).
        classes: int64 (N,) in [0, 10).
        size: Height and width of the images given out.
        peak: The value of ``pixels`` that stands for white.

    Raises:
        BenchError: A class has no image.
        ValueError: ``size`` is below 1.
    """

    channels = 1
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 32},
        "small": {"size": 32},
    }

    def __init__(self, pixels: Tensor, classes: Tensor, size: int, peak: int = 255) -> None:
        if size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        self.size, self._pixels, self._classes, self._peak = size, pixels, classes, peak
        if pixels.shape[-1] != size:
            self.resizing = "bilinear filter with antialiasing"
        self.attributes = Attributes(self.classes, (self.classes,), classes=True)
        remedy = "complete its files"
        require_every_class(self.classes, classes.numpy(), f"The dataset {self.name} has", remedy)

    def __len__(self) -> int:
        return len(self._pixels)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = self._pixels[self._checked(indices), None] / (self._peak / 2) - 1
        if images.shape[-1] != self.size:
            images = functional.interpolate(
                images, self.size, mode="bilinear", align_corners=False, antialias=True
            ).clamp(-1, 1)
        return images, self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return functional.one_hot(self._classes[self._checked(indices)], len(self.classes)).float()

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.name} {self.size}".encode())
        digest.update(self._pixels.numpy().tobytes())
        digest.update(self._classes.numpy().tobytes())
        return digest.hexdigest()


class Digits(ClassImages):
    """The 1,797 handwritten digits that come with scikit-learn, 8 x 8 pixels in 17 levels.

    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (1998), the test part.

    Args:
        size: Height and width of the images given out.
    """

    name = "digits"

    def __init__(self, size: int = 32) -> None:
        from sklearn.datasets import load_digits

        found = load_digits()
        pixels = torch.from_numpy(found.images.astype(np.uint8))
        super().__init__(pixels, torch.from_numpy(found.target.astype(np.int64)), size, peak=16)


class IdxImages(ClassImages):
    """The four IDX files of MNIST or of a dataset in its format, plain or compressed by gzip.

    The training images come first, then the test images; the split is that of the files.

    Args:
        path: The folder of the files, or one above it as torchvision makes it
            (``<path>/MNIST/raw``).
        size: Height and width of the images given out; IcGAN enlarges MNIST to 64.

    Raises:
        MissingFile: A file is not there.
        BenchError: A file is damaged or of another format.
        ValueError: ``size`` is below 1.
    """

    needs_path: ClassVar[bool] = True
    torchvision_name: ClassVar[str]

    def __init__(self, path: Path, size: int = 64) -> None:
        parts = [self._part(path, part) for part in ("train", "t10k")]
        self._trained = len(parts[0][0])
        pixels, classes = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        super().__init__(pixels, classes.long(), size)

    def split(self, name: Split) -> Tensor:
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        everything = torch.arange(len(self))
        return everything[: self._trained] if name == "train" else everything[self._trained :]

    def _part(self, path: Path, part: str) -> tuple[Tensor, Tensor]:
        images_file = self._file(path, f"{part}-images-idx3-ubyte")
        labels_file = self._file(path, f"{part}-labels-idx1-ubyte")
        images, labels = read_idx(images_file), read_idx(labels_file)
        if images.ndim != 3 or images.shape[1:] != (28, 28):
            raise _damaged(images_file, f"holds an array {images.shape} and no images of 28 x 28")
        if labels.shape != images.shape[:1] or labels.max(initial=0) >= len(self.classes):
            raise _damaged(labels_file, f"holds no class for each of {len(images):,} images")
        return torch.from_numpy(images), torch.from_numpy(labels)

    def _file(self, path: Path, name: str) -> Path:
        """A file as published or unpacked; some unpackers name it ``train-images.idx3-ubyte``."""
        folders = (path, path / "raw", path / self.torchvision_name / "raw")
        names = [form + end for form in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
        files = (folder / one for folder in folders for one in names)
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise MissingFile(
                f"{path} holds no {name} (nor .gz): put the four files of {self.torchvision_name} "
                "there, or let torchvision fetch them by python -c 'import torchvision; "
                f'torchvision.datasets.{self.torchvision_name}("{path}", download=True)\'.'
            )
        return found


class MNIST(IdxImages):
    """MNIST: 60,000 handwritten digits to train on, 10,000 to test on, 28 x 28 pixels.

    LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998).
    """

    name = "mnist"
    torchvision_name = "MNIST"


class FashionMNIST(IdxImages):
    """Fashion-MNIST: 70,000 articles of clothing in MNIST's format.

    Xiao et al., Fashion-MNIST: a Novel Image Dataset (2017), arXiv 1708.07747.
    """

    name = "fashion-mnist"
    installed: ClassVar[Path | None] = Path("/usr/share/datasets/fashion-mnist")  # Debian's package
    torchvision_name = "FashionMNIST"
    classes = (
        "T-shirt",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle_boot",
    )


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, plain or compressed by gzip.

    Raises:
        BenchError: The file is damaged or holds something else.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTES]):
        raise _damaged(path, "is no IDX file of bytes")
    start = 4 + 4 * content[3]  # behind one number of four bytes for each dimension
    if len(content) < start:
        raise _damaged(path, "ends within its header")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    values = np.frombuffer(content[start:], np.uint8)
    if len(values) != math.prod(shape):
        raise _damaged(path, f"holds {len(values):,} values where its header says {shape}")
    return values.reshape(shape).copy()


def _damaged(path: Path, fault: str) -> BenchError:
    return BenchError(f"{path} {fault}: delete it and fetch it again.")
