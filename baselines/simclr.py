"""SimCLR: an encoder that is trained by contrast, the first stage of InfoSCC-GAN.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020), as
the code of InfoSCC-GAN has it (Kinakh et al. 2021; vkinakh/InfoSCC-GAN).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.resnet import BaseModel, Stem, feature_width, residual_network


class SimCLREncoder(nn.Module):
    """A residual network and a projection head; tensors are named as in the released code.

    Args:
        channels: Of the images.
        base_model: See ``baselines.nets.resnet``.
        out_dim: Width of the projections z.
        width: Channels of the residual network's first layer.
        stem: See ``baselines.nets.resnet``.

    Attributes:
        feature_width: D, the width of the features h.
    """

    def __init__(
        self,
        channels: int,
        base_model: BaseModel = "resnet50",
        out_dim: int = 128,
        width: int = 64,
        stem: Stem = "imagenet",
    ) -> None:
        super().__init__()
        self.feature_width = feature_width(base_model, width)
        self._features = residual_network(base_model, channels, width, stem)
        self._l1 = nn.Linear(self.feature_width, self.feature_width)
        self._l2 = nn.Linear(self.feature_width, out_dim)

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> h (N, D), for one image as for many."""
        features: Tensor = self._features(images).flatten(1)
        return features

    def project(self, features: Tensor) -> Tensor:
        """h (N, D) -> z (N, out_dim), of no particular length."""
        projections: Tensor = self._l2(F.relu(self._l1(features)))
        return projections

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) -> h (N, D) and z (N, out_dim)."""
        features = self.features(images)
        return features, self.project(features)
