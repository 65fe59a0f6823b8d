"""The weights of EigenGAN: arrays of the TensorFlow program, or a PyTorch file of the port.

The original's saver files and its frozen ``generator.pb`` are read by TensorFlow alone; how to save
their variables as an .npz archive is told in ``bench.checkpoints.tensorflow_arrays``. Variables
keep the program's names: ``G/U_0``, ``G/L_0``, ``G/mu_0``, ``G/fully_connected/weights``,
``G/transposed_convolution2d/weights`` (then ``_1``, ``_2``, ...: four in each layer),
``G/convolution/biases``, and ``D/...``; those of the moving average are ``G/.../G_ema`` or, where
it was copied for sampling, ``G_test/...``. Arrays keep the program's layouts: kernels (height,
width, in, out), transposed ones (height, width, out, in), dense ones (in, out), U (height, width,
channels, K) and mu (height, width, channels).

The port saves ``g``, ``d`` and ``g_ema`` in one file; a generator's state dict alone will do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.nets.eigengan import START
from bench.checkpoints.tensorflow_arrays import read_variables
from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import Refused

_PORT = {"g": "generator", "g_ema": "average", "d": "discriminator"}

# The layers of a block in the order in which the program makes them.
_BLOCK = ("subspace_conv1.0", "subspace_conv2.0", "feature_conv1.1", "feature_conv2.1")

_KINDS = {"weights": "weight", "biases": "bias"}
_LAYER = re.compile(
    r"(transposed_convolution2d|convolution|fully_connected)(?:_(\d+))?/(weights|biases)"
)
_SUBSPACE = re.compile(r"(U|L|mu)_(\d+)")


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the networks of a checkpoint; nothing in it is executed.

    Args:
        path: An .npz archive of the original's variables or a folder with exactly one; or a file of
            the port.

    Returns:
        By network, what ``EigenGAN.load_reference`` takes: ``generator``, ``average`` and
        ``discriminator``, as far as there, after ``original/`` where they are of the original.

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged or holds none of these networks.
    """
    if path.is_dir() or path.suffix == ".npz":
        variables, path = read_variables(path)
        try:
            states = states_of(variables)
        except (KeyError, RuntimeError, ValueError) as error:
            raise Refused(
                f"{path} holds variables that are not of EigenGAN's shapes ({error}): save all "
                "those of its checkpoint, as they are, by numpy.savez."
            ) from error
        found = {f"original/{name}": state for name, state in states.items()}
    else:
        found = _read_port(path)
    if not found:
        raise Refused(
            f"{path} holds no network of EigenGAN: give an archive of its TensorFlow variables "
            "(G/U_0, ...), or a PyTorch file with g_ema."
        )
    _require_finite(found, path)
    return found


def states_of(variables: Mapping[str, NDArray[np.float32]]) -> dict[str, dict[str, Tensor]]:
    """State dicts of the networks whose TensorFlow variables are given; others are left alone.

    Args:
        variables: By their names, in their layouts (see above).

    Returns:
        ``generator``, ``average``, ``discriminator``, as far as there.
    """
    arrays = {name.removesuffix(":0"): torch.from_numpy(value) for name, value in variables.items()}
    averaged = {
        name.removesuffix("/G_ema"): value
        for name, value in arrays.items()
        if name.startswith("G/") and name.endswith("/G_ema")
    }
    found = {
        "generator": dict(_generator_state(_below(arrays, "G/"))),
        "average": dict(_generator_state(_below(averaged, "G/") or _below(arrays, "G_test/"))),
        "discriminator": dict(_discriminator_state(_below(arrays, "D/"))),
    }
    return {name: state for name, state in found.items() if state}


def basis_from_tensorflow(value: Tensor) -> Tensor:
    """U (height, width, channels, K) -> (K, channels * height * width)."""
    return value.permute(3, 2, 0, 1).flatten(1)


def _generator_state(variables: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, value in variables.items():
        if subspace := _SUBSPACE.fullmatch(name):
            kind, level = subspace.groups()
            if kind == "U":
                value = basis_from_tensorflow(value)
            elif kind == "mu":
                value = value.permute(2, 0, 1).flatten()
            yield f"blocks.{level}.projection.{kind}", value
        elif layer := _LAYER.fullmatch(name):
            operation, kind, number = layer[1], _KINDS[layer[3]], int(layer[2] or 0)
            if operation == "convolution":
                yield f"out.0.1.{kind}", _kernel(value)
            elif operation == "fully_connected":
                pixels = _dense(value).unflatten(
                    0, (START, START, -1)
                )  # of maps with channels last
                yield f"fc.{kind}", pixels.movedim(2, 0).flatten(0, 2)
            else:
                level, place = divmod(number, len(_BLOCK))
                yield f"blocks.{level}.{_BLOCK[place]}.{kind}", _kernel(value)


def _discriminator_state(variables: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    widths = [
        value.shape[3]
        for name, value in variables.items()
        if name.startswith("convolution") and value.ndim == 4
    ]
    for name, value in variables.items():
        layer = _LAYER.fullmatch(name)
        if layer is None:
            continue
        kind, number = _KINDS[layer[3]], int(layer[2] or 0)
        if layer[1] == "convolution":
            yield f"blocks.{number}.0.{kind}", _kernel(value)
        elif number == 0 and kind == "weight":  # it sees maps with channels last
            width = max(widths)  # of the last convolution: they grow with each halving
            side = math.isqrt(len(value) // width)
            maps = value.T.unflatten(1, (side, side, width))
            yield "classifier.0.weight", maps.permute(0, 3, 1, 2).flatten(1)
        else:
            yield f"classifier.{2 * number}.{kind}", _dense(value)


def _kernel(value: Tensor) -> Tensor:
    """A kernel as PyTorch has it; in transposed convolutions in and out have changed places."""
    return value.permute(3, 2, 0, 1) if value.ndim == 4 else value


def _dense(value: Tensor) -> Tensor:
    return value.T if value.ndim == 2 else value


def _read_port(path: Path) -> dict[str, dict[str, Tensor]]:
    saved = load_tensors(path)
    if not isinstance(saved, Mapping):
        return {}
    if is_state(saved):
        return {"average": dict(saved)}
    return {
        ours: dict(saved[theirs]) for theirs, ours in _PORT.items() if is_state(saved.get(theirs))
    }


def _below(variables: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }


def _require_finite(states: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    for state in states.values():
        for name, value in state.items():
            if not torch.isfinite(value).all():
                raise Refused(f"{path} has numbers in {name} that are not finite: give another.")
