"""IcGAN's labels: those of the training set, to draw from, and how an edit changes encoded ones.

A label is 1 where an attribute is set, and elsewhere ``low``: -1 or 0, as the form has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData

# Of these attributes of CelebA, an edit that sets one clears the others.
EXCLUSIVE = (
    ("Bald", "Bangs", "Receding_Hairline"),
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"),
    ("Straight_Hair", "Wavy_Hair"),
)


class KnownLabels:
    """The labels of all training images, and random rows of them.

    Args:
        data: The training set.
        low: The label of an attribute that is not set.
        device: Where the labels shall be.

    Attributes:
        table: (N, A).
    """

    def __init__(self, data: TrainingData, low: float, device: torch.device) -> None:
        attributes = data.train.labels(torch.arange(len(data.train)))  # (N, A)
        self.table = scaled_labels(attributes, low).to(device)

    def drawn(self, batch: Batch, count: int) -> Tensor:
        """Labels (count, A) of training images drawn by the batch's ``labels`` draws."""
        return self.table[batch.draws.integer("labels", count, len(self.table))]

    def others(self, indices: Tensor, uniform: Tensor) -> Tensor:
        """For each image, the labels of a random one whose labels differ.

        Args:
            indices: int64 (N,), places in the training set.
            uniform: (N, 1) in (0, 1), the random numbers.

        Raises:
            ValueError: All training images have the same labels.
        """
        order, group, starts, counts = self._by_vector
        if len(counts) < 2:
            raise ValueError(
                "All training images have the same labels, so none are wrong: set wrong_weight=0, "
                "or train on other attributes."
            )
        own = group[indices.to(group.device)]
        allowed = len(order) - counts[own]
        places = torch.minimum((uniform[:, 0].to(group.device) * allowed).long(), allowed - 1)
        # The images with an image's own labels stand together; they are stepped over.
        places += counts[own] * (places >= starts[own])
        return self.table[order[places]]

    @cached_property
    def _by_vector(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images ordered by label vector; each image's vector; where vectors begin; how often."""
        _, group, counts = self.table.unique(dim=0, return_inverse=True, return_counts=True)
        return group.argsort(stable=True), group, counts.cumsum(0) - counts, counts


def scaled_labels(attributes: Tensor, low: float) -> Tensor:
    """Attributes of 0 and 1 as labels of ``low`` and 1."""
    return low + (1.0 - low) * attributes


def exclusive_groups(attributes: Attributes) -> list[list[int]]:
    """Columns of which at most one is set: the dataset's own groups and CelebA's ``EXCLUSIVE``."""
    groups = (*attributes.exclusive, *EXCLUSIVE)
    present = [[name for name in group if name in attributes.names] for group in groups]
    columns = (tuple(map(attributes.names.index, group)) for group in present if len(group) > 1)
    return [list(group) for group in dict.fromkeys(columns)]


def edited_labels(
    encoded: Tensor, source: Tensor, target: Tensor, exclusive: Sequence[list[int]], low: float
) -> Tensor:
    """Encoded labels with the edited attributes, those in which target and source differ, set.

    Args:
        encoded: (N, A), labels of the images as they are.
        source: (N, A) of 0 and 1, the images' attributes.
        target: (N, A) of 0 and 1, the attributes to show.
        exclusive: Columns of each group: an attribute that is set clears the others of its group.
        low: The label of an attribute that is not set.

    Returns:
        (N, A), labels.
    """
    edited = source != target
    labels = encoded.clone()
    for group in exclusive:
        gains = (edited & (target > source))[:, group].any(dim=1, keepdim=True)
        labels[:, group] = torch.where(gains, low, labels[:, group])
    return torch.where(edited, scaled_labels(target, low), labels)
