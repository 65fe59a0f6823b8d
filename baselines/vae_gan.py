"""VAE-GAN: a variational autoencoder whose pictures are compared by a discriminator's features.

Larsen et al., "Autoencoding beyond pixels using a learned similarity metric" (ICML 2016), as
PrateekMunjal's program for CelebA has it (vae-gan.py, TensorFlow 1.9). Where they differ, the
defaults are the program's: the paper weighs one feature error by gamma in the decoder alone and the
divergence by 1; the program gives encoder and decoder weights of their own (``encoder_gamma``,
``decoder_gamma``) and divides the divergence by the batch size (``divergence_weight``). Its head
"variance" is the standard deviation of q(z|x).

What is done otherwise here: the losses are computed from logits, so that no log(0) can occur, which
the program does not exclude; and an image is encoded to the mean of q(z|x) by the moving
statistics, so that its latent depends on the image alone. The program draws a sample from q(z|x) by
the batch's own statistics. Of the passes that the program makes in each update for the sake of
moving statistics, those are left out that only move the discriminator's, which nothing reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from baselines.alternating import AlternatingConfig, AlternatingStage, Normals, Terms
from baselines.base import Inverter, Stage, TrainingData
from baselines.nets.tensorflow_conv import (
    Decoder,
    Tower,
    check_size,
    initialized,
    keep_statistics,
    load_networks,
)
from baselines.randomness import Draws
from baselines.realness import realness_loss

_DEVIATION = 0.02  # of the initial weights


class VAEGANConfig(AlternatingConfig):
    """Settings of VAE-GAN; the defaults are those of the program for CelebA at 64 px.

    Training length, batch size, Adam's beta1, the latents' size and the norms' momentum are
    inherited.

    Attributes:
        widths: Channels of the encoder's and the discriminator's convolutions, of which all but the
            last halve the images; the decoder has them the other way round.
        encoder_rate: Learning rate of Adam.
        decoder_rate: Likewise.
        discriminator_rate: Likewise.
        encoder_gamma: Weight of the feature error in the encoder's loss.
        decoder_gamma: Likewise in the decoder's.
        divergence_weight: Of KL(q(z|x) || N(0, I)) in the encoder's loss; None is 1 / batch_size.
    """

    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512)
    encoder_rate: float = Field(3e-4, ge=0)
    decoder_rate: float = Field(3e-4, ge=0)
    discriminator_rate: float = Field(1e-4, ge=0)
    encoder_gamma: float = Field(10.0, ge=0)
    decoder_gamma: float = Field(30.0, ge=0)
    divergence_weight: float | None = Field(None, ge=0)


class Encoder(Tower):
    """Images -> the mean and the standard deviation of q(z|x), Z numbers each."""

    def __init__(self, size: int, channels: int, widths: tuple[int, ...], z_dim: int) -> None:
        super().__init__(size, channels, widths, _DEVIATION)
        self.enc_mean = initialized(nn.Linear(self.features, z_dim), _DEVIATION)
        self.enc_variance = initialized(nn.Linear(self.features, z_dim), _DEVIATION)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) -> (N, Z), (N, Z)."""
        features = self.flat_features(images)
        return self.enc_mean(features), F.softplus(self.enc_variance(features))


class Discriminator(Tower):
    """Images -> logits of being real, and the features of the last convolution."""

    def __init__(self, size: int, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__(size, channels, widths, _DEVIATION)
        self.dis_fc_layer = nn.Linear(self.features, 1)
        nn.init.xavier_uniform_(self.dis_fc_layer.weight)  # TensorFlow's default
        nn.init.zeros_(self.dis_fc_layer.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) -> (N,), (N, F)."""
        features = self.flat_features(images)
        return self.dis_fc_layer(features).flatten(), features


class VAEGAN(Inverter):
    """The encoder, the decoder and, for training, the discriminator."""

    Config = VAEGANConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "iterations": 400,
            "batch_size": 16,
            "z_dim": 32,
            "norm_momentum": 0.8,
            "widths": (8, 16, 32, 64),
            "encoder_rate": 2e-3,
            "decoder_rate": 2e-3,
            "discriminator_rate": 3e-4,
        },
        "smoke": {
            "iterations": 6,
            "batch_size": 8,
            "z_dim": 16,
            "norm_momentum": 0.8,
            "widths": (4, 4, 8, 8),
        },
    }

    def __init__(self, config: VAEGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        check_size("VAE-GAN", data.size, config.widths)
        image = (data.size, data.channels, config.widths)
        self.encoder = Encoder(*image, config.z_dim)
        self.decoder = Decoder(*image, config.z_dim, _DEVIATION)
        self.discriminator = Discriminator(*image)
        keep_statistics(self, config.norm_momentum)
        self._trained = False

    def encode(self, images: Tensor) -> Tensor:
        """The mean of q(z|x), by the moving statistics."""
        mean: Tensor = self.encoder(images)[0]
        return mean

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.decoder(z)
        return images

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return draws.normal("latents", count, self.config.z_dim).to(self.decoder.bn_0.weight.device)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """One adversarial stage; none once a reference's networks were loaded."""
        if not self._trained:
            yield AdversarialStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks of a checkpoint of the program.

        Args:
            states: ``encoder``, ``decoder`` and ``discriminator``, as
                ``bench.checkpoints.tensorflow_arrays`` reads them.

        Raises:
            ValueError: One is missing or another one; the message names the option to change.
        """
        load_networks("VAE-GAN", self.networks(), states)
        self._trained = True

    def networks(self) -> dict[str, nn.Module]:
        """By the names of their scopes in the program."""
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "discriminator": self.discriminator,
        }

    def encoder_losses(self, images: Tensor, noise: Tensor, prior: Tensor) -> Terms:
        """``divergence``, ``features`` (their mean squared error) and the encoder's ``loss``.

        Args:
            images: (N, C, S, S).
            noise: (N, Z), standard normal, what q(z|x) is sampled by.
            prior: (N, Z), standard normal latents.
        """
        config = self.config
        mean, deviation = self.encoder(images)
        reconstructed = self.decoder(mean + deviation * noise)
        with torch.no_grad():
            target = self.discriminator(images)[1]
            self.decoder(prior)  # its moving statistics are those of both kinds of latents
        error = F.mse_loss(self.discriminator(reconstructed)[1], target)
        divergence = divergence_from_prior(mean, deviation)
        weight = 1 / config.batch_size
        if config.divergence_weight is not None:
            weight = config.divergence_weight
        loss = weight * divergence + config.encoder_gamma * error
        return {"divergence": divergence, "features": error, "loss": loss}

    def decoder_losses(self, images: Tensor, noise: Tensor, prior: Tensor) -> Terms:
        """``features`` as above, ``fake`` (adversarial), ``pixels`` and the decoder's ``loss``.

        The mean squared error of ``pixels`` is for the record: it is no part of the loss.
        """
        with torch.no_grad():
            mean, deviation = self.encoder(images)
            target = self.discriminator(images)[1]
        reconstructed = self.decoder(mean + deviation * noise)
        reconstructed_logits, features = self.discriminator(reconstructed)
        error = F.mse_loss(features, target)
        fake = realness_loss(reconstructed_logits)
        fake = fake + realness_loss(self.discriminator(self.decoder(prior))[0])
        return {
            "features": error,
            "fake": fake,
            "pixels": F.mse_loss(reconstructed.detach(), images),
            "loss": self.config.decoder_gamma * error + fake,
        }

    def discriminator_losses(self, images: Tensor, noise: Tensor, prior: Tensor) -> Terms:
        """The discriminator's ``loss``; each kind of images has batch statistics of its own."""
        with torch.no_grad():
            mean, deviation = self.encoder(images)
            fakes = self.decoder(mean + deviation * noise), self.decoder(prior)
        losses = [realness_loss(self.discriminator(images)[0])]
        losses += [realness_loss(-self.discriminator(fake)[0]) for fake in fakes]
        return {"loss": torch.stack(losses).sum()}


class AdversarialStage(AlternatingStage):
    """The discriminator's update, then the encoder's, then the decoder's."""

    def __init__(self, method: VAEGAN, data: TrainingData) -> None:
        config = method.config
        rates = {
            "discriminator": config.discriminator_rate,
            "encoder": config.encoder_rate,
            "decoder": config.decoder_rate,
        }
        super().__init__(method, config, method.networks(), rates, tuple(rates), data.train)
        self.method = method

    def losses(self, network: str, images: Tensor, normals: Normals) -> Terms:
        losses = {
            "discriminator": self.method.discriminator_losses,
            "encoder": self.method.encoder_losses,
            "decoder": self.method.decoder_losses,
        }
        return losses[network](images, normals("noise"), normals("prior"))


def divergence_from_prior(mean: Tensor, deviation: Tensor) -> Tensor:
    """KL(N(mean, deviation^2) || N(0, I)), summed over latents (N, Z) and a mean over the batch."""
    # A deviation that has become 0 has a large divergence, not an infinite one.
    logarithm = deviation.clamp_min(torch.finfo(deviation.dtype).tiny).log()
    return ((mean.square() + deviation.square() - 1) / 2 - logarithm).sum(dim=1).mean()
