"""Checkpoints of AGE's code (DmitryUlyanov/AGE): an encoder and a generator in two files.

The program saves whole modules, ``netE_epoch_5.pth`` and ``netG_epoch_5.pth``; the released ones
are ``celeba_e.pth`` and ``celeba_g.pth``.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from bench.checkpoints.pickle_stream import MalformedPickle
from bench.checkpoints.torch_pickle import parts_of, read_module, tensors_of
from bench.errors import BenchError, MissingFile, Refused, listed

_NAMES = (re.compile(r"(net)([EG])(_.+\.pth)"), re.compile(r"(.+_)([eg])(\.pth)"))
_CLASSES = {"E": "_netE_Base", "G": "_netG_Base"}
_WANTED = "give files such as netE_epoch_5.pth and netG_epoch_5.pth, or celeba_e.pth and its _g.pth"


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read an encoder and its generator to the CPU, without executing anything.

    Args:
        path: One file of a pair, or a folder: the pair of its last epoch is taken, or its only one.

    Returns:
        The state dicts ``E`` and ``G``.

    Raises:
        MissingFile: There is no pair, or one of its files is missing.
        BenchError: A folder holds several pairs that no epoch tells apart.
        Refused: A file is damaged, names more than AGE's modules, or holds the other network.
    """
    files = _pair(_chosen(path) if path.is_dir() else path)
    for file in files.values():
        if not file.exists():
            there = next(other for other in files.values() if other != file)
            raise MissingFile(
                f"{file} is missing: AGE needs an encoder and its generator, so put it beside "
                f"{there.name}."
            )
    return {network: _read(file, network) for network, file in files.items()}


def _pair(path: Path) -> dict[str, Path]:
    """The files of the networks E and G that a file belongs to."""
    for pattern in _NAMES:
        if named := pattern.fullmatch(path.name):
            letters = {"E": "E", "G": "G"} if named[2].isupper() else {"E": "e", "G": "g"}
            return {
                network: path.with_name(f"{named[1]}{letter}{named[3]}")
                for network, letter in letters.items()
            }
    raise Refused(f"{path} is not named like AGE's checkpoints: {_WANTED}.")


def _chosen(folder: Path) -> Path:
    """The encoder's file of the folder's last epoch, or of its only pair."""
    pairs = {
        _pair(file)["E"]
        for file in folder.glob("*.pth")
        if any(pattern.fullmatch(file.name) for pattern in _NAMES)
    }
    if not pairs:
        raise MissingFile(f"{folder} holds no checkpoint of AGE: {_WANTED}.")
    epochs = {_epoch(file): file for file in pairs if file.name.startswith("netE_")}
    if epochs:
        return epochs[max(epochs)]
    if len(pairs) > 1:
        names = listed(sorted(file.name for file in pairs))
        raise BenchError(f"{folder} holds several checkpoints of AGE, {names}: give one of them.")
    return pairs.pop()


def _epoch(file: Path) -> tuple[int, ...]:
    """Epoch and, of a file saved within one, iteration; the file at its end is the later one."""
    numbers = [int(number) for number in re.findall(r"\d+", file.name)]
    return (*numbers[:1], -len(numbers), *numbers[1:])


def _read(file: Path, network: str) -> dict[str, Tensor]:
    module = read_module(file, "AGE", [("models.base", name) for name in _CLASSES.values()])
    if module.class_name != _CLASSES[network]:
        raise Refused(
            f"{file} holds a {module.class_name} where AGE's {_CLASSES[network]} belongs: give the "
            "file that the program saved under this name."
        )
    try:
        return tensors_of(parts_of(module))
    except (MalformedPickle, RecursionError) as error:
        raise Refused(
            f"{file} cannot be read as a checkpoint of AGE ({error}); fetch it again."
        ) from error
