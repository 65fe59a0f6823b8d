"""The losses of EigenGAN: five adversarial families, gradient penalties and orthogonality.

He et al., "EigenGAN: Layer-Wise Eigen-Learning for GANs" (ICCV 2021). Adversarial losses and
penalties are those of LynnHo/EigenGAN-Tensorflow (tfprob/gan), orthogonality is measured as there
or as in the PyTorch port within InfoSCC-GAN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AdversarialName = Literal["gan", "hinge_v1", "hinge_v2", "lsgan", "wgan"]
PenaltyName = Literal["none", "0-gp", "1-gp", "lp"]
OrthogonalityName = Literal["summed", "mean", "gram-schmidt"]

# What pulls logits up, before the mean; turned round, it pulls them down.
_PULL: dict[AdversarialName, Callable[[Tensor], Tensor]] = {
    "gan": lambda logits: F.softplus(-logits),
    "hinge_v1": lambda logits: F.relu(1 - logits),
    "hinge_v2": lambda logits: F.relu(1 - logits),
    "wgan": lambda logits: -logits,
}


def discriminator_losses(
    name: AdversarialName, real: Tensor, fake: Tensor
) -> tuple[Tensor, Tensor]:
    """What the discriminator minimizes for real and for generated images, to be added.

    Args:
        name: Of the family; ``lsgan`` pulls logits to 1 and 0.
        real: Logits of real images, any shape.
        fake: Logits of generated images.
    """
    if name == "lsgan":
        return (real - 1).square().mean(), fake.square().mean()
    return _PULL[name](real).mean(), _PULL[name](-fake).mean()


def generator_loss(name: AdversarialName, fake: Tensor) -> Tensor:
    """What the generator minimizes for logits of its images; see ``discriminator_losses``.

    The two hinge losses differ here only: ``hinge_v1``, the released default, asks for logits of 1,
    ``hinge_v2`` for ever larger ones.
    """
    if name == "lsgan":
        return (fake - 1).square().mean()
    return -fake.mean() if name == "hinge_v2" else _PULL[name](fake).mean()


def gradient_penalty(name: PenaltyName, logits: Tensor, images: Tensor) -> Tensor:
    """Mean over images of a penalty on the length of the logits' gradient.

    Args:
        name: ``0-gp`` is its square (R1 without the half), ``1-gp`` its squared distance from 1,
            ``lp`` the same for lengths above 1 only.
        logits: (N, 1), of ``images``.
        images: (N, C, H, W), which require gradients.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    if name == "0-gp":
        return gradient.square().sum(dim=(1, 2, 3)).mean()
    excess = gradient.flatten(1).norm(dim=1) - 1
    return (F.relu(excess) if name == "lp" else excess).square().mean()


def orthogonality(name: OrthogonalityName, bases: Sequence[Tensor]) -> Tensor:
    """How far bases (K, D) are from orthonormal ones, by the original's or the port's measure.

    Bases that are orthonormalised anyway are not measured: 0.
    """
    if name == "mean":
        return mean_orthogonality(bases)
    if name == "summed":
        return orthogonality_per_level(bases).sum()
    return bases[0].new_zeros(())


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
