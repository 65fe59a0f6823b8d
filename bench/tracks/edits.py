"""What the editing track asks of a method: which attributes to change, and what then is seen.

An attribute is edited by inverting it, and one of an exclusive group (a hair colour) by switching
it on and the rest of its group off; images that have it already are not asked for it, as in the
released StarGAN. Of classes (digits), the judge finds the best one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.base import Attributes, Editor
from bench.data.cluster_labels import missing_labels_remedy
from bench.data.subset import Subset
from bench.errors import BenchError, Diverged, counted
from bench.tracks import AttributePredictor
from bench.tracks.judge import Judge

COMBINED = -1  # in place of the attribute's number, where an edit changes several


@dataclass(frozen=True)
class EditedBatch:
    """Some edits of some images.

    Attributes:
        attribute: Which attribute was edited, or ``COMBINED``.
        places: int64 (E,), the places of the images in the test set.
        images: (E, C, H, W), the images before.
        source: (E, A) of 0 and 1, their attributes.
        target: (E, A), the attributes asked for.
        edited: (E, C, H, W) in [-1, 1], what the method made of them.
    """

    attribute: int
    places: Tensor
    images: Tensor
    source: Tensor
    target: Tensor
    edited: Tensor


@dataclass
class Judgements:
    """What was asked of each edit, and what the judge found, batch by batch."""

    predicted: list[Tensor] = field(default_factory=list)
    target: list[Tensor] = field(default_factory=list)
    source: list[Tensor] = field(default_factory=list)
    attribute: list[Tensor] = field(default_factory=list)
    places: list[Tensor] = field(default_factory=list)

    def add(self, batch: EditedBatch, judge: Judge) -> None:
        """Judge some edits."""
        self.predicted.append(judge(batch.edited))
        self.target.append(batch.target > 0.5)
        self.source.append(batch.source > 0.5)
        self.attribute.append(torch.full_like(batch.places, batch.attribute))
        self.places.append(batch.places)

    def arrays(self) -> list[NDArray[Any]]:
        """Of all edits: predicted, target and source, bool (E, A); attribute and place, (E,)."""
        columns = (self.predicted, self.target, self.source, self.attribute, self.places)
        return [torch.cat(column).numpy() for column in columns]


def require_editable(
    images: Subset, predictor: AttributePredictor | None, samples: int | None, splits: int
) -> None:
    """Refuse what edits cannot be judged on.

    Args:
        images: The test images.
        predictor: The judge's.
        samples: How many images are asked for at most; None for all.
        splits: In how many parts they are split for the inception score.

    Raises:
        BenchError: The attributes are not binary, the predictor does not know them, or there are
            too few images.
    """
    dataset = images.dataset
    if not dataset.attributes.names:
        raise BenchError(
            "The track editing needs attributes, and the dataset has none; "
            f"{missing_labels_remedy(dataset)}."
        )
    if max(dataset.factor_sizes or (2,)) > 2:
        raise BenchError(
            f"The track editing needs binary attributes, and {dataset.name} has factors of many "
            "values; take another --dataset."
        )
    if predictor is None:
        raise BenchError(
            f"The track editing needs an attribute predictor of the dataset, and {dataset.name} "
            "implies none: make one by bench train-predictor and name it with --predictor."
        )
    Judge(predictor, dataset.attributes, selectable="attributes" in dataset.everything)
    count = min(samples or len(images), len(images))
    if count < max(2, splits):
        raise BenchError(
            f"The track editing has {counted(count, 'test image')}, and takes at least 2, and one "
            f"for each of track.inception_splits={splits}: raise --limit, take more data, or lower "
            "the splits with --set."
        )


def asked_for(source: Tensor, attribute: int, attributes: Attributes) -> tuple[Tensor, Tensor]:
    """The edit of one attribute.

    Args:
        source: (N, A) of 0 and 1.
        attribute: Which one to edit.
        attributes: Names and exclusive groups.

    Returns:
        Places of the images that are asked for it, int64 (E,), and their new attributes (E, A).
    """
    name = attributes.names[attribute]
    groups = [group for group in attributes.exclusive if name in group]
    if not groups:
        target = source.clone()
        target[:, attribute] = 1.0 - target[:, attribute]
        return torch.arange(len(source)), target
    lacking = (source[:, attribute] < 0.5).nonzero()[:, 0]
    target = source[lacking]
    for group in groups:
        target[:, [attributes.names.index(other) for other in group]] = 0.0
    target[:, attribute] = 1.0
    return lacking, target


def edit(method: Editor, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Edited images as they would be saved, clipped to [-1, 1].

    Raises:
        BenchError: They have another shape than the images.
        Diverged: They are NaN or infinite.
    """
    edited = method.edit(images, source.to(images.device), target.to(images.device))
    if edited.shape != images.shape:
        raise BenchError(
            f"{type(method).__name__}.edit made images of shape {tuple(edited.shape)} of images of "
            f"shape {tuple(images.shape)}; an Editor keeps the shape."
        )
    if not torch.isfinite(edited).all():
        raise Diverged(
            f"Images edited by {type(method).__name__} are NaN or infinite; train it again with a "
            "lower learning rate."
        )
    return edited.clamp(-1.0, 1.0)


def single_edits(
    method: Editor,
    dataset: Subset,
    attributes: Attributes,
    batches: Iterable[Tensor],
    device: torch.device,
) -> Iterator[EditedBatch]:
    """Every image edited once in each attribute that it can be asked for."""
    for places in batches:
        images, source = dataset.batch(places)
        images = images.to(device)
        source = source.cpu()
        for attribute in range(len(attributes.names)):
            rows, target = asked_for(source, attribute, attributes)
            if len(rows):
                before, labels = images[rows.to(device)], source[rows]
                edited = edit(method, before, labels, target)
                yield EditedBatch(attribute, places[rows], before, labels, target, edited)


def combined_edits(
    method: Editor,
    dataset: Subset,
    batches: Iterable[Tensor],
    targets: Tensor,
    device: torch.device,
) -> Iterator[EditedBatch]:
    """Every image edited into the attributes of another one, (N, A) ``targets``."""
    done = 0
    for places in batches:
        images, source = dataset.batch(places)
        images = images.to(device)
        target = targets[done : done + len(places)]
        done += len(places)
        edited = edit(method, images, source, target)
        yield EditedBatch(COMBINED, places, images, source.cpu(), target, edited)
