"""What all VAEs that are to separate the factors have in common: networks, error, optimiser.

As disentanglement_lib has them (google-research, methods/unsupervised/vae.py and shared; Locatello
et al., ICML 2019). An image's code is the mean of q(z|x). The methods are in ``baselines.vae``,
``baselines.factor_vae`` and ``baselines.group_vae``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from baselines.base import ImageSet, MethodConfig, Representer, Stage, TrainingData
from baselines.nets.vae import NetworkKind, make_networks
from baselines.vae_losses import (
    Activation,
    Posterior,
    Reconstruction,
    probabilities,
    reconstruction_errors,
    to_unit,
)

Terms = dict[str, Tensor]

_LOOKED_AT = 8  # images whose codes must differ
_ALIKE = 1e-6  # deviation below which codes are the same one

# What the presets change; networks of half the width, so that 64 px fit in minutes on a CPU.
SHORT: Mapping[str, Any] = {
    "iterations": 2000,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "width": 0.5,
}
SHORTEST: Mapping[str, Any] = {"iterations": 4, "batch_size": 8, "width": 0.125}


class VAEConfig(MethodConfig):
    """What all disentangling VAEs have in common; the defaults are the study's.

    Attributes:
        networks: ``conv`` or ``fc`` of disentanglement_lib, or ``contrafeat``.
        width: Scale of the networks' hidden layers.
        reconstruction: ``bernoulli``, ``l2`` or ``l2-signed``; see ``reconstruction_errors``.
        activation: What makes images of the decoder's outputs.
        minus_entropy: Subtract the images' entropy from the Bernoulli error.
        iterations: Steps.
        batch_size: Images, or pairs of images, of one step, over all processes.
        learning_rate: Of Adam.
        beta1: Of Adam.
        beta2: Of Adam.
    """

    networks: NetworkKind = "conv"
    width: float = Field(1.0, gt=0)
    reconstruction: Reconstruction = "bernoulli"
    activation: Activation = "logits"
    minus_entropy: bool = False
    iterations: int = Field(300_000, ge=1)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)


class VAE(Representer):
    """An encoder and its decoder.

    Args:
        config: The settings.
        data: Says how large the images are.
        latents: Numbers Z of a code.

    Raises:
        ValueError: There are no networks for this size of images.
    """

    config: VAEConfig

    def __init__(self, config: VAEConfig, data: TrainingData, latents: int) -> None:
        super().__init__(config, data)
        self.config, self.latents = config, latents
        self.encoder, self.decoder = make_networks(
            config.networks, data.size, data.channels, latents, config.width
        )

    def represent(self, images: Tensor) -> Tensor:
        return self.posterior(images).mean

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (N, Z) -> images (N, C, H, W) in [-1, 1], for traversals."""
        return 2 * probabilities(self.decoder(codes), self.config.activation) - 1

    def posterior(self, images: Tensor) -> Posterior:
        """q(z|x) of images (N, C, H, W)."""
        mean, log_variance = self.encoder(images)
        return Posterior(mean.to(images.dtype), log_variance.to(images.dtype))

    def reconstruction(self, images: Tensor, codes: Tensor) -> Tensor:
        """Mean error of what codes (N, Z) are decoded to, against images (N, C, H, W)."""
        config, outputs = self.config, self.decoder(codes)
        errors = reconstruction_errors(
            to_unit(images), outputs, config.reconstruction, config.activation, config.minus_entropy
        )
        return errors.mean()


class VAEStage(Stage):
    """Trains encoder and decoder; what a step minimizes is left to the methods."""

    name = "vae"

    def __init__(self, method: VAE, train: ImageSet) -> None:
        super().__init__()
        config = method.config
        self._vae, self._train = method, train
        self.steps = config.iterations
        self.parameters = [*method.encoder.parameters(), *method.decoder.parameters()]
        self.optimizers = {
            "vae": torch.optim.Adam(
                self.parameters,
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                fused=True,
            )
        }

    def minimize(self, terms: Terms) -> Terms:
        """Take a step down ``terms["loss"]`` and return the terms for the record."""
        optimizer = self.optimizers["vae"]
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward(inputs=self.parameters)
        optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def collapsed(self) -> str | None:
        """A posterior that ignores the image may recover, but not a network that has died."""
        images, _ = self._train.batch(torch.arange(min(_LOOKED_AT, len(self._train))))
        with torch.no_grad():
            codes = self._vae.represent(images.to(self.parameters[0].device))
        if (images == images[:1]).all() or codes.std(dim=0, correction=0).max() > _ALIKE:
            return None
        return "different images get the same code"
