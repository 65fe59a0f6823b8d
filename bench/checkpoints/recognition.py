"""Checkpoints of the recognition model as GANLatentDiscovery writes them.

A run's folder holds ``args.json``, ``models/deformator_N.pt`` and ``models/shift_predictor_N.pt``
of several steps N (bare state dicts), and ``checkpoint.pt`` with both of the last backup. A file
of torchvision's ResNet-18 is read too: ContraFeat's predictor starts from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from baselines.deformators import DeformatorName
from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import MissingFile, Refused

_NAME = re.compile(r"(deformator|shift_predictor)_(\d+)\.pt")
_IMAGENET = {"conv1.weight", "layer4.1.bn2.weight", "fc.weight"}  # tensors of ResNet-18


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read a deformator and its predictor to the CPU, with ``weights_only``.

    Args:
        path: One of the files, or a folder, itself or its ``models``, that holds them: those of
            the last step are taken, or ``checkpoint.pt`` where there are none.

    Returns:
        What ``Recognition.load_reference`` takes: ``deformator:KIND`` where an ``args.json`` in
        the folder or the one above names the kind, else ``deformator``, and ``shift_predictor``,
        if there; or ``imagenet``.

    Raises:
        MissingFile: There is no such file, or the folder holds none.
        Refused: A file is damaged, asks for more than tensors, or holds something else; or the
            deformator has no weights in it, as one of the kinds ``id`` and ``random``.
    """
    if path.is_dir():
        path = _last(path)
    named = _NAME.fullmatch(path.name)
    if named is not None:
        return _pair(path, int(named[2]))
    content = load_tensors(path)
    if is_state(content) and content.keys() >= _IMAGENET:
        return {"imagenet": dict(content)}
    if not isinstance(content, Mapping) or not {"deformator", "shift_predictor"} <= content.keys():
        raise Refused(
            f"{path} holds no recognition model: give a run's folder, one of its files "
            "deformator_N.pt, or its checkpoint.pt; or torchvision's ResNet-18."
        )
    return _states(path, content["deformator"], content["shift_predictor"])


def _last(folder: Path) -> Path:
    for place in (folder / "models", folder):
        found = {
            int(name[2]): file for file in place.glob("deformator_*.pt") if (name := _of(file))
        }
        if found:
            return found[max(found)]
    backup = folder / "checkpoint.pt"
    if backup.exists():
        return backup
    raise MissingFile(
        f"{folder} holds no recognition model: give the folder with models/deformator_N.pt or "
        "checkpoint.pt."
    )


def _of(file: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(file.name)


def _pair(file: Path, step: int) -> dict[str, dict[str, Tensor]]:
    deformator, predictor = (
        file.with_name(f"{network}_{step}.pt") for network in ("deformator", "shift_predictor")
    )
    if not deformator.exists():
        raise MissingFile(
            f"{deformator} is missing: the directions are in it, so put it beside {file.name}."
        )
    found = load_tensors(predictor) if predictor.exists() else None
    return _states(deformator, load_tensors(deformator), found)


def _states(file: Path, deformator: Any, predictor: Any) -> dict[str, dict[str, Tensor]]:
    kind = _kind(file.parent)
    if isinstance(deformator, Mapping) and not deformator:
        raise Refused(
            f"The deformator in {file} has no weights: leave --checkpoint out, and set "
            "deformator=id for coordinates; random directions are not saved by the program."
        )
    if not is_state(deformator) or not (predictor is None or is_state(predictor)):
        raise Refused(f"{file} holds no recognition model's state dicts.")
    states = {f"deformator:{kind}" if kind else "deformator": _named(deformator)}
    return states if predictor is None else {**states, "shift_predictor": _named(predictor)}


def _kind(folder: Path) -> str | None:
    """The deformator's kind by the run's arguments, in the folder or the one above."""
    for file in (folder / "args.json", folder.parent / "args.json"):
        if not file.is_file():
            continue
        try:
            kind = json.loads(file.read_text("utf-8"))["deformator"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{file} does not name a deformator: repair or remove it ({error})."
            ) from error
        if kind not in get_args(DeformatorName):
            raise Refused(
                f"{file} names the deformator {kind!r}: there are "
                f"{', '.join(get_args(DeformatorName))}; repair or remove it."
            )
        return str(kind)
    return None


def _named(state: Mapping[Any, Tensor]) -> dict[str, Tensor]:
    return {str(name): value for name, value in state.items()}
