"""The losses of the disentangling VAEs, as pure functions of codes and images.

As disentanglement_lib has them (google-research, methods/unsupervised/vae.py, methods/weak/
weak_vae.py and methods/shared/losses.py), the library of Locatello et al., "Challenging Common
Assumptions in the Unsupervised Learning of Disentangled Representations" (ICML 2019) and
"Weakly-Supervised Disentanglement Without Compromises" (ICML 2020), and as ContraFeat's code base
has its pair losses (zhuxinqimac/stylegan2-ada-pytorch, training/networks_navigator.py).

Errors are sums over pixels and divergences sums over latents; both are means over images.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Reconstruction = Literal["bernoulli", "l2", "l2-signed"]
Activation = Literal["logits", "tanh"]
Sharing = Literal["variance", "log-variance", "precision"]

_LEAST = 1e-6  # probabilities whose logarithms are taken lie in [_LEAST, 1 - _LEAST]


class Posterior(NamedTuple):
    """q(z|x) of N images, a normal distribution for each of Z latents.

    Attributes:
        mean: (N, Z).
        log_variance: (N, Z).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Codes (N, Z), by standard normal ``noise`` (N, Z)."""
        return self.mean + (self.log_variance / 2).exp() * noise


def to_unit(images: Tensor) -> Tensor:
    """Images in [-1, 1] -> the same in [0, 1]; what lies beyond is cut off."""
    return ((images + 1) / 2).clamp(0, 1)


def probabilities(outputs: Tensor, activation: Activation = "logits") -> Tensor:
    """What a decoder gives -> images in [0, 1]."""
    return outputs.sigmoid() if activation == "logits" else outputs.tanh() / 2 + 0.5


def reconstruction_errors(
    images: Tensor,
    outputs: Tensor,
    kind: Reconstruction = "bernoulli",
    activation: Activation = "logits",
    minus_entropy: bool = False,
) -> Tensor:
    """How far reconstructions are from images, summed over pixels.

    Args:
        images: (N, C, H, W) in [0, 1].
        outputs: (N, C, H, W), what the decoder gives.
        kind: ``bernoulli``, the cross entropy; ``l2``, the squared error; ``l2-signed``, that of
            images in [-1, 1] (ContraFeat), which is four times as large.
        activation: What makes images in [0, 1] of the outputs.
        minus_entropy: Subtract the entropy of the images themselves, which no decoder can go below
            (``bernoulli`` only).

    Returns:
        (N,).
    """
    outputs = outputs.to(images.dtype)  # sums over thousands of pixels need full precision
    if kind != "bernoulli":
        scale = 4 if kind == "l2-signed" else 1
        return scale * (images - probabilities(outputs, activation)).square().flatten(1).sum(dim=1)
    if activation == "logits":
        errors = F.binary_cross_entropy_with_logits(outputs, images, reduction="none")
    else:
        errors = _cross_entropy(images, probabilities(outputs, activation))
    if minus_entropy:
        bounded = images.clamp(_LEAST, 1 - _LEAST)
        errors = errors - _cross_entropy(bounded, bounded)
    return errors.flatten(1).sum(dim=1)


def divergence(posterior: Posterior) -> Tensor:
    """KL(q(z|x) || N(0, I)), a sum over latents and a mean over images."""
    mean, log_variance = posterior
    each = (mean.square() + log_variance.exp() - log_variance - 1) / 2
    return each.sum(dim=1).mean()


def capacity(most: float, step: int, steps: int) -> float:
    """AnnealedVAE's C: from 0 at step 0 linearly to ``most`` at step ``steps``, then constant."""
    return min(most, most * step / steps)


def total_correlation(codes: Tensor, posterior: Posterior) -> Tensor:
    """Estimate of log q(z) - sum_j log q(z_j) from a batch (beta-TC-VAE), a mean over codes.

    Both densities are sums over the batch's posteriors, as in the library: without the constant
    log(N M) of the paper's minibatch-weighted sampling (Chen et al., NeurIPS 2018, appendix C.1).
    The value is thus off by a constant; gradients are the same.

    Args:
        codes: (N, Z), samples of the posteriors.
        posterior: Of the same N images.
    """
    mean, log_variance = posterior
    deviations = codes[:, None] - mean[None]  # (N, N, Z)
    densities = -0.5 * (
        deviations.square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)
    )
    joint = densities.sum(dim=2).logsumexp(dim=1)
    return (joint - densities.logsumexp(dim=1).sum(dim=1)).mean()


def moment_penalty(
    posterior: Posterior, expected: bool, off_diagonal: float, diagonal: float
) -> Tensor:
    """DIP-VAE's penalty on the covariance of codes (Kumar et al., ICLR 2018, section 3).

    Args:
        posterior: Of a batch, over which covariances are taken (biased).
        expected: Add the mean variances, so that the covariance is that of samples (DIP-VAE-II)
            and not of means (DIP-VAE-I).
        off_diagonal: Weight of the squares off the diagonal.
        diagonal: Weight of the squared differences of the diagonal from 1.
    """
    mean, log_variance = posterior
    centred = mean - mean.mean(dim=0)
    covariance = centred.T @ centred / len(mean)
    if expected:
        covariance = covariance + log_variance.exp().mean(dim=0).diag()
    variances = covariance.diagonal()
    beside = covariance - variances.diag()
    return off_diagonal * beside.square().sum() + diagonal * (variances - 1).square().sum()


def shuffled(codes: Tensor, permutations: Tensor) -> Tensor:
    """Codes (N, Z) with each column permuted by itself.

    Args:
        codes: (N, Z).
        permutations: int64 (Z, N); new row j of column l is old row ``permutations[l, j]``.
    """
    return codes.gather(0, permutations.T)


def density_ratio(logits: Tensor) -> Tensor:
    """FactorVAE's estimate of the total correlation by its discriminator's logits (N, 2)."""
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(logits: Tensor, shuffled_logits: Tensor) -> Tensor:
    """Cross entropy of both kinds of codes, whose logits are (N, 2) and (M, 2), in equal parts."""
    real, fake = (
        some.softmax(dim=1)[:, place].clamp(_LEAST, 1 - _LEAST).log().mean()
        for place, some in enumerate((logits, shuffled_logits))
    )
    return -(real + fake) / 2


def latent_distances(first: Posterior, second: Posterior) -> Tensor:
    """2 KL(first || second) of each latent, (N, Z)."""
    spread = (first.log_variance - second.log_variance).exp()
    shift = (second.mean - first.mean).square() * (-second.log_variance).exp()
    return spread + shift - 1 + second.log_variance - first.log_variance


def farther_apart(distances: Tensor) -> Tensor:
    """Which latents of a pair have changed, bool (N, Z): the Ada- models' guess.

    Those whose distance is in the upper half between the pair's least and greatest.
    """
    least, most = distances.amin(dim=1, keepdim=True), distances.amax(dim=1, keepdim=True)
    return 2 * (distances - least) >= most - least


def shared_posterior(first: Posterior, second: Posterior, sharing: Sharing) -> Posterior:
    """One posterior for two images.

    Args:
        first: Of N images.
        second: Of N other ones.
        sharing: ``variance``, means of means and of variances (GVAE, Hosoya 2019);
            ``log-variance``, of means and of log-variances (ContraFeat's code); ``precision``, the
            product of both densities at the variance of one (ML-VAE, Bouchacourt et al. 2018).
    """
    if sharing == "precision":
        precise = (second.log_variance - first.log_variance).sigmoid()  # how much the first counts
        mean = precise * first.mean + (1 - precise) * second.mean
        total = torch.logaddexp(first.log_variance, second.log_variance)
        return Posterior(mean, math.log(2) + first.log_variance + second.log_variance - total)
    mean = (first.mean + second.mean) / 2
    if sharing == "variance":
        total = torch.logaddexp(first.log_variance, second.log_variance)
        return Posterior(mean, total - math.log(2))
    return Posterior(mean, (first.log_variance + second.log_variance) / 2)


def aggregated(
    first: Posterior, second: Posterior, changed: Tensor, sharing: Sharing
) -> tuple[Posterior, Posterior]:
    """Both images' posteriors, the same one in every latent that is not ``changed``.

    Args:
        first: Of N images.
        second: Of N other ones.
        changed: bool (N, Z).
        sharing: See ``shared_posterior``.
    """
    shared = shared_posterior(first, second, sharing)

    def kept(own: Posterior) -> Posterior:
        mean = torch.where(changed, own.mean, shared.mean)
        return Posterior(mean, torch.where(changed, own.log_variance, shared.log_variance))

    return kept(first), kept(second)


def index_loss(first: Posterior, second: Posterior, labels: Tensor) -> Tensor:
    """Cross entropy of which latent has changed, by 100 times the squared difference of means.

    ContraFeat's code base (post_vae_loss) trains its VAE by this.

    Args:
        first: Of N images.
        second: Of their partners.
        labels: int64 (N,), the latents that differ.
    """
    return F.cross_entropy(100 * (second.mean - first.mean).square(), labels)


def _cross_entropy(images: Tensor, chances: Tensor) -> Tensor:
    """Of each pixel, (N, C, H, W)."""
    chances = chances.clamp(_LEAST, 1 - _LEAST)
    return -(images * chances.log() + (1 - images) * (1 - chances).log())
