"""Whether released networks of IcGAN fit those of a run, and which option to change if not."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

State = Mapping[str, Tensor]

# What the command line calls a size, where it is no setting of the method.
_OPTIONS = {
    "attributes": "--set dataset.attributes=[...] with so many names, in the checkpoint's order",
    "size": "--set dataset.size={}",
    "channels": "another dataset, with {} colour channel(s)",
}


def check_reference(states: Mapping[str, State], own: Mapping[str, State], z_dim: int) -> None:
    """Make sure that released weights fit.

    Args:
        states: The released state dicts of some of ``G``, ``Ez`` and ``Ey``.
        own: The run's state dicts of all three.
        z_dim: The width of the run's latents.

    Raises:
        ValueError: They do not; the message has both numbers and the option to change.
    """
    unknown = sorted(states.keys() - own.keys())
    if unknown or not states:
        raise ValueError(
            f"IcGAN's checkpoint holds the networks G, Ez and Ey, and this one {unknown or 'none'}."
        )
    wanted = _sizes({name: own[name] for name in states}, z_dim)
    for option, found in _sizes(states, z_dim).items():
        if found != wanted[option]:
            remedy = _OPTIONS.get(option, f"--set {option}={{}}").format(found)
            raise ValueError(
                f"The checkpoint was trained with {option} {found}, and this run has "
                f"{wanted[option]}: choose {remedy}."
            )
    for name, state in states.items():
        for key, tensor in own[name].items():
            if key.endswith("num_batches_tracked"):
                continue
            shape = tuple(state[key].shape) if key in state else "nothing"
            if shape != tuple(tensor.shape):
                raise ValueError(
                    f"The checkpoint has {shape} for {name}.{key}, and this run "
                    f"{tuple(tensor.shape)}: choose --set dataset.size as in its training."
                )


def _sizes(states: Mapping[str, State], z_dim: int) -> dict[str, int]:
    """The settings that show in the shapes, those first that a user is likely to have missed."""
    layers = {name: _layers(name, state) for name, state in states.items()}
    sizes: dict[str, int] = {}
    if "Ey" in layers:
        sizes["attributes"] = len(layers["Ey"][-1])
    if "Ez" in layers:
        sizes["z_dim"] = len(layers["Ez"][-1])
    if "G" in layers:
        first, last = layers["G"][0], layers["G"][-1]
        if "attributes" in sizes:
            sizes.setdefault("z_dim", len(first) - sizes["attributes"])
        sizes["attributes"] = len(first) - sizes.get("z_dim", z_dim)
        sizes["generator_width"], sizes["channels"] = last.shape[:2]
        sizes["size"] = 8 * first.shape[1] // len(last)
    for name, dense in (("Ez", "z_encoder_dense"), ("Ey", "y_encoder_dense")):
        if name in layers:
            sizes["channels"], sizes["encoder_width"] = layers[name][0].shape[1::-1]
            sizes["encoder_layers"] = sum(layer.ndim == 4 for layer in layers[name])
            sizes[dense] = len(layers[name][-2])
    return sizes


def _layers(name: str, state: State) -> list[Tensor]:
    """The weights of the convolutions and dense layers, in their order."""
    numbered = {
        int(match[1]): tensor
        for key, tensor in state.items()
        if (match := re.fullmatch(r"main\.(\d+)\.weight", key)) and tensor.ndim > 1
    }
    if len(numbered) < 3:
        raise ValueError(f"The checkpoint's {name} is no network of IcGAN's Lua code.")
    return [numbered[number] for number in sorted(numbered)]
