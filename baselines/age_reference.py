"""Weights of the released AGE into our networks, and what to change where they misfit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from baselines.nets.dcgan import Encoder, Generator, architecture


def load_networks(
    encoder: Encoder, generator: Generator, states: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Load the released program's networks.

    Args:
        encoder: Where ``E`` goes.
        generator: Where ``G`` goes.
        states: The state dicts of both.

    Raises:
        ValueError: One is missing or of another architecture; the message names the setting.
    """
    missing = {"E", "G"} - states.keys()
    if missing:
        raise ValueError(
            f"the checkpoint lacks AGE's network {' and '.join(sorted(missing))}: give the "
            "folder that holds both"
        )
    own = architecture(encoder.state_dict(), generator.state_dict())
    try:
        theirs = architecture(states["E"], states["G"])
    except ValueError as error:
        raise ValueError(f"the checkpoint is none of AGE: {error}") from error
    for name, value in theirs.items():
        if own[name] != value:
            option = f"dataset.{name}" if name in ("size", "channels") else name
            raise ValueError(
                f"the checkpoint's {name.replace('_', ' ')} is {value}, this run's "
                f"{own[name]}: change it by --set {option}={value}"
            )
    for network, state in ((encoder, states["E"]), (generator, states["G"])):
        try:
            network.load_state_dict(dict(state))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the checkpoint is none of AGE: {reason}") from error
