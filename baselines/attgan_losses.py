"""AttGAN's losses, as ``trainD`` and ``trainG`` of AttGAN-PyTorch compute them.

They take the edited and the reconstructed images, whatever made them, so that a method that
replaces AttGAN's decoding can train with the same losses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.nets.attgan import Discriminators

Mode = Literal["wgan", "lsgan", "dcgan"]


@dataclass(frozen=True)
class Objective:
    """Which adversarial loss, and the weights of the other terms.

    Attributes:
        mode: ``wgan`` penalizes gradients between real and edited images, ``lsgan`` and ``dcgan``
            around the real ones (as in DRAGAN).
        reconstruction: lambda_1, of the L1 reconstruction error.
        generator_class: lambda_2, of the edited images' attribute error.
        discriminator_class: lambda_3, of the real images' attribute error.
        penalty: Of the gradient penalty.
    """

    mode: Mode = "wgan"
    reconstruction: float = 100.0
    generator_class: float = 10.0
    discriminator_class: float = 1.0
    penalty: float = 10.0


def discriminator_losses(
    discriminators: Discriminators,
    objective: Objective,
    images: Tensor,
    labels: Tensor,
    fake: Tensor,
    alpha: Tensor,
    beta: Tensor | None = None,
) -> dict[str, Tensor]:
    """What the discriminators minimize (``trainD`` of the reference).

    Args:
        discriminators: The critic and the classifier.
        objective: Mode and weights.
        images: Real images (N, C, H, W).
        labels: Their attributes (N, A) in {0, 1}.
        fake: Edited images (N, C, H, W), without gradient.
        alpha: (N, 1, 1, 1) in [0, 1]: where on its way the gradient is penalized.
        beta: (N, C, H, W) in [0, 1]: the way around real images; ``wgan`` needs none.

    Returns:
        The unweighted ``adversarial``, ``penalty`` and ``classification`` and the weighted
        ``total``; scalars.
    """
    realness, classes = discriminators(images)
    toward = fake
    if objective.mode != "wgan":
        assert beta is not None
        toward = images + 0.5 * images.std() * beta  # one number for the whole batch
    terms = {
        "adversarial": critic_loss(objective.mode, realness, discriminators.realness(fake)),
        "penalty": gradient_penalty(discriminators, images, toward, alpha),
        "classification": F.binary_cross_entropy_with_logits(classes, labels),
    }
    total = terms["adversarial"] + objective.penalty * terms["penalty"]
    return {**terms, "total": total + objective.discriminator_class * terms["classification"]}


def generator_losses(
    discriminators: Discriminators,
    objective: Objective,
    images: Tensor,
    target: Tensor,
    fake: Tensor,
    reconstruction: Tensor,
) -> dict[str, Tensor]:
    """What the generator minimizes (``trainG`` of the reference).

    Args:
        discriminators: The critic and the classifier; they get no gradient.
        objective: Mode and weights.
        images: Real images (N, C, H, W).
        target: The attributes (N, A) in {0, 1} that ``fake`` should have.
        fake: Edited images (N, C, H, W).
        reconstruction: The images decoded with their own attributes.

    Returns:
        The unweighted ``adversarial``, ``classification`` and ``reconstruction`` and the weighted
        ``total``; scalars.
    """
    discriminators.requires_grad_(False)
    realness, classes = discriminators(fake)
    discriminators.requires_grad_(True)
    terms = {
        "adversarial": deception_loss(objective.mode, realness),
        "classification": F.binary_cross_entropy_with_logits(classes, target),
        "reconstruction": F.l1_loss(reconstruction, images),
    }
    total = terms["adversarial"] + objective.generator_class * terms["classification"]
    return {**terms, "total": total + objective.reconstruction * terms["reconstruction"]}


def critic_loss(mode: Mode, real: Tensor, fake: Tensor) -> Tensor:
    """Adversarial loss of the critic's outputs (N, 1) on real and on edited images."""
    if mode == "wgan":
        return fake.mean() - real.mean()
    distance = _distance(mode)
    return distance(real, torch.ones_like(real)) + distance(fake, torch.zeros_like(fake))


def deception_loss(mode: Mode, fake: Tensor) -> Tensor:
    """Adversarial loss of the generator, from the critic's outputs (N, 1) on edited images."""
    return -fake.mean() if mode == "wgan" else _distance(mode)(fake, torch.ones_like(fake))


def gradient_penalty(
    discriminators: Discriminators, images: Tensor, toward: Tensor, alpha: Tensor
) -> Tensor:
    """Mean squared distance from 1 of the critic's gradient norm, on the way between two images.

    Args:
        discriminators: Only the critic is used.
        images: Real images (N, C, H, W).
        toward: The images at the way's end.
        alpha: (N, 1, 1, 1), the share of the way.

    Returns:
        A scalar, differentiable with respect to the critic.
    """
    between = torch.lerp(images, toward, alpha).requires_grad_(True)
    realness = discriminators.realness(between)
    (gradient,) = torch.autograd.grad(realness.sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def _distance(mode: Mode) -> Callable[[Tensor, Tensor], Tensor]:
    return F.mse_loss if mode == "lsgan" else F.binary_cross_entropy_with_logits
