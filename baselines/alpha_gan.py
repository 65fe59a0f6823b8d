"""alpha-GAN: an autoencoder with one discriminator for images and one for latents.

Rosca et al., "Variational Approaches for Auto-Encoding Generative Adversarial Networks" (2017),
as PrateekMunjal's program for CelebA has it (celebA/alpha_gan.py, TensorFlow 1.9). The paper gives
ranges of hyper-parameters only; the defaults are the program's. Where they differ, so do the
defaults: the encoder weighs the L1 error by 1 and the generator by 5 (``encoder_lambda``,
``generator_lambda``), where the paper has one weight for both, and the code discriminator has no
batch norms, with which the program's author saw training fail.

The encoder is deterministic, and images are encoded and decoded by moving statistics, as in the
program. Of the passes that it makes in each update for the sake of moving statistics, those are
left out that only move the discriminator's, which nothing reads, and the generator's two passes in
the update of the code discriminator.
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

_DEVIATION = 0.01  # of the initial weights


class AlphaGANConfig(AlternatingConfig):
    """Settings of alpha-GAN; the defaults are those of the program for CelebA at 64 px.

    Training length, Adam's beta1, the latents' size and the norms' momentum are inherited.

    Attributes:
        batch_size: Images of one update, over all processes.
        widths: Channels of the encoder's and the discriminator's convolutions, of which all but the
            fourth halve the images; the generator has them the other way round.
        code_width: Of the code discriminator's three dense layers.
        encoder_rate: Learning rate of Adam.
        generator_rate: Likewise.
        discriminator_rate: Likewise.
        code_discriminator_rate: Likewise.
        encoder_lambda: Weight of the L1 error in the encoder's loss.
        generator_lambda: Likewise in the generator's.
        encoder_updates: In each iteration, all on fresh batches.
        generator_updates: Likewise; then the discriminators are updated once each.
    """

    batch_size: int = Field(64, ge=2)
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (
        64,
        128,
        256,
        512,
        1024,
    )
    code_width: int = Field(750, ge=1)
    encoder_rate: float = Field(5e-4, ge=0)
    generator_rate: float = Field(5e-4, ge=0)
    discriminator_rate: float = Field(5e-4, ge=0)
    code_discriminator_rate: float = Field(5e-4, ge=0)
    encoder_lambda: float = Field(1.0, ge=0)
    generator_lambda: float = Field(5.0, ge=0)
    encoder_updates: int = Field(2, ge=1)
    generator_updates: int = Field(2, ge=1)


class Encoder(Tower):
    """Images -> latents, Z numbers each."""

    def __init__(self, size: int, channels: int, widths: tuple[int, ...], z_dim: int) -> None:
        super().__init__(size, channels, widths, _DEVIATION)
        self.enc_latent_space = initialized(nn.Linear(self.features, z_dim), _DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) -> (N, Z)."""
        latents: Tensor = self.enc_latent_space(self.flat_features(images))
        return latents


class Discriminator(Tower):
    """Images -> logits of being real."""

    def __init__(self, size: int, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__(size, channels, widths, _DEVIATION)
        self.dis_fc_layer = initialized(nn.Linear(self.features, 1), _DEVIATION)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) -> (N,)."""
        logits: Tensor = self.dis_fc_layer(self.flat_features(images))
        return logits.flatten()


class CodeDiscriminator(nn.Module):
    """Latents -> logits of being drawn from the prior."""

    def __init__(self, z_dim: int, width: int) -> None:
        super().__init__()
        self.code_dis_fc_layer_1 = nn.Linear(z_dim, width)
        self.code_dis_fc_layer_2 = nn.Linear(width, width)
        self.code_dis_fc_layer_3 = nn.Linear(width, width)
        self.code_dis_fc_layer_4 = nn.Linear(width, 1)
        for layer in self.children():
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)  # TensorFlow's default
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor) -> Tensor:
        """(N, Z) -> (N,)."""
        hidden = F.leaky_relu(self.code_dis_fc_layer_1(z), 0.2)
        hidden = F.leaky_relu(self.code_dis_fc_layer_2(hidden), 0.2)
        hidden = F.leaky_relu(self.code_dis_fc_layer_3(hidden), 0.2)
        logits: Tensor = self.code_dis_fc_layer_4(hidden)
        return logits.flatten()


class AlphaGAN(Inverter):
    """The encoder, the generator and, for training, both discriminators."""

    Config = AlphaGANConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "iterations": 260,
            "batch_size": 16,
            "z_dim": 32,
            "norm_momentum": 0.9,
            "widths": (8, 16, 32, 64, 64),
            "code_width": 128,
            "encoder_rate": 1e-3,
            "generator_rate": 1e-3,
            "discriminator_rate": 1e-4,
            "code_discriminator_rate": 1e-3,
            "encoder_lambda": 20.0,
            "generator_lambda": 40.0,
        },
        "smoke": {
            "iterations": 3,
            "batch_size": 8,
            "z_dim": 16,
            "norm_momentum": 0.8,
            "widths": (4, 4, 8, 8, 8),
            "code_width": 16,
        },
    }

    def __init__(self, config: AlphaGANConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        check_size("alpha-GAN", data.size, config.widths)
        image = (data.size, data.channels, config.widths)
        self.encoder = Encoder(*image, config.z_dim)
        self.generator = Decoder(*image, config.z_dim, _DEVIATION)
        self.discriminator = Discriminator(*image)
        self.code_discriminator = CodeDiscriminator(config.z_dim, config.code_width)
        keep_statistics(self, config.norm_momentum)
        self._trained = False

    def encode(self, images: Tensor) -> Tensor:
        z: Tensor = self.encoder(images)
        return z

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z)
        return images

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        device = self.generator.bn_0.weight.device
        return draws.normal("latents", count, self.config.z_dim).to(device)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """One adversarial stage; none once a reference's networks were loaded."""
        if not self._trained:
            yield AdversarialStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks of a checkpoint of the program.

        Args:
            states: ``eta_encoder``, ``theta_generator``, ``phi_discriminator`` and
                ``omega_code_discriminator``, as ``bench.checkpoints.tensorflow_arrays`` reads them.

        Raises:
            ValueError: One is missing or another one; the message names the option to change.
        """
        first = states.get("omega_code_discriminator", {}).get("code_dis_fc_layer_1.bias")
        if first is not None and len(first) != self.config.code_width:
            raise ValueError(
                f"the checkpoint's code_width is {len(first)}, this run's "
                f"{self.config.code_width}: change it by --set code_width={len(first)}"
            )
        load_networks("alpha-GAN", self.networks(), states)
        self._trained = True

    def networks(self) -> dict[str, nn.Module]:
        """By the names of their scopes in the program."""
        return {
            "eta_encoder": self.encoder,
            "theta_generator": self.generator,
            "phi_discriminator": self.discriminator,
            "omega_code_discriminator": self.code_discriminator,
        }

    def encoder_losses(self, images: Tensor, prior: Tensor) -> Terms:
        """``l1``, ``code`` (adversarial) and the encoder's ``loss``.

        Args:
            images: (N, C, S, S).
            prior: (N, Z), standard normal latents.
        """
        z = self.encoder(images)
        l1 = F.l1_loss(self.generator(z), images)
        with torch.no_grad():
            self.generator(prior)  # its moving statistics are those of both kinds of latents
        code = ratio_loss(self.code_discriminator(z))
        return {"l1": l1, "code": code, "loss": self.config.encoder_lambda * l1 + code}

    def generator_losses(self, images: Tensor, prior: Tensor) -> Terms:
        """``l1``, ``fake`` (adversarial) and the generator's ``loss``; see ``encoder_losses``."""
        with torch.no_grad():
            z = self.encoder(images)
        reconstructed = self.generator(z)
        l1 = F.l1_loss(reconstructed, images)
        fake = ratio_loss(self.discriminator(reconstructed))
        fake = fake + ratio_loss(self.discriminator(self.generator(prior)))
        return {"l1": l1, "fake": fake, "loss": self.config.generator_lambda * l1 + fake}

    def discriminator_losses(self, images: Tensor, prior: Tensor) -> Terms:
        """The discriminator's ``loss``; each kind of images has batch statistics of its own."""
        with torch.no_grad():
            fakes = self.generator(self.encoder(images)), self.generator(prior)
        losses = [realness_loss(self.discriminator(images))]
        losses += [realness_loss(-self.discriminator(fake)) for fake in fakes]
        return {"loss": torch.stack(losses).sum()}

    def code_discriminator_losses(self, images: Tensor, prior: Tensor) -> Terms:
        """The code discriminator's ``loss``."""
        with torch.no_grad():
            z = self.encoder(images)
        # No batch norm: one pass is two.
        of_prior, of_images = self.code_discriminator(torch.cat([prior, z])).chunk(2)
        return {"loss": realness_loss(of_prior) + realness_loss(-of_images)}


class AdversarialStage(AlternatingStage):
    """Updates of the encoder, of the generator, then one of each discriminator."""

    def __init__(self, method: AlphaGAN, data: TrainingData) -> None:
        config = method.config
        networks = {
            "encoder": method.encoder,
            "generator": method.generator,
            "discriminator": method.discriminator,
            "code_discriminator": method.code_discriminator,
        }
        rates = {name: getattr(config, f"{name}_rate") for name in networks}
        turns = ["encoder"] * config.encoder_updates + ["generator"] * config.generator_updates
        turns += ["discriminator", "code_discriminator"]
        super().__init__(method, config, networks, rates, turns, data.train)
        self.method = method

    def losses(self, network: str, images: Tensor, normals: Normals) -> Terms:
        losses = {
            "encoder": self.method.encoder_losses,
            "generator": self.method.generator_losses,
            "discriminator": self.method.discriminator_losses,
            "code_discriminator": self.method.code_discriminator_losses,
        }
        return losses[network](images, normals("prior"))


def ratio_loss(logits: Tensor) -> Tensor:
    """R of the paper: the mean of -log D + log(1 - D), which is that of the negated logits (N,)."""
    return -logits.mean()
