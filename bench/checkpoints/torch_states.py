"""State dicts that torch saved, read without executing anything in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.checkpoints.container import require
from bench.errors import Refused


def load_tensors(file: Path) -> Any:
    """What ``torch.save`` wrote, if it is made of tensors, numbers, texts and containers of them.

    Raises:
        Refused: The file is of another program, is cut off, or asks for more than that.
    """
    require(file, "torch")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    # torch reports damage by whatever exception the damage leads to.
    except Exception as error:
        raise Refused(
            f"{file} was refused, and nothing in it was executed: it is cut off, or asks for more "
            f"than tensors ({type(error).__name__}); fetch it again from where you trust."
        ) from error


def is_state(value: Any) -> bool:
    """Whether a value is a state dict: tensors by name, at least one."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )
