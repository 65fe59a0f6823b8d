"""The latent regressor: an ordinary GAN, and an encoder that finds the latents of its images.

The baseline of Donahue et al., "Adversarial Feature Learning" (ICLR 2017, section 4), as their code
has it (jeffdonahue/bigan with ``--discrim_weight 1 --encode_weight 1``). The encoder never learns
from real images, and its loss is no squared error: the default is a binary cross entropy between
the sigmoid of its output and latents scaled to [0, 1], averaged over the dimensions. With
``encode_gen_weight`` above 0 the generator helps it (the joint latent regressor, 0.25).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from baselines.base import TrainingData
from baselines.bigan import AdversarialStage, BiGAN, BiGANConfig, discriminator_loss


class LatentRegressorConfig(BiGANConfig):
    """Settings of the latent regressor.

    Attributes:
        encode_gen_weight: Of the encoder's error in what encoder and generator then minimise
            together; at 0 the encoder learns alone.
    """

    encode_gen_weight: float = Field(0.0, ge=0)


class LatentRegressor(BiGAN):
    """The generator, the encoder, and a discriminator that sees images only."""

    Config = LatentRegressorConfig
    joint: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "iterations": 700,
            "batch_size": 32,
            "z_dim": 32,
            "generator_width": 16,
            "feature_width": 16,
            "learning_rate": 2e-3,
            "final_rate": 0.05,
            "discriminator_rate_share": 0.1,
            "statistics_batches": 20,
        },
        "smoke": {**BiGAN.presets["smoke"]},
    }

    config: LatentRegressorConfig

    def adversarial_stage(self, data: TrainingData) -> AdversarialStage:
        return RegressionStage(self, data)


class RegressionStage(AdversarialStage):
    """In each step, one pass through all networks and one update of each."""

    method: LatentRegressor

    def losses(self, images: Tensor, z: Tensor, noise: Tensor) -> dict[str, Tensor]:
        method, weight = self.method, self.method.config.encode_gen_weight
        fake = method.generator(z)
        data_logit, sample_logit = method.discriminator(images), method.discriminator(fake)
        output = method.encoder(fake if weight else fake.detach())
        error = method.latents.error(output, z).mean() / method.latents.dim
        return {
            "discriminator": discriminator_loss(data_logit, sample_logit),
            "encoder_generator": generator_loss(sample_logit) + (weight or 1) * error,
        }


def generator_loss(sample_logit: Tensor) -> Tensor:
    """What the generator of an ordinary GAN minimises for D(G(z)), (N, 1), non-saturating."""
    return F.softplus(-sample_logit).mean()
