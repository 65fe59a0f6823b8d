"""The Inception network of the original FID, as torch-fidelity ports it from TensorFlow.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, in the form
of 2015-12-05 that Heusel et al. (2017) compute the Fréchet inception distance with.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError
from bench.extractors.base import Extractor
from bench.extractors.weights import Weights, fetched_weights
from metrics.images import to_bytes
from metrics.resize import resize_bilinear_tf1, resize_clean_fid

_PATH = {
    "64": ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    "192": ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    "768": (
        *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
        *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    ),
    "2048": ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
_DEEPEST = "2048"
_SMALLEST_SIZE = 75  # below it, the last blocks have no position left
_WEIGHTS = "inception-v3-tf"


class InceptionV3TF(Extractor):
    """Inception V3 with TensorFlow's weights; ``fid`` is defined on its pooled vector only.

    Layers and vectors bear torch-fidelity's names: the number of their channels, and for vectors
    ``logits_unbiased`` (1008 classes without the last bias, as the inception score takes them)
    and ``logits``. Vectors round images to 8 bits and resize them as TensorFlow 1 does, so they
    have no gradient. ``feature_maps`` neither rounds nor resizes; its layers need images of at
    least 75 pixels.

    Args:
        weights: Under torch-fidelity's names; the published file is read by default.
    """

    name = "inception-v3-tf"
    layers = tuple(_PATH)
    vector_names = (_DEEPEST, "logits_unbiased", "64", "192", "768", "logits")
    canonical_size = 299
    resizer = "bilinear-tf1"
    fast_in_parts = True

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__()
        weights = weights or fetched_weights(_WEIGHTS)
        # A third faster on a CPU; the features move by less than 1e-6 of their size.
        self.network = _network(weights)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.sha256 = weights.sha256

    def _feature_maps(self, images: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        if min(images.shape[-2:]) < _SMALLEST_SIZE:
            raise BenchError(
                f"Feature maps of {self.name} need images of at least {_SMALLEST_SIZE} pixels, "
                f"but these have {min(images.shape[-2:])}; take another extractor."
            )
        return self._maps((images * 127.5 - 0.5) / 128.0, wanted)

    def _maps(self, inputs: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        """Feature maps of inputs (x - 128) / 128, for pixel values x in 0..255."""
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            if len(found) == len(wanted):
                break
            for module in _PATH[layer]:
                inputs = self.network.get_submodule(module)(inputs)
            if layer in wanted:
                found[layer] = inputs
        return found

    def _vectors(self, inputs: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        if wanted <= set(self.vector_names[:2]):
            return super()._vectors(inputs, wanted)
        maps = self._maps(inputs, wanted & set(self.layers) | {_DEEPEST})
        found = {layer: _mean_over_positions(features) for layer, features in maps.items()}
        found["logits_unbiased"] = self._classify(found[_DEEPEST])
        found["logits"] = found["logits_unbiased"] + self.network.get_parameter("fc.bias")
        return found

    def _prepare(self, images: Tensor) -> Tensor:
        size = (self.canonical_size, self.canonical_size)
        return (self._resized(to_bytes(images), size) - 128.0) / 128.0

    def _embed(self, inputs: Tensor) -> Tensor:
        return _mean_over_positions(self._maps(inputs, {_DEEPEST})[_DEEPEST])

    def _classify(self, pooled: Tensor) -> Tensor:
        return pooled @ self.network.get_parameter("fc.weight").T

    def _resized(self, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        return resize_bilinear_tf1(pixels, size)


class InceptionV3CleanResize(InceptionV3TF):
    """The same network behind clean-fid's resizer, for distances beside those of that package.

    Args:
        weights: Under torch-fidelity's names; the published file is read by default.
    """

    name = "inception-v3-tf:clean"
    resizer = "clean-fid"

    def _resized(self, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        return resize_clean_fid(pixels, size)


def _mean_over_positions(features: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(features, 1).flatten(1)


def _network(weights: Weights) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # Its constructor unpickles without restriction, so it gets bytes that are written here.
    written = io.BytesIO()
    torch.save(dict(weights.tensors), written)
    written.seek(0)
    # Only its modules are used, under their own names; which outputs it would give is no matter.
    return FeatureExtractorInceptionV3(_WEIGHTS, [_DEEPEST], feature_extractor_weights_path=written)
