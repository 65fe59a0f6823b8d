"""LatentCLR's contrastive loss, at once and streamed over the directions.

Yüksel, Simsar, Er and Yanardag, "LatentCLR: A Contrastive Learning Approach for Unsupervised
Discovery of Interpretable Directions" (ICCV 2021), section 3.2. Edits of different codes along one
direction are positives of each other, edits along any other direction are negatives.

The loss compares every edit with every other one, so it cannot be split into batches; but all that
it needs of an edit is one vector. ``stream`` finds these vectors first, without keeping what led
to them, then the loss's slope at each, and then goes through the directions once more, a few at a
time: the gradient is that of the whole, and the memory that of a few directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Scaling = Literal["multiply", "divide"]

_CODES_AT_ONCE = 32  # a generator is slower with fewer at a time, and hardly faster with more


@dataclass(frozen=True)
class Comparison:
    """How edits are compared.

    Attributes:
        temperature: What similarities are scaled by.
        scaling: ``multiply`` by the temperature as released, or ``divide`` by it as in the paper.
        absolute: Take an edit and its opposite for the same, as released; the paper does not.
        reduction: Compare the ``mean`` over positives with that over negatives as released, or
            their ``sum`` as in the paper; they differ by a constant.
    """

    temperature: float = 0.5
    scaling: Scaling = "multiply"
    absolute: bool = True
    reduction: Literal["mean", "sum"] = "mean"


@dataclass(frozen=True)
class Terms:
    """The loss and what it says.

    Attributes:
        loss: A scalar; 0 on average over random edits where ``reduction`` is ``mean``.
        accuracy: The share of edits that are more like their positives than their negatives.
    """

    loss: Tensor
    accuracy: Tensor


def contrastive_loss(changes: Tensor, directions: int, comparison: Comparison) -> Terms:
    """The loss of the changes that edits make in features.

    Args:
        changes: (K * B, F), unit rows; all B edits along direction 0 first.
        directions: How many directions K there are.
        comparison: How edits are compared.

    Raises:
        ValueError: There is a single direction, or a single edit along each.
    """
    return similarity_loss(changes @ changes.T, directions, comparison)


def similarity_loss(similarity: Tensor, directions: int, comparison: Comparison) -> Terms:
    """The loss of the cosines (K * B, K * B) between all edits; see ``contrastive_loss``."""
    count = len(similarity)
    edits = count // directions
    if directions < 2 or edits < 2:
        raise ValueError(
            f"{directions} directions with {edits} edits each cannot be contrasted: set "
            "num_directions to 2 at least, and batch_size to 2 for each process at least."
        )
    scale = comparison.temperature
    if comparison.scaling == "divide":
        scale = 1 / scale
    logits = (similarity.abs() if comparison.absolute else similarity) * scale
    owner = torch.arange(count, device=similarity.device) // edits
    same = owner[:, None] == owner
    itself = torch.eye(count, dtype=torch.bool, device=similarity.device)
    positive = logits.masked_fill(~same | itself, -math.inf).logsumexp(1)
    negative = logits.masked_fill(same, -math.inf).logsumexp(1)
    if comparison.reduction == "mean":
        positive = positive - math.log(edits - 1)
        negative = negative - math.log(count - edits)
    return Terms((negative - positive).mean(), (positive > negative).float().mean())


def stream(
    codes: Tensor,
    change: Callable[[Tensor], Tensor],
    comparison: Comparison,
    projector: nn.Module,
) -> Terms:
    """The loss of edited codes, with its gradient, in the memory of a few directions.

    Gradients are added to the leaves of the graph that ``codes`` has, and to parameters that
    ``change`` uses: those that ``contrastive_loss`` of all changes would give.

    Args:
        codes: (K, B, ...), all codes edited along all directions, with a graph.
        change: From edits along some directions (M, B, ...) to unit changes of features (M, B, F);
            called twice with each, and has to give the same both times.
        comparison: How edits are compared.
        projector: The part of ``change`` whose batch norms, if any, follow what they see.

    Returns:
        The terms, without a graph.

    Raises:
        ValueError: As ``contrastive_loss``.
    """
    parts = codes.detach().split(max(1, _CODES_AT_ONCE // codes.shape[1]))
    changes = _changes(parts, change, projector)
    similarity = (changes @ changes.T).requires_grad_()
    terms = similarity_loss(similarity, len(codes), comparison)
    (slope,) = torch.autograd.grad(terms.loss, similarity)
    slope = slope + slope.T
    gradients, start = [], 0
    for part in parts:
        end = start + part.shape[:2].numel()
        part = part.requires_grad_()
        found = change(part)
        found.backward((slope[start:end] @ changes).view_as(found))
        gradients.append(torch.zeros_like(part) if part.grad is None else part.grad)
        start = end
    codes.backward(torch.cat(gradients))
    return Terms(terms.loss.detach(), terms.accuracy)


@torch.no_grad()
def _changes(
    parts: Sequence[Tensor], change: Callable[[Tensor], Tensor], projector: nn.Module
) -> Tensor:
    """The changes (K * B, F) of all edits; the statistics of batch norms stay as they are."""
    kept = [buffer.clone() for buffer in projector.buffers()]
    first = change(parts[0]).flatten(0, 1)
    edits = sum(part.shape[:2].numel() for part in parts)
    changes = first.new_empty(edits, first.shape[1])  # filled in place: it may be large
    changes[: len(first)] = first
    start = len(first)
    for part in parts[1:]:
        found = change(part).flatten(0, 1)
        changes[start : start + len(found)] = found
        start += len(found)
    # Of the two calls with each part, the second is the one that counts.
    for buffer, before in zip(projector.buffers(), kept, strict=True):
        buffer.copy_(before)
    return changes
