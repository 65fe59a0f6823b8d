"""ALI: an encoder and a decoder learn to make pairs (x, z) that a discriminator cannot tell apart.

Dumoulin et al., "Adversarially Learned Inference" (ICLR 2017), in the form of the official code
(IshmaelBelghazi/ALI, ali_celeba.py). Real images with latents of the encoder and latents of the
prior with images of the decoder go through the discriminator as one batch, whose statistics they
share, and all networks are updated from that one pass. The official program reconstructs by a
sample of q(z|x); here it is the mean, so that an image has one reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Batch, ImageSet, Inverter, MethodConfig, Stage, TrainingData
from baselines.collapse import same_reconstruction
from baselines.epochs import steps_of_epochs
from baselines.nets.ali import Decoder, Discriminator, Encoder, usual_width
from baselines.randomness import Draws
from baselines.simultaneous import update_together

_LOG_ODDS_IMAGES = 500
_LEAST_ODDS = 1e-7


class ALIConfig(MethodConfig):
    """Settings of ALI; the defaults are those of the official code for CelebA at 64 px.

    Attributes:
        epochs: Training length in readings of the training set, rounded down to whole batches.
        iterations: Training length in steps, in place of ``epochs``.
        batch_size: Images of one step, over all processes; as many are generated beside them.
        z_dim: Width of the latents.
        width: Channels of the first layer; None takes 64 at 64 px and 32 at 32 px.
        leak: Slope of the leaky ReLUs.
        dropout: In front of every layer of the discriminator.
        weights_std: Standard deviation of the first weights.
        encoder_decoder_rate: Learning rate of Adam.
        discriminator_rate: Likewise.
        beta1: Of Adam, for all networks.
    """

    epochs: int = Field(123, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(100, ge=2)
    z_dim: int = Field(256, ge=1)
    width: int | None = Field(None, ge=1)
    leak: float = Field(0.02, ge=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    weights_std: float = Field(0.01, gt=0)
    encoder_decoder_rate: float = Field(1e-4, ge=0)
    discriminator_rate: float = Field(1e-4, ge=0)
    beta1: float = Field(0.5, ge=0, lt=1)


class ALI(Inverter):
    """The encoder, the decoder and the discriminator of their pairs."""

    Config = ALIConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {
            "iterations": 400,
            "batch_size": 32,
            "z_dim": 64,
            "width": 8,
            "weights_std": 0.05,
            "encoder_decoder_rate": 2e-3,
            "discriminator_rate": 1e-4,
            "dropout": 0.5,
        },
        "smoke": {"iterations": 4, "batch_size": 8, "z_dim": 8, "width": 2},
    }

    def __init__(self, config: ALIConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        usual = usual_width(data.size)
        width, std = config.width or usual, config.weights_std
        settings = (data.size, data.channels, config.z_dim, width, config.leak, std)
        self.encoder, self.decoder = Encoder(*settings), Decoder(*settings)
        self.discriminator = Discriminator(*settings, config.dropout)

    def encode(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the means (N, D) of q(z|x)."""
        mean, _ = self.encoder(images)
        return mean

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.decoder(z)
        return images

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        z = draws.normal("latents", count, self.config.z_dim)
        return z.to(self.decoder.bias.device)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield AdversarialStage(self, data)


class AdversarialStage(Stage):
    """In each step, one pass through all networks and one update of each."""

    name = "adversarial"

    def __init__(self, method: ALI, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.batch_size = self.config.batch_size
        self.steps = self.config.iterations or steps_of_epochs(
            data.train, self.batch_size, self.config.epochs
        )
        self.optimizers = {
            "discriminator": self._adam(self.config.discriminator_rate, method.discriminator),
            "encoder_decoder": self._adam(
                self.config.encoder_decoder_rate, method.encoder, method.decoder
            ),
        }

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        if batch.step == 0:
            with torch.no_grad():
                self.method.decoder.bias.copy_(log_odds(self.data.train))
        rows, width = len(batch.images), self.config.z_dim
        z = batch.draws.normal("z", rows, width)
        return self.update(batch.images, z, batch.draws.normal("noise", rows, width))

    def update(self, images: Tensor, z: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Update all networks.

        Args:
            images: (N, C, H, W) in [-1, 1].
            z: (N, D) latents of the prior.
            noise: (N, D), standard normal, what the encoder's latents are drawn with.

        Returns:
            The losses of the discriminator and of encoder and decoder.
        """
        method = self.method
        mean, log_deviation = method.encoder(images)
        drawn = mean + log_deviation.exp() * noise
        pairs = torch.cat([images, method.decoder(z)]), torch.cat([drawn, z])
        data_logit, sample_logit = method.discriminator(*pairs).chunk(2)
        losses = {
            "discriminator": discriminator_loss(data_logit, sample_logit),
            "encoder_decoder": encoder_decoder_loss(data_logit, sample_logit),
        }
        return update_together(self.optimizers, losses)

    def collapsed(self) -> str | None:
        return same_reconstruction(self.method, self.data.train)

    def _adam(self, rate: float, *networks: nn.Module) -> torch.optim.Adam:
        parameters = [one for network in networks for one in network.parameters()]
        betas = (self.config.beta1, 0.999)
        return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True)


def discriminator_loss(data_logit: Tensor, sample_logit: Tensor) -> Tensor:
    """What the discriminator minimises (paper, equation 3; bricks.py, compute_losses).

    Args:
        data_logit: (N, 1), D(x, E(x)).
        sample_logit: (N, 1), D(G(z), z).

    Returns:
        Scalar, the sum of two binary cross entropies.
    """
    return (F.softplus(-data_logit) + F.softplus(sample_logit)).mean()


def encoder_decoder_loss(data_logit: Tensor, sample_logit: Tensor) -> Tensor:
    """What encoder and decoder minimise: the discriminator's loss with the labels swapped."""
    return (F.softplus(data_logit) + F.softplus(-sample_logit)).mean()


def log_odds(train: ImageSet) -> Tensor:
    """Logits (C, H, W) of the mean of the first 500 training images in [0, 1] (utils.py)."""
    images, _ = train.batch(torch.arange(min(_LOG_ODDS_IMAGES, len(train))))
    mean = ((images + 1) / 2).mean(dim=0)
    return mean.clamp(_LEAST_ODDS, 1 - _LEAST_ODDS).logit()
