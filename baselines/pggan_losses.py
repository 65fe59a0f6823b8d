"""The losses of WGAN-GP with drift (Gulrajani et al. 2017; Karras et al. 2018, appendix A.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Criticism:
    """What a discriminator thinks of images.

    Attributes:
        real: (N,) scores of real images.
        fake: (N,) scores of generated images.
        mixed: (N,) scores of mixtures of both.
        norms: (N,) lengths of the scores' gradients at the mixtures.
    """

    real: Tensor
    fake: Tensor
    mixed: Tensor
    norms: Tensor


def criticism(
    discriminator: Callable[[Tensor], Tensor],
    reals: Tensor,
    fakes: Tensor,
    share: Tensor,
    repeats: int = 1,
) -> Criticism:
    """Scores of real, generated and mixed images, and gradients at the latter.

    Args:
        discriminator: Images -> scores (N, 1 or more), of which the first counts.
        reals: (N, C, H, W).
        fakes: (N, C, H, W), without a graph.
        share: (N, 1, 1, 1) in [0, 1], the part of ``fakes`` in the mixtures.
        repeats: Gradients are those at images whose pixels are repeated so often along both axes
            and averaged again, which the released program works on.
    """
    mixed = reals.lerp(fakes, share).requires_grad_(True)
    scores = discriminator(mixed)[:, 0]
    (gradients,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    return Criticism(
        real=discriminator(reals)[:, 0],
        fake=discriminator(fakes)[:, 0],
        mixed=scores,
        norms=gradients.flatten(1).norm(dim=1) / repeats,
    )


def discriminator_terms(found: Criticism, target: float = 1.0) -> Terms:
    """The discriminator's loss terms, image by image, before their weights (D_wgangp_acgan).

    Args:
        found: What it thinks.
        target: Gradients are to have this length, and the penalty is in its units.

    Returns:
        ``fake``, ``real``, ``penalty`` and ``drift``, (N,) each.
    """
    return {
        "fake": found.fake,
        "real": -found.real,
        "penalty": (found.norms / target - 1).square(),
        "drift": found.real.square(),
    }


def generator_terms(scores: Tensor) -> Terms:
    """The generator's only loss term, image by image, of its images' scores (N, 1 or more)."""
    return {"generator": -scores[:, 0]}
