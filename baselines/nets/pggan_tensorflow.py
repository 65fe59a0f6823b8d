"""The variables of NVIDIA's TensorFlow program, and of CRG's authors', under our names.

They keep convolutions as (kh, kw, in, out), the ones that double the resolution as (kh, kw, out,
in), dense layers as (in, out), and the singular vector ``u`` of a weight as (1, n). Levels are
counted from the full resolution: ``ToRGB_lod0`` makes the largest images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from baselines.progressive import FIRST_RESOLUTION

# Which of a resolution's layers: in the generator, and in the discriminator.
_GENERATOR = {"Dense": 0, "Conv": 1, "Conv0": 0, "Conv0_up": 0, "Conv1": 1}
_DISCRIMINATOR = {"Conv": 0, "Dense0": 1, "Dense1": 2, "Conv0": 0, "Conv1": 1, "Conv1_down": 1}


def our_state(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of ``nets.pggan``'s generator or discriminator, whichever it is.

    Args:
        variables: By their names, such as ``8x8/Conv0_up/weight``, without the network's own name
            before them.

    Returns:
        Views of the variables wherever their layout allows it; gradients flow through.

    Raises:
        ValueError: The variables are those of neither network.
    """
    colours = [name for name in variables if re.fullmatch(r"(To|From)RGB_lod\d+/weight", name)]
    discriminator = any(name.startswith("From") for name in colours)
    return {
        _our_name(name, len(colours), discriminator): _our_layout(name, variable)
        for name, variable in variables.items()
    }


def _our_name(variable: str, levels: int, discriminator: bool) -> str:
    if variable == "lod":
        return variable
    if found := re.fullmatch(r"(To|From)RGB_lod(\d+)/(\w+)", variable):
        lod = int(found[2])
        place = f"input{lod}" if discriminator else f"output{levels - 1 - lod}"
        return f"{place}.{found[3]}"
    found = re.fullmatch(r"(\d+)x\1/(\w+)/(\w+)", variable)
    places = _DISCRIMINATOR if discriminator else _GENERATOR
    if found is None or found[2] not in places:
        raise ValueError(f"{variable} is no variable of a progressive GAN")
    level = (int(found[1]) // FIRST_RESOLUTION).bit_length() - 1
    block = levels - 1 - level if discriminator else level
    return f"layer{2 * block + places[found[2]]}.{found[3]}"


def _our_layout(name: str, variable: Tensor) -> Tensor:
    if name.endswith("/u"):
        return variable.flatten()
    if variable.ndim == 4:
        return variable.permute(3, 2, 0, 1)
    if variable.ndim == 2 and name.endswith("/Dense/weight"):
        side = FIRST_RESOLUTION
        return variable.reshape(len(variable), -1, side, side).transpose(0, 1).flip(2, 3)
    return variable.T if variable.ndim == 2 else variable
