"""What ``benchmarks/metrics.py`` compares with, where no package has it as a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)  # of EfficientNet-Lite0's blocks


def serial_dci(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Importance matrix and both mean accuracies by scikit-learn, one factor after the other."""
    from sklearn.ensemble import GradientBoostingClassifier

    codes, factors, test_codes, test_factors = parts
    np.random.seed(0)
    importance, accuracies = [], []
    for labels, test_labels in zip(factors.T, test_factors.T, strict=True):
        model = GradientBoostingClassifier().fit(codes, labels)
        importance.append(np.abs(model.feature_importances_))
        accuracies.append((model.score(codes, labels), model.score(test_codes, test_labels)))
    return np.stack(importance, axis=1), *np.mean(accuracies, axis=0).tolist()


def plain_in_torch_fidelity(folder: str, tensors: Mapping[str, Tensor], batch_size: int) -> Tensor:
    """Features of the images in a folder by the plain network, driven by torch-fidelity."""
    from torch_fidelity import FeatureExtractorBase
    from torch_fidelity.metric_fid import fid_featuresdict_to_statistics
    from torch_fidelity.utils import extract_featuresdict_from_input_id

    class Plain(FeatureExtractorBase):
        get_provided_features_list = staticmethod(lambda: ("pooled",))

        def forward(self, pixels: Tensor) -> tuple[Tensor]:
            return (plain_features(pixels, tensors),)

    plain = Plain("plain", ["pooled"])
    settings = {"batch_size": batch_size, "cuda": False, "cache": False, "verbose": False}
    features = extract_featuresdict_from_input_id(1, plain, input1=folder, **settings)
    fid_featuresdict_to_statistics(features, "pooled")  # ours computes them, too
    return features["pooled"]


def plain_features(pixels: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """EfficientNet-Lite0, operation by operation as published: uint8 images to pooled vectors."""

    def normed(features: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        kernel = tensors[f"{convolution}.weight"]
        padding = kernel.shape[2] - stride  # TensorFlow's "same", where the sizes are even
        if padding:
            features = functional.pad(features, [padding // 2, (padding + 1) // 2] * 2)
        groups = features.shape[1] // kernel.shape[1]
        features = functional.conv2d(features, kernel, None, stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        parts: dict[str, Any] = {name: tensors[f"{norm}.{name}"] for name in names}
        return functional.batch_norm(features, **parts, eps=1e-3)

    images = functional.interpolate(pixels.float(), (224, 224), mode="bilinear")
    features = functional.relu6(normed((images - 127.0) / 128.0, "_conv_stem", "_bn0", 2))
    for number, stride in enumerate(_STRIDES):
        name, change = f"_blocks.{number}.", features
        if number:  # the first block does not expand
            change = functional.relu6(normed(change, f"{name}_expand_conv", f"{name}_bn0"))
        change = functional.relu6(normed(change, f"{name}_depthwise_conv", f"{name}_bn1", stride))
        change = normed(change, f"{name}_project_conv", f"{name}_bn2")
        features = features + change if change.shape == features.shape else change
    features = functional.relu6(normed(features, "_conv_head", "_bn1"))
    return functional.adaptive_avg_pool2d(features, 1).flatten(1)
