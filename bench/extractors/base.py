"""The contract of a feature extractor: a frozen network with named feature maps and one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError
from bench.extractors.compiled import CompiledFunction, images_at_once


class Extractor(nn.Module, ABC):
    """A pretrained feature network that metrics and losses look through.

    Images are float tensors in [-1, 1], N x 3 x H x W; grey images (N x 1 x H x W) are repeated
    to three channels. Each extractor does its own normalisation. Weights are frozen and the
    network stays in evaluation mode whatever ``train`` is called with; gradients flow to the
    images.

    Attributes:
        name: The catalog name.
        layers: The layers that ``feature_maps`` gives, from the image to the depth.
        vector_names: What ``vectors`` gives. The first is what ``pooled`` gives, the second what
            ``logits`` gives; more may follow.
        canonical_size: Height and width in pixels that the network was trained at.
        resizer: How vectors bring an image to that size; another resizer is another metric.
        fast_in_parts: Whether a few images at a time are faster than many, as with wide maps that
            stay in a processor's caches, and no large matrices that would be read for each part.
        sha256: Hash of the weights file.
    """

    name: ClassVar[str]
    layers: ClassVar[tuple[str, ...]]
    vector_names: ClassVar[tuple[str, ...]] = ("pooled", "logits")
    canonical_size: ClassVar[int]
    resizer: ClassVar[str] = "bilinear"
    fast_in_parts: ClassVar[bool] = False
    sha256: str
    _compiled: CompiledFunction | None = None

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
        wanted = self.layers if layers is None else self._known("layer", layers, self.layers)
        found = self._feature_maps(as_rgb(images), set(wanted))
        return [found[layer] for layer in wanted]

    def vectors(self, images: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Vectors of each image at the network's canonical size, in one pass.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].
            names: Names out of ``vector_names``, in any order.

        Returns:
            One float32 tensor (N, D) for each name, in the order asked for.

        Raises:
            BenchError: A name is unknown, or the images are no such tensor.
        """
        wanted = self._known("vector", names, self.vector_names)
        found = self._vectors(self._prepare(as_rgb(images)), set(wanted))
        return [found[name] for name in wanted]

    def pooled(self, images: Tensor) -> Tensor:
        """One feature vector for each image, at the network's canonical size.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].

        Returns:
            float32 (N, D).
        """
        return self.vectors(images, self.vector_names[:1])[0]

    def logits(self, images: Tensor) -> Tensor:
        """Scores of the network's own classes, at its canonical size.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].

        Returns:
            float32 (N, classes), before the softmax.
        """
        return self.vectors(images, self.vector_names[1:2])[0]

    def compile_vectors(self) -> Self:
        """From now on compute ``pooled`` and ``logits`` by compiled code; returns itself.

        The first batch waits for the compiler. Batches that gradients flow through are computed
        as before, and so are ``feature_maps``.
        """
        self._compiled = CompiledFunction(self._embed)
        return self

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: an extractor inside a method must not change with it."""
        return super().train(False)

    def _vectors(self, inputs: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        """At least the wanted vectors of prepared images."""
        pooled_name, logits_name = self.vector_names[:2]
        found = {pooled_name: self._pooled(inputs)}
        if logits_name in wanted:
            found[logits_name] = self._classify(found[pooled_name])
        return found

    def _pooled(self, inputs: Tensor) -> Tensor:
        if self._compiled and not torch.is_grad_enabled():
            return self._compiled(inputs)
        if not self.fast_in_parts or inputs.device.type != "cpu":
            return self._embed(inputs)
        parts = inputs.split(images_at_once(inputs.device))
        return torch.cat([self._embed(part) for part in parts])

    def _known(self, kind: str, names: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in known:
                raise BenchError(f"{self.name} has no {kind} {name!r}; it has {', '.join(known)}.")
        return tuple(names)

    @abstractmethod
    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]: ...

    @abstractmethod
    def _prepare(self, images: Tensor) -> Tensor:
        """What the network takes in: images (N, 3, H, W) resized and normalised."""

    @abstractmethod
    def _embed(self, inputs: Tensor) -> Tensor:
        """The pooled vectors, float32 (N, D), of prepared images."""

    @abstractmethod
    def _classify(self, pooled: Tensor) -> Tensor:
        """The logits, float32 (N, classes), of pooled vectors."""


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
