"""InfoNCE for attribute editing: one module that every base editor can take in.

Choi, Nguyen and Pham, "Contrastive Representation Learning For Image Attribute Manipulation",
section 3. A second encoder E_mu learns the identity mu(x) of an image; what the base's encoder E
finds beyond it, a = E(x) - mu(x), has to be the image's attributes. Pairs of images with equal
attributes of different individuals pull their a together, all other pairs push theirs apart.

No code was released, and the paper is silent on much. Settings whose reading is ours stand in
``InfoNCEConfig``. Fixed are these: E_mu starts afresh (a copy of E would make a = 0, whose cosine
is undefined) and sees the image only; h is an MLP with two hidden layers; C_a is linear and part
of the discriminator; on feature maps, h(Attr) is the same at every position, C_a looks at the mean
over positions, and the distance of a to h(Attr) is the mean over positions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Attributes, MethodConfig, Pairs

Embedding = Literal["pooled", "flat"]
Reduction = Literal["sum", "mean"]

_SMALLEST_NORM = 1e-8


class InfoNCEConfig(MethodConfig):
    """What the InfoNCE extension adds to a base method's settings.

    Attributes:
        infonce_mode: ``latent``: edits are F(mu(x) + h(Attr)), F being the rest of the base's
            generator; ``aux``: it edits as ever, and the new losses only shape its encoder.
        pair_count: Pairs in a step, no two of which share an attribute vector. The paper asks for
            many and names no number.
        temperature: Divides the cosines; 1 since the paper's score is exp(cosine).
        symmetric: Average both directions; as written, the first images of the pairs are the
            conditions and the second ones the candidates.
        contrast_reduction: ``mean`` over pairs is equation 7's expectation, ``sum`` the trace.
        contrast_trains: Which encoders the contrastive loss reaches.
        embedding: Of feature maps: their mean over positions, or all of their entries.
        attribute_reduction: Over the components of a - h(Attr); the squared norm is a sum.
        detach_attribute: Let |a - h(Attr)|^2 train h only.
        contrast_weight: Of the contrastive loss.
        attribute_weight: Of the attribute reconstruction |a - h(Attr)|^2.
        attribute_class_weight: Of the classification of a by C_a.
        attribute_width: Width of the two hidden layers of h.
    """

    infonce_mode: Literal["latent", "aux"] = "latent"
    pair_count: int = Field(16, ge=2)
    temperature: float = Field(1.0, gt=0)
    symmetric: bool = False
    contrast_reduction: Reduction = "mean"
    contrast_trains: Literal["both", "encoder", "identity"] = "both"
    embedding: Embedding = "pooled"
    attribute_reduction: Reduction = "sum"
    detach_attribute: bool = False
    contrast_weight: float = Field(1.0, ge=0)
    attribute_weight: float = Field(1.0, ge=0)
    attribute_class_weight: float = Field(1.0, ge=0)
    attribute_width: int = Field(256, ge=1)


class InfoNCE(nn.Module):
    """Identity encoder E_mu, attribute embedding h and attribute classifier C_a, with their losses.

    Latents are (N, C), or feature maps (N, C, H, W).

    Args:
        config: The settings.
        attributes: Names and exclusive groups.
        identity_encoder: From images (N, 3, H, W) to latents of the shape that the base's encoder
            gives; freshly initialised.
        channels: Channels C of the latents.
        classifier_reduction: How C_a's cross-entropy treats attributes: as the base's own does.

    Raises:
        ValueError: The attributes have fewer distinct vectors than ``pair_count``.
    """

    def __init__(
        self,
        config: InfoNCEConfig,
        attributes: Attributes,
        identity_encoder: nn.Module,
        channels: int,
        classifier_reduction: Reduction,
    ) -> None:
        super().__init__()
        _require_vectors(config.pair_count, attributes)
        self.config, self.classifier_reduction = config, classifier_reduction
        self.identity_encoder = identity_encoder
        self.attribute_embedding = nn.Sequential(
            nn.Linear(len(attributes.names), config.attribute_width),
            nn.ReLU(),
            nn.Linear(config.attribute_width, config.attribute_width),
            nn.ReLU(),
            nn.Linear(config.attribute_width, channels),
        )
        self.attribute_classifier = nn.Linear(channels, len(attributes.names))

    def latent(self, identity: Tensor, attributes: Tensor) -> Tensor:
        """mu + h(Attr): the latent of an identity with the attributes (N, A) asked for."""
        return identity + _as_maps(self.attribute_embedding(attributes), identity)

    def classification(self, codes: Tensor, attributes: Tensor) -> Tensor:
        """Weighted cross-entropy of C_a on a; detach ``codes`` to train C_a alone.

        Args:
            codes: a, (N, C) or (N, C, H, W).
            attributes: (N, A) of 0 and 1.
        """
        logits = self.attribute_classifier(embed(codes, "pooled"))
        loss = attribute_classification(logits, attributes, self.classifier_reduction)
        return self.config.attribute_class_weight * loss

    def attribute_losses(self, codes: Tensor, attributes: Tensor) -> dict[str, Tensor]:
        """Weighted ``attribute`` (reconstruction) and ``attribute_class`` losses of a."""
        config = self.config
        wanted = codes.detach() if config.detach_attribute else codes
        found = _as_maps(self.attribute_embedding(attributes), codes)
        distance = attribute_reconstruction(wanted, found, config.attribute_reduction)
        return {
            "attribute": config.attribute_weight * distance,
            "attribute_class": self.classification(codes, attributes),
        }

    def contrast(self, latents: Tensor, pairs: Pairs) -> dict[str, Tensor]:
        """The weighted contrastive loss of pairs, and how often the right candidate is nearest.

        Args:
            latents: E(x) of all first images, then of all second images.
            pairs: The pairs.
        """
        config = self.config
        identities = self.identity_encoder(torch.cat([pairs.first, pairs.second]))
        if config.contrast_trains == "encoder":
            identities = identities.detach()
        elif config.contrast_trains == "identity":
            latents = latents.detach()
        first, second = embed(latents - identities, config.embedding).chunk(2)
        similarities = cosine_similarities(first, second)
        loss = contrastive_loss(
            similarities, config.temperature, config.contrast_reduction, config.symmetric
        )
        return {
            "contrast": config.contrast_weight * loss,
            "contrast_accuracy": nearest_accuracy(similarities),
        }

    def similarities(self, first: Tensor, second: Tensor) -> Tensor:
        """The matrix M (P, P) of two sets of a."""
        return cosine_similarities(
            embed(first, self.config.embedding), embed(second, self.config.embedding)
        )


def cosine_similarities(first: Tensor, second: Tensor) -> Tensor:
    """The matrix M of section 3: cosines of every row of one with every row of the other.

    Args:
        first: (P, D), the conditions.
        second: (Q, D), the candidates.

    Returns:
        (P, Q) in [-1, 1]; a zero vector has cosine 0 with all.
    """
    return _unit(first) @ _unit(second).T


def contrastive_loss(
    similarities: Tensor,
    temperature: float = 1.0,
    reduction: Reduction = "sum",
    symmetric: bool = False,
) -> Tensor:
    """L_contra = -Tr log softmax(M / temperature) of section 3; its defaults are the formula.

    Cosines are bounded, and so is the mean over N pairs: it is at least
    log(1 + (N - 1) exp(-N / (N - 1) / temperature)), 1.82 for 16 pairs at temperature 1, where
    chance is log N = 2.77.

    Args:
        similarities: M, (N, N); row i is the condition, column i its positive.
        temperature: Divides M.
        reduction: ``sum`` over pairs (the trace) or ``mean`` (equation 7's expectation).
        symmetric: Average with the columns as conditions.

    Returns:
        Scalar.
    """
    logits = similarities / temperature
    losses = -logits.log_softmax(dim=1).diagonal()
    if symmetric:
        losses = (losses - logits.log_softmax(dim=0).diagonal()) / 2
    return losses.mean() if reduction == "mean" else losses.sum()


def nearest_accuracy(similarities: Tensor) -> Tensor:
    """Share of the rows of M (N, N) whose largest entry is the positive; scalar in [0, 1]."""
    positives = torch.arange(len(similarities), device=similarities.device)
    return (similarities.argmax(dim=1) == positives).to(similarities.dtype).mean()


def attribute_reconstruction(
    codes: Tensor,
    embedded: Tensor,
    components: Reduction = "sum",
    batch: Reduction = "mean",
) -> Tensor:
    """L_rec^(a) = |a_S - h(Attr_S)|^2 of section 3.

    Args:
        codes: a_S, (N, C) or (N, C, H, W); positions are averaged.
        embedded: h(Attr_S), of the same shape.
        components: Squared norm (``sum``) or mean square.
        batch: Over the samples.

    Returns:
        Scalar.
    """
    squares = embed((codes - embedded).square(), "pooled")
    distances = squares.sum(dim=1) if components == "sum" else squares.mean(dim=1)
    return distances.mean() if batch == "mean" else distances.sum()


def attribute_classification(logits: Tensor, attributes: Tensor, reduction: Reduction) -> Tensor:
    """Multi-label cross-entropy of C_a, averaged over the batch.

    Args:
        logits: (N, A).
        attributes: (N, A) of 0 and 1.
        reduction: Over attributes: ``sum`` as StarGAN's, ``mean`` as AttGAN's.

    Returns:
        Scalar.
    """
    total = F.binary_cross_entropy_with_logits(logits, attributes, reduction="sum")
    return total / (logits.numel() if reduction == "mean" else len(logits))


def embed(codes: Tensor, embedding: Embedding) -> Tensor:
    """Vectors (N, D) as they are; of feature maps the mean over positions, or all entries."""
    if embedding == "pooled":
        return codes.flatten(2).mean(dim=2) if codes.ndim > 2 else codes
    return codes.flatten(1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(_SMALLEST_NORM)


def _as_maps(vectors: Tensor, like: Tensor) -> Tensor:
    """Vectors (N, C) at every position of latents that have positions."""
    return vectors.reshape(*vectors.shape, *[1] * (like.ndim - 2)).expand_as(like)


def _require_vectors(pair_count: int, attributes: Attributes) -> None:
    grouped = {name for group in attributes.exclusive for name in group}
    free = sum(name not in grouped for name in attributes.names)
    most = 2**free * math.prod(len(group) + 1 for group in attributes.exclusive)
    if pair_count > most:
        raise ValueError(
            f"InfoNCE asks for {pair_count} pairs with attribute vectors of their own, but "
            f"{len(attributes.names)} attributes ({', '.join(attributes.names)}) have at most "
            f"{most}: lower pair_count with --set, or select more attributes by "
            '--set dataset.attributes=["...", ...].'
        )
