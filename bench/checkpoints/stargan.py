"""Checkpoints of the official StarGAN: ``<iteration>-G.ckpt``, and ``-D.ckpt`` beside it.

Each file is a bare state dict; the program saves a pair every 10,000 iterations in one folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_NAME = re.compile(r"(\d+)-([GD])\.ckpt")


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read a generator and its discriminator to the CPU, with ``weights_only``.

    Args:
        path: One file of a pair, or a folder, itself or its ``models``, that holds pairs: the one
            of the last iteration is taken.

    Returns:
        The state dicts ``G`` and ``D``; a leading ``module.`` of the names is dropped.

    Raises:
        MissingFile: There is no pair, or one of its files is missing.
        Refused: A file is damaged, asks for more than tensors, or is no state dict.
    """
    if path.is_dir():
        path = _last_generator(path)
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise Refused(
            f"{path} is not named like StarGAN's checkpoints: give a file such as 200000-G.ckpt "
            "or its folder."
        )
    files = {network: path.with_name(f"{named[1]}-{network}.ckpt") for network in "GD"}
    for file in files.values():
        if not file.exists():
            raise MissingFile(
                f"{file} is missing: StarGAN needs the generator and the discriminator of one "
                f"iteration, so put it beside {path.name}."
            )
    return {network: _read(file) for network, file in files.items()}


def _last_generator(folder: Path) -> Path:
    for place in (folder, folder / "models"):
        found = {int(name[1]): file for file in place.glob("*-[GD].ckpt") if (name := _match(file))}
        if found:
            return found[max(found)]
    raise MissingFile(
        f"{folder} holds no checkpoint of StarGAN: give the folder with its files "
        "<iteration>-G.ckpt and <iteration>-D.ckpt."
    )


def _match(file: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(file.name)


def _read(file: Path) -> dict[str, Tensor]:
    state = load_tensors(file)
    if not is_state(state):
        raise Refused(f"{file} is not one network's state dict, as StarGAN's checkpoints are.")
    return {str(name).removeprefix("module."): value for name, value in state.items()}
