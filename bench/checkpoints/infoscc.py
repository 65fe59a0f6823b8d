"""Checkpoints of InfoSCC-GAN: its encoder, its classifier and its generator, one file each.

The released ones are ``afhq.pth``, ``afhq_classifier_3.pth`` and ``afhq_generator.pt``, and the
like for CelebA; the programs write ``model_0001.pth`` for each epoch of the first two stages and
``{step}.pt`` of the third. What a file holds is told by its contents, not by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core.multiarray import scalar
from torch import Tensor
from torch.serialization import safe_globals

from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_GENERATOR_FILE = {"g": "generator", "g_ema": "average", "d": "discriminator"}

# By a tensor that only this network has.
_SIGNS = {
    "_features.0.weight": "encoder",
    "model.weight": "classifier",
    "concat_fc.weight": "average",
}

# A generator's file may hold its FID: a NumPy scalar, whose parts torch would refuse.
_NUMPY_SCALAR: list[Any] = [
    scalar,
    (scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
]


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the networks to the CPU, with ``weights_only``.

    Args:
        path: One file, or a folder with at most one of each kind.

    Returns:
        By network, what ``InfoSCCGAN.load_reference`` takes: ``encoder``, ``classifier``,
        ``generator``, ``average`` and ``discriminator``, as far as there. A leading ``module.`` of
        the names (training on several GPUs) is dropped.

    Raises:
        MissingFile: There is no such file, or the folder holds none.
        Refused: A file is damaged, asks for more than tensors, or holds none of these networks; or
            the folder holds two of a kind.
    """
    if not path.is_dir():
        return _read(path)
    files = sorted(file for file in path.iterdir() if file.suffix in (".pth", ".pt"))
    if not files:
        raise MissingFile(
            f"{path} holds no checkpoint of InfoSCC-GAN: put the encoder's and the classifier's "
            ".pth and the generator's .pt there."
        )
    states: dict[str, dict[str, Tensor]] = {}
    origins: dict[str, str] = {}
    for file in files:
        for network, state in _read(file).items():
            if network in states:
                raise Refused(
                    f"{path} holds the {network} twice, in {origins[network]} and {file.name}: "
                    "leave in the folder what belongs together."
                )
            states[network], origins[network] = state, file.name
    return states


def _read(file: Path) -> dict[str, dict[str, Tensor]]:
    with safe_globals(_NUMPY_SCALAR):
        content = load_tensors(file)
    found = dict(_networks(content)) if isinstance(content, Mapping) else {}
    if found and all(map(is_state, found.values())):
        return {network: _bare(state) for network, state in found.items()}
    raise Refused(
        f"{file} holds no network of InfoSCC-GAN: give its encoder, its classifier, a generator's "
        "file with g_ema, or a folder with one of each."
    )


def _networks(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """What a file holds, by network: a state dict, or several in a dictionary."""
    if is_state(content):
        state = _bare(content)
        yield from ((network, state) for sign, network in _SIGNS.items() if sign in state)
    for theirs, ours in _GENERATOR_FILE.items():
        if theirs in content:
            yield ours, content[theirs]


def _bare(state: Mapping[Any, Tensor]) -> dict[str, Tensor]:
    return {str(name).removeprefix("module."): value for name, value in state.items()}
