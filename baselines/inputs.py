"""What the suite gives to a method: the dataset, and the frozen networks that it may use.

Images are float32 tensors in [-1, 1], N x C x H x W; attributes are float32, N x A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Attributes:
    """The attributes of a dataset, in the order of its columns.

    Attributes:
        names: One name for each column.
        exclusive: Groups of names of which at most one is set, such as hair colours.
        classes: Whether they are classes: one group holds all names, and exactly one is set.
    """

    names: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()
    classes: bool = False


class ImageSet(Protocol):
    """Images with attributes that can be read in any order."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) in [-1, 1] and attributes (N, A) of int64 ``indices`` (N,)."""
        ...

    def labels(self, indices: Tensor) -> Tensor:
        """The attributes (N, A) alone, without reading images where the set can do so."""
        ...


class PairSet(Protocol):
    """Pairs of training images with equal attributes and different identities."""

    def draw(self, seed: int, count: int) -> Tensor:
        """``count`` pairs, a function of ``seed``; no two of them share an attribute vector.

        Returns:
            int64 (count, 2), places in the training set.

        Raises:
            ValueError: The training set has fewer attribute vectors with such a pair.
        """
        ...


@dataclass(frozen=True)
class Pairs:
    """Pairs of images with equal attributes and different identities.

    Attributes:
        first: (P, C, H, W) in [-1, 1].
        second: (P, C, H, W), row by row another identity with the attributes of ``first``.
        attributes: (P, A), no two rows alike.
    """

    first: Tensor
    second: Tensor
    attributes: Tensor


@dataclass(frozen=True)
class DirectionPairs:
    """Pairs of images that differ in one direction, or in one factor of the dataset.

    Attributes:
        first: (P, C, H, W) in [-1, 1].
        second: (P, C, H, W), row by row ``first`` with something changed.
        labels: int64 (P,), which direction or factor was changed.
    """

    first: Tensor
    second: Tensor
    labels: Tensor


class DirectionPairSet(Protocol):
    """Pairs that differ in one of ``num_directions`` directions, or in a dataset's own factors."""

    @property
    def num_directions(self) -> int:
        """How many directions there are; labels lie in [0, num_directions)."""
        ...

    def draw(self, seed: int, count: int) -> DirectionPairs:
        """``count`` pairs, a function of ``seed`` and ``count``, on any device."""
        ...


class FeatureExtractor(Protocol):
    """A frozen feature network; ``bench.extractors`` holds those of the suite."""

    name: str
    sha256: str
    layers: tuple[str, ...]

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        """Feature maps of the named layers at the images' own size, differentiable."""
        ...

    def pooled(self, images: Tensor) -> Tensor:
        """One vector (N, D) for each image, at the network's canonical input size."""
        ...


class LatentGenerator(Protocol):
    """A pretrained generator with an intermediate latent space (StyleGAN2's W)."""

    z_dim: int
    w_dim: int
    num_ws: int
    img_resolution: int
    sha256: str

    @property
    def mapping(self) -> Callable[..., Tensor]:
        """z (N, z_dim) -> ws (N, num_ws, w_dim)."""
        ...

    @property
    def synthesis(self) -> Callable[..., Tensor]:
        """ws (N, num_ws, w_dim), ``noise_mode="const"|"random"|"none"`` -> images."""
        ...


@dataclass
class TrainingData:
    """What a method sees of the dataset it is run on.

    Attributes:
        train: The training images with their attributes.
        attributes: Names and exclusive groups of the attributes.
        size: Height and width of the images in pixels.
        channels: Colour channels of the images.
        generator: The pretrained generator of the dataset, or None.
        pairs: Pairs of equal attributes and different identities; None if these are unknown.
        extractor: Loads a feature extractor by its catalog name, on the run's device.
        direction_pairs: Pairs that differ in one direction of a discovery run, or None.
        factor_pairs: Pairs that differ in the dataset's own factors; None if these are unknown.
    """

    train: ImageSet
    attributes: Attributes
    size: int
    channels: int
    generator: Any = None
    pairs: PairSet | None = None
    extractor: Callable[[str], Any] | None = None
    direction_pairs: DirectionPairSet | None = None
    factor_pairs: DirectionPairSet | None = None
