"""Scores of attribute edits with intervals over images.

Every image is edited several times: once in each attribute (He et al., AttGAN, TIP 2019, section
4.3; Liu et al., STGAN, CVPR 2019), or into a whole new attribute vector. The edits of one image
stand or fall together, so intervals resample images, not edits.

``accuracy`` is the share of edits after which a classifier finds *all* attributes as asked for
(subset accuracy, the only reading that fits Table 1 of "Contrastive Representation Learning For
Image Attribute Manipulation"). Success in the edited attribute alone and preservation of the others
are in ``metrics.attribute_control``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array
from metrics.classification import BoolArray, binary_labels
from metrics.statistics import Interval, bootstrap_means, percentile_interval

CLASSIFICATION = (
    "accuracy",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "f1_samples",
    "hamming_accuracy",
)


@dataclass(frozen=True)
class EditScore:
    """One score of many edits.

    Attributes:
        value: Over all edits.
        interval: Percentile bootstrap interval over images.
    """

    value: float
    interval: Interval


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: the level asked for, the number of resamples, and their seed."""

    level: float = 0.95
    resamples: int = 1000
    seed: int = 0


DEFAULT_BOOTSTRAP = Bootstrap()


def classification_of_edits(
    predicted: Any, target: Any, image: Any, bootstrap: Bootstrap = DEFAULT_BOOTSTRAP
) -> dict[str, EditScore]:
    """How well the attributes that a classifier finds agree with those asked for.

    Args:
        predicted: (E, A) of 0 and 1, the attributes predicted on the edited images.
        target: (E, A), the attributes asked for.
        image: (E,) whole numbers, which image each edit is of; at least two different ones.
        bootstrap: How intervals are made.

    Returns:
        The scores named by ``CLASSIFICATION``, each in [0, 1]: those of
        ``metrics.classification.multilabel_scores`` over the edits, 0 / 0 counted as 0.

    Raises:
        ValueError: Labels other than 0 and 1, different shapes, a single image, or no edits.
    """
    found = binary_labels(predicted, "The predicted attributes")
    asked = binary_labels(target, "The attributes asked for")
    if found.shape != asked.shape:
        raise ValueError(
            f"Attributes of shape {found.shape} were predicted, but {asked.shape} asked for."
        )
    sums = _by_image(_countable(found, asked), image)
    attributes = found.shape[1]
    return dict(
        zip(
            CLASSIFICATION,
            _with_intervals(sums, lambda means: _classification(means, attributes), bootstrap),
            strict=True,
        )
    )


def mean_over_edits(values: Any, image: Any, bootstrap: Bootstrap = DEFAULT_BOOTSTRAP) -> EditScore:
    """The mean of one number for each edit.

    Args:
        values: (E,), such as 1 where an edit succeeded, or an error of its pixels.
        image: (E,) whole numbers, which image each edit is of; at least two different ones.
        bootstrap: How the interval is made.

    Raises:
        ValueError: NaN or infinite values, different lengths, a single image, or no edits.
    """
    numbers = finite_array(values, "The values of the edits", ndim=1)
    sums = _by_image(np.stack([np.ones_like(numbers), numbers], axis=1), image)
    return _with_intervals(sums, lambda means: [means[..., 1] / means[..., 0]], bootstrap)[0]


def _countable(found: BoolArray, asked: BoolArray) -> FloatArray:
    """What the scores are quotients of, (E, 4 + 3 A): see ``_classification``."""
    right = found == asked
    both = found & asked
    predicted_and_asked = found.sum(axis=1) + asked.sum(axis=1)
    f1 = 2.0 * both.sum(axis=1) / np.maximum(predicted_and_asked, 1)
    single = np.stack([np.ones(len(found)), right.all(axis=1), right.mean(axis=1), f1], axis=1)
    return np.concatenate([single, both, found, asked], axis=1)


def _classification(means: FloatArray, attributes: int) -> list[FloatArray]:
    """The scores, each (...), of means (..., 4 + 3 A) over images of what ``_countable`` gives."""
    edits, all_right, right, f1_of_edits = np.moveaxis(means[..., :4], -1, 0)
    both, found, asked = np.split(means[..., 4:], [attributes, 2 * attributes], axis=-1)
    f1 = _quotient(2.0 * both, found + asked)
    weights = _quotient(asked, asked.sum(axis=-1, keepdims=True))
    weighted = np.where(asked.any(axis=-1), (f1 * weights).sum(axis=-1), f1.mean(axis=-1))
    micro = _quotient(2.0 * both.sum(axis=-1), (found + asked).sum(axis=-1))
    return [
        all_right / edits,
        f1.mean(axis=-1),
        micro,
        weighted,
        f1_of_edits / edits,
        right / edits,
    ]


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    zeros = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    return np.divide(numerator, denominator, out=zeros, where=denominator > 0)


def _by_image(columns: FloatArray, image: Any) -> FloatArray:
    """Sums of the rows of each image, (images, columns)."""
    names = finite_array(image, "The images of the edits", ndim=1)
    if len(names) != len(columns):
        raise ValueError(f"There are {len(columns)} edits, but the images of {len(names)}.")
    places: NDArray[np.int64]
    distinct, places = np.unique(names, return_inverse=True)
    if len(distinct) < 2:
        raise ValueError("An interval over images needs edits of at least two images.")
    sums = np.zeros((len(distinct), columns.shape[1]))
    np.add.at(sums, places, columns)
    return sums


def _with_intervals(
    sums: FloatArray, scores: Callable[[FloatArray], list[FloatArray]], bootstrap: Bootstrap
) -> list[EditScore]:
    resampled = bootstrap_means(sums, resamples=bootstrap.resamples, seed=bootstrap.seed)
    values = scores(sums.mean(axis=0))
    return [
        EditScore(float(value), percentile_interval(drawn, bootstrap.level))
        for value, drawn in zip(values, scores(resampled), strict=True)
    ]
