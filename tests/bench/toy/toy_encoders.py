"""The smallest encoders: of pixels, as a feature network, as a method, and one of no use."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from toy_parts import ToyMethod

from bench.extractors import Extractor


class PixelEncoder(ToyMethod):
    def features(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(images, 4).flatten(1)


class PixelExtractor(Extractor):
    name = "pixels"
    layers: ClassVar = ("pixels",)
    canonical_size = 4
    sha256 = "0" * 64

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        return {"pixels": images}

    def _prepare(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(images, self.canonical_size)

    def _embed(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) * self.scale

    def _classify(self, pooled: Tensor) -> Tensor:
        return pooled


class BlindExtractor(PixelExtractor):
    name = "blind"
    sha256 = "1" * 64

    def _embed(self, inputs: Tensor) -> Tensor:
        return torch.ones(len(inputs), 4)


class BrokenExtractor(PixelExtractor):
    name = "broken"
    sha256 = "2" * 64

    def _embed(self, inputs: Tensor) -> Tensor:
        return torch.full((len(inputs), 4), float("nan"))
