"""The adversarial losses of InfoSCC-GAN (Kinakh et al. 2021; vkinakh/InfoSCC-GAN, src/loss).

Predictions may be scalars of images or maps of patches: every mean is one over all elements. What
the released code calls ``lsgan`` squares twice, so that errors count by their fourth power; the
published results were trained so. The paper's own formula is ``power=2``.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from baselines.nets.stylegan2_loss import r1_penalty

LossName = Literal["hinge", "non-saturating", "lsgan"]


def discriminator_loss(name: LossName, real: Tensor, fake: Tensor, power: int = 4) -> Tensor:
    """What the discriminator minimizes.

    Args:
        name: ``hinge``: relu(1 - r) and relu(1 + f); ``non-saturating``: softplus(-r) and
            softplus(f); ``lsgan``: (1 - r)^power and f^power.
        real: Predictions for real images, of any shape.
        fake: Predictions for generated images, of any shape.
        power: Of ``lsgan``, even.

    Returns:
        Scalar, the mean over ``real`` plus the mean over ``fake``.
    """
    if name == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if name == "non-saturating":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return (1 - real).pow(power).mean() + fake.pow(power).mean()


def generator_loss(name: LossName, fake: Tensor, power: int = 4) -> Tensor:
    """What the generator minimizes; see ``discriminator_loss``.

    Under ``hinge`` it is mean relu(1 - f), which ends where the discriminator is convinced, not
    the usual mean of -f.

    Returns:
        Scalar.
    """
    if name == "hinge":
        return F.relu(1 - fake).mean()
    if name == "non-saturating":
        return F.softplus(-fake).mean()
    return (1 - fake).pow(power).mean()


def mean_r1(predictions: Tensor, images: Tensor) -> Tensor:
    """Mean over the batch of the squared gradient of all predictions' sum, before its weight.

    Args:
        predictions: Of any shape, computed from ``images``.
        images: (N, C, H, W) that require grad.

    Returns:
        Scalar, differentiable with respect to the discriminator.
    """
    return r1_penalty(predictions, images).mean()


def classification_loss(logits: Tensor, labels: Tensor, classes: bool) -> Tensor:
    """How far images are from their labels in the eyes of the classifier.

    Args:
        logits: (N, A) of the classifier.
        labels: (N, A) in {0, 1}, those asked for.
        classes: Whether exactly one label is set: cross entropy; otherwise the mean of the binary
            cross entropies.

    Returns:
        Scalar.
    """
    if classes:
        return F.cross_entropy(logits, labels.argmax(dim=1))
    return F.binary_cross_entropy_with_logits(logits, labels)
