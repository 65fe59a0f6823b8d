"""Does an edit, or a conditional sample, have the attributes that were asked for?

Two families of numbers, both read off a classifier that predicts attributes of images:

- *Editing accuracy* and *preservation error* of AttGAN (He et al., "AttGAN: Facial Attribute
  Editing by Only Changing What You Want", TIP 2019, section IV-B) and STGAN (Liu et al., CVPR
  2019): every edit inverts one attribute; is it inverted, and have the others stayed? Others that
  the method had to change to avoid a contradiction (two hair colours) count as errors there.
- *Attribute control accuracy* of InfoSCC-GAN (Kinakh et al., "Information-Theoretic Stochastic
  Contrastive Conditional GAN: InfoSCC-GAN", 2021; ``src/trainer/generator_trainer.py`` of its
  code): images are sampled with one attribute asked for; does the classifier see it? Only
  attributes that were switched on are asked after, so it is a recall, and at a low threshold.

Accuracy of all attributes of an image together is ``metrics.classification.subset_accuracy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metrics.arrays import FloatArray, finite_array
from metrics.classification import BoolArray, IntArray, binary_labels


@dataclass(frozen=True, eq=False)
class AttributeRates:
    """A share in [0, 1] of edits or of samples.

    Attributes:
        mean: Mean over all of them.
        each: (N,), the share of each one: 0 or 1 for an accuracy. What to resample for intervals.
        by_attribute: Mean by number of the attribute, for those that were asked about.
    """

    mean: float
    each: FloatArray
    by_attribute: Mapping[int, float]


def editing_accuracy(predicted: Any, source: Any, edited: Any) -> AttributeRates:
    """Share of edits that invert the attribute that they should.

    Where every image is edited once in each attribute, as AttGAN and STGAN do, the mean over edits
    is their mean over attributes. ``by_attribute`` holds the attributes that some edit inverts.

    Args:
        predicted: (N, A) of 0 and 1, the attributes predicted on the edited images.
        source: (N, A) of 0 and 1, the attributes of the images before the edit.
        edited: (N,) which attribute each edit should invert, 0 to A - 1.

    Raises:
        ValueError: Labels other than 0 and 1, attributes out of range, or different shapes.
    """
    found, before, asked = _edits(predicted, source, edited)
    rows = np.arange(len(found))
    inverted = (found != before)[rows, asked].astype(np.float64)
    attributes = np.unique(asked).tolist()
    by_attribute = {number: float(inverted[asked == number].mean()) for number in attributes}
    return AttributeRates(float(inverted.mean()), inverted, by_attribute)


def preservation_error(predicted: Any, source: Any, edited: Any) -> AttributeRates:
    """Share of the attributes that an edit should leave alone and that are others after it.

    ``by_attribute`` says of each attribute how often edits of other attributes change it, and
    leaves out one that all edits ask for.

    Args:
        predicted: (N, A) of 0 and 1, the attributes predicted on the edited images; A >= 2.
        source: (N, A) of 0 and 1, what they are compared with: the true attributes before the edit
            (AttGAN, STGAN), whose errors then include those of the classifier; or its own
            predictions on the images before the edit.
        edited: (N,) which attribute each edit should invert, 0 to A - 1.

    Raises:
        ValueError: A single attribute, labels other than 0 and 1, attributes out of range, or
            different shapes.
    """
    found, before, asked = _edits(predicted, source, edited)
    others = found.shape[1] - 1
    if others == 0:
        raise ValueError("Preservation is about the other attributes, but there is only one.")
    left_alone = np.ones(found.shape, dtype=bool)
    left_alone[np.arange(len(found)), asked] = False
    changed = (found != before) & left_alone
    changes, chances = changed.sum(axis=0), left_alone.sum(axis=0)
    by_attribute = {
        number: float(changes[number] / chances[number])
        for number in np.flatnonzero(chances).tolist()
    }
    each = changed.sum(axis=1) / others
    return AttributeRates(float(each.mean()), each, by_attribute)


def attribute_control_accuracy(logits: Any, threshold: float = 0.2) -> AttributeRates:
    """Share of samples with the attribute that was asked for, by independent (multi-label) outputs.

    Args:
        logits: (A, ..., A), the classifier's outputs before the sigmoid: the first axis is the
            attribute asked for, the last the output of each attribute; samples lie between.
        threshold: The probability from which on, exclusively, an attribute counts as present. The
            released code takes 0.2 here, though 0.5 when it reports on the classifier.

    Raises:
        ValueError: NaN or infinite entries, another shape, or a threshold outside (0, 1).
    """
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"A probability's threshold lies between 0 and 1, not at {threshold}.")
    outputs = _requested(logits)
    own = np.diagonal(outputs, axis1=0, axis2=2).T  # A x samples
    return _rates_of_requests(own > np.log(threshold / (1.0 - threshold)))


def class_control_accuracy(logits: Any) -> AttributeRates:
    """Share of samples of the class that was asked for, by exclusive (one-hot) outputs.

    Args:
        logits: (C, ..., C), the classifier's outputs: the first axis is the class asked for, the
            last the output of each class; samples lie between. The largest output is the class
            predicted, the first of several.

    Raises:
        ValueError: NaN or infinite entries, or another shape.
    """
    outputs = _requested(logits)
    return _rates_of_requests(outputs.argmax(axis=-1) == np.arange(len(outputs))[:, None])


def _requested(logits: Any) -> FloatArray:
    """Outputs as attribute asked for x samples x outputs."""
    outputs = finite_array(logits, "The logits")
    if outputs.ndim < 3 or outputs.shape[0] != outputs.shape[-1]:
        raise ValueError(
            "The logits need the attribute asked for as first axis and as many outputs as last, "
            f"with samples between, not shape {outputs.shape}."
        )
    return outputs.reshape(len(outputs), -1, len(outputs))


def _rates_of_requests(hits: BoolArray) -> AttributeRates:
    """Of hits (attribute asked for, samples)."""
    shares = hits.mean(axis=1).tolist()
    each = hits.ravel().astype(np.float64)
    return AttributeRates(float(each.mean()), each, dict(enumerate(shares)))


def _edits(predicted: Any, source: Any, edited: Any) -> tuple[BoolArray, BoolArray, IntArray]:
    found = binary_labels(predicted, "The predicted attributes")
    before = binary_labels(source, "The attributes before the edit")
    if found.shape != before.shape:
        raise ValueError(
            f"The predicted attributes have shape {found.shape}, but those before the edit "
            f"{before.shape}."
        )
    numbers = finite_array(edited, "The edited attributes", ndim=1)
    if len(numbers) != len(found):
        raise ValueError(f"{len(found)} images were edited, but {len(numbers)} edits are named.")
    wrong = ~np.isin(numbers, np.arange(found.shape[1]))
    if wrong.any():
        raise ValueError(
            f"The edited attributes are numbered 0 to {found.shape[1] - 1}, but edit "
            f"{int(wrong.argmax())} asks for {numbers[wrong][0]:g}."
        )
    return found, before, numbers.astype(np.int64)
