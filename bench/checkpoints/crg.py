"""The generator of CRG's authors: variables of their TensorFlow program as an .npz archive.

They released the network ``Gs``, the moving average, as a pickled object of their program, which
only runs with TensorFlow 1. Where that is installed, ``Gs.vars`` has the variables by their names
(``8x8/Conv0_up/weight``), and ``numpy.savez`` given their values as keyword arguments, by these
names, writes what is read here. The encoder's training was not released.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines.nets.pggan_tensorflow import our_state
from bench.checkpoints.tensorflow_arrays import read_variables
from bench.errors import Refused

_SCOPE = "Gs/"  # may stand before the names


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the generator; nothing in the file is executed.

    Args:
        path: An .npz archive of the generator's variables, or a folder with exactly one.

    Returns:
        ``Gs``, the state dict of ``baselines.nets.pggan.Generator``, float32.

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged, or its variables are not those of a progressive generator.
    """
    variables, path = read_variables(path)
    arrays = {
        name.removeprefix(_SCOPE).removesuffix(":0"): array for name, array in variables.items()
    }
    if "ToRGB_lod0/weight" not in arrays:
        raise Refused(
            f"{path} holds no progressive generator: save the variables of Gs by their names "
            "(ToRGB_lod0/weight, ...) with numpy.savez."
        )
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise Refused(f"{path} has numbers in {broken[0]} that are not finite: give another one.")
    try:
        state = our_state({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (RuntimeError, ValueError) as error:
        raise Refused(
            f"{path} holds more than a progressive generator, or another one ({error}): save the "
            "variables of Gs only."
        ) from error
    whole = {"lod": torch.zeros(()), **state}
    return {"Gs": {name: value.contiguous() for name, value in whole.items()}}
