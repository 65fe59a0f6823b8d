"""What the disentanglement track asks of a method: codes of images, and images of codes.

Whatever a method gives is checked, images are clipped as they would be saved, and the time of
encoding is taken. A method without ``decode`` has codes only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from baselines.base import Representer
from bench.data.base import Dataset
from bench.errors import BenchError
from bench.tracks.outputs import checked_images, require_finite
from bench.tracks.pace import Pace
from metrics.disentanglement.inputs import Codes


class Representation:
    """A representer under test.

    Args:
        method: In evaluation mode.
        dataset: Where images come from, and the shape that decoded ones have.
        batch_size: Images, or codes, at a time.
        device: Where the method is.

    Attributes:
        method: The method.
        dataset: Likewise.
        device: Where the method is.
        pace: How fast it encodes.
    """

    def __init__(
        self, method: Representer, dataset: Dataset, *, batch_size: int, device: torch.device
    ) -> None:
        self.method, self.dataset, self.device = method, dataset, device
        self.pace = Pace()
        self._batch_size = batch_size

    @property
    def name(self) -> str:
        return type(self.method).__name__

    @property
    def decodes(self) -> bool:
        """Whether the method makes images of codes."""
        # Of the class: a network that is kept under this name is no such method.
        return callable(getattr(type(self.method), "decode", None))

    def codes(self, places: Tensor, report: Callable[[str, int, int], None]) -> Codes:
        """Codes, float32 (N, K), of the dataset's images at ``places``, int64 (N,).

        Args:
            places: Where the images are in the dataset.
            report: Called with the task, how far it is, and how far it goes.

        Raises:
            BenchError: The method gives no table of at least two codes.
            Diverged: Codes are NaN or infinite.
        """
        batches: list[Codes] = []
        done = 0
        for part in places.split(self._batch_size):
            images = self.dataset.batch(part)[0].to(self.device)
            with self.pace.taking(len(part), self.device):
                codes = self.method.represent(images)
            batches.append(self._checked_codes(codes, len(part)))
            done += len(part)
            report("encoding images", done, len(places))
        return np.concatenate(batches)

    def images(self, codes: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], on the CPU, of codes (N, K); asks for ``decode``.

        Raises:
            BenchError: The images have another shape than the dataset's.
            Diverged: They are NaN or infinite.
        """
        decode: Callable[[Tensor], Tensor] = self.method.decode  # type: ignore[assignment]
        batches = [decode(part.to(self.device)).cpu() for part in codes.split(self._batch_size)]
        shape = (len(codes), self.dataset.channels, self.dataset.size, self.dataset.size)
        return checked_images(torch.cat(batches), shape, self.name)

    def _checked_codes(self, codes: Tensor, count: int) -> Codes:
        if codes.ndim != 2 or len(codes) != count or codes.shape[1] < 2:
            raise BenchError(
                f"{self.name}.represent gave shape {tuple(codes.shape)} of {count} images; the "
                "track compares codes and needs two or more for each image."
            )
        require_finite(codes, "Codes", self.name)
        return codes.float().cpu().numpy()
