"""What the conditional track asks of a method: images for labels, and what it thinks of images.

Whatever a method gives is checked, images are clipped as they would be saved, and the time of
sampling is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from baselines.base import ConditionalGenerator, LatentAxis
from baselines.randomness import Draws, derive_seed
from bench.errors import BenchError, Diverged
from bench.tracks.pace import Pace

_REMEDY = "train it again with a lower learning rate."


@dataclass(frozen=True)
class Traversals:
    """Latents that can be moved along single axes.

    Attributes:
        axes: The axes.
        base: (1, D), the latents that are moved.
    """

    axes: tuple[LatentAxis, ...]
    base: Tensor

    def layer(self, layer: int) -> list[LatentAxis]:
        """The axes of a layer."""
        return [axis for axis in self.axes if axis.layer == layer]

    @property
    def layers(self) -> list[int]:
        return sorted({axis.layer for axis in self.axes})


class Sampler:
    """A conditional generator under test.

    Args:
        method: In evaluation mode.
        shape: Channels, height and width of the images.
        attributes: How many columns labels have.
        seed: All draws derive from it.
        batch_size: Images at a time.
        device: Where the method is.

    Attributes:
        method: The method.
        device: Where it is.
        pace: How fast it samples.
    """

    def __init__(
        self,
        method: ConditionalGenerator,
        shape: tuple[int, int, int],
        attributes: int,
        *,
        seed: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.method, self.device = method, device
        self.pace = Pace()
        self._shape, self._attributes = shape, attributes
        self._seed, self._batch_size = seed, batch_size

    @property
    def name(self) -> str:
        return type(self.method).__name__

    @property
    def encodes(self) -> bool:
        """Whether the method has an encoder of its own, ``features``."""
        return self._has("features")

    @property
    def classifies(self) -> bool:
        """Whether the method has a classifier of its own, ``classify``."""
        return self._has("classify")

    def samples(self, labels: Tensor, purpose: str) -> Iterator[Tensor]:
        """Images (n, C, H, W) of labels (N, A), batch by batch.

        The last batch is filled up and cut: image i then has the i-th draws, whatever the size of
        batches, and none has those of another.

        Args:
            labels: Float, of 0 and 1.
            purpose: Names the draws.

        Raises:
            BenchError: The images have another shape than the dataset's.
            Diverged: They are NaN or infinite.
        """
        size = min(self._batch_size, len(labels))
        seed = derive_seed(self._seed, "conditional", purpose)
        for number, part in enumerate(labels.split(size)):
            missing = size - len(part)
            full = torch.cat([part, part[-1:].expand(missing, -1)]).to(self.device)
            draws = Draws(seed, number, 0, 1, self.device)
            with self.pace.taking(size, self.device):
                images = self.method.sample(full, draws)
            yield self._checked_images(images, size, "sample")[: len(part)]

    def classify(self, images: Tensor) -> Tensor:
        """The method's own probabilities, float64 (N, A) on the CPU, of images (N, C, H, W).

        Raises:
            BenchError: They have another shape, or lie outside of [0, 1].
            Diverged: They are NaN or infinite.
        """
        found = self._called("classify", images).double().cpu()
        if found.shape != (len(images), self._attributes):
            raise BenchError(
                f"{self.name}.classify gave shape {tuple(found.shape)} in place of "
                f"{(len(images), self._attributes)}, one probability for each attribute."
            )
        self._require_finite(found, "Probabilities of classify")
        if found.min() < 0.0 or found.max() > 1.0:
            raise BenchError(
                f"{self.name}.classify gave {found.min():.4g} to {found.max():.4g}, but "
                "probabilities lie in [0, 1]; take softmax or sigmoid of logits."
            )
        return found

    def features(self, images: Tensor) -> Tensor:
        """The method's own features, float32 (N, D) on the CPU, of images (N, C, H, W).

        Raises:
            BenchError: They are no vectors.
            Diverged: They are NaN or infinite.
        """
        found = self._called("features", images).float().cpu()
        if found.ndim != 2 or len(found) != len(images):
            raise BenchError(
                f"{self.name}.features gave shape {tuple(found.shape)} of {len(images)} images; "
                "it has one vector for each."
            )
        self._require_finite(found, "Features")
        return found

    def traversals(self) -> Traversals | None:
        """The axes and one latent of the prior, or None where a method has none."""
        if not all(map(self._has, ("axes", "sample_latents", "generate"))):
            return None
        method: Any = self.method
        axes: Sequence[LatentAxis] = method.axes()
        seed = derive_seed(self._seed, "conditional", "traversals")
        base: Tensor = method.sample_latents(1, Draws(seed, 0, 0, 1, self.device))
        columns = [axis.column for axis in axes]
        if base.ndim != 2 or len(base) != 1 or not all(0 <= i < base.shape[1] for i in columns):
            raise BenchError(
                f"{self.name}.sample_latents made latents of shape {tuple(base.shape)}, which do "
                f"not hold the columns of axes, up to {max(columns, default=0)}."
            )
        return Traversals(tuple(axes), base) if axes else None

    def generate(self, labels: Tensor, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) on the CPU of labels (N, A) and latents (N, D)."""
        method: Any = self.method
        batches = []
        for rows in torch.arange(len(labels)).split(self._batch_size):
            images = method.generate(labels[rows].to(self.device), latents[rows.to(self.device)])
            batches.append(self._checked_images(images, len(rows), "generate").cpu())
        return torch.cat(batches)

    def _has(self, name: str) -> bool:
        # Of the class: a network that is kept under this name is no such method.
        return callable(getattr(type(self.method), name, None))

    def _called(self, name: str, images: Tensor) -> Tensor:
        function: Callable[[Tensor], Tensor] = getattr(self.method, name)
        return function(images.to(self.device))

    def _checked_images(self, images: Tensor, count: int, source: str) -> Tensor:
        expected = (count, *self._shape)
        if tuple(images.shape) != expected:
            raise BenchError(
                f"{self.name}.{source} made images of shape {tuple(images.shape)} where the "
                f"dataset has {expected}; --set dataset.size changes what a method learns from."
            )
        self._require_finite(images, "Images sampled")
        return images.clamp(-1.0, 1.0)

    def _require_finite(self, values: Tensor, what: str) -> None:
        if not torch.isfinite(values).all():
            raise Diverged(f"{what} by {self.name} are NaN or infinite; {_REMEDY}")
