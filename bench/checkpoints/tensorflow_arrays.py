"""Variables of a TensorFlow 1 checkpoint as an .npz archive of arrays: VAE-GAN and alpha-GAN.

Saver files (``model_95.index``, ``.data-00000-of-00001``) are read by TensorFlow alone. Where it is
installed, ``tf.train.load_checkpoint`` opens one, its ``get_variable_to_shape_map`` lists the
variables and its ``get_tensor`` returns each as an array; ``numpy.savez`` given all of them as
keyword arguments, by their own names (``encoder/enc_conv1_layer/kernel``), writes what is read
here. Arrays stay in TensorFlow's layouts: kernels (height, width, in, out), those of transposed
convolutions (height, width, out, in), of dense layers (in, out).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import MissingFile, Refused

# Network, layer and variable; an optimiser's slots have one more part.
_NAME = re.compile(r"([^/:]+)/([^/:]+)/([^/:]+)(?::0)?")

# TensorFlow's names of variables -> PyTorch's.
_VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

# Whatever numpy and zipfile make of a damaged archive.
MADE_OF_DAMAGE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the networks of an archive; nothing in it is executed.

    Args:
        path: An .npz file of arrays under TensorFlow's names (see above), or a folder that holds
            exactly one; variables of optimisers may be among them.

    Returns:
        By variable scope, such as ``encoder``, state dicts in PyTorch's layouts, float32.

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged, no such archive, or one with numbers that are not finite.
    """
    variables, path = read_variables(path)
    return states_of(variables, path)


def read_variables(path: Path) -> tuple[dict[str, NDArray[np.float32]], Path]:
    """The floating-point variables of an archive, under their own names, and where it lies.

    Args:
        path: As in ``read_states``.

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged, no such archive, or one of several in a folder.
    """
    if path.is_dir():
        path = _only_archive(path)
    return _read(path), path


def states_of(
    variables: dict[str, NDArray[np.float32]], path: Path
) -> dict[str, dict[str, Tensor]]:
    """State dicts by variable scope of TensorFlow's variables; see ``read_states``."""
    states: dict[str, dict[str, Tensor]] = {}
    for name, array in variables.items():
        place = torch_place(name)
        if place is None:
            continue
        if not np.isfinite(array).all():
            raise Refused(f"{path} has numbers in {name} that are not finite: give another one.")
        scope, key = place
        states.setdefault(scope, {})[key] = _in_torch_layout(array)
    if not states:
        raise Refused(
            f"{path} holds no variables named like encoder/enc_conv1_layer/kernel: save all of a "
            "TensorFlow checkpoint by their own names with numpy.savez."
        )
    return states


def torch_place(variable: str) -> tuple[str, str] | None:
    """Scope and state dict's key of a variable: ``encoder``, ``bn_1.weight``; else None."""
    found = _NAME.fullmatch(variable)
    if found is None or found[3] not in _VARIABLES:
        return None
    return found[1], f"{found[2]}.{_VARIABLES[found[3]]}"


def _only_archive(folder: Path) -> Path:
    found = sorted(folder.glob("*.npz"))
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{folder} holds {len(found)} archives .npz: name the one to be used.")
    raise MissingFile(
        f"{folder} holds no .npz archive: TensorFlow's own files are read by TensorFlow alone, so "
        "save their arrays with numpy.savez (tf.train.load_checkpoint reads them)."
    )


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        # The program's counters and the like are integers.
        return {
            name: array.astype(np.float32)
            for name, array in arrays.items()
            if array.dtype.kind == "f"
        }
    except FileNotFoundError as error:
        raise MissingFile(f"There is no file {path}.") from error
    except MADE_OF_DAMAGE as error:
        raise Refused(
            f"{path} was refused, and nothing in it was executed: it is cut off or no .npz archive "
            f"of plain arrays ({type(error).__name__}); write it again with numpy.savez, see "
            "bench/checkpoints/tensorflow_arrays.py."
        ) from error


def _in_torch_layout(array: NDArray[np.float32]) -> Tensor:
    value = torch.from_numpy(array)
    if value.ndim == 4:  # of transposed convolutions, too, in and out have changed places
        value = value.permute(3, 2, 0, 1)
    elif value.ndim == 2:
        value = value.T
    return value.contiguous()
