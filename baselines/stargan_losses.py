"""StarGAN's losses (Choi et al. 2018, section 3; the method train of the official solver.py)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LabelType = Literal["multi-label", "classes"]
Terms = dict[str, Tensor]


def discriminator_terms(
    discriminator: nn.Module,
    images: Tensor,
    fake: Tensor,
    source: Tensor,
    share: Tensor,
    label_type: LabelType,
) -> Terms:
    """The discriminator's loss terms, before their weights (solver.py, train).

    Args:
        discriminator: Images -> patch scores and class logits.
        images: (N, C, H, W) real images.
        fake: (N, C, H, W) edited images, without a graph.
        source: (N, A), the attributes of ``images``.
        share: (N, 1, 1, 1) in [0, 1], the share of ``images`` in what the penalty looks at.
        label_type: See ``classification_loss``.

    Returns:
        ``discriminator_real``, ``discriminator_fake``, ``discriminator_classification`` and
        ``penalty``, scalars.
    """
    count = len(images)
    scores, logits = discriminator(torch.cat([images, fake]))  # no norm: one pass is two
    return {
        "discriminator_real": -scores[:count].mean(),
        "discriminator_fake": scores[count:].mean(),
        "discriminator_classification": classification_loss(logits[:count], source, label_type),
        "penalty": gradient_penalty(discriminator, share * images + (1 - share) * fake),
    }


def generator_terms(
    discriminator: nn.Module, fake: Tensor, target: Tensor, label_type: LabelType
) -> Terms:
    """The generator's adversarial and class terms for edited images (N, C, H, W).

    Args:
        discriminator: Images -> patch scores and class logits.
        fake: (N, C, H, W) edited images with a graph.
        target: (N, A), the attributes they shall have.
        label_type: See ``classification_loss``.

    Returns:
        ``generator_fake`` and ``generator_classification``, scalars.
    """
    scores, logits = discriminator(fake)
    return {
        "generator_fake": -scores.mean(),
        "generator_classification": classification_loss(logits, target, label_type),
    }


def reconstruction_loss(images: Tensor, restored: Tensor) -> Tensor:
    """Mean absolute difference of images and what came back of them, (N, C, H, W) each."""
    return (images - restored).abs().mean()


def classification_loss(logits: Tensor, labels: Tensor, label_type: LabelType) -> Tensor:
    """Mean over images of the binary cross entropies' sum, or of the softmax cross entropy.

    Args:
        logits: (N, A).
        labels: (N, A) in {0, 1}; for ``classes``, one of each row is 1.
        label_type: ``multi-label`` or ``classes``.
    """
    if label_type == "classes":
        return F.cross_entropy(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(logits)


def gradient_penalty(discriminator: nn.Module, images: Tensor) -> Tensor:
    """Mean over images of (|gradient of the patch scores' sum| - 1)^2.

    Args:
        discriminator: Images -> patch scores and class logits.
        images: (N, C, H, W), mixtures of real and edited images, without a graph.
    """
    images = images.detach().requires_grad_(True)
    scores, _ = discriminator(images)
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
