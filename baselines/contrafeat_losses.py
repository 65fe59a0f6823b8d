"""ContraFeat's losses: contrast the changes that edits make in deep features.

Zhu, Xu and Tao, "ContraFeat: Contrasting Deep Features for Semantic Discovery" (AAAI 2023),
section 3 "Losses", equations 5 to 14. An edit along one direction should change the features in
the same way for every code (consistency), an edit along another one in an orthogonal way
(orthogonality), and the directions themselves should differ (diversity).

The defaults are those of the released code, which reads some equations differently from the
paper; ``Contrast`` names each difference. Everything here is a pure function: the generator and
the feature extractor come in as callables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Focus = Literal["l2", "none", "pooled", "pooled-l2"]
Cosine = Literal["squared", "absolute", "signed"]
MaskPosition = Literal["inside", "outside"]

_MASK_EPSILON = 1e-6
_UNIT_EPSILON = 1e-6


@dataclass(frozen=True)
class Contrast:
    """How two changes in feature maps are compared.

    Attributes:
        focus: ``l2`` weighs positions by how much both maps change there (equations 7 and 8),
            ``none`` weighs them evenly (equation 6), ``pooled`` compares spatially averaged
            features without a mask. ``pooled-l2`` is the released ablation, which kept the mask:
            that of a 1 x 1 map is 0, so the loss and its gradient are exactly 0.
        cosine: ``squared`` as released; ``signed`` as the paper's text has it; ``absolute`` as in
            the script behind the paper's table 8.
        mask_position: ``inside`` squares the mask together with the cosine, as released;
            ``outside`` weighs the squared cosine by the mask, as in equation 8. They differ for
            the squared cosine only.
    """

    focus: Focus = "l2"
    cosine: Cosine = "squared"
    mask_position: MaskPosition = "inside"


@dataclass(frozen=True)
class Terms:
    """Consistency and orthogonality for each layer of the extractor.

    Attributes:
        consistency: Minus the similarity of changes by the same direction; scalars, or (B,).
        orthogonality: The similarity of changes by different directions; likewise.
    """

    consistency: tuple[Tensor, ...]
    orthogonality: tuple[Tensor, ...]

    def total(self) -> Tensor:
        """Equation 14 without diversity: the sum over layers of both terms, a scalar."""
        layers = zip(self.consistency, self.orthogonality, strict=True)
        return torch.stack([(same + other).mean() for same, other in layers]).sum()


Generate = Callable[[Tensor], Tensor]  # ws (N, L, D) -> images (N, 3, H, W)
Extract = Callable[[Tensor], Sequence[Tensor]]  # images -> feature maps (N, C, h, w) of each layer


def binary_objective(
    generate: Generate,
    extract: Extract,
    ws: Tensor,
    deltas: Tensor,
    directions: Tensor,
    steps: Tensor,
    contrast: Contrast,
) -> Terms:
    """Edit pairs of codes and contrast the changes (equations 5, 8 and 11).

    Args:
        generate: Images of codes; called once, with 5 B codes.
        extract: Feature maps of images; called once.
        ws: (2 B, L, D): B query codes, then B second codes.
        deltas: (K, L, D), what one unit along each direction adds.
        directions: int64 (B, 2): the direction of query and positive, and that of the negative.
        steps: (B, 2): the step of query and positive, and that of the negative.
        contrast: How changes are compared.

    Returns:
        The terms, one value for each sample (B,).
    """
    queries, seconds = ws.chunk(2)
    moves = steps[:, :, None, None] * deltas[directions]  # (B, 2, L, D)
    same, other = moves.unbind(1)
    codes = torch.cat([queries, seconds, queries + same, seconds + same, seconds + other])
    return binary_terms(extract(generate(codes)), contrast)


def prototype_objective(
    generate: Generate,
    extract: Extract,
    ws: Tensor,
    deltas: Tensor,
    prototypes: Tensor,
    directions: Tensor,
    steps: Tensor,
    contrast: Contrast,
    symmetric: bool = True,
) -> Terms:
    """Edit codes and contrast the changes with learned pictures (equations 5, 10 and 12).

    Args:
        generate: Images of codes; called once, with 2 B codes.
        extract: Feature maps of images; called once for the edits and once for the prototypes.
        ws: (B, L, D) codes.
        deltas: (K, L, D), what one unit along each direction adds.
        prototypes: (K, 3, H, W), one picture for each direction, in [-1, 1].
        directions: int64 (B,), the direction of each code.
        steps: (B,), the step of each code.
        contrast: How changes are compared.
        symmetric: Compare ``w + step / 2`` with ``w - step / 2``, as released; otherwise
            ``w + step`` with ``w``, as in equation 5.

    Returns:
        The terms, scalars.
    """
    moves = steps[:, None, None] * deltas[directions]  # (B, L, D)
    before, after = (ws - 0.5 * moves, ws + 0.5 * moves) if symmetric else (ws, ws + moves)
    features = extract(generate(torch.cat([before, after])))
    return prototype_terms(features, extract(prototypes), directions, contrast)


def binary_terms(features: Sequence[Tensor], contrast: Contrast) -> Terms:
    """The binary losses on given feature maps.

    Args:
        features: For each layer (5 B, C, h, w), B rows each of: query origin, second origin,
            query end, positive end, negative end (the last two start at the second origin).
        contrast: How changes are compared.

    Returns:
        The terms, one value for each sample (B,).
    """
    consistency, orthogonality = [], []
    for maps in features:
        origin, second, query_end, positive_end, negative_end = _pooled(maps, contrast).chunk(5)
        query = query_end - origin
        consistency.append(-_paired_similarity(query, positive_end - second, contrast))
        orthogonality.append(_paired_similarity(query, negative_end - second, contrast))
    return Terms(tuple(consistency), tuple(orthogonality))


def prototype_terms(
    features: Sequence[Tensor],
    prototypes: Sequence[Tensor],
    directions: Tensor,
    contrast: Contrast,
) -> Terms:
    """The prototype losses on given feature maps.

    Args:
        features: For each layer (2 B, C, h, w): B maps before the edits, then B after them.
        prototypes: For each layer (K, C, h', w'), the prototypes' own features (not a change);
            resized bilinearly to h x w.
        directions: int64 (B,), the direction of each edit.
        contrast: How changes are compared.

    Returns:
        The terms, scalars.
    """
    consistency, orthogonality = [], []
    for maps, pictures in zip(features, prototypes, strict=True):
        before, after = maps.chunk(2)
        similarity = pairwise_similarity(after - before, pictures, contrast)  # (B, K)
        matches = F.one_hot(directions, similarity.shape[1]).bool()
        consistency.append(-similarity[matches].mean())
        orthogonality.append(similarity[~matches].mean())
    return Terms(tuple(consistency), tuple(orthogonality))


def pairwise_similarity(changes: Tensor, prototypes: Tensor, contrast: Contrast) -> Tensor:
    """Similarity of every change with every prototype in one layer.

    Args:
        changes: (B, C, h, w).
        prototypes: (K, C, h', w'), resized bilinearly to h x w.
        contrast: How they are compared.

    Returns:
        (B, K).
    """
    changes, prototypes = _pooled(changes, contrast), _pooled(prototypes, contrast)
    if prototypes.shape[-2:] != changes.shape[-2:]:
        prototypes = F.interpolate(prototypes, changes.shape[-2:], mode="bilinear")
    changes, prototypes = changes.flatten(2), prototypes.flatten(2)  # (B | K, C, S)
    cosine = torch.einsum("bcs,kcs->bks", _unit(changes), _unit(prototypes))
    if contrast.focus in ("none", "pooled"):
        return _power(cosine, contrast).mean(-1)
    weight = l2_mask(changes)[:, None] * l2_mask(prototypes)  # (B, K, S)
    return _weighted_mean(cosine, weight, contrast)


def l2_mask(changes: Tensor) -> Tensor:
    """Equation 7: the norm over channels, scaled to [0, 1] over the positions of each map.

    Args:
        changes: (N, C, S).

    Returns:
        (N, S).
    """
    norm = changes.norm(dim=1)
    low, high = norm.amin(-1, keepdim=True), norm.amax(-1, keepdim=True)
    return (norm - low) / (high - low + _MASK_EPSILON)


def diversity(deltas: Tensor, reduction: Literal["sum", "mean"] = "sum") -> Tensor:
    """Equation 13: squared cosines between all ordered pairs of different directions.

    Args:
        deltas: (K, L, D), or (N, K, L, D) for deltas that depend on the code.
        reduction: ``sum`` over the pairs as released (its weight grows with K squared), or their
            ``mean``.

    Returns:
        A scalar; the mean over N where there is one.
    """
    unit = F.normalize(deltas.flatten(-2), dim=-1)
    squared = (unit @ unit.transpose(-1, -2)).square()  # (..., K, K)
    count = squared.shape[-1]
    off_diagonal = ~torch.eye(count, dtype=torch.bool, device=deltas.device)
    total = (squared * off_diagonal).sum((-1, -2)).mean()
    return total / (count * (count - 1)) if reduction == "mean" else total


def _paired_similarity(first: Tensor, second: Tensor, contrast: Contrast) -> Tensor:
    first, second = first.flatten(2), second.flatten(2)  # (B, C, S)
    cosine = F.cosine_similarity(first, second, dim=1)
    if contrast.focus in ("none", "pooled"):
        return _power(cosine, contrast).mean(-1)
    return _weighted_mean(cosine, l2_mask(first) * l2_mask(second), contrast)


def _weighted_mean(cosine: Tensor, weight: Tensor, contrast: Contrast) -> Tensor:
    if contrast.mask_position == "inside":
        values = _power(cosine * weight, contrast)
    else:
        values = _power(cosine, contrast) * weight
    return values.sum(-1) / (weight.sum(-1) + _MASK_EPSILON)


def _power(cosine: Tensor, contrast: Contrast) -> Tensor:
    if contrast.cosine == "squared":
        return cosine.square()
    return cosine.abs() if contrast.cosine == "absolute" else cosine


def _pooled(maps: Tensor, contrast: Contrast) -> Tensor:
    return maps.mean((2, 3), keepdim=True) if contrast.focus.startswith("pooled") else maps


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (vectors.norm(dim=1, keepdim=True) + _UNIT_EPSILON)
