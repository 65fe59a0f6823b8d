"""Directions of the released LatentCLR into ours, and what to change where they misfit."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn


def load_directions(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the release's directions.

    Args:
        model: Where they go; its tensors have the release's names.
        state: What goes there.

    Raises:
        ValueError: They are other directions, or none; the message names the settings to change.
    """
    theirs, ours = _describe(state), _describe(model.state_dict())
    for setting, value in theirs.items():
        if value != ours[setting]:
            remedy = (
                f"choose a --generator with codes of {value} numbers"
                if setting == "w_dim"
                else f"choose --set {setting}={value}"
            )
            raise ValueError(
                f"the checkpoint's directions have {setting} {value}, this run's "
                f"{ours[setting]}: {remedy}"
            )
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the checkpoint's directions are damaged: {reason}") from error


def _describe(state: Mapping[str, Tensor]) -> dict[str, str | int]:
    """What decides the shapes of directions, by the settings that choose it."""
    if "params" in state:
        count, dim = state["params"].shape
        return {"model": "fixed", "num_directions": count, "w_dim": dim}
    if "directions.coordinates" in state:  # the release has none of these
        return {"model": "subspace"}
    layers = [name for name in state if re.fullmatch(r"nets\.0\.linear_\d+\.weight", name)]
    if not layers:
        raise ValueError("the checkpoint holds no directions of LatentCLR: give another file")
    described: dict[str, str | int] = {
        "model": "linear" if len(layers) == 1 else "nonlinear",
        "num_directions": len({name.split(".")[1] for name in state}),
        "w_dim": state["nets.0.linear_1.weight"].shape[1],
    }
    return described if len(layers) == 1 else {**described, "depth": len(layers)}
