"""Checkpoints of rosinality/stylegan2-pytorch: their reading, and their names in NVIDIA's terms.

Training files hold {g, d, g_ema, g_optim, d_optim, args, ada_aug_p}, converted official ones
{g_ema, latent_avg}. Neither stores the network's size, so it is told from the tensors' shapes.
Both layouts hold the same numbers, up to axes of length one.
"""

from __future__ import annotations

import argparse
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from bench.checkpoints.architecture import OtherArchitecture, require_filter
from bench.checkpoints.container import asks_for_code, require
from bench.errors import Refused

# Whatever torch makes of a damaged file, besides its own RuntimeError.
_MADE_OF_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)

NamePairs = list[tuple[str, str]]


@dataclass(frozen=True)
class RosinalityFile:
    """What such a file holds.

    Attributes:
        networks: State dicts of those of g, d and g_ema that are there, under their own names.
        latent_avg: The average of w (style_dim), or None.
        left_out: The file's other entries.
    """

    networks: dict[str, dict[str, Tensor]]
    latent_avg: Tensor | None
    left_out: tuple[str, ...]


def read_rosinality(path: Path) -> RosinalityFile:
    """Read a ``.pt`` file to the CPU, with ``weights_only``.

    Raises:
        MissingFile: There is no such file.
        Refused: The file asks for more than tensors and plain values, or is damaged.
    """
    require(path, "torch")
    content = _load(path)
    if not isinstance(content, dict):
        raise Refused(f"{path} holds a {type(content).__name__}, not the networks g_ema, g and d.")
    networks = {name: content[name] for name in ("g", "d", "g_ema") if _is_state(content.get(name))}
    if not networks and _is_state(content):  # a bare state dict
        return RosinalityFile({"g_ema": dict(content)}, None, ())
    average = content.get("latent_avg")
    known = {*networks, "latent_avg"} if isinstance(average, Tensor) else {*networks}
    left_out = tuple(str(name) for name in content if name not in known)
    return RosinalityFile(networks, average if isinstance(average, Tensor) else None, left_out)


def generator_to_nvidia(
    state: Mapping[str, Tensor], latent_avg: Tensor | None = None, source: str = "the checkpoint"
) -> dict[str, Tensor]:
    """Rename a generator's tensors; noise maps that are missing stay missing.

    Args:
        state: State dict under rosinality's names.
        latent_avg: The average of w, if the checkpoint has it.
        source: What to call the checkpoint in a message.

    Returns:
        Tensors under NVIDIA's names and in its shapes.

    Raises:
        OtherArchitecture: A tensor is missing, unknown or of an impossible shape.
    """
    blocks = _count(state, "to_rgbs.{}.conv.weight")
    layers = _count(state, "style.{}.weight", start=1)
    pairs = generator_names(4 << blocks, layers)
    tensors = dict(_to_nvidia(state, pairs, source, may_lack="noises."))
    if latent_avg is not None:
        tensors["mapping.w_avg"] = latent_avg.reshape(-1)
    return tensors


def generator_to_rosinality(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of ``generator_to_nvidia``; ``mapping.w_avg`` becomes ``latent_avg``.

    Raises:
        OtherArchitecture: The generator is conditional or its z and w differ in width, for which
            the other layout has no place.
    """
    if "mapping.embed.weight" in tensors:
        raise OtherArchitecture("A conditional generator has no place in rosinality's layout.")
    first = tensors["mapping.fc0.weight"]
    if first.shape[0] != first.shape[1]:
        raise OtherArchitecture("Rosinality's layout needs z and w of equal width.")
    resolution = max(
        int(r) for r in re.findall(r"synthesis\.b(\d+)\.conv1\.weight", " ".join(tensors))
    )
    pairs = generator_names(resolution, _count(tensors, "mapping.fc{}.weight"))
    renamed = {ros: _add_axes(nvidia, tensors[nvidia]) for nvidia, ros in pairs}
    return {**renamed, "latent_avg": tensors["mapping.w_avg"]}


def discriminator_to_nvidia(
    state: Mapping[str, Tensor], source: str = "the checkpoint"
) -> dict[str, Tensor]:
    """Rename a discriminator's tensors; see ``generator_to_nvidia``."""
    blocks = _count(state, "convs.{}.conv1.0.weight", start=1)
    return dict(_to_nvidia(state, discriminator_names(4 << blocks), source))


def discriminator_to_rosinality(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of ``discriminator_to_nvidia``."""
    resolution = max(int(r) for r in re.findall(r"\bb(\d+)\.conv0\.weight", " ".join(tensors)))
    return {ros: tensors[nvidia] for nvidia, ros in discriminator_names(resolution)}


def generator_names(resolution: int, mapping_layers: int) -> NamePairs:
    """Pairs (NVIDIA's name, rosinality's name) of a generator's tensors, but for w_avg."""
    pairs = [
        (f"mapping.fc{i}.{part}", f"style.{i + 1}.{part}")
        for i in range(mapping_layers)
        for part in ("weight", "bias")
    ]
    pairs += [("synthesis.b4.const", "input.input")]
    pairs += [*_layer("synthesis.b4.conv1", "conv1", 0), *_torgb("synthesis.b4.torgb", "to_rgb1")]
    for k, r in enumerate(_resolutions_from_8(resolution)):
        block = f"synthesis.b{r}"
        pairs += _layer(f"{block}.conv0", f"convs.{2 * k}", 2 * k + 1)
        pairs += _layer(f"{block}.conv1", f"convs.{2 * k + 1}", 2 * k + 2)
        pairs += _torgb(f"{block}.torgb", f"to_rgbs.{k}")
    return pairs


def discriminator_names(resolution: int) -> NamePairs:
    """Pairs (NVIDIA's name, rosinality's name) of a discriminator's tensors."""
    pairs = [
        (f"b{resolution}.fromrgb.weight", "convs.0.0.weight"),
        (f"b{resolution}.fromrgb.bias", "convs.0.1.bias"),
    ]
    for k, r in enumerate(reversed(_resolutions_from_8(resolution)), start=1):
        pairs += [
            (f"b{r}.conv0.weight", f"convs.{k}.conv1.0.weight"),
            (f"b{r}.conv0.bias", f"convs.{k}.conv1.1.bias"),
            (f"b{r}.conv1.weight", f"convs.{k}.conv2.1.weight"),
            (f"b{r}.conv1.bias", f"convs.{k}.conv2.2.bias"),
            (f"b{r}.skip.weight", f"convs.{k}.skip.1.weight"),
        ]
    last = {"conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias"}
    dense = {"fc": "final_linear.0", "out": "final_linear.1"}
    last |= {f"{a}.{part}": f"{b}.{part}" for a, b in dense.items() for part in ("weight", "bias")}
    return pairs + [(f"b4.{nvidia}", ros) for nvidia, ros in last.items()]


def _load(path: Path) -> Any:
    # The options of a training run; the only class besides tensors that these files refer to.
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            name = re.search(r"GLOBAL ([\w.]+)", str(error))
            if name is None:
                raise Refused(_damaged(path)) from error
            raise asks_for_code(path, name[1].rstrip(".")) from error
        except (RuntimeError, *_MADE_OF_DAMAGE) as error:
            raise Refused(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return f"{path} cannot be read as a PyTorch file: it is cut off or damaged; fetch it again."


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _count(tensors: Mapping[str, Tensor], pattern: str, start: int = 0) -> int:
    return next(i for i in count(start) if pattern.format(i) not in tensors) - start


def _resolutions_from_8(resolution: int) -> list[int]:
    return [1 << i for i in range(3, resolution.bit_length())]


def _layer(nvidia: str, ros: str, noise: int) -> NamePairs:
    return [
        (f"{nvidia}.weight", f"{ros}.conv.weight"),
        *_affine(nvidia, ros),
        (f"{nvidia}.noise_strength", f"{ros}.noise.weight"),
        (f"{nvidia}.bias", f"{ros}.activate.bias"),
        (f"{nvidia}.noise_const", f"noises.noise_{noise}"),
    ]


def _torgb(nvidia: str, ros: str) -> NamePairs:
    return [
        (f"{nvidia}.weight", f"{ros}.conv.weight"),
        *_affine(nvidia, ros),
        (f"{nvidia}.bias", f"{ros}.bias"),
    ]


def _affine(nvidia: str, ros: str) -> NamePairs:
    return [(f"{nvidia}.affine.{x}", f"{ros}.conv.modulation.{x}") for x in ("weight", "bias")]


def _to_nvidia(
    state: Mapping[str, Tensor], pairs: NamePairs, source: str, may_lack: str | None = None
) -> Iterator[tuple[str, Tensor]]:
    known = {ros for _, ros in pairs}
    for name, tensor in state.items():
        if name.endswith(".kernel"):
            require_filter(name, tensor / tensor.sum(), source)
        elif name not in known:
            raise OtherArchitecture(
                f"{source} is of another architecture: rosinality's StyleGAN2 has no tensor "
                f"{name!r}; give another file."
            )
    for nvidia, ros in pairs:
        if ros in state:
            yield nvidia, _drop_axes(nvidia, state[ros], source, ros)
        elif may_lack is None or not ros.startswith(may_lack):
            raise OtherArchitecture(
                f"{source} is of another architecture: the tensor {ros} of rosinality's StyleGAN2 "
                "is missing; choose another file by --generator."
            )


def _extra_axes(nvidia: str) -> tuple[int, int]:
    """How many axes of length one rosinality has before and after NVIDIA's."""
    part = nvidia.rpartition(".")[2]
    if not nvidia.startswith("synthesis.") or ".affine." in nvidia:
        return 0, 0
    if part == "bias":
        return (1, 2) if ".torgb." in nvidia else (0, 0)
    return (2, 0) if part == "noise_const" else (1, 0)


def _add_axes(nvidia: str, tensor: Tensor) -> Tensor:
    before, after = _extra_axes(nvidia)
    return tensor.reshape(*[1] * before, *tensor.shape, *[1] * after)


def _drop_axes(nvidia: str, tensor: Tensor, source: str, ros: str) -> Tensor:
    before, after = _extra_axes(nvidia)
    shape = tuple(tensor.shape)
    kept = shape[before : len(shape) - after]
    if shape != (*[1] * before, *kept, *[1] * after):
        raise OtherArchitecture(f"{source}: the tensor {ros} has the impossible shape {shape}.")
    return tensor.reshape(kept)
