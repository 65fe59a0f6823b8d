"""Residual networks without their classifier (He et al., CVPR 2016; torchvision's ``resnet.py``).

ResNet-18 and ResNet-50 are torchvision's, tensor names included, as children 0 to 8 of its model;
the suite needs no torchvision to train them. Narrower and shallower ones, and stems for small
images, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

BaseModel = Literal["resnet50", "resnet18", "resnet10"]
Stem = Literal["imagenet", "strided", "dense"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut; the 3x3 one has the stride."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, width * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


@dataclass(frozen=True)
class _Architecture:
    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]


_ARCHITECTURES = {
    "resnet50": _Architecture(Bottleneck, (3, 4, 6, 3)),
    "resnet18": _Architecture(BasicBlock, (2, 2, 2, 2)),
    "resnet10": _Architecture(BasicBlock, (1, 1, 1, 1)),
}


def feature_width(base_model: BaseModel, width: int = 64) -> int:
    """How many features a network of ``residual_network`` gives."""
    return 8 * width * _ARCHITECTURES[base_model].block.expansion


def residual_network(
    base_model: BaseModel, channels: int, width: int = 64, stem: Stem = "imagenet"
) -> nn.Sequential:
    """Images (N, C, H, W) -> globally pooled features (N, D, 1, 1).

    Weights are initialised as torchvision's are, except that the first convolution keeps torch's
    own initialisation, as one that is put in place of torchvision's does.

    Args:
        base_model: ``resnet50``, ``resnet18``, or ``resnet10`` with one block in each layer.
        channels: Of the images.
        width: Channels of the first of the four layers; each further one doubles them.
        stem: What the first convolution is: ``imagenet`` is 7x7 with stride 2 and max pooling
            after it, ``strided`` is 3x3 with stride 2, ``dense`` 3x3 with stride 1, both without
            pooling, for small images.
    """
    architecture = _ARCHITECTURES[base_model]
    kernel, stride = {"imagenet": (7, 2), "strided": (3, 2), "dense": (3, 1)}[stem]
    pooling = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
    layers, inner = [], width
    for level, depth in enumerate(architecture.depths):
        outer = width * 2**level
        blocks = []
        for place in range(depth):
            halving = 2 if level and not place else 1
            blocks.append(architecture.block(inner, outer, halving))
            inner = outer * architecture.block.expansion
        layers.append(nn.Sequential(*blocks))
    body = nn.Sequential(*layers)
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    first = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    norm, activation = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    return nn.Sequential(first, norm, activation, pooling, *body, nn.AdaptiveAvgPool2d(1))


def _convolution(inner: int, outer: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False)


def _shortcut(inner: int, outer: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inner == outer:
        return None
    return nn.Sequential(_convolution(inner, outer, 1, stride), nn.BatchNorm2d(outer))
