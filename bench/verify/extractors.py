"""Golden cases of the feature extractors."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from bench.extractors.efficientnet import EfficientNetLite0
from bench.extractors.inception import InceptionV3TF
from bench.extractors.torchvision_nets import AlexNet
from bench.extractors.weights import Weights
from bench.verify import Case, case

_FIRST_CHANNELS = 4


@case("contrafeat.alexnet_features")
def alexnet_features(golden: Case) -> dict[str, Tensor]:
    """The five maps of AlexNet, with weights that follow from their names."""
    maps = AlexNet(Weights(alexnet_by_formula(), "")).feature_maps(golden.inputs["img"])
    got = {}
    for index, features in enumerate(maps):
        got[f"shape_{index}"] = torch.tensor(features.shape)
        got[f"feature_{index}_first{_FIRST_CHANNELS}ch"] = features[:, :_FIRST_CHANNELS]
        got[f"feature_{index}_mean_std_absmax"] = torch.stack(
            [features.mean(), features.std(), features.abs().max()]
        )
        got[f"pooled_{index}"] = features.mean(dim=(2, 3))
    return got


@case("metrics.efficientnet_lite0_extractor")
def efficientnet_features(golden: Case) -> dict[str, Tensor]:
    """The vector and the logits with the real weights, of 8-bit images enlarged in two ways."""
    extractor = EfficientNetLite0()
    got: dict[str, Tensor] = {}
    for branch in ("replicated", "bilinear"):
        images = golden.inputs[f"images_{branch}"].float() / 127.5 - 1.0
        if branch == "replicated":
            images = images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        with torch.inference_mode():
            pooled, logits = extractor.vectors(images, ("pooled", "logits"))
        got |= {f"{branch}.pool": pooled, f"{branch}.logits": logits}
    return got


@case("metrics.inception_v3_compat")
def inception_features(golden: Case) -> dict[str, Tensor]:
    """All six vectors of the suite's extractor, with weights that follow from their names."""
    extractor = InceptionV3TF(Weights(_inception_by_formula(golden), ""))
    names = extractor.vector_names
    got: dict[str, Tensor] = {}
    with torch.inference_mode():
        for key, pixels in golden.inputs.items():
            vectors = extractor.vectors(pixels.float() / 127.5 - 1.0, names)
            got |= {f"{key}.{name}": vector for name, vector in zip(names, vectors, strict=True)}
    return got


def alexnet_by_formula() -> dict[str, Tensor]:
    """AlexNet's tensors by the rule of the golden case: normal numbers seeded by the name's CRC.

    The rule covers the convolutions; the fully connected layers, which no map passes, are zero.
    """
    with torch.device("meta"):
        features, classifier = AlexNet.architecture()
    tensors = {}
    for key, tensor in features.state_dict(prefix="features.").items():
        draws = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tensor.shape)
        scale = (2.0 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1
        tensors[key] = torch.from_numpy(draws.astype(np.float32)) * scale
    for key, tensor in classifier.state_dict(prefix="classifier.").items():
        tensors[key] = torch.zeros(1).expand(tensor.shape)  # takes no memory
    return tensors


def _inception_by_formula(golden: Case) -> dict[str, Tensor]:
    rule = golden.config["weights"]
    return {
        key: _inception_tensor(key, tuple(shape), rule["SEED"])
        for key, shape in golden.config["state_dict_shapes"].items()
    }


def _inception_tensor(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif key.endswith(".weight") and len(shape) == 1:
        values = random.uniform(0.8, 1.2, shape)
    elif key.endswith(".weight"):
        values = random.standard_normal(shape) * (2.0 / np.prod(shape[1:])) ** 0.5
    else:
        values = 0.1 * random.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
