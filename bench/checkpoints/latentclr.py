"""LatentCLR's checkpoints: ``best_model.pt``, ``final_model.pt`` and ``most_recent.pt``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_FILES = ("best_model.pt", "final_model.pt", "most_recent.pt")  # in the order of preference


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read directions, and their projector, to the CPU, with ``weights_only``.

    Args:
        path: One of the files, or the folder of a run: its best model is taken, else its final or
            its most recent one.

    Returns:
        What ``LatentCLR.load_reference`` takes: ``model``, and ``projector`` where it has weights.
        The program gives each of those two names; here they have one (``net...``).

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged, asks for more than tensors, or holds no directions.
    """
    if path.is_dir():
        path = _file_of(path)
    content = load_tensors(path)
    if not isinstance(content, Mapping) or not is_state(content.get("model")):
        raise Refused(
            f"{path} holds no directions of LatentCLR: give a file such as {_FILES[0]}, which has "
            "a model and a projector."
        )
    states = {"model": dict(content["model"])}
    if is_state(content.get("projector")):
        states["projector"] = {
            name: value
            for name, value in content["projector"].items()
            if not name.startswith("Projector.")
        }
    for state in states.values():
        for name, value in state.items():
            if not torch.isfinite(value).all():
                raise Refused(f"{path} has numbers in {name} that are not finite: give another.")
    return states


def _file_of(folder: Path) -> Path:
    found = [folder / name for name in _FILES if (folder / name).exists()]
    if not found:
        raise MissingFile(
            f"{folder} holds no checkpoint of LatentCLR: put {', '.join(_FILES[:-1])} or "
            f"{_FILES[-1]} there, or give a file."
        )
    return found[0]
