"""Golden cases of DigiFace's DCGAN, run with its fetched weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.downloads import download
from bench.errors import BenchError
from bench.generators import digiface
from bench.verify import Case, CaseFailure, case

_ROUNDING_EDGE = 0.05  # of a level; the allowed error of an image is half of it


@case("dcgan_face.generator")
def generator(golden: Case) -> dict[str, Tensor]:
    """Images of stored latents; as 8-bit levels too, but for those at a rounding edge."""
    try:
        network = digiface.load_digiface()
    except BenchError as error:
        raise CaseFailure(str(error)) from error
    _require_same_weights(golden.config)
    with torch.inference_mode():
        images = network(golden.inputs["z"])
    levels = (images.clamp(-1, 1) + 1) * 127.5
    stored = golden.expected["image_uint8"]
    undecided = ((levels % 1 - 0.5).abs() < _ROUNDING_EDGE) & ((levels - stored).abs() < 1)
    return {
        "image": images[: len(golden.expected["image"])],
        "image_mean": images.mean(dim=(1, 2, 3)),
        "image_std": images.std(dim=(1, 2, 3)),
        "image_uint8": torch.where(undecided, stored, levels.round().to(torch.uint8)),
    }


def _require_same_weights(config: dict[str, Any]) -> None:
    """The case's weights and sizes are those that the suite reads."""
    ours = {
        "wheel_sha256": download(digiface.NAME).sha256,
        "weights_file": digiface.WEIGHTS_FILE,
        "weights_sha256": digiface.WEIGHTS_SHA256,
        "weights_key": digiface.WEIGHTS_KEY,
        "nz": digiface.Z_DIM,
        "ngf": digiface.WIDTH,
        "nc": digiface.CHANNELS,
        "resolution": digiface.SIZE,
    }
    for name, value in ours.items():
        if config.get(name, value) != value:
            raise CaseFailure(f"{name} is {config[name]}, and the suite's generator has {value}")
