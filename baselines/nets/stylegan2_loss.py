"""StyleGAN2's losses and regularisers (Karras et al. 2020, section 3; stylegan2-ada-pytorch)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss: mean softplus(-D(G(z)))."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(fake_logits: Tensor, real_logits: Tensor) -> Tensor:
    """Logistic loss: mean softplus(D(G(z))) + mean softplus(-D(x))."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the discriminator's gradient, for each image.

    The loss is ``gamma / 2`` times the mean; with lazy regularisation, times the interval.

    Args:
        logits: (N, 1), computed from ``images``.
        images: (N, C, H, W) real images that require grad.

    Returns:
        (N,), differentiable with respect to the discriminator.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Length of the generator's Jacobian, projected on random image noise, for each sample.

    Args:
        images: (N, C, H, W), computed from ``ws``.
        ws: (N, L, D) codes that the images depend on.
        noise: (N, C, H, W), standard normal.

    Returns:
        (N,): root over the mean over layers of the squared gradient summed over D.
    """
    scale = 1 / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum() * scale, ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(
    lengths: Tensor, mean: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Squared distance of the path lengths to their running mean.

    The new mean is part of the graph, as released: its share of the gradient is kept.

    Args:
        lengths: (N,), see ``path_lengths``.
        mean: Scalar, the running mean before this batch.
        decay: Weight of this batch in the running mean.

    Returns:
        Penalty for each sample (N,), and the new running mean (scalar).
    """
    new_mean = mean.lerp(lengths.mean(), decay)
    return (lengths - new_mean).square(), new_mean


def minimize(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take one step of an optimiser, with NaN in gradients replaced by 0, infinities by +-1e5.

    Args:
        loss: Scalar.
        optimizer: Of the parameters to change; gradients that they had are forgotten.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5)
    optimizer.step()
