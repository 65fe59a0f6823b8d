"""Generators of progressive GANs in files: genforce's, or a state dict with the same names.

Shapes tell the widths of the layers and how they double the resolution. What shapes do not tell is
taken as the released models have it: no labels, equalised weights and linear colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.nets.pggan import Generator, Weights
from baselines.progressive import FIRST_RESOLUTION
from bench.checkpoints.architecture import OtherArchitecture, load_tensors
from bench.checkpoints.container import container_of
from bench.checkpoints.generator_file import read_generator_file
from bench.checkpoints.torch_states import is_state
from bench.checkpoints.torch_states import load_tensors as load_torch
from bench.files import sha256_of

_NETWORKS = ("generator_smooth", "generator")  # as genforce calls them; the average first


class PGGANGenerator(Generator):
    """A progressive GAN's generator with the weights of a file.

    Attributes:
        sha256: Of the file, in hex.
    """

    sha256: str


def read_pggan(path: Path) -> PGGANGenerator | None:
    """Read a PyTorch or safetensors file: on the CPU, frozen, in evaluation mode.

    Returns:
        The generator, averaged if the file has the average; None if it holds no such generator.

    Raises:
        MissingFile: There is no such file.
        Refused: The file asks for more than tensors, or is damaged.
        OtherArchitecture: Its tensors do not fit together.
    """
    tensors = _tensors(path)
    if not {"layer0.weight", "output0.weight"} <= tensors.keys():
        return None
    tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
    try:
        with torch.device("meta"):
            network = PGGANGenerator(**_settings(tensors))
    except (LookupError, TypeError, ValueError) as error:
        raise OtherArchitecture(
            f"{path} holds no whole generator of a progressive GAN ({error}); choose another file "
            "by --generator."
        ) from error
    load_tensors(network, {"lod": torch.zeros(()), **tensors}, str(path))
    network.sha256 = sha256_of(path)
    return network.eval().requires_grad_(False)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file; empty if there is none."""
    container = container_of(path)
    if container == "safetensors":
        return read_generator_file(path)[0]
    content: Any = load_torch(path) if container == "torch" else {}
    states = [content]
    if isinstance(content, Mapping):
        states += [content.get(name) for name in _NETWORKS]
    return next((state for state in states if is_state(state)), {})


def _settings(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of the network that has such tensors."""
    levels = sum(name.startswith("output") and name.endswith(".weight") for name in tensors)
    widths = [len(tensors[f"layer{2 * level}.bias"]) for level in range(levels)]
    doubling = [tensors[f"layer{2 * level}.weight"].shape[:2] for level in range(1, levels)]
    size, top = FIRST_RESOLUTION << (levels - 1), max(widths)
    narrow = [width * (FIRST_RESOLUTION << i) for i, width in enumerate(widths) if width < top]
    weights = Weights(
        channel_base=max(narrow, default=top * size),
        channel_max=top,
        spectral="layer0.u" in tensors,
        # Transposed convolutions, which fused ones are, have their inputs first.
        fused=any(
            shape != (after, before)
            for shape, (before, after) in zip(doubling, pairwise(widths), strict=True)
        ),
    )
    return {
        "size": size,
        "z_dim": tensors["layer0.weight"].shape[1],
        "channels": len(tensors["output0.weight"]),
        "weights": weights,
    }
