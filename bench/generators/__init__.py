"""Pretrained generators by name or file.

Importing this package does not import torch, so that lists and plans can ask it for paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import catalog
from bench.downloads import locate
from bench.errors import BenchError, MissingFile

if TYPE_CHECKING:
    import torch

_SHIPPED_NAME = "shapes3d-stylegan2"
_SHIPPED = Path(__file__).parent / "weights"
CHECKPOINT_SUFFIXES = (".pkl", ".pt", ".pth", ".safetensors")
_RESOLUTIONS = {
    "shapes3d-stylegan2": 64,
    "stylegan2-ffhq-1024": 1024,
    "stylegan2-ffhq-512": 512,
    "stylegan2-ffhq-256": 256,
    "stylegan2-afhqcat": 512,
    "stylegan2-afhqdog": 512,
    "stylegan2-afhqwild": 512,
    "stylegan2-lsun-car": 512,
    "stylegan2-lsun-church": 256,
    "stylegan2-celebahq-256": 256,
}


def load_generator(name: str | Path, device: torch.device | str = "cpu") -> Any:
    """Load a generator: frozen, in evaluation mode, its ``sha256`` that of the weights' file.

    A StyleGAN2 has ``mapping`` and ``synthesis``; other networks take latents to images.

    Args:
        name: A name of the catalog, or the path of a ``.pkl``, ``.pt`` or ``.safetensors`` file.
        device: Where to.

    Raises:
        UnknownName: There is neither such a name nor such a file.
        MissingFile: The weights have to be fetched or put in place; the message says how.
        Refused: The file asks for code to be executed, is damaged or is no checkpoint.
        BenchError: It holds another network, or one of another resolution than its name says.
    """
    path = _path_of(name)
    if path is not None and not path.exists():
        raise MissingFile(f"There is no file {path}; give --generator a name or a checkpoint.")
    if path is None:
        entry = catalog.lookup("generators", str(name))
        if entry.target != f"{__name__}:load_generator":
            return entry.load()(str(name), device)
        path = weights_path(entry.name)
    import torch

    generator = _read(path)
    _require_resolution(str(name), path, generator.img_resolution)
    # Much faster on a CPU, the same on a GPU.
    generator.to(memory_format=torch.channels_last)
    return generator.to(device)


def weights_path(name: str) -> Path:
    """The weights' file of a generator of the suite's own catalog.

    Raises:
        MissingFile: It is not there; the message says how to get it.
    """
    if name != _SHIPPED_NAME:
        return locate(name)
    path = _SHIPPED / f"{name}.safetensors"
    if not path.exists():
        raise MissingFile(
            f"The installation lacks {path}: install it again, or make the file anew with "
            "`bench pretrain stylegan2 --dataset shapes3d`."
        )
    return path


def _read(path: Path) -> Any:
    """A StyleGAN2 or, where a file holds none, a progressive GAN's generator."""
    from bench.checkpoints import read_generator
    from bench.checkpoints.architecture import OtherArchitecture
    from bench.checkpoints.pggan import read_pggan

    try:
        return read_generator(path)
    except OtherArchitecture:
        generator = read_pggan(path)
        if generator is None:
            raise
        return generator


def _path_of(name: str | Path) -> Path | None:
    """The path that a name is meant as; None for a name of the catalog."""
    path = Path(name)
    is_path = isinstance(name, Path) or path.suffix in CHECKPOINT_SUFFIXES or len(path.parts) > 1
    return path.expanduser() if is_path else None


def _require_resolution(name: str, path: Path, found: int) -> None:
    expected = _RESOLUTIONS.get(name, found)  # only names of our own catalog
    if found != expected:
        raise BenchError(
            f"{path} holds a generator of {found} px, but {name} has {expected} px: put the right "
            f"file in its place, or use this one by --generator {path}."
        )
