"""An encoder of images into a StyleGAN2's W, on VGG's convolutions.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR
2015), numbered as torchvision numbers them, so that its weights load without renaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # widths and convolutions
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class ImageNetInput(nn.Module):
    """A network that sees pixels in units of their deviation in ImageNet, from their mean there."""

    _pixel_mean: Tensor
    _pixel_deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", _IMAGENET_MEAN), ("deviation", _IMAGENET_DEVIATION)):
            pixel = torch.tensor(values)[:, None, None]
            self.register_buffer(f"_pixel_{name}", pixel, persistent=False)

    def pixels(self, images: Tensor) -> Tensor:
        """Images (N, 1 or 3, H, W) in [-1, 1] -> (N, 3, H, W), channels last; grey has three."""
        pixels = (
            images.expand(-1, 3, -1, -1) * 0.5 + 0.5 - self._pixel_mean
        ) / self._pixel_deviation
        return pixels.contiguous(memory_format=torch.channels_last)


class Encoder(ImageNetInput):
    """VGG's convolutions, their means over ``grid`` x ``grid`` fields, and a dense layer to w.

    Args:
        blocks: Width and number of convolutions of each block; blocks are apart by max-pooling.
        codes: (M, w_dim) codes of the generator; their mean and deviation are those of a new
            encoder's output.
        grid: 1 for the mean over all positions; with more, the dense layer knows where things are.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, blocks: Sequence[tuple[int, int]], codes: Tensor, grid: int = 1) -> None:
        super().__init__()
        self.grid = grid
        self.features = nn.Sequential(*_convolutions(blocks))
        for module in self.features:
            if isinstance(module, nn.Conv2d):  # torch's own start would lose a deep net's signal
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.head = nn.Linear(blocks[-1][0] * grid**2, codes.shape[1])
        self.register_buffer("mean", codes.mean(dim=0))
        self.register_buffer("deviation", (codes - codes.mean(dim=0)).square().mean().sqrt())

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1 or 3, H, W) in [-1, 1] -> codes (N, w_dim)."""
        maps = self.features(self.pixels(images))
        pooled = F.adaptive_avg_pool2d(maps, self.grid).flatten(1)
        return self.mean + self.deviation * self.head(pooled)


def _convolutions(blocks: Sequence[tuple[int, int]]) -> Iterator[nn.Module]:
    """Numbered as torchvision numbers VGG's; what follows the last block is pooled anyway."""
    incoming = 3
    for number, (width, count) in enumerate(blocks):
        if number:
            yield nn.MaxPool2d(2)
        for _ in range(count):
            yield nn.Conv2d(incoming, width, 3, padding=1)
            yield nn.ReLU(inplace=True)
            incoming = width
