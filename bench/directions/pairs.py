"""Pairs of images that differ in one direction of a discovery run, made when they are asked for.

The data set of image pairs of Zhu, Xu and Tao, "ContraFeat" (AAAI 2023, arXiv 2212.07277, appendix
B), as their program makes it (zhuxinqimac/stylegan2-ada-pytorch, save_imagepair_dataset.py): a code
w moved by -s and by +s along one direction, each direction as often as any other, with duplicates
among the directions left out. Pair i is a function of the run's seed and of i; images are rounded
to 8 bits, as those of a file are, and kept where they take no more than a gigabyte.

One thing differs from the program. It keeps duplicates in the draw and moves nothing along them, so
that most of its pairs may be of equal images; here they are not drawn. Labels are the discovery
method's own numbers of the directions all the same.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.base import DirectionPairs, Discoverer, FeatureExtractor
from baselines.contrafeat_losses import Contrast, pairwise_similarity
from baselines.randomness import derive_seed, integers, normals
from bench.data.base import Dataset
from bench.directions.runs import DirectionOptions, DirectionRun
from bench.errors import BenchError
from bench.spec import RunSpec
from bench.trained import Trained, load_trained

_PIXELS_AT_ONCE = 16 * 64 * 64  # of one side of pairs
_KEPT = 1 << 30  # bytes
_UNCHANGED = 1e-6  # of features; below it, a direction does nothing


def open_direction_pairs(
    spec: RunSpec, dataset: Dataset, device: torch.device
) -> RunDirectionPairs:
    """The pairs that a run asks for.

    Args:
        spec: Its ``directions`` name the discovery run.
        dataset: Says how large its images are.
        device: Where the generator goes.

    Raises:
        BenchError: The discovery run cannot be read, or makes images of another shape.
    """
    assert spec.directions is not None
    run = DirectionRun.read(Path(spec.directions))
    trained = load_trained(run.folder, device.type)
    generator, shape = trained.parts.generator, (dataset.channels, dataset.size, dataset.size)
    found = _image_shape(generator, device)
    if found != shape:
        raise BenchError(
            f"The generator of {run.folder} makes images of {found[1]} pixels with {found[0]} "
            f"channels, and those of {dataset.name} have {shape[1]} with {shape[0]}: set "
            f"dataset.size={found[1]}, or give --directions a run with another generator."
        )
    options = DirectionOptions.model_validate(spec.direction_options)
    return RunDirectionPairs(trained, run, options, shape, spec.seed, device)


class RunDirectionPairs:
    """Pairs of the directions of a discovery run.

    Args:
        trained: The discovery run's method, generator and extractor.
        run: Its edit scale and hash.
        options: How pairs are made.
        shape: Channels, height and width of the images.
        seed: All draws derive from it.
        device: Where images are made.

    Attributes:
        num_directions: How many directions the run has, duplicates included.
        sha256: Stands for the discovery run.
    """

    def __init__(
        self,
        trained: Trained,
        run: DirectionRun,
        options: DirectionOptions,
        shape: tuple[int, int, int],
        seed: int,
        device: torch.device,
    ) -> None:
        assert isinstance(trained.method, Discoverer)  # as of all runs of the track
        self._trained, self._options = trained, options
        self._method, self._generator = trained.method, trained.parts.generator
        self._device, self._seed = device, derive_seed(seed, "direction pairs")
        self._scale = options.scale or run.scale
        self._at_once = max(1, _PIXELS_AT_ONCE // shape[1] ** 2)
        self.num_directions = trained.method.num_directions
        self.sha256 = run.sha256
        kept = min(options.pairs, _KEPT // (2 * int(np.prod(shape))))
        # Memory is taken up by what has been written only.
        self._pixels = np.empty((kept, 2, *shape), np.uint8)
        self._made = np.zeros(kept, np.bool_)

    def draw(self, seed: int, count: int) -> DirectionPairs:
        """``count`` pairs, any of them as likely as any other; a function of ``seed``.

        Returns:
            Pairs on the CPU; labels are the discovery method's numbers of directions.

        Raises:
            BenchError: No direction changes anything.
        """
        numbers = integers(seed, 0, count, self._options.pairs)
        pixels = torch.from_numpy(self._read(numbers)).float().div_(127.5).sub_(1)
        return DirectionPairs(pixels[:, 0], pixels[:, 1], self._directions(numbers))

    @cached_property
    def directions(self) -> tuple[int, ...]:
        """Those directions that are no duplicates of earlier ones and do change something.

        Raises:
            BenchError: There is none.
        """
        changes = self._mean_changes()
        active = torch.stack([maps.abs().flatten(1).amax(1) for maps in changes]).amax(0)
        found = [
            k
            for k in range(self.num_directions)
            if active[k] > _UNCHANGED and _nearest(changes, k) <= self._options.similarity
        ]
        if not found:
            raise BenchError(
                f"None of the {self.num_directions} directions of {self._trained.folder} changes "
                "images: give --directions another run, or raise --set directions.scale."
            )
        return tuple(found)

    def _directions(self, numbers: Tensor) -> Tensor:
        """The direction, int64 (N,), of each pair."""
        seed = derive_seed(self._seed, "directions")
        among = torch.tensor(self.directions)
        places = [integers(seed, number, 1, len(among)) for number in numbers.tolist()]
        return among[torch.cat(places)]

    def _read(self, numbers: Tensor) -> Any:
        """uint8 (N, 2, C, H, W), made where they are not kept."""
        kept = numbers < len(self._made)
        new = numbers[kept][~self._made[numbers[kept].numpy()]].unique()
        self._pixels[new.numpy()] = self._make(new)
        self._made[new.numpy()] = True
        pixels = np.empty((len(numbers), *self._pixels.shape[1:]), np.uint8)
        pixels[kept.numpy()] = self._pixels[numbers[kept].numpy()]
        pixels[~kept.numpy()] = self._make(numbers[~kept])
        return pixels

    @torch.no_grad()
    def _make(self, numbers: Tensor) -> Any:
        """uint8 (N, 2, C, H, W); always as many images at a time, so that a pair has its bits."""
        pixels = np.empty((len(numbers), *self._pixels.shape[1:]), np.uint8)
        for start in range(0, len(numbers), self._at_once):
            some = numbers[start : start + self._at_once]
            full = torch.cat([some, some[-1:].expand(self._at_once - len(some))])
            codes = self._codes("codes", full)
            directions = self._directions(full).to(self._device)
            for side, step in enumerate((-self._scale, self._scale)):
                images = self._images(codes, directions, step)
                bytes_ = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
                pixels[start : start + len(some), side] = bytes_[: len(some)].cpu().numpy()
        return pixels

    def _codes(self, purpose: str, numbers: Tensor) -> Tensor:
        """Layer codes (N, L, D); code i depends on the seed and on i only."""
        seed, width = derive_seed(self._seed, purpose), self._generator.z_dim
        z = torch.cat([normals(seed, number, 1, width) for number in numbers.tolist()])
        codes: Tensor = self._generator.mapping(z.to(self._device))
        return codes

    def _images(self, codes: Tensor, direction: Tensor | int, step: float) -> Tensor:
        moved = self._method.shift(codes, direction, step)
        images: Tensor = self._generator.synthesis(moved, noise_mode="const")
        return images

    @torch.no_grad()
    def _mean_changes(self) -> list[Tensor]:
        """For each layer (K, C, h, w), the mean change of features by each direction."""
        extractor = self._extractor()
        sums: list[list[Tensor]] = []
        for numbers in torch.arange(self._options.codes).split(self._at_once):
            codes = self._codes("duplicates", numbers)
            found = [self._changes(extractor, codes, k) for k in range(self.num_directions)]
            sums = (
                [list(map(torch.add, *pair)) for pair in zip(sums, found, strict=True)]
                if sums
                else found
            )
        return [torch.stack(maps) / self._options.codes for maps in zip(*sums, strict=True)]

    def _changes(self, extractor: FeatureExtractor, codes: Tensor, direction: int) -> list[Tensor]:
        """For each layer (C, h, w), the sum over codes of the change of features."""
        before, after = (
            extractor.feature_maps(self._images(codes, direction, step))
            for step in (-self._scale, self._scale)
        )
        return [(b - a).sum(0) for a, b in zip(before, after, strict=True)]

    def _extractor(self) -> FeatureExtractor:
        name = self._trained.spec.extractor
        assert name is not None  # the track discovery asks for one
        extractor: FeatureExtractor = self._trained.parts.extractor(name)
        return extractor


def _nearest(changes: list[Tensor], direction: int) -> float:
    """The largest similarity of a direction's changes, summed over layers, to an earlier one's."""
    if direction == 0:
        return 0.0
    contrast = Contrast(mask_position="outside")  # otherwise than in the training
    layers = [
        pairwise_similarity(maps[direction : direction + 1], maps[:direction], contrast)
        for maps in changes
    ]
    return float(torch.stack(layers).sum(0).max())


@torch.no_grad()
def _image_shape(generator: Any, device: torch.device) -> tuple[int, int, int]:
    """Channels, height and width of a generator's images."""
    codes = generator.mapping(torch.zeros(1, generator.z_dim, device=device))
    _, channels, height, width = generator.synthesis(codes, noise_mode="const").shape
    return channels, height, width
