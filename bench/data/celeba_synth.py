"""Drawn faces with CelebA's attributes: an embedded stand-in, with exact counterfactuals.

Every image is a function of (seed, index). Eight images in a row show one person, whose geometry
and colours they share; pose, light, background and clothes change from image to image, and so do
most attributes (``bench.data.celeba_synth_labels.OF_PEOPLE`` says which do not). 35 of CelebA's 40
attributes are drawn; Attractive, Blurry, High_Cheekbones, Oval_Face and Pointy_Nose are not: they
are absent (-1 in CelebA's files) on all images and cannot be selected.

A counterfactual is the same person in the same circumstances with other attributes. Men and women
differ in hair, jaw, neck, brows, eyes and lashes; age shows in wrinkles, grey temples, skin, jaw
and lips; all other attributes in what they name. Hair of no named colour is red; if several colours
are asked for, their mean is drawn. A bald head has no fringe and no hairline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.base import Attributes
from baselines.randomness import derive_seed, uniforms
from bench.data.base import TEST_SHARE, Dataset, Split
from bench.data.celeba import CROPS
from bench.data.celeba_annotations import (
    ATTRIBUTES,
    attribute_names,
    exclusive_groups,
    nearest_names,
)
from bench.data.celeba_folder import IMAGE_SIZE
from bench.data.celeba_synth_labels import (
    DRAWN,
    UNDRAWN,
    changed_labels,
    columns,
    draw_labels,
)
from bench.data.face_canvas import Window
from bench.data.face_features import Look
from bench.data.synthetic_face import CIRCUMSTANCES, IDENTITY, paint

IMAGES_PER_PERSON = 8
FULL_FRAME = Window(0, 0, 1, IMAGE_SIZE[1], IMAGE_SIZE[0])
_PICTURES = "1"  # part of the fingerprint; to be raised by whoever changes how images look
_CHUNK = 1 << 17  # pixels that are painted at a time, so that they stay in the processor's cache
_KEPT = 1 << 29  # bytes; smaller datasets keep the pixels that they have painted


class CelebASynth(Dataset):
    """Drawn faces, square parts of CelebA's frame, painted when they are asked for.

    Pixels are rounded to 8 bits, as those of files are. Images of at most half a gigabyte in all
    are kept once they are painted.

    Args:
        n: How many images there are; the first images of a larger dataset are the same.
        size: Height and width in pixels.
        attributes: ``stargan`` (5), ``attgan`` (13), ``icgan`` (18), ``infoscc-5``, ``infoscc-10``,
            ``drawn`` (35), or names: a list, or a text with commas.
        crop: ``stargan``, ``attgan``, ``stgan``, ``vae-gan``, ``alpha-gan``, ``icgan`` or ``dcgan``
            (``bench.data.celeba.CROPS``).
        seed: Another seed gives other people.

    Raises:
        ValueError: An option is out of its range, or an attribute is unknown or not drawn.
    """

    name = "celeba-synth"
    everything: ClassVar[Mapping[str, Any]] = {"attributes": "drawn"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 32},
        "small": {"size": 32},
    }

    def __init__(
        self,
        n: int = 20_000,
        size: int = 64,
        attributes: str | Sequence[str] = "stargan",
        crop: str = "stargan",
        seed: int = 0,
    ) -> None:
        if n < 2 * IMAGES_PER_PERSON:
            raise ValueError(
                f"n is at least {2 * IMAGES_PER_PERSON}, one person to train on and one to test on,"
                f" not {n}."
            )
        if size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        if crop not in CROPS:
            raise ValueError(f"crop is one of {', '.join(CROPS)}, not {crop!r}.")
        names = _drawn_names(attributes)
        self.size, self._seed, self._crop = size, seed, crop
        self.attributes = Attributes(names, exclusive_groups(names))
        self._columns = columns(names)
        self._people = torch.arange(n) // IMAGES_PER_PERSON
        self._labels = draw_labels(seed, self._people)
        self._identity = _draw(IDENTITY, seed, int(self._people[-1]) + 1)
        self._circumstances = _draw(CIRCUMSTANCES, seed, n)
        keep = n * size * size * 3 <= _KEPT
        # Memory is taken up by what has been written only.
        self._kept = np.empty((n, 3, size, size), np.uint8) if keep else None
        self._painted = np.zeros(n, np.bool_)

    def __len__(self) -> int:
        return len(self._people)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = self._checked(indices)
        if self._kept is None:
            pixels = self._paint(indices, self._labels[indices], self._window)
        else:
            new = indices[~self._painted[indices.numpy()]].unique()
            if len(new):
                self._kept[new.numpy()] = self._paint(new, self._labels[new], self._window)
                self._painted[new.numpy()] = True
            pixels = torch.from_numpy(self._kept[indices.numpy()])
        return _normalised(pixels), self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        return self._labels[self._checked(indices)][:, self._columns].float()

    def all_labels(self, indices: Tensor) -> Tensor:
        """All of CelebA's attributes, bool (N, 40), of image indices (N,)."""
        return self._labels[self._checked(indices)]

    def identities(self, indices: Tensor) -> Tensor:
        return self._people[self._checked(indices)]

    def counterfactuals(self, indices: Tensor, target: Tensor) -> Tensor:
        """The same people in the same circumstances with other attributes.

        Attributes that are not selected stay, but for those that exclude one that is selected and
        set (``bench.data.celeba_synth_labels.EXCLUSIVE``), such as Bald where a hair colour is.

        Args:
            indices: int64 (N,).
            target: (N, A) of 0 and 1.

        Returns:
            float32 (N, 3, H, W) in [-1, 1].
        """
        indices = self._checked(indices)
        labels = changed_labels(self._labels[indices], self.attributes.names, target.cpu())
        return _normalised(self._paint(indices, labels, self._window))

    def frames(self, indices: Tensor) -> Tensor:
        """The images in CelebA's own format, uint8 (N, 3, 218, 178)."""
        indices = self._checked(indices)
        return self._paint(indices, self._labels[indices], FULL_FRAME)

    def split(self, name: Split) -> Tensor:
        """The indices of the training or of the test part, ascending; no person is in both."""
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        people = len(self._identity)
        order = uniforms(derive_seed(0, "dataset split"), 0, people)[:, 0].argsort(stable=True)
        tested = torch.isin(self._people, order[: max(round(people * TEST_SHARE), 1)])
        return (tested if name == "test" else ~tested).nonzero()[:, 0]

    def fingerprint(self) -> str:
        settings = (self.name, _PICTURES, len(self), self.size, self._crop, self._seed)
        return hashlib.sha256(repr((settings, self.attributes.names)).encode()).hexdigest()

    @property
    def _window(self) -> Window:
        crop = CROPS[self._crop]
        width, height = IMAGE_SIZE
        top, left = crop.corner or ((height - crop.side) // 2, (width - crop.side) // 2)
        return Window(left, top, crop.side / self.size, self.size, self.size)

    def _paint(self, indices: Tensor, labels: Tensor, window: Window) -> Tensor:
        """uint8 (N, 3, H, W)."""
        pixels = torch.empty(len(indices), 3, window.height, window.width, dtype=torch.uint8)
        step = max(_CHUNK // (window.height * window.width), 1)
        for start in range(0, len(indices), step):
            part = slice(start, start + step)
            images = paint(self._look(indices[part], labels[part]), window)
            pixels[part] = images.add_(1).mul_(127.5).round_().to(torch.uint8)
        return pixels

    def _look(self, indices: Tensor, labels: Tensor) -> Look:
        columns = {
            **dict(zip(IDENTITY, self._identity[self._people[indices]].T, strict=True)),
            **dict(zip(CIRCUMSTANCES, self._circumstances[indices].T, strict=True)),
            **dict(zip(ATTRIBUTES, labels.float().T, strict=True)),
        }
        return {name: column[:, None, None] for name, column in columns.items()}


def _draw(ranges: Mapping[str, tuple[float, float]], seed: int, count: int) -> Tensor:
    """Uniform values in some ranges, (count, number of ranges)."""
    low, high = torch.tensor(list(ranges.values())).T
    draws = [uniforms(derive_seed(seed, name), 0, count)[:, 0] for name in ranges]
    return low + (high - low) * torch.stack(draws, dim=1)


def _normalised(pixels: Tensor) -> Tensor:
    return pixels.float().div_(127.5).sub_(1)


def _drawn_names(attributes: str | Sequence[str]) -> tuple[str, ...]:
    names = DRAWN if attributes == "drawn" else attribute_names(attributes)
    for name in names:
        if name not in ATTRIBUTES:
            hint = nearest_names(name, names, DRAWN)
            raise ValueError(f"CelebA has no attribute {name!r}; {hint}")
    undrawn = [name for name in names if name in UNDRAWN]
    if undrawn:
        raise ValueError(
            f"The attributes {', '.join(undrawn)} are not drawn; leave them out, or select all "
            "that are by --set dataset.attributes=drawn."
        )
    return names
