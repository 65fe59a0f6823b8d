"""Variational autoencoders that are to separate the factors: beta-VAE and its relatives.

Four methods that differ in what they add to the reconstruction error, as disentanglement_lib has
them (google-research, methods/unsupervised/vae.py; Locatello et al., ICML 2019):

- beta-VAE (Higgins et al., ICLR 2017): beta times the divergence from the prior;
- AnnealedVAE (Burgess et al., 2018): gamma |divergence - C|, where C grows during training;
- beta-TC-VAE (Chen et al., NeurIPS 2018): the divergence and beta - 1 times the total correlation,
  estimated from the batch without the paper's constants, which no gradient depends on;
- DIP-VAE (Kumar et al., ICLR 2018): the divergence and a penalty on the covariance of codes.

Defaults are those of the library's study: 300,000 steps of Adam at 1e-4 on batches of 64, ten
latents, Bernoulli likelihood. It sweeps each regulariser over six values; the default is one of
them. Networks, reconstruction error and Adam are those of ``baselines.disentangling_vae``, which
FactorVAE (``baselines.factor_vae``) and the models of pairs (``baselines.group_vae``) have too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from baselines.base import Batch, ImageSet, Stage, TrainingData
from baselines.disentangling_vae import SHORT, SHORTEST, VAE, Terms, VAEConfig, VAEStage
from baselines.vae_losses import Posterior, capacity, divergence, moment_penalty, total_correlation


class ImageVAEConfig(VAEConfig):
    """Settings of a VAE that learns from single images; see ``VAEConfig``.

    Attributes:
        latents: Numbers of a code.
    """

    latents: int = Field(10, ge=1)


@dataclass(frozen=True)
class Evidence:
    """What a VAE makes of a batch of images.

    Attributes:
        posterior: q(z|x) of N images.
        codes: (N, Z), samples of it.
        reconstruction: Mean error of the decoded codes.
        divergence: Of the posterior from the prior.
    """

    posterior: Posterior
    codes: Tensor
    reconstruction: Tensor
    divergence: Tensor


class ImageVAE(VAE):
    """A VAE that learns from single images, by a regulariser of its own."""

    config: ImageVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": SHORT, "smoke": SHORTEST}

    def __init__(self, config: ImageVAEConfig, data: TrainingData) -> None:
        super().__init__(config, data, config.latents)

    @abstractmethod
    def regularizer(self, evidence: Evidence, step: int) -> Tensor:
        """What is added to the reconstruction error at a step, a scalar."""

    def evidence(self, images: Tensor, noise: Tensor) -> Evidence:
        """Encode images (N, C, H, W), sample by normal ``noise`` (N, Z), and decode."""
        posterior = self.posterior(images)
        codes = posterior.sample(noise)
        return Evidence(posterior, codes, self.reconstruction(images, codes), divergence(posterior))

    def losses(self, images: Tensor, noise: Tensor, step: int) -> Terms:
        """``loss``, which is minimized, and what it is made of.

        Args:
            images: (N, C, H, W).
            noise: (N, Z), standard normal.
            step: The step's number, from 0.
        """
        evidence = self.evidence(images, noise)
        regularizer = self.regularizer(evidence, step)
        return {
            "reconstruction": evidence.reconstruction,
            "divergence": evidence.divergence,
            "regularizer": regularizer,
            "loss": evidence.reconstruction + regularizer,
        }

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield ImageStage(self, data.train)


class ImageStage(VAEStage):
    """A step is one update on a batch of images."""

    def __init__(self, method: ImageVAE, train: ImageSet) -> None:
        super().__init__(method, train)
        self.method = method
        self.batch_size = method.config.batch_size

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        noise = batch.draws.normal("noise", len(batch.images), self.method.latents)
        return self.minimize(self.method.losses(batch.images, noise, batch.step))


class BetaVAEConfig(ImageVAEConfig):
    """Settings of beta-VAE; see ``ImageVAEConfig``.

    Attributes:
        beta: Weight of the divergence; the study has 1, 2, 4, 6, 8 and 16.
    """

    beta: float = Field(4.0, ge=0)


class BetaVAE(ImageVAE):
    """The weighted divergence."""

    Config = BetaVAEConfig
    config: BetaVAEConfig

    def regularizer(self, evidence: Evidence, step: int) -> Tensor:
        return self.config.beta * evidence.divergence


class AnnealedVAEConfig(ImageVAEConfig):
    """Settings of AnnealedVAE; see ``ImageVAEConfig``.

    Attributes:
        gamma: Weight of the divergence's distance from the capacity.
        capacity: The capacity at the end, in nats; the study has 5, 10, 25, 50, 75 and 100.
        annealing: Steps until it is reached.
    """

    gamma: float = Field(1000.0, ge=0)
    capacity: float = Field(25.0, ge=0)
    annealing: int = Field(100_000, ge=1)


class AnnealedVAE(ImageVAE):
    """The divergence held to a capacity that grows."""

    Config = AnnealedVAEConfig
    config: AnnealedVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {**SHORT, "gamma": 10.0, "annealing": SHORT["iterations"]},
        "smoke": SHORTEST,
    }

    def regularizer(self, evidence: Evidence, step: int) -> Tensor:
        config = self.config
        aim = capacity(config.capacity, step, config.annealing)
        return config.gamma * (evidence.divergence - aim).abs()


class BetaTCVAEConfig(ImageVAEConfig):
    """Settings of beta-TC-VAE; see ``ImageVAEConfig``.

    Attributes:
        beta: Weight of the total correlation; the study has 1, 2, 4, 6, 8 and 10.
    """

    beta: float = Field(4.0, ge=0)


class BetaTCVAE(ImageVAE):
    """The divergence, and the total correlation once more."""

    Config = BetaTCVAEConfig
    config: BetaTCVAEConfig

    def regularizer(self, evidence: Evidence, step: int) -> Tensor:
        correlation = total_correlation(evidence.codes, evidence.posterior)
        return evidence.divergence + (self.config.beta - 1) * correlation


class DIPVAEConfig(ImageVAEConfig):
    """Settings of DIP-VAE; see ``ImageVAEConfig``.

    Attributes:
        form: ``i`` penalizes the covariance of the means, ``ii`` that of samples.
        off_diagonal: lambda_od; the study has 1, 2, 5, 10, 20 and 50.
        diagonal_factor: lambda_d by lambda_od; None is the study's, 10 in form i and 1 in form ii.
    """

    form: Literal["i", "ii"] = "i"
    off_diagonal: float = Field(10.0, ge=0)
    diagonal_factor: float | None = Field(None, ge=0)


class DIPVAE(ImageVAE):
    """The divergence, and a penalty on covariances that are not the prior's."""

    Config = DIPVAEConfig
    config: DIPVAEConfig

    def regularizer(self, evidence: Evidence, step: int) -> Tensor:
        config = self.config
        factor = config.diagonal_factor
        if factor is None:
            factor = 10.0 if config.form == "i" else 1.0
        weight = config.off_diagonal
        penalty = moment_penalty(evidence.posterior, config.form == "ii", weight, factor * weight)
        return evidence.divergence + penalty
