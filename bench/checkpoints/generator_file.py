"""The suite's own file of a generator: safetensors, with the network's arguments in the header.

Tensors are under NVIDIA's names. The header has one entry, ``generator``: a JSON object with
``settings`` (the arguments of ``Generator``) and whatever the writer says about it. It is one entry
because safetensors writes several in any order, and equal files shall have equal hashes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from baselines.nets.stylegan2 import Generator
from bench.checkpoints.architecture import infer_generator
from bench.checkpoints.container import require
from bench.errors import Refused
from bench.files import whole_file

_ENTRY = "generator"


def write_generator_file(
    path: Path, generator: Generator, about: Mapping[str, str] | None = None
) -> None:
    """Write a generator, whole or not at all.

    Args:
        path: Where to.
        generator: Its parameters and buffers are written as they are.
        about: More for the header, for people: origin, licence, command.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in generator.state_dict().items()}
    header = {**(about or {}), "settings": settings_of(generator)}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {_ENTRY: json.dumps(header)})


def settings_of(generator: Generator) -> dict[str, Any]:
    """The arguments that make a generator of the same architecture."""
    settings = infer_generator(generator.state_dict(), "this generator")
    settings["mapping_kwargs"] |= {
        "lr_multiplier": generator.mapping.get_submodule("fc0").lr_multiplier,
        "w_avg_beta": generator.mapping.w_avg_beta,
    }
    settings["synthesis_kwargs"]["conv_clamp"] = generator.get_submodule(
        "synthesis.b4.conv1"
    ).conv_clamp
    return settings


def read_generator_file(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a safetensors file; any with NVIDIA's names will do.

    Returns:
        The tensors, and the arguments that the header states: none if the suite did not write it.

    Raises:
        MissingFile: There is no such file.
        Refused: The file is damaged.
    """
    require(path, "safetensors")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise Refused(
            f"{path} cannot be read as a safetensors file ({error}); fetch it again."
        ) from error
    return tensors, _settings(header.get(_ENTRY, "{}"), path)


def _settings(text: str, path: Path) -> dict[str, Any]:
    try:
        settings = dict(json.loads(text).get("settings", {}))
        channels = settings.get("synthesis_kwargs", {}).get("channels")
        if channels is not None:  # JSON knows only texts as keys
            widths = {int(resolution): width for resolution, width in channels.items()}
            settings["synthesis_kwargs"]["channels"] = widths
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"{path} has a damaged header ({error}); fetch it again.") from error
    return settings
