"""Checkpoints of the released Pioneer: ``<save folder>/checkpoint/<samples>_state``.

A file is a dictionary of the encoder ``D_state_dict``, the generator ``G_state_dict`` and its
moving average ``G_running_state_dict``, the optimisers' states, and how far the training had come.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_NAME = re.compile(r"(\d+)_state")
_LATEST = "latest_state"


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the networks to the CPU, with ``weights_only``.

    Args:
        path: A file, a folder in which the program saved its training or its ``checkpoint`` folder;
            of a folder, the file of the most samples is taken.

    Returns:
        The state dicts ``D``, ``G_running`` and, where it was saved, ``G``; a leading ``module.``
        of the names is dropped. Under ``progress`` are the numbers ``phase`` and ``alpha``.

    Raises:
        MissingFile: There is no such file, or the folder holds none.
        Refused: The file is damaged, asks for more than tensors, or is none of Pioneer's.
    """
    file = _latest(path) if path.is_dir() else path
    content = load_tensors(file)
    states: dict[str, dict[str, Tensor]] = {}
    for role in ("D", "G_running", "G"):
        state = content.get(f"{role}_state_dict") if isinstance(content, Mapping) else None
        if state is None and role == "G":
            continue
        if state is None or not is_state(state):
            raise Refused(
                f"{file} holds no network under the name {role}_state_dict, as Pioneer's "
                "checkpoints do: give a file <samples>_state, or the folder that it is in."
            )
        states[role] = {str(name).removeprefix("module."): value for name, value in state.items()}
    progress = {name: content[name] for name in ("phase", "alpha") if name in content}
    if not all(isinstance(value, (int, float)) for value in progress.values()):
        raise Refused(f"{file} does not say its phase and alpha in numbers; give another.")
    states["progress"] = {name: torch.tensor(float(value)) for name, value in progress.items()}
    return states


def _latest(folder: Path) -> Path:
    for place in (folder, folder / "checkpoint"):
        samples = {
            int(named[1]): file
            for file in place.glob("*_state")
            if (named := _NAME.fullmatch(file.name))
        }
        if samples:
            return samples[max(samples)]
        if (place / _LATEST).exists():
            return place / _LATEST
    raise MissingFile(
        f"{folder} holds no checkpoint of Pioneer: give the folder in which there is "
        "checkpoint/<samples>_state."
    )
