"""Checkpoints of AttGAN-PyTorch: ``output/<experiment>/checkpoint/weights.<epoch>.pth``.

A file is a dictionary with the generator ``G`` and, unless the training saved that one only, the
discriminators ``D`` and the optimisers' states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_NAME = re.compile(r"weights\.(\d+)\.pth")


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the networks to the CPU, with ``weights_only``.

    Args:
        path: A file, an experiment's folder or its ``checkpoint`` folder; of a folder, the file of
            the highest epoch is taken.

    Returns:
        The state dicts ``G`` and, where it was saved, ``D``; a leading ``module.`` of the names
        (training on several GPUs) is dropped.

    Raises:
        MissingFile: There is no such file, or the folder holds none.
        Refused: The file is damaged, asks for more than tensors, or holds no generator.
    """
    file = _latest(path) if path.is_dir() else path
    content = load_tensors(file)
    if not isinstance(content, Mapping) or not is_state(content.get("G")):
        raise Refused(
            f"{file} holds no generator under the name G, as AttGAN's checkpoints do: give a file "
            "weights.<epoch>.pth, or its experiment's folder."
        )
    networks = {role: content[role] for role in ("G", "D") if role in content}
    for role, state in networks.items():
        if not is_state(state):
            raise Refused(f"{file} holds something else than tensors under {role}; give another.")
    return {
        role: {str(name).removeprefix("module."): value for name, value in state.items()}
        for role, state in networks.items()
    }


def _latest(folder: Path) -> Path:
    for place in (folder, folder / "checkpoint"):
        epochs = {
            int(named[1]): file
            for file in place.glob("weights.*.pth")
            if (named := _NAME.fullmatch(file.name))
        }
        if epochs:
            return epochs[max(epochs)]
    raise MissingFile(
        f"{folder} holds no checkpoint of AttGAN: give the experiment's folder, in which there is "
        "checkpoint/weights.<epoch>.pth."
    )
