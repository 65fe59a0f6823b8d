"""Losses of the encoder into StyleGAN2: equations 1 to 6 of Choi, Nguyen and Pham."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import TrainingData
from baselines.nets import stylegan2_loss

if TYPE_CHECKING:
    from baselines.stylegan2_encoder import StyleGAN2EncoderConfig

Terms = dict[str, Tensor]


def discriminator_losses(
    discriminator: nn.Module,
    config: StyleGAN2EncoderConfig,
    images: Tensor,
    fake: Tensor,
    restored: Tensor,
    source: Tensor,
    penalize: bool,
) -> Terms:
    """What the discriminator minimizes: equations 2 and 5, and now and then R1.

    Args:
        discriminator: Images -> patch scores and class logits.
        config: Weights, and what the class head learns from.
        images: Real images (N, C, H, W).
        fake: Edited images (N, C, H, W), without gradient.
        restored: Reconstructed images (N, C, H, W), without gradient.
        source: The attributes (N, A) of ``images``.
        penalize: Add the R1 penalty, with its weight times the interval.

    Returns:
        ``adversarial``, ``classification``, ``r1`` where it is asked for, and the ``total``.
    """
    count = len(images)
    images = images.detach().requires_grad_(penalize)
    shown = (
        [images, fake, restored] if config.classifier_images == "reconstructed" else [images, fake]
    )
    scores, classes = discriminator(torch.cat(shown))  # no norm: one pass is three
    realness = scores.mean(dim=(1, 2, 3))
    real = realness[:count]
    judged = classes[:count] if config.classifier_images == "real" else classes[2 * count :]
    losses = {
        "adversarial": stylegan2_loss.discriminator_loss(realness[count : 2 * count], real),
        "classification": F.binary_cross_entropy_with_logits(judged, source),
    }
    total = losses["adversarial"] + losses["classification"]
    if penalize:
        losses["r1"] = stylegan2_loss.r1_penalty(real, images).mean()
        total = total + config.r1_gamma / 2 * config.r1_interval * losses["r1"]
    return {**losses, "total": total}


def generator_losses(
    discriminator: nn.Module,
    config: StyleGAN2EncoderConfig,
    images: Tensor,
    fake: Tensor,
    restored: Tensor,
    target: Tensor,
    features: Callable[[Tensor, Tensor], Tensor] | None,
) -> Terms:
    """What encoder and vectors minimize: equations 1, 3 and 4.

    Args:
        discriminator: Images -> patch scores and class logits; it gets no gradient.
        config: The weights.
        images: Real images (N, C, H, W).
        fake: Edited images (N, C, H, W).
        restored: Reconstructed images (N, C, H, W).
        target: The attributes (N, A) that ``fake`` should have.
        features: See ``feature_distance``.

    Returns:
        The unweighted ``adversarial``, ``classification``, ``pixels`` and, with ``features``,
        ``features``, and the weighted ``total``.
    """
    discriminator.requires_grad_(False)
    scores, classes = discriminator(fake)
    discriminator.requires_grad_(True)
    losses = {
        "adversarial": stylegan2_loss.generator_loss(scores.mean(dim=(1, 2, 3))),
        "classification": F.binary_cross_entropy_with_logits(classes, target),
        "pixels": F.mse_loss(restored, images),
    }
    weights = (config.adversarial_weight, config.classification_weight, config.pixel_weight)
    weighted = [weight * loss for weight, loss in zip(weights, losses.values(), strict=True)]
    total = torch.stack(weighted).sum()
    if features is not None:
        losses["features"] = features(images, restored)
        total = total + config.feature_weight * losses["features"]
    return {**losses, "total": total}


def feature_distance(
    config: StyleGAN2EncoderConfig, data: TrainingData
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The squared distance of unit-length features, averaged over positions, layers and images.

    None where its weight is 0.

    Raises:
        ValueError: The run has no extractors.
    """
    if not config.feature_weight:
        return None
    if data.extractor is None or config.extractor is None:
        raise ValueError(
            "stylegan2-encoder compares features, and the run has no extractor for it: name one by "
            "--set extractor=vgg16, or add --set feature_weight=0."
        )
    extractor = data.extractor(config.extractor)

    def distance(images: Tensor, restored: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = extractor.feature_maps(images)
        found = extractor.feature_maps(restored)
        layers = [
            (F.normalize(one.float(), dim=1) - F.normalize(other.float(), dim=1)).square().sum(1)
            for one, other in zip(wanted, found, strict=True)
        ]
        return torch.stack([layer.mean() for layer in layers]).mean()

    return distance
