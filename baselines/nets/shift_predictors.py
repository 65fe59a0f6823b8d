"""Networks that tell from two images which direction lies between them, and how long the step was.

Voynov and Babenko (ICML 2020), section 3, and ``latent_shift_predictor.py`` of the released code
(anvoynov/GANLatentDiscovery); ContraFeat's code has a ResNet of its own (zhuxinqimac/
stylegan2-ada-pytorch, branch ``group``, ``networks_recog_resnet.py``), which differs in names and
in how its first convolution begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.resnet import BaseModel, feature_width, residual_network

FirstConvolution = Literal["kaiming", "repeated"]

LENET_SMALLEST = 32  # pixels; three unpadded 5x5 convolutions leave one position of them

# torchvision's names of a residual network's parts, and their places in ours
STEM = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
_PREFIXES = ("features_extractor.", "net.")  # of the residual network, in either release
_HEADS = {
    "type_estimator": "direction",
    "shift_estimator": "shift",
    "net.fc_vd": "direction",
    "net.fc_vs": "shift",
}


class LeNetPredictor(nn.Module):
    """Three convolutions without padding and a small head for either question.

    Parameters are named as released.

    Args:
        directions: Number of directions K.
        channels: Of one image.
        width: Multiplies the channels of all layers.
    """

    def __init__(self, directions: int, channels: int = 3, width: int = 2) -> None:
        super().__init__()
        first, second, features = 3 * width, 8 * width, 60 * width
        self.convnet = nn.Sequential(
            *_convolution(2 * channels, first),
            nn.MaxPool2d(2),
            *_convolution(first, second),
            nn.MaxPool2d(2),
            *_convolution(second, features),
        )
        self.fc_logits = _head(features, 42 * width, directions)
        self.fc_shift = _head(features, 42 * width, 1)

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Two images (N, C, H, W) of at least 32 pixels -> logits (N, K) and steps (N,)."""
        features = self.convnet(torch.cat([before, after], dim=1)).mean((2, 3))
        return self.fc_logits(features), self.fc_shift(features)[:, 0]


class ResNetPredictor(nn.Module):
    """A residual network over both images together, and two linear heads.

    Args:
        directions: Number of directions K.
        base_model: ``resnet18`` in both releases.
        first_convolution: ``kaiming`` initialises it for 6 channels, as Voynov and Babenko do;
            ``repeated`` takes a kernel for 3 channels twice and halves it, as ContraFeat does.
        size: Images are first resized to so many pixels (nearest neighbour); None leaves them.
    """

    def __init__(
        self,
        directions: int,
        base_model: BaseModel = "resnet18",
        first_convolution: FirstConvolution = "kaiming",
        size: int | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.features = residual_network(base_model, channels=6)
        width = feature_width(base_model)
        self.direction, self.shift = nn.Linear(width, directions), nn.Linear(width, 1)
        kernel = self.features[0].weight
        assert isinstance(kernel, Tensor)
        if first_convolution == "kaiming":
            nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")
        else:
            single = nn.init.kaiming_normal_(
                torch.empty_like(kernel[:, :3]), mode="fan_out", nonlinearity="relu"
            )
            with torch.no_grad():
                kernel.copy_(doubled(single))

    def forward(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Two images (N, C, H, W), grey or of 3 channels -> logits (N, K) and steps (N,)."""
        pair = torch.cat([image.expand(-1, 3, -1, -1) for image in (before, after)], dim=1)
        if self.size is not None:
            pair = F.interpolate(pair, (self.size, self.size))
        features = self.features(pair).flatten(1)
        return self.direction(features), self.shift(features)[:, 0]

    def take_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Start from torchvision's classifier of ImageNet, its first kernel taken twice.

        Args:
            weights: Under torchvision's names; its last layer is not used.

        Raises:
            ValueError: They are of another network.
        """
        state = {
            name.removeprefix("features."): value
            for name, value in from_reference({f"net.{k}": v for k, v in weights.items()}).items()
        }
        try:
            state["0.weight"] = doubled(state["0.weight"])
            self.features.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the weights are not torchvision's of this network: {reason}") from (
                error
            )


def doubled(kernel: Tensor) -> Tensor:
    """A kernel (O, 3, k, k) for one image as one for two, that answers to their mean."""
    return kernel.repeat(1, 2, 1, 1) / 2


def from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A predictor's state dict of either release under the names used here.

    The classifier that the release keeps in its residual network without using it is left out.
    """
    renamed = {}
    for name, value in state.items():
        new = _renamed(name)
        if new is not None:
            renamed[new] = value
    return renamed


def _renamed(name: str) -> str | None:
    module, _, leaf = name.rpartition(".")
    if module in _HEADS:
        return f"{_HEADS[module]}.{leaf}"
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            child, _, rest = name.removeprefix(prefix).partition(".")
            return None if child == "fc" else f"features.{STEM.get(child, child)}.{rest}"
    return name


def _convolution(channels: int, width: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 5), nn.BatchNorm2d(width), nn.ReLU()


def _head(features: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, outputs)
    )
