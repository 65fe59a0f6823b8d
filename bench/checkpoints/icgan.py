"""The released networks of IcGAN: Torch7 files, read through the package torchfile.

That package builds plain values and arrays and executes nothing; functions in a file stay bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError, MissingFile, Refused

# By network, what the name of its file ends in, apart from the epoch.
_FILES = {"G": "celeba_24_G.t7", "Ez": "celeba_encZ_7.t7", "Ey": "celeba_encY_5.t7"}
_PATTERNS = {"G": "*_G.t7", "Ez": "*_encZ*.t7", "Ey": "*_encY*.t7"}

_WEIGHTS = ("weight", "bias", "running_mean", "running_var")

# Whatever the package makes of a damaged file, besides its own exception.
_MADE_OF_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_states(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the generator and both encoders.

    Args:
        path: A folder with one file each of the names ``*_G.t7``, ``*_encZ*.t7`` and
            ``*_encY*.t7``, as ``celeba_24_G.t7``; or one of these files, with the others beside it.

    Returns:
        State dicts ``G``, ``Ez`` and ``Ey``, float32, under the names ``main.N.weight`` and so on,
        N being a layer's place in its network.

    Raises:
        MissingFile: One of the files is missing.
        Refused: A file is damaged or no network of Torch7; or there are several of one kind.
        BenchError: The package torchfile is not installed.
    """
    files = {network: _file_of(network, path) for network in _FILES}
    return {network: _read_network(file) for network, file in files.items()}


def _file_of(network: str, path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and path.match(_PATTERNS[network]):
        return path
    found = sorted(folder.glob(_PATTERNS[network]))
    if not found:
        raise MissingFile(
            f"IcGAN's checkpoint has three files, and {folder} holds no {_PATTERNS[network]}: put "
            f"{_FILES[network]} there."
        )
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise Refused(f"{folder} holds {names}: leave there the one that shall be used.")
    return found[0]


def _read_network(path: Path) -> dict[str, Tensor]:
    try:
        import torchfile
    except ImportError as error:
        raise BenchError(
            f"{path.name} is a Torch7 file, and the package that reads them is not installed: run "
            'pip install "gan-attribute-bench[torch7]".'
        ) from error
    try:
        network = torchfile.load(str(path), use_list_heuristic=False)
        state = {
            f"main.{place}.{name}": _tensor(layer, name)
            for place, layer in _layers(network)
            for name in _WEIGHTS
            if layer.get(name.encode()) is not None
        }
    except FileNotFoundError as error:
        raise MissingFile(f"There is no file {path}.") from error
    except (*_MADE_OF_DAMAGE, torchfile.T7ReaderException) as error:
        raise Refused(
            f"{path} is no Torch7 network, or damaged ({type(error).__name__}): fetch it again."
        ) from error
    if not state:
        raise Refused(f"{path} holds no layers with weights: give a network that IcGAN saved.")
    return state


def _layers(network: Any) -> Iterator[tuple[int, Mapping[bytes, Any]]]:
    """The fields of the layers of an ``nn.Sequential`` with their places."""
    modules = network["modules"]
    for place in range(len(modules)):
        yield place, modules[place + 1]._obj


def _tensor(layer: Mapping[bytes, Any], name: str) -> Tensor:
    array: NDArray[Any] = layer[name.encode()]
    if array.size:
        _require_own_memory(array)
    value = torch.from_numpy(array.astype(np.float32))
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} is not finite")
    kernel: list[Any] = [layer.get(key) for key in (b"nInputPlane", b"kH", b"kW")]
    if name == "weight" and value.ndim == 2 and None not in kernel:
        return value.view(-1, *kernel)  # the older convolutions keep flat kernels
    return value


def _require_own_memory(array: NDArray[Any]) -> None:
    """Refuse a tensor whose sizes reach beyond the numbers that the file holds.

    torchfile makes its arrays as views of what it has read, by sizes that it takes from the file:
    in a truncated one they would show whatever lies behind.
    """
    storage = array
    while (below := getattr(storage, "base", None)) is not None:
        storage = below
    (low, high), (first, last) = byte_bounds(array), byte_bounds(storage)
    if not (first <= low < high <= last and array.nbytes <= high - low):
        raise ValueError("a tensor is larger than its storage")
