"""Training checkpoints: a folder that is either whole or absent.

``model.safetensors`` holds the method's parameters and buffers, ``state.pt`` the position and the
optimisers (plain containers and tensors; read with ``weights_only``). The folder is written beside
its place and renamed, and the checkpoint before it is removed only then.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bench.errors import BenchError
from bench.files import PARTIAL, whole_folder

_MODEL, _STATE = "model.safetensors", "state.pt"


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Attributes:
        stage: Number of the stage, from 0; the number of stages when all are done.
        step: Steps done within the stage.
        total: Steps done in all stages.
        seconds: Time spent in training so far, interrupted calls included.
        artefacts: What the run has of artefacts; see ``bench.artefacts.RunArtefacts.state``.
    """

    stage: int = 0
    step: int = 0
    total: int = 0
    seconds: float = 0.0
    artefacts: Mapping[str, Any] = field(default_factory=dict)


def save(
    folder: Path,
    method: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    position: Position,
) -> None:
    """Write a checkpoint below ``folder`` and remove the one before it.

    Raises:
        BenchError: The disk is full; the checkpoint before is kept.
    """
    target = folder / f"{position.stage:02d}-{position.step:08d}"
    if target.exists():
        return
    state = {
        "position": vars(position),
        "optimizers": {name: value.state_dict() for name, value in optimizers.items()},
    }
    with whole_folder(target) as partial:
        save_file(tensors_of(method), partial / _MODEL)
        torch.save(state, partial / _STATE)
    for old in _complete(folder):
        if old != target:
            shutil.rmtree(old)


def load(folder: Path, method: nn.Module) -> tuple[Position, dict[str, Any]] | None:
    """Restore the newest checkpoint below ``folder`` into the method.

    Returns:
        The position and the optimisers' states by name, or None where there is no checkpoint.

    Raises:
        BenchError: The checkpoint cannot be read or belongs to another configuration.
    """
    found = _complete(folder)
    if not found:
        return None
    with _damage_explained(found[-1] / _MODEL):
        method.load_state_dict(load_file(found[-1] / _MODEL))
    with _damage_explained(found[-1] / _STATE):
        state = torch.load(found[-1] / _STATE, map_location="cpu", weights_only=True)
    return Position(**state["position"]), state["optimizers"]


def reached(folder: Path) -> tuple[int, int] | None:
    """Number of the stage and step within it of the newest checkpoint below ``folder``, or None."""
    found = _complete(folder)
    if not found:
        return None
    stage, _, step = found[-1].name.partition("-")
    return int(stage), int(step)


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """A network's parameters and buffers, as safetensors takes them."""
    # A copy each: tensors that share memory or are not contiguous are refused.
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.state_dict().items()
    }


@contextmanager
def _damage_explained(file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # safetensors, pickle and torch each raise their own kinds
        raise BenchError(
            f"The checkpoint's file {file} cannot be read ({type(error).__name__}: "
            f"{str(error).splitlines()[0]}): remove the folder {file.parent} and train again, a "
            "run by `bench run --force`."
        ) from error


def _complete(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*-*") if p.is_dir() and not p.name.startswith(PARTIAL))
