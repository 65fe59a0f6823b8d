"""Golden cases of LPIPS."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from bench.extractors.lpips import Lpips
from bench.extractors.weights import Weights
from bench.verify import Case, CaseFailure, case
from metrics.perceptual import lpips_by_stage, lpips_distances, lpips_maps

_TORCHVISION_NAMES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


@case("metrics.lpips")
def lpips_case(golden: Case) -> dict[str, Tensor]:
    """Distances, their stages, maps and gradient, with weights that follow from their names."""
    net = golden.config["backbone"]
    seed = golden.config["backbone_weights"]["SEED"]
    network = Lpips(net, Weights(backbone_by_rule(net, seed), ""))
    _check_heads(golden, network)
    images = [golden.inputs[f"image_{number}"].float() / 127.5 - 1.0 for number in (1, 2)]
    first = images[0].requires_grad_()
    distances = network(first, images[1])
    distances.sum().backward()
    assert first.grad is not None
    size = (first.shape[-2], first.shape[-1])
    with torch.inference_mode():
        pair = network.activations(first), network.activations(images[1])
        return {
            "distance": distances,
            "per_layer": lpips_by_stage(*pair, network.heads),
            "distance_no_heads": lpips_distances(*pair),
            "spatial_mean": lpips_maps(*pair, size, network.heads).mean(dim=(1, 2)),
            "grad_image_1": first.grad,
            "distance_if_range_0_1_is_passed_unscaled": network(
                *(one * 0.5 + 0.5 for one in images)
            ),
        }


@case("metrics.lpips_from_features")
def lpips_from_features_case(golden: Case) -> dict[str, Tensor]:
    """Distances from given activations and heads."""
    stages = range(len(golden.config["channels"]))
    first, second = (
        [golden.inputs[f"features_{number}.{stage}"] for stage in stages] for number in (1, 2)
    )
    heads = _heads(golden.weights)
    return {
        "distance": lpips_distances(first, second, heads),
        "per_layer": lpips_by_stage(first, second, heads),
    }


def backbone_by_rule(net: str, seed: int) -> dict[str, Tensor]:
    """The convolutions' tensors: normal numbers seeded by the CRC of torchvision's name of each."""
    from torchvision import models

    with torch.device("meta"):
        architecture = getattr(models, _TORCHVISION_NAMES[net])(weights=None).features
    return {
        key: _tensor_by_rule(key, tuple(tensor.shape), seed)
        for key, tensor in architecture.state_dict(prefix="features.").items()
    }


def _tensor_by_rule(key: str, shape: tuple[int, ...], seed: int) -> Tensor:
    random = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    scale = (2.0 / np.prod(shape[1:])) ** 0.5 if key.endswith(".weight") else 0.1
    return torch.from_numpy((random.standard_normal(shape) * scale).astype(np.float32))


def _check_heads(golden: Case, network: Lpips) -> None:
    """The heads that the package brings must be those that the case was made with."""
    for stage, (found, wanted) in enumerate(
        zip(network.heads, _heads(golden.weights), strict=True)
    ):
        if not torch.equal(found, wanted):
            raise CaseFailure(f"the head of stage {stage} is not the case's")


def _heads(weights: Mapping[str, Tensor]) -> list[Tensor]:
    return [weights[f"lin{stage}.model.1.weight"].flatten() for stage in range(len(weights))]
