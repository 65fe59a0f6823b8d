"""Faces drawn from DigiFace's DCGAN, so that every image has a latent that is known.

Image i is the generator's image of row i of a fixed table of normal numbers, rounded to 8 bits as
the images of a file are. An image is in one part of the dataset, so that the parts share no latent,
and no method is trained on a test latent: it draws its own by other seeds. There is no part for
validation. A method that holds images back takes the last ones of the training part, as CRG does:
with a share of 0.2 and all 50,000 images, those from 40,000 on that are not for tests. The other
losses that it watches are of latents of its own, drawn by a seed of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from baselines.randomness import derive_seed, normals
from bench.data.base import Dataset, Split
from bench.generators.digiface import SIZE, load_digiface

_SEED = derive_seed(0, "digiface", "latents")
_TESTED = 5  # every fifth image is for tests
_AT_ONCE = 64
_KEPT = 1 << 30  # bytes


class DigiFace(Dataset):
    """Generated faces without attributes, and their latents.

    An image is generated at its first use (4 ms on one core) and kept where all of them take no
    more than a gigabyte: 12 kB each at 64 px. Every fifth image is a test image, whatever ``n``.

    Attributes:
        presets: 10,000 images in ``small``, 8,000 of them to train on; 500 in ``smoke``.

    Args:
        n: How many images.
        size: Height and width of the images given out; they are generated with 64 pixels.

    Raises:
        ValueError: ``n`` or ``size`` is too small.
        MissingFile: The generator has to be fetched or put in place; the message says how.
        Refused: The generator's file is damaged or another one.
    """

    name = "digiface"
    attributes = Attributes(())
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"n": 500},
        "small": {"n": 10_000},
    }

    def __init__(self, n: int = 50_000, size: int = SIZE) -> None:
        if n < _TESTED:
            raise ValueError(f"n is at least {_TESTED}, of which one image is for tests, not {n}.")
        if size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        self.size, self._count = size, n
        self.resizing = None if size == SIZE else "bilinear filter with antialiasing"
        self._generator = load_digiface()
        # Memory is taken up by what has been written only.
        keep = n * self.channels * size * size <= _KEPT
        self._kept = np.empty((n, self.channels, size, size), np.uint8) if keep else None
        self._drawn = np.zeros(n, np.bool_)

    def __len__(self) -> int:
        return self._count

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = self._checked(indices)
        if self._kept is None:
            pixels = self._draw(indices)
        else:
            new = indices[~self._drawn[indices.numpy()]].unique()
            self._kept[new.numpy()] = self._draw(new)
            self._drawn[new.numpy()] = True
            pixels = torch.from_numpy(self._kept[indices.numpy()])
        return pixels.float().div_(127.5).sub_(1), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return torch.zeros(len(self._checked(indices)), 0)

    def latents(self, indices: Tensor) -> Tensor:
        """What the generator made the images from, float32 (N, 100), standard normal."""
        rows = [
            normals(_SEED, index, 1, self._generator.z_dim)
            for index in self._checked(indices).tolist()
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self._generator.z_dim)

    def split(self, name: Split) -> Tensor:
        """The indices of the training or of the test part, ascending; each fifth is for tests."""
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        everything = torch.arange(len(self))
        return everything[(everything % _TESTED == _TESTED - 1) == (name == "test")]

    def fingerprint(self) -> str:
        settings = (self.name, self._generator.sha256, _SEED, len(self), self.size)
        return hashlib.sha256(repr(settings).encode()).hexdigest()

    @torch.no_grad()
    def _draw(self, indices: Tensor) -> Tensor:
        """uint8 (N, 3, size, size)."""
        pixels = torch.empty(len(indices), self.channels, self.size, self.size, dtype=torch.uint8)
        for places in torch.arange(len(indices)).split(_AT_ONCE):
            images = self._generator(self.latents(indices[places]))
            if self.size != SIZE:
                images = functional.interpolate(
                    images, self.size, mode="bilinear", align_corners=False, antialias=True
                )
            pixels[places] = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return pixels
