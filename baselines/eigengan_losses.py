"""The losses of EigenGAN: five adversarial families, gradient penalties and orthogonality.

He et al., "EigenGAN: Layer-Wise Eigen-Learning for GANs" (ICCV 2021). Adversarial losses and
penalties are those of LynnHo/EigenGAN-Tensorflow (tfprob/gan), orthogonality is measured as there
or as in the PyTorch port within InfoSCC-GAN.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_orthogonality(bases: Sequence[Tensor]) -> Tensor:
    """The port's: mean of (U U^T - I)^2 over entries and bases.

    Args:
        bases: (K, D) each, with one vector in a row.
    """
    return torch.stack([_deviation(basis).square().mean() for basis in bases]).mean()


def orthogonality_per_level(bases: Sequence[Tensor]) -> Tensor:
    """The original's: half the sum of (U U^T - I)^2 over entries; (B,), to be summed.

    Args:
        bases: B of them, (K, D) each, with one vector in a row.
    """
    return torch.stack([0.5 * _deviation(basis).square().sum() for basis in bases])


def _deviation(basis: Tensor) -> Tensor:
    """How the Gram matrix of a basis differs from that of an orthonormal one, (K, K)."""
    identity = torch.eye(len(basis), device=basis.device, dtype=basis.dtype)
    return basis @ basis.T - identity
