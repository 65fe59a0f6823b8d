"""CLIP: vectors of images and of texts that can be compared.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
arXiv 2103.00020, by the package open_clip (Ilharco et al., 2021). The package brings architectures
and CLIP's tokenizer; left to itself, it downloads weights. Here they are read from a file of
which nothing is executed, and models that would need another download are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from bench.checkpoints.container import container_of
from bench.checkpoints.torch_states import is_state, load_tensors
from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.extractors.base import as_rgb
from bench.extractors.weights import fill
from bench.files import sha256_of

_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of images in [0, 1], in OpenAI's training
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_IN_TRAINING = "module."  # what open_clip's checkpoints of several processes put before names


class Clip:
    """A frozen CLIP network.

    Args:
        weights: Of open_clip: a safetensors file, or a PyTorch file of a state dict or of a
            training checkpoint.
        model: A name of ``open_clip.list_models()`` that goes with them. OpenAI's own weights go
            with names that end in ``-quickgelu``, which the file does not tell.
        device: Where to compute.

    Attributes:
        model: The name of the model.
        sha256: Hash of the file of weights.

    Raises:
        MissingFile: The file or the package open_clip is not there.
        UnknownName: open_clip knows no such model.
        Refused: The weights are of another model, or hold more than tensors.
        BenchError: The model needs more than CLIP's own tokenizer and the weights.
    """

    def __init__(self, weights: Path, model: str, device: torch.device) -> None:
        if not weights.is_file():
            raise MissingFile(
                f"There is no file {weights}: fetch weights of open_clip by hand, such as "
                "open_clip_model.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K, and name "
                "them by --clip-weights."
            )
        package = _package()
        self.model = model.replace("/", "-")  # CLIP's authors write ViT-B/32
        _require_local(package, self.model)
        state = _read_state(weights)
        with _no_word_of_random_weights():
            network = package.create_model(self.model, pretrained=None)
        fill(network, state, f"the model {self.model} (--clip-model)")
        self._network = network.to(device)
        self._tokenize = package.get_tokenizer(self.model)
        self._device = device
        self.sha256 = sha256_of(weights)

    @torch.no_grad()
    def images(self, images: Tensor) -> Tensor:
        """Vectors of images.

        Args:
            images: (N, 1 or 3, S, S) in [-1, 1]; what goes beyond is cut off, as in a file.

        Returns:
            (N, D), of length 1.
        """
        size = self._network.visual.image_size
        pixels = (as_rgb(images).to(self._device).float() + 1) * 127.5
        inputs = _resized(pixels, size if isinstance(size, int) else size[0]) / 255
        mean, deviation = (inputs.new_tensor(x).reshape(3, 1, 1) for x in (_MEAN, _DEVIATION))
        vectors = self._network.encode_image((inputs - mean) / deviation)
        return functional.normalize(vectors.float(), dim=1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts: (N, D), of length 1."""
        vectors = self._network.encode_text(self._tokenize(list(texts)).to(self._device))
        return functional.normalize(vectors.float(), dim=1)


def _resized(pixels: Tensor, size: int) -> Tensor:
    """Pixels (N, 3, S, S) resized as by CLIP's own preprocessing, which leaves that to Pillow.

    Pillow has 8-bit images throughout: what goes beyond [0, 255] is cut off before, after the rows
    and after the columns, and levels are rounded. These are floats, so that NaN is not hidden.
    """
    pixels = pixels.round().clamp(0, 255)
    for shape in ((pixels.shape[2], size), (size, size)):
        # Antialiasing changes the cubic as well: with it, enlarging is as in Pillow, too.
        pixels = functional.interpolate(pixels, size=shape, mode="bicubic", antialias=True)
        pixels = pixels.round().clamp(0, 255)
    return pixels


def _package() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise MissingFile(
            'CLIP needs the package open_clip: run `pip install "gan-attribute-bench[clip]"`.'
        ) from error
    return open_clip


def _require_local(package: Any, model: str) -> None:
    """Refuse models that open_clip does not know, or that it would download a part of."""
    known = package.list_models()
    if model not in known:
        raise UnknownName("model of open_clip", model, known)
    config = package.get_model_config(model)
    text, vision = config.get("text_cfg", {}), config.get("vision_cfg", {})
    downloaded = (
        text.get("hf_model_name"),
        text.get("hf_tokenizer_name"),
        vision.get("timm_model_pretrained"),
        "siglip" in model.lower(),  # its tokenizer goes by the name of the model
    )
    if any(downloaded):
        raise BenchError(
            f"open_clip would download a tokenizer or weights for {model}; choose a model with "
            "CLIP's own tokenizer by --clip-model, such as ViT-B-32."
        )


def _read_state(path: Path) -> Mapping[str, Tensor]:
    """The weights by open_clip's names, in float32."""
    if container_of(path) == "safetensors":
        try:
            state: Any = load_file(path)
        except SafetensorError as error:
            raise Refused(f"{path} is damaged ({error}); fetch it again.") from error
    else:
        state = load_tensors(path)
    if isinstance(state, Mapping) and "state_dict" in state:
        state = state["state_dict"]
    if not is_state(state):
        raise Refused(f"{path} holds no state dict; give weights of open_clip by --clip-weights.")
    return {
        name.removeprefix(_IN_TRAINING): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


@contextmanager
def _no_word_of_random_weights() -> Iterator[None]:
    """Newer versions of open_clip warn of a network without weights, which get in next."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
