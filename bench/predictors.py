"""Attribute predictors: networks that read attribute scores off an image.

The discovery track asks a predictor what an edit has changed (ContraFeat, equation 15; the authors'
own is a ResNet-50 on private labels), the editing track whether an edit has succeeded. The suite's
are small networks trained on the ground truth of a dataset, scored on images that training never
saw: a residual one for factors of many values, AttGAN's for binary attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from bench import catalog
from bench.downloads import weights_folder
from bench.errors import MissingFile, Refused
from bench.extractors.base import as_rgb, resize
from bench.files import sha256_of, whole_file

IMAGE_SIZE = 64
_SHIPPED = Path(__file__).parent / "weights"
_STAGE_CHANNELS = (16, 32, 48, 64)
_HIDDEN = 96
_HEADER = "predictor"  # the key of our entry in a safetensors file's metadata


class PredictorNetwork(nn.Module):
    """A network from images to scores of attributes, and what is known of it.

    Args:
        names: One for each score.
        levels: How many equally spaced levels in [0, 1] each score takes in the training data.
        report: How it was trained, and its scores on held-out images.
        sha256: Hash of the file that it was read from.
    """

    def __init__(
        self,
        names: Sequence[str],
        levels: Sequence[int],
        report: Mapping[str, Any] | None = None,
        sha256: str = "",
    ) -> None:
        super().__init__()
        self.names, self.levels = tuple(names), tuple(levels)
        self.report, self.sha256 = dict(report or {}), sha256

    def settings(self) -> dict[str, Any]:
        """What to build the network from again."""
        return {"names": self.names, "levels": self.levels}

    def loss(self, outputs: Tensor, attributes: Tensor) -> Tensor:
        """What training minimises: the mean squared error of (N, A) outputs."""
        return functional.mse_loss(outputs, attributes)


class Predictor(PredictorNetwork):
    """A small residual network for factors, at 64 pixels; images of other sizes are resized to it.

    See ``PredictorNetwork`` for its arguments.
    """

    def __init__(
        self,
        names: Sequence[str],
        levels: Sequence[int],
        report: Mapping[str, Any] | None = None,
        sha256: str = "",
    ) -> None:
        super().__init__(names, levels, report, sha256)
        self.features = nn.Sequential(*_stages())
        positions = (IMAGE_SIZE >> len(_STAGE_CHANNELS)) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(_STAGE_CHANNELS[-1] * positions, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, len(self.names)),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1]; what a generator puts beyond is clipped, as it
                is when images are shown or saved.

        Returns:
            float32 (N, A) in [0, 1]; while training not clamped, so that it has a gradient.
        """
        images = resize(as_rgb(images).clamp(-1.0, 1.0), IMAGE_SIZE)
        images = images.contiguous(memory_format=torch.channels_last)
        scores = self.head(self.features(images))
        return scores if self.training else scores.clamp(0.0, 1.0)


class AttributeClassifier(PredictorNetwork):
    """The classifier of binary attributes that AttGAN and STGAN judge edits by.

    Five pairs of 3 x 3 convolutions, each with batch norm and ReLU, of 1, 2, 4, 8 and 16 times
    ``width`` channels, a 2 x 2 max-pool after each pair, then 512 hidden units (He et al., AttGAN,
    TIP 2019; Liu et al., STGAN, CVPR 2019; width 16 at 128 px, 94.5 % mean accuracy on 13
    attributes by STGAN's account).

    Args:
        names: One for each attribute.
        image_size: Pixels to a side, a multiple of 32; images of other sizes are resized to it.
        width: Channels of the first pair.
        report: See ``PredictorNetwork``.
        sha256: Likewise.

    Raises:
        ValueError: The size is no multiple of 32.
    """

    def __init__(
        self,
        names: Sequence[str],
        image_size: int = 128,
        width: int = 16,
        report: Mapping[str, Any] | None = None,
        sha256: str = "",
    ) -> None:
        super().__init__(names, (2,) * len(names), report, sha256)
        if image_size % 32:
            raise ValueError(f"The classifier halves images five times; {image_size} is too odd.")
        self.image_size, self.width = image_size, width
        widths = [3, *(width << stage for stage in range(5))]
        pairs = [_pair(*two) for two in pairwise(widths)]
        self.features = nn.Sequential(*(module for pair in pairs for module in pair))
        positions = (image_size // 32) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * positions, 32 * width),
            nn.ReLU(),
            nn.Linear(32 * width, len(self.names)),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def settings(self) -> dict[str, Any]:
        return {"names": self.names, "image_size": self.image_size, "width": self.width}

    def loss(self, outputs: Tensor, attributes: Tensor) -> Tensor:
        """The binary cross entropy of (N, A) logits, averaged over images and attributes."""
        return functional.binary_cross_entropy_with_logits(outputs, attributes)

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1]; what lies beyond is clipped.

        Returns:
            float32 (N, A): probabilities in [0, 1]; while training, logits.
        """
        images = resize(as_rgb(images).clamp(-1.0, 1.0), self.image_size)
        images = images.contiguous(memory_format=torch.channels_last)
        logits = self.head(self.features(images))
        return logits if self.training else logits.sigmoid()


def load_predictor(name_or_path: str | Path, device: str = "cpu") -> PredictorNetwork:
    """A frozen predictor by its catalog name or from a file that ``save_predictor`` wrote.

    Raises:
        UnknownName: There is no such predictor, nor such a file.
        MissingFile: The file is not there.
        Refused: The file is no predictor of this suite.
    """
    load = _own_loader(str(name_or_path))
    if load is not None:
        return load(device)
    path = predictor_path(name_or_path)
    if not path.is_file():
        raise MissingFile(
            f"The predictor {path} is not there: give the path of one, or make it with "
            "`bench train-predictor --dataset NAME`."
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        network = _NETWORKS[header.pop("network", Predictor.__name__)]
        predictor = network(**header, sha256=sha256_of(path))
        predictor.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Refused(
            f"{path} is no predictor of this suite ({type(error).__name__}): give a file that "
            "`bench train-predictor` wrote."
        ) from error
    return predictor.requires_grad_(False).eval().to(device)


def save_predictor(predictor: PredictorNetwork, path: Path) -> None:
    """Write a predictor with its settings and report, whole."""
    network = type(predictor).__name__
    header = {"network": network, **predictor.settings(), "report": predictor.report}
    tensors = {key: value.contiguous() for key, value in predictor.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {_HEADER: json.dumps(header)})


def predictor_file(name: str) -> str:
    """The file that a predictor, named after its dataset, has in the folder of weights."""
    return f"{name}-predictor.safetensors"


def predictor_path(name_or_path: str | Path) -> Path:
    """Where a predictor's file has to be, given its name or itself.

    Names mean the shipped file first, so that a score's predictor is the same everywhere.

    Raises:
        UnknownName: There is no predictor of that name.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".safetensors"):
        return Path(name_or_path)
    file = predictor_file(name_or_path)
    for path in (_SHIPPED / file, weights_folder() / file):
        if path.is_file():
            return path
    return _SHIPPED / predictor_file(catalog.lookup("predictors", name_or_path).name)


def _own_loader(name: str) -> Callable[[str], PredictorNetwork] | None:
    """What loads a predictor of the catalog that is made of others; None for those of files."""
    entry = next((one for one in catalog.entries("predictors") if one.name == name), None)
    if entry is None or entry.target == f"{__name__}:{load_predictor.__name__}":
        return None
    load: Callable[[str], PredictorNetwork] = entry.load()
    return load


_NETWORKS: Mapping[str, Callable[..., PredictorNetwork]] = {
    network.__name__: network for network in (Predictor, AttributeClassifier)
}


def _pair(inputs: int, outputs: int) -> list[nn.Module]:
    """Two convolutions and a pool that halves the image."""
    modules: list[nn.Module] = []
    for channels in (inputs, outputs):
        modules += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return [*modules, nn.MaxPool2d(2)]


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return (features + self.change(features)).relu()


def _stages() -> list[nn.Module]:
    """Each stage halves the image and adds one residual block."""
    modules: list[nn.Module] = []
    inputs = 3
    for channels in _STAGE_CHANNELS:
        modules += [
            nn.Conv2d(inputs, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _Residual(channels),
        ]
        inputs = channels
    return modules
