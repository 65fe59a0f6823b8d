"""From named tensors to a StyleGAN2 generator: its architecture, told from shapes, and its loading.

A checkpoint may state the arguments that its network was made with, as NVIDIA's do; what it does
not state follows from the shapes of its tensors. Names are NVIDIA's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from baselines.nets.stylegan2 import Discriminator, Generator
from baselines.nets.stylegan2_layers import binomial_filter
from baselines.randomness import derive_seed, normals
from bench.errors import BenchError

Network = TypeVar("Network", bound=nn.Module)

_CODES_FOR_AVERAGE = 4096  # as rosinality's mean_latent takes
_LARGEST = 4096  # pixels; a forged file could go on for ever

# Arguments of NVIDIA's classes that choose precision or training, not the function.
_WITHOUT_EFFECT = {"num_fp16_res", "fp16_channels_last", "freeze_layers"}
# Arguments that the networks here have one value for.
_ONLY_VALUE = {"activation": "lrelu", "use_noise": True, "resample_filter": [1, 3, 3, 1]}


class OtherArchitecture(BenchError):
    """The tensors are not those of the network that they are wanted for."""


@dataclass(frozen=True)
class Built:
    """A generator made from a checkpoint, and what the checkpoint lacked."""

    generator: Generator
    notes: tuple[str, ...]


def build_generator(
    tensors: Mapping[str, Tensor], source: str, settings: Mapping[str, Any] | None = None
) -> Built:
    """Make a generator and give it the tensors.

    Noise maps that the checkpoint lacks are drawn, and an average w that it lacks is estimated
    from 4,096 codes, both from a fixed seed; the notes say so.

    Args:
        tensors: Under NVIDIA's names; of any floating-point type.
        source: What to call the checkpoint in a message.
        settings: Arguments of ``Generator`` that the checkpoint states.

    Raises:
        OtherArchitecture: A tensor is missing, unknown or of another shape; the message names it,
            both shapes and the option that decides.
    """
    inferred = infer_generator(tensors, source)
    network = _without_memory(
        lambda: Generator(**_complete(inferred, settings or {}, source)), source
    )
    tensors = {name: tensor.detach().float() for name, tensor in tensors.items()}
    notes = _draw_missing_noise(network, tensors)
    average = network.mapping.w_avg_beta is not None and "mapping.w_avg" not in tensors
    if average:
        tensors["mapping.w_avg"] = torch.zeros(network.w_dim)
        notes.append("mapping.w_avg is absent: estimated from 4,096 codes with a fixed seed")
    load_tensors(network, tensors, source)
    network.eval().requires_grad_(False)
    if average:
        network.mapping.w_avg.copy_(_average_w(network))
    return Built(network, tuple(notes))


def build_discriminator(
    tensors: Mapping[str, Tensor], settings: Mapping[str, Any], source: str
) -> Discriminator:
    """Make a discriminator from the arguments that its checkpoint states; else as a generator."""
    parts = {
        name: understood(settings.get(name) or {}, source)
        for name in ("block_kwargs", "mapping_kwargs", "epilogue_kwargs")
    }
    # What is left of NVIDIA's arguments for every block has no place in the networks here.
    config = understood(settings, source) | parts.pop("block_kwargs") | parts
    config.pop("block_kwargs", None)
    network = _without_memory(lambda: Discriminator(**config), source)
    load_tensors(network, tensors, source)
    return network.eval().requires_grad_(False)


def infer_generator(tensors: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """Arguments of ``Generator``, as far as the shapes of its tensors tell them.

    Raises:
        OtherArchitecture: These are not the tensors of a StyleGAN2 generator.
    """

    def size(name: str, axis: int) -> int:
        if name not in tensors or tensors[name].ndim <= axis:
            raise OtherArchitecture(
                f"{source} holds no StyleGAN2 generator: there is no tensor {name} with at least "
                f"{axis + 1} axes; choose another file by --generator."
            )
        return tensors[name].shape[axis]

    size("synthesis.b4.const", 2)
    resolution = 4
    while f"synthesis.b{2 * resolution}.conv1.weight" in tensors and resolution < _LARGEST:
        resolution *= 2
    layers = 0
    while f"mapping.fc{layers}.weight" in tensors:
        layers += 1
    conditional = "mapping.embed.weight" in tensors
    embed = size("mapping.embed.weight", 0) if conditional else 0
    steps = [1 << i for i in range(2, resolution.bit_length())]
    return {
        "z_dim": size("mapping.fc0.weight", 1) - embed,
        "c_dim": size("mapping.embed.weight", 1) if conditional else 0,
        "w_dim": size("synthesis.b4.conv1.affine.weight", 1),
        "img_resolution": resolution,
        "img_channels": size("synthesis.b4.torgb.weight", 0),
        "mapping_kwargs": {
            "num_layers": layers,
            "embed_features": embed if conditional else None,
            "layer_features": size("mapping.fc0.weight", 0) if layers > 1 else None,
        },
        "synthesis_kwargs": {
            "channels": {r: size(f"synthesis.b{r}.conv1.weight", 0) for r in steps}
        },
    }


def understood(
    arguments: Mapping[str, Any], source: str, only: Mapping[str, Any] = _ONLY_VALUE
) -> dict[str, Any]:
    """NVIDIA's arguments without those that change nothing here.

    Raises:
        OtherArchitecture: An argument asks for a variant that is not built here.
    """
    kept: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in _WITHOUT_EFFECT:
            continue
        if name not in only:
            kept[name] = value
        elif value != only[name]:
            raise OtherArchitecture(
                f"{source} is of another architecture: it was made with {name} = {value!r}, and "
                f"only {only[name]!r} is supported."
            )
    return kept


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Give a network its tensors, after a comparison of all names and shapes.

    The constant resampling filters may be absent.

    Raises:
        OtherArchitecture: A tensor is missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    filters = {name for name in wanted if name.endswith("resample_filter")}
    given = {name: binomial_filter() for name in filters} | dict(tensors)
    for name, tensor in wanted.items():
        found = tuple(given[name].shape) if name in given else None
        if found != tuple(tensor.shape):
            raise OtherArchitecture(_mismatch(source, name, found, tuple(tensor.shape)))
    for name, tensor in given.items():
        if name.endswith("resample_filter"):
            require_filter(name, tensor, source)
        if name not in wanted:
            raise OtherArchitecture(_mismatch(source, name, tuple(tensor.shape), None))
    network.load_state_dict(given, assign=True)


def require_filter(name: str, tensor: Tensor, source: str) -> None:
    """Make sure that a resampling filter is the one that the networks are built with.

    Raises:
        OtherArchitecture: It is another one.
    """
    if tensor.shape != (4, 4) or not torch.allclose(tensor.float(), binomial_filter(), atol=1e-6):
        raise OtherArchitecture(
            f"{source} is of another architecture: its resampling filter {name} is not "
            "[1, 3, 3, 1], the only one supported."
        )


def _complete(inferred: dict[str, Any], settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What the checkpoint states, and what the shapes tell for the rest."""
    mapping = understood(settings.get("mapping_kwargs") or {}, source)
    only = _ONLY_VALUE | {"architecture": "skip"}
    synthesis = understood(settings.get("synthesis_kwargs") or {}, source, only)
    by_formula = "channel_base" in synthesis or "channel_max" in synthesis
    config = inferred | understood(settings, source)
    config["mapping_kwargs"] = inferred["mapping_kwargs"] | mapping
    config["synthesis_kwargs"] = ({} if by_formula else inferred["synthesis_kwargs"]) | synthesis

    # These two decide how many modules there are, so they are compared before any is made.
    resolution, layers = inferred["img_resolution"], inferred["mapping_kwargs"]["num_layers"]
    stated = config["img_resolution"], config["mapping_kwargs"]["num_layers"]
    if stated[0] != resolution:
        last = f"synthesis.b{resolution}.conv1.weight"
        raise _contradiction(source, "img_resolution", stated[0], last, resolution)
    if stated[1] != layers:
        last = f"mapping.fc{layers - 1}.weight"
        raise _contradiction(source, "mapping_kwargs.num_layers", stated[1], last, layers)
    return config


def _contradiction(
    source: str, option: str, stated: Any, last: str, found: int
) -> OtherArchitecture:
    return OtherArchitecture(
        f"{source} contradicts itself: it states {option} = {stated!r}, but {last} is the last "
        f"tensor of its kind, which makes it {found}; change {option}."
    )


def _without_memory(make: Callable[[], Network], source: str) -> Network:
    """The network without values: a forged width costs nothing, and no weight is drawn in vain."""
    try:
        with torch.device("meta"):
            return make()
    # Whatever the networks make of settings of wrong types or unknown names.
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError, RuntimeError) as e:
        raise OtherArchitecture(
            f"{source} is of another architecture: its settings make no StyleGAN2 network ({e})."
        ) from e


def _draw_missing_noise(network: Generator, tensors: dict[str, Tensor]) -> list[str]:
    names = [name for name in network.state_dict() if name.endswith("noise_const")]
    missing = [name for name in names if name not in tensors]
    for name in missing:
        r = network.get_buffer(name).shape[0]
        tensors[name] = normals(derive_seed(0, name), 0, r, r)
    return [f"{len(missing)} noise maps are absent: drawn with a fixed seed"] if missing else []


def _average_w(network: Generator) -> Tensor:
    z = normals(derive_seed(0, "mapping.w_avg"), 0, _CODES_FOR_AVERAGE, network.z_dim)
    label = torch.arange(_CODES_FOR_AVERAGE) % max(network.c_dim, 1)
    c = torch.eye(network.c_dim)[label] if network.c_dim else None
    return network.mapping(z, c)[:, 0].mean(dim=0)


def _mismatch(
    source: str, name: str, found: tuple[int, ...] | None, expected: tuple[int, ...] | None
) -> str:
    option = next(option for start, option in _DECIDED_BY if re.search(start, name))
    return (
        f"{source} is of another architecture: its tensor {name} is {_shape(found)}, expected "
        f"{_shape(expected)}; change {option}, or choose another file."
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "absent"
    return f"of shape {' x '.join(map(str, shape))}" if shape else "a scalar"


# Which argument decides the shape of a tensor, by the beginning or a part of its name.
_DECIDED_BY = (
    (r"^mapping\.embed|^b4\.out", "c_dim"),
    (r"^mapping\.fc0", "z_dim, c_dim or w_dim"),
    (r"^mapping", "w_dim or num_layers"),
    (r"affine", "w_dim, channel_base or channel_max"),
    (r"rgb", "img_channels, channel_base or channel_max"),
    (r"noise_const", "img_resolution"),
    (r"", "channel_base or channel_max"),
)
