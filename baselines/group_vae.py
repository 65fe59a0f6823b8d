"""VAEs that learn from pairs of images of which most is the same: group-VAE, Ada-GVAE, ML-VAE.

Both images of a pair are encoded; latents that stand for what is the same get one posterior, those
that have changed keep their own; both images are decoded from samples. Three methods:

- ``group-vae``: pairs that a discovery run has made, in each of which one known direction differs
  (Zhu, Xu and Tao, ContraFeat, AAAI 2023, arXiv 2212.07277, appendix B). Its networks, its error in
  [-1, 1] and its averaging of log-variances are those of the code base
  (zhuxinqimac/stylegan2-ada-pytorch, networks_navigator.py: post_vae_loss_avg_shared). That program
  defines this loss and calls another one (post_vae_loss), which shares nothing and asks instead
  which latent has changed: ``objective`` ``classified``. Its trainer was not released: training
  length, batch size and Adam are the study's (``baselines.vae``). The preset ``small`` has the
  study's networks too, those of the methods that it is compared with.
- ``ada-gvae`` and ``ml-vae``: Locatello et al., "Weakly-Supervised Disentanglement Without
  Compromises" (ICML 2020), as disentanglement_lib has them (methods/weak/weak_vae.py). They guess
  from distances which latents have changed (``changed``: ``adaptive``) and average variances
  (GVAE), or multiply densities (ML-VAE). They learn from pairs of the dataset's own factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from baselines.base import Batch, DirectionPairs, Stage, TrainingData
from baselines.disentangling_vae import SHORT, SHORTEST, VAE, Terms, VAEConfig, VAEStage
from baselines.nets.vae import NetworkKind
from baselines.vae_losses import (
    Posterior,
    Reconstruction,
    Sharing,
    aggregated,
    divergence,
    farther_apart,
    index_loss,
    latent_distances,
)

_LATENTS = 10  # of the study


class GroupVAEConfig(VAEConfig):
    """Settings of group-VAE; see ``VAEConfig``, whose batches are of pairs here.

    Attributes:
        latents: Numbers of a code; None is one for each direction where labels name the latents,
            else the study's 10.
        pairs: From a discovery run (``directions``) or of the dataset's own ``factors``.
        changed: Which latents of a pair keep their own posterior: the one of the pair's number
            (``labels``), or those that are farther apart (``adaptive``).
        sharing: How two posteriors become one; see ``shared_posterior``.
        objective: ``shared``, or ``classified``: nothing is shared, and the latent that has changed
            is to be told from the means.
        index_weight: Weight of that in the objective ``classified``.
        beta: Weight of the divergence.
    """

    networks: NetworkKind = "contrafeat"
    reconstruction: Reconstruction = "l2-signed"
    latents: int | None = Field(None, ge=1)
    pairs: Literal["directions", "factors"] = "directions"
    changed: Literal["labels", "adaptive"] = "labels"
    sharing: Sharing = "log-variance"
    objective: Literal["shared", "classified"] = "shared"
    index_weight: float = Field(1.0, ge=0)
    beta: float = Field(1.0, ge=0)


class AdaGVAEConfig(GroupVAEConfig):
    """Settings of Ada-GVAE; the defaults are the study's. See ``GroupVAEConfig``."""

    networks: NetworkKind = "conv"
    reconstruction: Reconstruction = "bernoulli"
    pairs: Literal["directions", "factors"] = "factors"
    changed: Literal["labels", "adaptive"] = "adaptive"
    sharing: Sharing = "variance"


class MLVAEConfig(AdaGVAEConfig):
    """Settings of Ada-ML-VAE; see ``AdaGVAEConfig``."""

    sharing: Sharing = "precision"


class GroupVAE(VAE):
    """A VAE on pairs from a discovery run.

    Raises:
        ValueError: There are no pairs, or more directions than latents.
    """

    Config: ClassVar[type[GroupVAEConfig]] = GroupVAEConfig
    config: GroupVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {**SHORT, "batch_size": SHORT["batch_size"] // 2, "networks": "conv"},
        "smoke": {**SHORTEST, "batch_size": SHORTEST["batch_size"] // 2},
    }

    def __init__(self, config: GroupVAEConfig, data: TrainingData) -> None:
        super().__init__(config, data, _latents(config, data))

    def posteriors(
        self, pairs: DirectionPairs
    ) -> tuple[tuple[Posterior, Posterior], tuple[Posterior, Posterior]]:
        """Both images' own posteriors, and those that they are decoded from."""
        images = torch.cat([pairs.first, pairs.second])
        both = self.posterior(images.clamp(-1, 1))  # generators go beyond
        means, log_variances = both.mean.chunk(2), both.log_variance.chunk(2)
        first, second = (Posterior(means[i], log_variances[i]) for i in (0, 1))
        if self.config.objective == "classified":
            return (first, second), (first, second)
        if self.config.changed == "labels":
            changed = F.one_hot(pairs.labels, self.latents).bool()
        else:
            changed = farther_apart(latent_distances(first, second))
        return (first, second), aggregated(first, second, changed, self.config.sharing)

    def losses(self, pairs: DirectionPairs, noise: Tensor) -> Terms:
        """``loss``, which is minimized, and what it is made of.

        Args:
            pairs: P pairs.
            noise: (2P, Z), standard normal: for all first images, then for all second ones.
        """
        config = self.config
        own, (first, second) = self.posteriors(pairs)
        decoded = Posterior(*(torch.cat(parts) for parts in zip(first, second, strict=True)))
        images = torch.cat([pairs.first, pairs.second])
        terms = {
            "reconstruction": self.reconstruction(images, decoded.sample(noise)),
            "divergence": divergence(decoded),
        }
        terms["regularizer"] = config.beta * terms["divergence"]
        terms["loss"] = terms["reconstruction"] + terms["regularizer"]
        if config.objective == "classified":
            terms["index"] = index_loss(*own, pairs.labels)
            terms["loss"] = terms["loss"] + config.index_weight * terms["index"]
        return terms

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield PairStage(self, data)


class AdaGVAE(GroupVAE):
    """A VAE on pairs of the dataset's factors that guesses what has changed."""

    Config: ClassVar[type[GroupVAEConfig]] = AdaGVAEConfig


class MLVAE(GroupVAE):
    """Ada-GVAE whose shared posterior is the product of both."""

    Config: ClassVar[type[GroupVAEConfig]] = MLVAEConfig


class PairStage(VAEStage):
    """A step is one update on a batch of pairs."""

    def __init__(self, method: GroupVAE, data: TrainingData) -> None:
        super().__init__(method, data.train)
        self.method = method
        if method.config.pairs == "directions":
            self.direction_pair_count = method.config.batch_size
        else:
            self.factor_pair_count = method.config.batch_size

    def step(self, batch: Batch) -> Terms:
        pairs = batch.factor_pairs if batch.direction_pairs is None else batch.direction_pairs
        assert pairs is not None
        noise = batch.draws.normal("noise", 2 * len(pairs.labels), self.method.latents)
        return self.minimize(self.method.losses(pairs, noise))


def _latents(config: GroupVAEConfig, data: TrainingData) -> int:
    directions = config.pairs == "directions"
    pairs = data.direction_pairs if directions else data.factor_pairs
    if pairs is None:
        raise ValueError(
            "Pairs of images that differ in one direction are made by a discovery run: name it by "
            "--directions RUN."
            if directions
            else "The dataset does not know its factors, in which the images of a pair are to "
            "differ: take one such as shapes3d, or pairs of a discovery run by "
            "--set pairs=directions --directions RUN."
        )
    named = config.changed == "labels" or config.objective == "classified"
    latents = config.latents or (pairs.num_directions if named else _LATENTS)
    if named and latents < pairs.num_directions:
        raise ValueError(
            f"The pairs differ in {pairs.num_directions} directions, each of which names a latent, "
            f"but latents is {latents}: raise it by --set latents={pairs.num_directions}."
        )
    return latents
