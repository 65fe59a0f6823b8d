"""A generator whose factors are known: each coordinate of w is the brightness of one stripe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.base import Discoverer, MethodConfig
from bench.tracks import EvaluationContext

FACTORS = ("floor", "wall", "object", "light")
SIZE = 8


class StripeGenerator(nn.Module):
    z_dim, w_dim, num_ws, img_resolution = len(FACTORS), len(FACTORS), 2, SIZE
    sha256 = "a" * 64

    def mapping(self, z: Tensor) -> Tensor:
        return 0.3 * z.unsqueeze(1).repeat(1, self.num_ws, 1)

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        assert noise_mode == "const"
        stripes = ws.mean(dim=1).tanh().repeat_interleave(SIZE // len(FACTORS), dim=1)
        return stripes[:, None, :, None].expand(-1, 3, -1, SIZE)


class StripePredictor(nn.Module):
    names = FACTORS
    sha256 = "b" * 64

    def forward(self, images: Tensor) -> Tensor:
        stripes = images.mean(dim=(1, 3)).unflatten(1, (len(FACTORS), -1)).mean(dim=2)
        return (stripes + 1) / 2


class RandomFeatures(nn.Module):
    """Untrained, but fixed: what the protocol needs of an extractor."""

    name, sha256, layers = "random-features", "c" * 64, ("one", "two")

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.first = torch.randn(8, 3, 3, 3, generator=draws)
        self.second = torch.randn(8, 8, 3, 3, generator=draws)

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        one = functional.conv2d(images + 0.1, self.first, padding=1).relu()
        return [one, functional.conv2d(one, self.second, stride=2, padding=1).relu()]

    def pooled(self, images: Tensor) -> Tensor:
        return self.feature_maps(images)[-1].mean(dim=(2, 3))


class FixedDirections(Discoverer):
    """Moves all layers along given directions (K, D); attention and prototypes are for show."""

    def __init__(self, directions: Tensor) -> None:
        nn.Module.__init__(self)
        self.config = MethodConfig()
        self.directions = directions
        self.num_directions = len(directions)

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        steps = torch.as_tensor(step, dtype=ws.dtype).reshape(-1, 1, 1)
        return ws + steps * self.directions[direction].reshape(-1, 1, self.directions.shape[1])


class AttentiveDirections(FixedDirections):
    def attention(self) -> Tensor:
        return torch.softmax(torch.arange(8.0).reshape(4, 2), dim=1)

    def prototypes(self) -> Tensor:
        return torch.linspace(-1, 1, 4).reshape(4, 1, 1, 1).expand(-1, 3, SIZE, SIZE)


def context(folder: Path, seed: int = 0, **options: Any) -> EvaluationContext:
    return EvaluationContext(
        dataset=None,  # type: ignore[arg-type]  # this track looks at generated images only
        generator=StripeGenerator(),
        extractor=RandomFeatures(),
        predictor=StripePredictor(),
        seed=seed,
        preset="smoke",
        folder=folder,
        device=torch.device("cpu"),
        options=options,
    )
