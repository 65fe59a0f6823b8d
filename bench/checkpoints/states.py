"""Trained weights of a method's reference implementation: state dicts by network.

Each program saves them in its own way; the catalog line of a method names the reader of its files.
``write_states`` keeps what a reader found as one safetensors file, which every method takes too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.catalog import Entry, lookup
from bench.errors import BenchError, MissingFile, Refused
from bench.files import sha256_of, whole_file

States = Mapping[str, Mapping[str, Tensor]]

_HEADER = "states"  # the key of our entry in a safetensors file's metadata


def read_states(method: str, path: Path) -> States:
    """The weights of a method's reference implementation, read without executing anything.

    Args:
        method: Name of the method in the catalog.
        path: What the reference wrote (its reader's docstring says which files), or a file of
            ``write_states``.

    Returns:
        The state dicts by network.

    Raises:
        MissingFile: There is no such file or folder, or a part of it is missing.
        BenchError: The method knows no reference, or the files are not of it but, say, of a run.
    """
    if not path.exists():
        raise MissingFile(f"There is no checkpoint {path}; give a file or folder by --checkpoint.")
    _refuse_our_own(path.resolve())
    reader = _reader_of(method)
    if path.suffix == ".safetensors":
        return _read_written(method, reader, path)
    states: States = Entry(reader, reader).load()(path)
    return states


@dataclass(frozen=True)
class StatesReport:
    """What was found in a reference's checkpoint and what was written.

    Attributes:
        source: The checkpoint.
        target: The safetensors file.
        sha256: Of ``target``.
        networks: How many numbers each network has, buffers included.
    """

    source: Path
    target: Path
    sha256: str
    networks: Mapping[str, int]

    def __str__(self) -> str:
        found = ", ".join(f"{name} ({count:,} numbers)" for name, count in self.networks.items())
        return f"found: {found} in {self.source}\nwritten: {self.target} (sha256 {self.sha256})"


def convert_states(method: str, source: Path, target: Path) -> StatesReport:
    """Read a reference's checkpoint and write it as safetensors.

    Raises:
        BenchError: As ``read_states``; or the target cannot be written.
    """
    states = read_states(method, source)
    try:
        write_states(method, states, target)
    except OSError as error:
        raise BenchError(f"{target} cannot be written: {error.strerror or error}.") from error
    sizes = {name: sum(one.numel() for one in state.values()) for name, state in states.items()}
    return StatesReport(source, target, sha256_of(target), sizes)


def write_states(method: str, states: States, path: Path) -> None:
    """Write what ``read_states`` found as one safetensors file, whole.

    All methods that share the reader take it, such as ``stargan`` and ``stargan-infonce``.
    """
    tensors = {
        f"{network}/{name}": tensor.detach().clone().contiguous()
        for network, state in states.items()
        for name, tensor in state.items()
    }
    header = {_HEADER: json.dumps({"reader": _reader_of(method), "networks": list(states)})}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, header)


def checkpoint_hash(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder.

    Raises:
        MissingFile: There is no such file or folder.
    """
    if path.is_file():
        return sha256_of(path)
    if not path.is_dir():
        raise MissingFile(f"There is no checkpoint {path}; give a file or folder by --checkpoint.")
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _refuse_our_own(path: Path) -> None:
    """Say how to use what this suite has trained itself."""
    for folder in (path, *path.parents[:3]):
        if (folder / "artefact.json").is_file():
            raise Refused(
                f"{folder} is a stage that a run has trained: give it by --artefact instead."
            )
        if (folder / "spec.json").is_file() and (folder / "provenance.json").is_file():
            raise Refused(
                f"{folder} is a run of this suite, and --checkpoint takes weights of another "
                "program: the command that made the run continues or reads it, `bench show` tells "
                "its result, and --artefact takes its finished stages."
            )


def _reader_of(method: str) -> str:
    entry = lookup("methods", method)
    if not entry.checkpoint:
        raise BenchError(
            f"{entry.name} reads no checkpoint of another program; leave --checkpoint out, or name "
            "another --method."
        )
    return entry.checkpoint


def _read_written(method: str, reader: str, path: Path) -> States:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            written_by, networks = header["reader"], header["networks"]
            states: dict[str, dict[str, Tensor]] = {network: {} for network in networks}
            for key in file.keys():  # noqa: SIM118
                network, _, name = key.partition("/")
                states[network][name] = file.get_tensor(key)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"{path} was not written by `bench convert --method` (nor were predictors and the "
            f"checkpoints of runs): give the checkpoint of {method}'s reference implementation."
        ) from error
    if written_by != reader:
        raise Refused(
            f"{path} holds weights that {written_by} has read, which are none of {method}: "
            "give its own checkpoint, or another --method."
        )
    return states
