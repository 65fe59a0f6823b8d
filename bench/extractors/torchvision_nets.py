"""AlexNet and VGG-16 on ImageNet, with the weights and under the tensor names of torchvision.

AlexNet: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
arXiv 1404.5997 (the one-tower form). VGG-16: Simonyan and Zisserman, "Very Deep Convolutional
Networks for Large-Scale Image Recognition", ICLR 2015.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.extractors.base import Extractor, resize
from bench.extractors.weights import Weights, fetched_weights, fill

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class _ImageNetClassifier(Extractor):
    """Convolutions with ReLU and max-pooling, then three fully connected layers.

    Two kinds of input, on purpose. ``feature_maps`` takes the images as they are, in [-1, 1] and
    WITHOUT ImageNet's normalisation: so does the released code of ContraFeat, whose losses these
    maps serve (``training/networks_features.py`` of its branch ``group``). ``pooled`` and
    ``logits`` feed the network as it was trained: 224 pixels, ImageNet's mean and standard
    deviation.

    ``pooled`` is the second hidden layer after its ReLU (4096), ``logits`` the 1000 classes.

    Args:
        weights: Under torchvision's names; the published file is read by default.
    """

    canonical_size = 224
    mean: Tensor
    deviation: Tensor
    _layer_indices: ClassVar[tuple[int, ...]]  # of ``layers`` in ``features``

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__()
        weights = weights or fetched_weights(self.name)
        with torch.device("meta"):
            self.features, self.classifier = self.architecture()
        fill(self, weights.tensors, self.name)
        self.register_buffer("mean", _per_channel(_IMAGENET_MEAN), persistent=False)
        self.register_buffer("deviation", _per_channel(_IMAGENET_DEVIATION), persistent=False)
        self.sha256 = weights.sha256

    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        names = dict(zip(self._layer_indices, self.layers, strict=True))
        found: dict[str, Tensor] = {}
        for index, module in enumerate(self.features):
            if len(found) == len(wanted):
                break
            images = module(images)
            if names.get(index) in wanted:
                found[names[index]] = images
        return found

    def _prepare(self, images: Tensor) -> Tensor:
        pixels = resize(images, self.canonical_size) * 0.5 + 0.5
        return (pixels - self.mean) / self.deviation

    def _embed(self, inputs: Tensor) -> Tensor:
        return self.classifier[:-1](self.features(inputs).flatten(1))

    def _classify(self, pooled: Tensor) -> Tensor:
        return self.classifier[-1](pooled)

    @staticmethod
    @abstractmethod
    def architecture() -> tuple[nn.Sequential, nn.Sequential]:
        """New ``features`` and ``classifier``, numbered as torchvision numbers them."""


class AlexNet(_ImageNetClassifier):
    """The extractor of ContraFeat's experiments: the five maps after each ReLU.

    ``relu1`` to ``relu5`` have 64, 192, 384, 256 and 256 channels and are taken before the
    max-pooling that follows; images are not normalised for them (see ``feature_maps``).
    """

    name = "alexnet"
    layers = ("relu1", "relu2", "relu3", "relu4", "relu5")
    _layer_indices = (1, 4, 7, 9, 11)

    @staticmethod
    def architecture() -> tuple[nn.Sequential, nn.Sequential]:
        features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, 1000),
        )
        return features, classifier


class VGG16(_ImageNetClassifier):
    """The last ReLU of each of VGG-16's five blocks, as perceptual losses use them."""

    name = "vgg16"
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    _layer_indices = (3, 8, 15, 22, 29)

    @staticmethod
    def architecture() -> tuple[nn.Sequential, nn.Sequential]:
        modules: list[nn.Module] = []
        inputs = 3
        for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                modules += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
                inputs = channels
            modules.append(nn.MaxPool2d(2, stride=2))
        classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 1000),
        )
        return nn.Sequential(*modules), classifier


def _per_channel(values: tuple[float, float, float]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
