"""What the reconstruction track asks of a method: latents of images and images of latents.

Whatever a method gives is checked, images are clipped as they would be saved, and the time of
encoding and decoding is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.base import Inverter
from baselines.randomness import Draws
from bench.errors import BenchError
from bench.tracks.outputs import checked_images, require_finite
from bench.tracks.pace import Pace
from metrics.pixels import mean_absolute_errors

_ONE_STEP = 2.0 / 255.0  # of 8 bits, in [-1, 1]


class Inversion:
    """An inverter under test.

    Args:
        method: In evaluation mode.
        shape: Channels, height and width of the images.
        device: Where the method is.

    Attributes:
        method: The method.
        device: Where it is.
        encoding: The pace of ``encode``.
        decoding: The pace of ``decode``.

    Raises:
        BenchError: Its latents are no vectors.
        Diverged: They are NaN or infinite.
    """

    def __init__(self, method: Inverter, shape: tuple[int, int, int], device: torch.device) -> None:
        self.method, self.device = method, device
        self.encoding, self.decoding = Pace(), Pace()
        self._shape = shape
        self._dim: int | None = None
        self._dim = self.prior(1, seed=0).shape[1]

    @property
    def name(self) -> str:
        return type(self.method).__name__

    @property
    def dim(self) -> int:
        """Numbers in a latent, D."""
        assert self._dim is not None
        return self._dim

    def prior(self, count: int, seed: int) -> Tensor:
        """``count`` latents (N, D) of the prior, a function of ``seed``."""
        latents = self.method.sample_latents(count, Draws(seed, 0, 0, 1, self.device))
        return self._checked_latents(latents, count, "sample_latents")

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, D) of images (N, C, H, W) in [-1, 1].

        Raises:
            BenchError: They have another shape.
            Diverged: They are NaN or infinite.
        """
        with self.encoding.taking(len(images), self.device):
            latents = self.method.encode(images)
        return self._checked_latents(latents, len(images), "encode")

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) of latents (N, D), clipped to [-1, 1].

        Raises:
            BenchError: They have another shape than the dataset's.
            Diverged: They are NaN or infinite.
        """
        with self.decoding.taking(len(latents), self.device):
            images = self.method.decode(latents)
        return checked_images(images, (len(latents), *self._shape), self.name)

    def shares_space(self, latents: Tensor, images: Tensor) -> bool:
        """Whether images (N, C, H, W) were made of latents (N, E) by the decoder of this method.

        Then, and only then, the latents are those that the encoder looks for.
        """
        if latents.shape[1] != self.dim:
            return False
        errors = mean_absolute_errors(self.decode(latents.to(self.device)), images)
        return bool((errors < _ONE_STEP).all())

    def _checked_latents(self, latents: Tensor, count: int, source: str) -> Tensor:
        shape = tuple(latents.shape)
        if shape[:1] != (count,) or len(shape) != 2 or self._dim not in (None, shape[1]):
            raise BenchError(
                f"{self.name}.{source} made latents of shape {shape} in place of "
                f"({count}, {self._dim or 'D'}); an Inverter has one vector for each image."
            )
        require_finite(latents, f"Latents of {source}", self.name)
        return latents
