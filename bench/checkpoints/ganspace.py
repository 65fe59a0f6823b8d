"""GANSpace's caches of components: ``cache/components/*.npz``.

A name such as ``stylegan2-ffhq_style_ipca_c80_n1000000_w.npz`` says the model and its class, the
layer that was analysed, how many components of how many codes, and ``_w`` for directions in W
instead of Z. Directions that its viewer saves one by one are pickles and not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.checkpoints.tensorflow_arrays import MADE_OF_DAMAGE
from bench.errors import Refused

# Not read: what is known of the analysed layer's activations (act_comp, act_mean, act_stdev,
# var_ratio, random_stdevs), which may be large.
_NAMES = ("lat_comp", "lat_mean", "lat_stdev")


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the components of a cache; nothing in it is executed.

    Args:
        path: The file.

    Returns:
        ``components``, what ``GANSpace.load_reference`` takes, float32: ``lat_comp`` (C, D), unit
        directions in the space of the generator's latents, largest variance first; ``lat_mean``
        (D,), the mean latent; ``lat_stdev`` (C,), the standard deviation of latents along each
        direction of W, 1 for those of Z.

    Raises:
        Refused: The file is damaged, lacks one of the arrays, or has them in other shapes.
    """
    if path.is_dir():
        raise Refused(f"{path} is a folder: give one of GANSpace's .npz files.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            absent = [name for name in _NAMES if name not in archive.files]
            arrays = [archive[name] for name in _NAMES if name not in absent]
    except MADE_OF_DAMAGE as error:
        raise Refused(
            f"{path} was refused, and nothing in it was executed: it is cut off or no .npz archive "
            f"of plain arrays ({type(error).__name__}); give a file of GANSpace's cache/components."
        ) from error
    if absent:
        raise Refused(
            f"{path} has no {', '.join(absent)}: give a file of GANSpace's cache/components, as "
            "its program writes it."
        )
    components, mean, deviations = arrays
    if (
        not components.size
        or mean.shape != components.shape[1:]
        or deviations.shape != components.shape[:1]
        or any(array.dtype.kind != "f" for array in arrays)
    ):
        shapes = ", ".join(
            f"{name} {array.shape}" for name, array in zip(_NAMES, arrays, strict=True)
        )
        raise Refused(
            f"{path} holds no components of GANSpace ({shapes}): give a file whose lat_comp has a "
            "row of floating-point numbers, shaped as lat_mean, for each number of lat_stdev."
        )
    states = {}
    for name, array, size in zip(_NAMES, arrays, ((deviations.size, -1), -1, -1), strict=True):
        if not np.isfinite(array).all():
            raise Refused(f"{path} has numbers in {name} that are not finite: give another file.")
        states[name] = torch.from_numpy(array.astype(np.float32).reshape(size))
    return {"components": states}
