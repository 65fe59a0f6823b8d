"""Bands as a dataset and as conditional generators: a bright band is the class, or an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.base import Attributes, ConditionalGenerator, LatentAxis, MethodConfig
from baselines.randomness import Draws, normals
from bench.data.base import Dataset

SIZE, BANDS, COUNT = 32, 4, 40
NAMES = ("north", "upper", "lower", "south")


def bands(labels: Tensor, change: Tensor) -> Tensor:
    """A bright band for each 1 and a dark one for each 0, all changed a little."""
    rows = (labels - 0.5 + 0.1 * change).repeat_interleave(SIZE // BANDS, dim=1)
    return rows[:, None, :, None].expand(-1, 3, -1, SIZE)


class Bands(Dataset):
    name = "bands"
    size = SIZE
    attributes = Attributes(NAMES, (NAMES,), classes=True)

    def __len__(self) -> int:
        return 2 * COUNT

    def split(self, name: str) -> Tensor:
        return torch.arange(COUNT) + (COUNT if name == "train" else 0)

    def labels(self, indices: Tensor) -> Tensor:
        return functional.one_hot(indices % BANDS, BANDS).float()

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        change = normals(1, 0, len(self), BANDS)[indices]
        return bands(self.labels(indices), change), self.labels(indices)

    def fingerprint(self) -> str:
        return "e" * 64


class FreeBands(Bands):
    """Any band may be bright but for the first two, of which exactly one is."""

    attributes = Attributes(NAMES, (NAMES[:2],))

    def labels(self, indices: Tensor) -> Tensor:
        first = indices % 2 == 0
        columns = [first, ~first, indices // 2 % 2 == 0, indices // 4 % 3 == 0]
        return torch.stack(columns, dim=1).float()

    def fingerprint(self) -> str:
        return "f" * 64


class BandPredictor(nn.Module):
    names = NAMES[::-1]  # another order than the dataset's
    sha256 = "b" * 64

    def forward(self, images: Tensor) -> Tensor:
        return seen(images).flip(1)


def seen(images: Tensor) -> Tensor:
    brightness = images.mean(dim=(1, 3)).unflatten(1, (BANDS, -1)).mean(dim=2)
    return (4.0 * brightness).sigmoid()


class Obedient(ConditionalGenerator):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.config = MethodConfig()

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return self.generate(labels, self.sample_latents(len(labels), draws))

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return draws.normal("z", count, BANDS)

    def generate(self, labels: Tensor, latents: Tensor) -> Tensor:
        return bands(labels, latents)

    def axes(self) -> Sequence[LatentAxis]:
        return [LatentAxis(i // 2, i % 2, i, importance=float(i)) for i in range(BANDS)]

    def classify(self, images: Tensor) -> Tensor:
        return seen(images)


class Encoding(Obedient):
    def features(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 3))


class Plain(ConditionalGenerator):
    """Nothing but samples, the same for the same label: the class after the one asked for."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.config = MethodConfig()

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return bands(labels.roll(1, dims=1), torch.zeros_like(labels))


class Bright(Plain):
    """Has every attribute, whatever is asked for."""

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        return bands(torch.ones_like(labels), 0.1 * draws.normal("z", *labels.shape))

    def classify(self, images: Tensor) -> Tensor:
        return torch.full((len(images), BANDS), 0.3)


class Deaf(Obedient):
    conditioned: ClassVar[bool] = False

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        own = functional.one_hot(draws.integer("class", len(labels), BANDS), BANDS)
        return bands(own.float(), draws.normal("z", len(labels), BANDS))
