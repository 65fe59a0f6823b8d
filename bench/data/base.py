"""The contract of a dataset: images and attributes by index, the same for the same index.

A dataset gives batches in any order, names its attributes, says by a fingerprint what exactly it
holds, and splits itself into a training and a test part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from baselines.base import Attributes
from baselines.randomness import derive_seed, uniforms

Split = Literal["train", "test"]
TEST_SHARE = 0.1


class Dataset(ABC):
    """Images with attributes; what a new dataset has to provide.

    Attributes:
        needs_path: Whether the dataset reads files, so that ``--data`` means something to it.
        installed: Where a package of the system puts the dataset's files; None for nowhere.
        presets: Options that the presets ``smoke`` and ``small`` give to the dataset, such as a
            smaller size.
        everything: Options that give it all its attributes, for a predictor that serves whatever
            selection of them methods are given.
        paths: Options that say where files lie, and mean the same from whatever folder.
        name: The name in the catalog.
        size: Height and width of the images in pixels.
        channels: Colour channels of the images.
        attributes: Names and exclusive groups of the attribute columns.
        factor_sizes: How many values each ground-truth factor takes; None where factors are
            unknown.
        resizing: How images of other sizes were cut and brought to ``size``, for protocols; None
            where they are of that size.
    """

    needs_path: ClassVar[bool] = False
    installed: ClassVar[Path | None] = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    everything: ClassVar[Mapping[str, Any]] = {}
    paths: ClassVar[tuple[str, ...]] = ()
    name: str
    size: int
    channels: int = 3
    attributes: Attributes
    factor_sizes: tuple[int, ...] | None = None
    resizing: str | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Read some images in the order asked for.

        Args:
            indices: int64 (N,) in [0, len(self)).

        Returns:
            Images, float32 (N, C, H, W) in [-1, 1], and attributes, float32 (N, A).

        Raises:
            IndexError: An index is out of range.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content and of the settings that change the images."""

    def labels(self, indices: Tensor) -> Tensor:
        """The attributes alone, without reading images where the dataset can do so.

        Args:
            indices: int64 (N,) in [0, len(self)).

        Returns:
            float32 (N, A).
        """
        return self.batch(indices)[1]

    def identities(self, indices: Tensor) -> Tensor | None:
        """Who or what the images show, apart from the attributes; None where that is unknown.

        Args:
            indices: int64 (N,) in [0, len(self)).

        Returns:
            int64 (N,), equal for images of the same identity; or None.
        """
        return None

    def counterfactuals(self, indices: Tensor, target: Tensor) -> Tensor | None:
        """The true images of the same scenes with other attributes, where they are known.

        Args:
            indices: int64 (N,) in [0, len(self)).
            target: float32 (N, A) of 0 and 1, the attributes to show.

        Returns:
            float32 (N, C, H, W) in [-1, 1]; or None.
        """
        return None

    def latents(self, indices: Tensor) -> Tensor | None:
        """What the dataset's generator made the images from; None where no generator made them.

        Args:
            indices: int64 (N,) in [0, len(self)).

        Returns:
            z, float32 (N, D), of the generator that the dataset's catalog line names; or None.
        """
        return None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        images, attributes = self.batch(torch.tensor([index]))
        return images[0], attributes[0]

    def split(self, name: Split) -> Tensor:
        """The indices of the training or of the test part, ascending.

        A tenth of the images, chosen by a fixed draw that depends on nothing but the number of
        images, is the test part (at least one image where there are two or more); the rest is
        the training part.

        Args:
            name: ``"train"`` or ``"test"``.

        Returns:
            int64 (N,).

        Raises:
            ValueError: ``name`` is neither.
        """
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        count = len(self)
        tested = max(round(count * TEST_SHARE), min(count - 1, 1))
        order = uniforms(derive_seed(0, "dataset split"), 0, count)[:, 0].argsort(stable=True)
        return (order[:tested] if name == "test" else order[tested:]).sort().values

    def _checked(self, indices: Tensor) -> Tensor:
        """``indices`` as int64 on the CPU, all in range."""
        indices = torch.as_tensor(indices, dtype=torch.int64, device="cpu")
        if indices.numel() and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(
                f"Indices of {self.name} lie in [0, {len(self)}); asked for"
                f" {int(indices.min())} to {int(indices.max())}."
            )
        return indices
