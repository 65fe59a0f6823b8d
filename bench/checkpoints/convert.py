"""One road for every checkpoint: read it without executing it, and write it as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.nets.stylegan2 import Generator
from bench.checkpoints.architecture import OtherArchitecture, build_generator
from bench.checkpoints.container import Container, container_of
from bench.checkpoints.generator_file import read_generator_file, settings_of, write_generator_file
from bench.checkpoints.nvidia import read_snapshot
from bench.checkpoints.rosinality import generator_to_nvidia, read_rosinality
from bench.errors import BenchError
from bench.files import sha256_of


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's averaged generator, and what else the file holds.

    Attributes:
        container: The file's format.
        tensors: Of the generator, under NVIDIA's names.
        settings: Arguments of ``Generator`` that the file states.
        networks: The networks in the file, by its own names.
        left_out: Its entries that are not used.
        notes: What else there is to say, each a sentence without its stop.
    """

    container: Container
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    networks: tuple[str, ...] = ("G_ema",)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConversionReport:
    """What was found in a checkpoint and what was written.

    Attributes:
        source: The checkpoint.
        target: The safetensors file.
        sha256: Of ``target``.
        container: The checkpoint's format.
        networks: The networks in it.
        settings: The arguments of the generator.
        tensors: How many tensors the generator has, buffers included.
        parameters: How many trainable numbers it has.
        left_out: What the file holds besides.
        notes: What was missing, ignored or made up.
    """

    source: Path
    target: Path
    sha256: str
    container: Container
    networks: tuple[str, ...]
    settings: Mapping[str, Any]
    tensors: int
    parameters: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        settings = self.settings
        widths = settings["synthesis_kwargs"]["channels"]
        label = f", labels of width {settings['c_dim']}" if settings["c_dim"] else ""
        lines = [
            f"found: {', '.join(self.networks)} in {self.source}",
            f"generator: {settings['img_resolution']} px, {settings['img_channels']} channels, "
            f"z {settings['z_dim']}, w {settings['w_dim']}{label}, "
            f"{settings['mapping_kwargs']['num_layers']} mapping layers",
            "widths: " + ", ".join(f"{width} at {r} px" for r, width in widths.items()),
            f"size: {self.tensors} tensors, {self.parameters:,} parameters",
            f"left out: {', '.join(self.left_out) or 'nothing'}",
            *(f"note: {note}" for note in self.notes),
            f"written: {self.target} (sha256 {self.sha256})",
        ]
        return "\n".join(lines)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a ``.pkl``, ``.pt`` or ``.safetensors`` file; its contents decide, not its name.

    Raises:
        MissingFile: There is no such file.
        Refused: The file asks for code to be executed, is damaged or is no checkpoint.
        OtherArchitecture: It holds no StyleGAN2 generator.
    """
    container = container_of(path)
    if container == "nvidia":
        return _from_nvidia(path)
    if container == "torch":
        return _from_rosinality(path)
    tensors, settings = read_generator_file(path)
    return Checkpoint(container, tensors, settings)


def read_generator(path: Path) -> Generator:
    """Read the averaged generator of a checkpoint: on the CPU, frozen, in evaluation mode.

    Its ``sha256`` is that of the file.

    Raises:
        BenchError: As ``read_checkpoint``; or the tensors do not fit together.
    """
    checkpoint = read_checkpoint(path)
    generator = build_generator(checkpoint.tensors, str(path), checkpoint.settings).generator
    generator.sha256 = sha256_of(path)
    return generator


def convert(source: Path, target: Path) -> ConversionReport:
    """Write the averaged generator of a foreign checkpoint as safetensors, whole or not at all.

    Raises:
        BenchError: As ``read_generator``; or the target cannot be written.
    """
    checkpoint = read_checkpoint(source)
    built = build_generator(checkpoint.tensors, str(source), checkpoint.settings)
    about = {"source": source.name, "source_sha256": sha256_of(source)}
    try:
        write_generator_file(target, built.generator, about)
    except OSError as error:
        raise BenchError(f"{target} cannot be written: {error.strerror or error}.") from error
    return ConversionReport(
        source=source,
        target=target,
        sha256=sha256_of(target),
        container=checkpoint.container,
        networks=checkpoint.networks,
        settings=settings_of(built.generator),
        tensors=len(built.generator.state_dict()),
        parameters=sum(parameter.numel() for parameter in built.generator.parameters()),
        left_out=checkpoint.left_out,
        notes=checkpoint.notes + built.notes,
    )


def _from_nvidia(path: Path) -> Checkpoint:
    snapshot = read_snapshot(path)
    if "G_ema" not in snapshot.networks:
        raise OtherArchitecture(
            f"{path} holds {', '.join(snapshot.networks)} but no averaged generator G_ema, which "
            "is the one that is used; choose another snapshot."
        )
    generator = snapshot.networks["G_ema"]
    unused = tuple(name for name in snapshot.networks if name != "G_ema")
    notes = (
        (f"{snapshot.embedded_sources} modules embed source text: ignored, never executed",)
        if snapshot.embedded_sources
        else ()
    )
    return Checkpoint(
        "nvidia",
        generator.tensors,
        generator.init_kwargs,
        tuple(snapshot.networks),
        unused + snapshot.left_out,
        notes,
    )


def _from_rosinality(path: Path) -> Checkpoint:
    content = read_rosinality(path)
    if "g_ema" not in content.networks:
        held = ", ".join((*content.networks, *content.left_out)) or "nothing"
        raise OtherArchitecture(
            f"{path} holds no averaged generator g_ema (it holds {held}); choose another file."
        )
    unused = tuple(name for name in content.networks if name != "g_ema")
    state = content.networks["g_ema"]
    if "synthesis.b4.const" not in state:
        state = generator_to_nvidia(state, content.latent_avg, str(path))
    return Checkpoint(
        "torch",
        state,
        networks=tuple(content.networks),
        left_out=unused + content.left_out,
    )
