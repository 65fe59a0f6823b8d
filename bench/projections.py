"""Projections of a user's images, kept as files and used again.

Images are compared by LPIPS on VGG-16, as NVIDIA's projector does, or on AlexNet, or, where the
weights of neither are there, by the feature network of the run. One file is kept for each image:
``<folder>/<hash>.safetensors``, whose hash covers the image, the generator, the network that
compares, and all settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from baselines.base import FeatureExtractor, LatentGenerator
from baselines.projection import Embedding, Projection, ProjectionSettings, project
from bench.allowed import wrong_settings_explained
from bench.errors import BenchError, MissingFile
from bench.extractors.lpips import Lpips, Net, load_lpips
from bench.files import whole_file
from bench.progress import Progress
from bench.trained import Trained

# Few steps leave the colours of flat regions to chance unless pixels count as well.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small": {"steps": 300, "pixel_weight": 1.0},
    "paper": {},
}

_VERSION = 1  # of what a file's hash stands for
_PIXELS_AT_ONCE = 16 * 64 * 64  # one image at a time from 256 px on
_NETS: tuple[Net, ...] = ("vgg", "alex")


def projection_settings(preset: str, changes: Mapping[str, Any]) -> ProjectionSettings:
    """The settings of ``small`` or ``paper`` with changes on top.

    Raises:
        BenchError: A setting is unknown or out of range.
    """
    with wrong_settings_explained(ProjectionSettings, changes, "setting of the projection"):
        return ProjectionSettings.model_validate({**PRESETS[preset], **changes})


@dataclass(frozen=True)
class Likeness:
    """What images are compared by.

    Attributes:
        name: ``lpips-vgg``, ``lpips-alex``, or that of a feature network.
        sha256: Hash of the network's weights.
        embed: Images to vectors whose squared Euclidean distance it is.
    """

    name: str
    sha256: str
    embed: Embedding

    @classmethod
    def best(cls, trained: Trained) -> Likeness:
        """LPIPS where its weights are there, or else the feature network of the run."""
        for net in _NETS:
            try:
                return cls.by_lpips(load_lpips(net, str(trained.parts.device)))
            except MissingFile:
                continue
        if trained.spec.extractor is None:
            raise BenchError(
                "Images cannot be compared: fetch the weights of LPIPS by `bench fetch vgg16`."
            )
        return cls.by_extractor(trained.parts.extractor(trained.spec.extractor))

    @classmethod
    def by_lpips(cls, lpips: Lpips) -> Likeness:
        """LPIPS itself (``metrics.perceptual.lpips_distances``)."""
        heads = [head.clamp(min=0) for head in lpips.heads]
        return cls(lpips.name, lpips.sha256, lambda x: _unit_vectors(lpips.activations(x), heads))

    @classmethod
    def by_extractor(cls, extractor: FeatureExtractor) -> Likeness:
        """The distance of ``bench.tracks.image_comparisons.feature_distance``."""

        def embed(images: Tensor) -> Tensor:
            maps = extractor.feature_maps(images)
            return _unit_vectors(maps, [images.new_tensor([1 / len(maps)])] * len(maps))

        return cls(extractor.name, extractor.sha256, embed)


@dataclass(frozen=True)
class Kept:
    """Projections with the files that keep them.

    Attributes:
        projection: On the CPU.
        paths: N files, of ``ws`` (L, D), ``distances`` (steps + 1,) and ``noise.0`` (r, r) on.
        reused: How many images had been projected before.
    """

    projection: Projection
    paths: list[Path]
    reused: int


@dataclass(frozen=True)
class Projector:
    """Projects images once.

    Attributes:
        generator: Makes the images.
        device: Where it is.
        likeness: What images are compared by.
        settings: How to search.
        folder: Where the codes are kept.
    """

    generator: LatentGenerator
    device: torch.device
    likeness: Likeness
    settings: ProjectionSettings
    folder: Path

    def project(self, images: Tensor, names: Sequence[str]) -> Kept:
        """Project those images that have not been before, with a bar.

        Args:
            images: (N, C, R, R) in [-1, 1].
            names: What they are called in messages.

        Raises:
            BenchError: The images are not like the generator's, or a search came to NaN.
        """
        paths = [self._path(image) for image in images]
        found = {path: _read(path) for path in paths}
        reused = sum(found[path] is not None for path in paths)
        # An image that is given twice is projected once.
        missing = {path: place for place, path in enumerate(paths) if found[path] is None}
        places = list(missing.values())
        at_once = max(1, _PIXELS_AT_ONCE // images[0, 0].numel())
        parts = [places[start : start + at_once] for start in range(0, len(places), at_once)]
        steps = self.settings.steps
        with Progress("projection", steps * len(parts), quiet=not parts) as progress:
            for number, part in enumerate(parts):
                on_step = partial(_tell, progress, number * steps)
                projection = self._search(images[part], [names[i] for i in part], on_step)
                for i, place in enumerate(part):
                    found[paths[place]] = one = _tensors(projection, i)
                    with whole_file(paths[place]) as temporary:
                        save_file(one, temporary)
        return Kept(_joined([found[path] or {} for path in paths]), paths, reused)

    def _search(
        self, images: Tensor, names: Sequence[str], on_step: Callable[[int], None]
    ) -> Projection:
        given = images.to(self.device)
        try:
            return project(self.generator, given, self.likeness.embed, self.settings, on_step)
        except ValueError as error:
            raise BenchError(f"{', '.join(names)}: {error} (settings change by --set).") from error

    def _path(self, image: Tensor) -> Path:
        """Where the codes of an image (C, R, R) are kept."""
        likeness = self.likeness.name, self.likeness.sha256
        settings = self.settings.model_dump_json()
        pixels = image.contiguous().cpu().numpy()
        decides = (_VERSION, self.generator.sha256, likeness, settings, pixels.shape)
        digest = hashlib.sha256(repr(decides).encode())
        digest.update(pixels.tobytes())
        return self.folder / f"{digest.hexdigest()[:16]}.safetensors"


def _tell(progress: Progress, before: int, done: int) -> None:
    progress.update(before + done)


def _unit_vectors(maps: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Vectors (N, F) whose squared distance compares feature maps (N, C, h, w) as LPIPS does.

    The channels of each position get unit length; squared differences are weighted by channel,
    (C,) or (1,), averaged over positions and summed over the maps.
    """
    parts = []
    for features, weight in zip(maps, weights, strict=True):
        scale = (weight / features[0, 0].numel()).sqrt()[:, None, None]
        parts.append((functional.normalize(features, dim=1, eps=1e-6) * scale).flatten(1))
    return torch.cat(parts, dim=1)


def _tensors(projection: Projection, place: int) -> dict[str, Tensor]:
    """What is kept of one image."""
    found = {"ws": projection.ws[place], "distances": projection.distances[place]}
    found |= {f"noise.{i}": noise[place, 0] for i, noise in enumerate(projection.noises)}
    return {name: tensor.cpu().contiguous() for name, tensor in found.items()}


def _joined(kept: Sequence[Mapping[str, Tensor]]) -> Projection:
    """The other way round, of several images."""
    layers = sum(name.startswith("noise.") for name in kept[0])
    noises = (torch.stack([one[f"noise.{i}"][None] for one in kept]) for i in range(layers))
    ws, distances = (torch.stack([one[name] for one in kept]) for name in ("ws", "distances"))
    return Projection(ws, tuple(noises), distances)


def _read(path: Path) -> dict[str, Tensor] | None:
    """What is kept in a file, or None where there is none, or a damaged one: it is made again."""
    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None
