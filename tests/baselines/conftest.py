"""A generator and a feature network of a few thousand weights, to look for directions in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Attributes, TrainingData
from baselines.nets.stylegan2 import Generator


class TinyFeatures(nn.Module):
    name, sha256, layers = "tiny", "0" * 64, ("one", "two")

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.two = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.requires_grad_(False)

    def feature_maps(self, images: Tensor, layers: Sequence[str] | None = None) -> list[Tensor]:
        first = F.relu(self.one(images))
        return [first, F.relu(self.two(first))]


@pytest.fixture
def tiny_data() -> TrainingData:
    """Codes of 8 dimensions on 6 layers, images of 16 x 16 with one colour channel."""
    torch.manual_seed(0)
    generator = Generator(
        z_dim=6,
        w_dim=8,
        img_resolution=16,
        img_channels=1,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 128, "channel_max": 8},
    )
    generator.eval().requires_grad_(False)
    features = TinyFeatures()
    return TrainingData(
        train=None,  # type: ignore[arg-type]  # directions are found without images of the dataset
        attributes=Attributes(()),
        size=16,
        channels=1,
        generator=generator,
        extractor=lambda name: features,
    )
