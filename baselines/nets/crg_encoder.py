"""Encoders of images into the latents of a pretrained generator, as CRG trains them.

Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative Adversarial Networks"
(2020), section 3.2.2 and figure 5. Neither code nor weights of the encoder were released. What the
text says: the first four blocks of VGG-16 with ImageNet's weights, batch normalisation and spatial
dropout after each of them, the fourth max-pooling left out, two new blocks, widths that double but
for the last, which has the latents' number of filters and a 1x1 transposed convolution, and a
global max-pooling at the end. Read here as: block five has two 3x3 convolutions of 1024 channels,
block six is the 1x1 convolution alone (transposed or not is the same); 21.9 million weights at 128
latent numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from baselines.nets.vgg_encoder import VGG16_BLOCKS, ImageNetInput

_VGG_BLOCKS = VGG16_BLOCKS[:4]
_NEW_BLOCK = (1024, 2)
_HALVINGS = 3  # a block's pooling each; the fourth is left out


class VGGEncoder(ImageNetInput):
    """VGG-16's first four blocks, a new one, and the greatest response at any position.

    Args:
        size: Height and width of the images.
        channels: 3, or 1, which is shown to the network as grey.
        dim: Numbers in a latent.
        dropout: Probability with which training silences a channel behind a block.

    Raises:
        ValueError: The images cannot be halved three times, or have other channels.
    """

    def __init__(self, size: int, channels: int, dim: int, dropout: float = 0.5) -> None:
        super().__init__()
        if size % 2**_HALVINGS:
            raise ValueError(
                f"encoder=vgg16 halves images three times and {size} px cannot be: choose a "
                "multiple of 8 by --set dataset.size=N"
            )
        if channels not in (1, 3):
            raise ValueError(
                f"encoder=vgg16 sees images of 1 or 3 channels, not of {channels}: choose --set "
                "encoder=narrow"
            )
        self.blocks = nn.Sequential()
        incoming = 3
        for number, (width, count) in enumerate((*_VGG_BLOCKS, _NEW_BLOCK)):
            self.blocks.append(_vgg_block(incoming, width, count, dropout, number < _HALVINGS))
            incoming = width
        self.head = nn.Conv2d(incoming, dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1 or 3, H, W) in [-1, 1] -> (N, dim)."""
        maps = self.blocks(self.pixels(images))
        return self.head(maps).amax(dim=(2, 3))

    def load_imagenet(self, features: Mapping[str, Tensor]) -> None:
        """Take over the ten convolutions that VGG-16 begins with.

        Args:
            features: The state dict of VGG-16's ``features`` as torchvision numbers them
                (``0.weight``, ``0.bias``, ``2.weight``, ...).
        """
        numbers = sorted({int(name.split(".")[0]) for name in features})
        convolutions = [layer for layer in self.blocks.modules() if isinstance(layer, nn.Conv2d)]
        taken = sum(count for _, count in _VGG_BLOCKS)
        for number, layer in zip(numbers[:taken], convolutions[:taken], strict=True):
            weights = {name: features[f"{number}.{name}"] for name in ("weight", "bias")}
            layer.load_state_dict(weights)


class NarrowEncoder(nn.Module):
    """Convolutions that halve the image down to 4 x 4 and one that sees all of that.

    Four of them at 64 px; with width 32 and 100 latent numbers, 1.1 million weights.

    Args:
        size: Height and width of the images, a power of two from 8 on.
        channels: Colour channels.
        dim: Numbers in a latent.
        width: Channels of the first convolution; each of the others doubles them.

    Raises:
        ValueError: The size is no such power.
    """

    def __init__(self, size: int, channels: int, dim: int, width: int = 32) -> None:
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ValueError(
                f"encoder=narrow halves images down to 4 px and {size} px cannot be: choose a "
                "power of two from 8 on by --set dataset.size=N"
            )
        self.main = nn.Sequential()
        incoming, side = channels, size
        while side > 4:
            self.main.extend(
                [
                    nn.Conv2d(incoming, width, 4, 2, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.LeakyReLU(0.2, inplace=True),
                ]
            )
            incoming, width, side = width, 2 * width, side // 2
        self.main.append(nn.Conv2d(incoming, dim, 4))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, size, size) in [-1, 1] -> (N, dim)."""
        codes: Tensor = self.main(images.contiguous(memory_format=torch.channels_last))
        return codes.flatten(1)


def _vgg_block(
    incoming: int, width: int, count: int, dropout: float, halving: bool
) -> nn.Sequential:
    block = nn.Sequential()
    for _ in range(count):
        convolution = nn.Conv2d(incoming, width, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        block.extend([convolution, nn.ReLU(inplace=True)])
        incoming = width
    block.extend([nn.BatchNorm2d(width), nn.Dropout2d(dropout)])
    if halving:
        block.append(nn.MaxPool2d(2))
    return block
