"""What kind of file a checkpoint is, told from its first bytes and never from its name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from bench.downloads import is_web_page
from bench.errors import MissingFile, Refused

Container = Literal["nvidia", "torch", "safetensors"]

# The first pickle of a torch.save file from before the zip format: its magic number.
TORCH_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

_TITLES: dict[Container, str] = {
    "nvidia": "a network pickle of NVIDIA",
    "torch": "a PyTorch file",
    "safetensors": "a safetensors file",
}


def container_of(path: Path) -> Container:
    """Tell the container format of a file.

    Raises:
        MissingFile: There is no such file.
        Refused: It is a web page, empty, or no checkpoint at all.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise MissingFile(f"{path} cannot be opened: {error.strerror}.") from error
    if start.startswith((b"PK\x03\x04", TORCH_LEGACY_START)):
        return "torch"
    # Before the next: the length that a safetensors file begins with may look like a pickle's mark.
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size:
        return "safetensors"
    if start.startswith(b"\x80"):
        return "nvidia"
    raise Refused(f"{path} is no checkpoint: {_what_else(path, start)}.")


def require(path: Path, expected: Container) -> None:
    """Make sure that a file is of one format.

    Raises:
        MissingFile: There is no such file.
        Refused: It is of another format.
    """
    found = container_of(path)
    if found != expected:
        raise Refused(f"{path} is {_TITLES[found]}, not {_TITLES[expected]}.")


def asks_for_code(path: Path, name: str, title: str = "StyleGAN2") -> Refused:
    """The refusal of a file that names something which would have to be imported and called."""
    shown = ascii(name)[1:-1]  # it comes from the file: no control characters on the terminal
    return Refused(
        f"{path} was refused, and nothing in it was executed: it asks for {shown}, which no "
        f"{title} checkpoint needs; use a copy whose origin you trust, or its weights as "
        ".safetensors."
    )


def _what_else(path: Path, start: bytes) -> str:
    if not start.strip():
        return "it is empty; fetch it again"
    if is_web_page(path):
        return "it is a web page that was saved under this name; fetch the file itself"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file that it stands for"
    return "it begins like neither a .pkl, nor a .pt, nor a .safetensors file"
