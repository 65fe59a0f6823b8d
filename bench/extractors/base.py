"""The contract of a feature extractor: a frozen network with named feature maps and one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError


class Extractor(nn.Module, ABC):
    """A pretrained feature network that metrics and losses look through.

    Images are float tensors in [-1, 1], N x 3 x H x W; grey images (N x 1 x H x W) are repeated
    to three channels. Each extractor does its own normalisation. Weights are frozen and the
    network stays in evaluation mode whatever ``train`` is called with; gradients flow to the
    images.

    Attributes:
        name: The catalog name.
        layers: The layers that ``feature_maps`` gives, from the image to the depth.
        canonical_size: Height and width in pixels that the network was trained at.
        sha256: Hash of the weights file.
    """

    name: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    canonical_size: ClassVar[int]
    sha256: str

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        """Feature maps at the images' own size, differentiable.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].
            layers: Names out of ``layers``, in any order; all by default.

        Returns:
            One (N, C, h, w) tensor for each name, in the order asked for.

        Raises:
            BenchError: A layer is unknown, or the images are no such tensor.
        """
        wanted = tuple(layers) if layers is not None else self.layers
        unknown = [layer for layer in wanted if layer not in self.layers]
        if unknown:
            known = ", ".join(self.layers)
            raise BenchError(f"{self.name} has no layer {unknown[0]!r}; it has {known}.")
        found = self._feature_maps(as_rgb(images), set(wanted))
        return [found[layer] for layer in wanted]

    def pooled(self, images: Tensor) -> Tensor:
        """One feature vector for each image, at the network's canonical size.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].

        Returns:
            float32 (N, D).
        """
        return self._pooled(as_rgb(images))

    def logits(self, images: Tensor) -> Tensor:
        """Scores of the network's own classes, at its canonical size.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].

        Returns:
            float32 (N, classes), before the softmax.
        """
        return self._logits(as_rgb(images))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: an extractor inside a method must not change with it."""
        return super().train(False)

    @abstractmethod
    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]: ...

    @abstractmethod
    def _pooled(self, images: Tensor) -> Tensor: ...

    @abstractmethod
    def _logits(self, images: Tensor) -> Tensor: ...


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear, half-pixel centres; antialiased where an image shrinks.

    Args:
        images: (N, C, H, W).
        size: Height and width of the result in pixels.
    """
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    shrinks = height > size or width > size
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=shrinks)


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as the 0..255 values that saving them would give (uint8)."""
    return images.add(1.0).mul(127.5).round().clamp(0.0, 255.0).to(torch.uint8)


def as_rgb(images: Tensor) -> Tensor:
    """Float images N x 3 x H x W; grey ones (N x 1 x H x W) are repeated.

    Raises:
        BenchError: They are no such tensor.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
        shape = " x ".join(str(size) for size in images.shape)
        raise BenchError(
            f"Float images N x 3 x H x W in [-1, 1] are asked for, but these are {images.dtype} "
            f"of shape {shape}; 8-bit images become such by x / 127.5 - 1."
        )
    return images.expand(-1, 3, -1, -1)
