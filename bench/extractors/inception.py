"""The Inception network of the original FID, as torch-fidelity ports it from TensorFlow.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, in the form
of 2015-12-05 that Heusel et al. (2017) compute the Fréchet inception distance with.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.extractors.base import Extractor, to_uint8
from bench.extractors.weights import Weights, fetched_weights

_PATH = {
    "64": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    "192": ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    "768": (
        *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
        *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ),
    "2048": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
_SMALLEST_SIZE = 75  # below it, the last blocks have no position left


class InceptionV3TF(Extractor):
    """Inception V3 with TensorFlow's weights; ``fid`` is defined on its pooled vector only.

    ``pooled`` (2048) and ``logits`` (1008 classes without the last bias, as the inception score
    takes them) round images to 8 bits and resize them as TensorFlow 1 does, so they have no
    gradient. ``feature_maps`` neither rounds nor resizes; its layers bear torch-fidelity's names,
    the number of their channels, and need images of at least 75 pixels.

    Args:
        weights: Under torch-fidelity's names; the published file is read by default.
    """

    name = "inception-v3-tf"
    layers = tuple(_PATH)
    canonical_size = 299

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__()
        weights = weights or fetched_weights(self.name)
        self.network = _network(weights)
        self.sha256 = weights.sha256

    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        if min(images.shape[-2:]) < _SMALLEST_SIZE:
            raise BenchError(
                f"Feature maps of {self.name} need images of at least {_SMALLEST_SIZE} pixels, "
                f"but these have {min(images.shape[-2:])}; take another extractor."
            )
        found: dict[str, Tensor] = {}
        features = (images * 127.5 - 0.5) / 128.0  # (x - 128) / 128 of pixel values x in 0..255
        for layer in self.layers:
            if len(found) == len(wanted):
                break
            for module in _PATH[layer]:
                features = self.network.get_submodule(module)(features)
            if layer in wanted:
                found[layer] = features
        return found

    def _pooled(self, images: Tensor) -> Tensor:
        return self.network(to_uint8(images))[0]

    def _logits(self, images: Tensor) -> Tensor:
        return self.network(to_uint8(images))[1]


def _network(weights: Weights) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # Its constructor unpickles without restriction, so it gets bytes that are written here.
    written = io.BytesIO()
    torch.save(dict(weights.tensors), written)
    written.seek(0)
    outputs = ["2048", "logits_unbiased"]
    return FeatureExtractorInceptionV3(
        "inception-v3-tf", outputs, feature_extractor_weights_path=written
    )
