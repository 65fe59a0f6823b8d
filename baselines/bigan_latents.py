"""What latents of BiGAN's program are like: their prior, and what an encoder's output says of them.

The kinds are those of jeffdonahue/bigan (dist.py), whose names they keep: ``u``, the program's
default, and its variants ``ul``, ``ulc`` and ``ut`` are uniform in [-1, 1], ``g`` and ``gv`` normal
with variance 2 ln 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.randomness import Draws

LatentKind = Literal["u", "ul", "ulc", "ut", "g", "gv"]

_DEVIATION = math.sqrt(2 * math.log(2))


@dataclass(frozen=True)
class Latents:
    """Latents of one kind.

    Attributes:
        kind: ``u`` reads the encoder's output as logits of (z + 1) / 2; ``ul`` as z itself, ``ulc``
            likewise but clamped to the prior's range, ``ut`` through a tanh; ``g`` as z itself, and
            ``gv`` as mean and logarithm of the variance of z.
        dim: Width D of the latents.
        log_variance_bias: Added to the logarithm of the variance (``gv`` only).
    """

    kind: LatentKind
    dim: int
    log_variance_bias: float = -5.0

    @property
    def outputs(self) -> int:
        """How many numbers an encoder returns for an image."""
        return 2 * self.dim if self.kind == "gv" else self.dim

    @property
    def normal(self) -> bool:
        """Whether the prior is normal; it is uniform otherwise."""
        return self.kind in ("g", "gv")

    def draw(self, purpose: str, count: int, draws: Draws) -> Tensor:
        """``count`` latents (N, D) of the prior."""
        if self.normal:
            return _DEVIATION * draws.normal(purpose, count, self.dim)
        return 2 * draws.uniform(purpose, count, self.dim) - 1

    def error(self, output: Tensor, z: Tensor) -> Tensor:
        """How far an encoder's output is from the latents of its images (recon_error).

        Args:
            output: (N, ``outputs``).
            z: (N, D).

        Returns:
            (N,), summed over the dimensions: binary cross entropy (``u``), negative log likelihood
            without its constant (``gv``) or half the squared distance (else; ``ulc`` before it is
            clamped).
        """
        if self.kind == "u":
            likelihood = F.binary_cross_entropy_with_logits(output, (z + 1) / 2, reduction="none")
            return likelihood.sum(dim=1)
        if self.kind == "gv":
            mean, log_variance = self._parts(output)
            squares = (mean - z).square() / log_variance.exp()
            return (log_variance + squares).sum(dim=1) / 2
        found = torch.tanh(output) if self.kind == "ut" else output
        return (found - z).square().sum(dim=1) / 2

    def most_likely(self, output: Tensor) -> Tensor:
        """The latents (N, D) that an output (N, ``outputs``) stands for (logits_to_recon)."""
        if self.kind == "u":
            return 2 * torch.sigmoid(output) - 1
        if self.kind == "ulc":
            return output.clamp(-1, 1)
        if self.kind == "ut":
            return torch.tanh(output)
        return output[:, : self.dim]

    def sample(self, output: Tensor, noise: Tensor) -> Tensor:
        """Latents (N, D) drawn by ``noise`` (N, D) for ``gv``, else the most likely ones."""
        if self.kind != "gv":
            return self.most_likely(output)
        mean, log_variance = self._parts(output)
        return mean + (log_variance / 2).exp() * noise

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = output.chunk(2, dim=1)
        return mean, log_variance + self.log_variance_bias
