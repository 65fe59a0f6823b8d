"""Accuracy, F1 and their kin for attributes (multi-label) and for classes (multi-class).

The definitions are scikit-learn's, whose values these equal. Two of them are easily mixed up in
tables of attribute editing: *subset accuracy* counts the samples whose attributes are all right,
*Hamming accuracy* the attributes that are right, whosever they are; the second is never smaller.
Labels are 0 or 1: a classifier's probability is made a label by ``> 0.5``, its logit by ``> 0``.

Precision, recall, F1 and the Jaccard index divide by a count that may be 0, where an attribute
neither occurs nor is predicted, or a sample has no attribute. They are then ``zero_division``,
0 or 1, and count so in the averages, which moves these: a result states which was taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import FloatArray, finite_array

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

SCORES = ("f1", "precision", "recall", "jaccard")
AVERAGES = ("macro", "micro", "weighted", "samples")


@dataclass(frozen=True, eq=False)
class Averages:
    """One score, in [0, 1], averaged over attributes (or classes) in the usual ways.

    Attributes:
        macro: Mean over attributes.
        micro: The score of all attributes' counts together.
        weighted: Mean over attributes, each weighted by how many samples truly have it; as macro
            where no sample has any.
        samples: Mean over samples of the score of each sample's set of attributes; None for
            classes, of which every sample has one.
        per_attribute: (A,), or (C,) where classes are scored.
    """

    macro: float
    micro: float
    weighted: float
    samples: float | None
    per_attribute: FloatArray


@dataclass(frozen=True, eq=False)
class MultilabelScores:
    """How well predicted attributes agree with the true ones.

    Attributes:
        subset_accuracy: Share of samples with all attributes right.
        hamming_accuracy: Share of right entries: the mean accuracy of the attributes.
        accuracy_per_attribute: (A,).
        balanced_accuracy_per_attribute: (A,), mean of the shares of right entries among samples
            with the attribute and among those without; where all are of one kind, among these.
        precision: Right positives among predicted ones.
        recall: Right positives among true ones.
        f1: Harmonic mean of the two.
        jaccard: Right positives among those predicted or true.
    """

    subset_accuracy: float
    hamming_accuracy: float
    accuracy_per_attribute: FloatArray
    balanced_accuracy_per_attribute: FloatArray
    precision: Averages
    recall: Averages
    f1: Averages
    jaccard: Averages


@dataclass(frozen=True, eq=False)
class MulticlassScores:
    """How well predicted classes agree with the true ones.

    Attributes:
        accuracy: Share of right samples.
        balanced_accuracy: Mean over the classes that truly occur of their recall.
        precision: See ``MultilabelScores``; each class against all others.
        recall: Likewise.
        f1: Likewise.
        jaccard: Likewise.
        classes: (C,) the labels that occur in truth or prediction, ascending.
        confusion: (C, C), how many samples of the row's class were taken for the column's.
    """

    accuracy: float
    balanced_accuracy: float
    precision: Averages
    recall: Averages
    f1: Averages
    jaccard: Averages
    classes: IntArray
    confusion: IntArray


def multilabel_scores(truth: Any, predicted: Any, zero_division: float = 0.0) -> MultilabelScores:
    """Every score of predicted attributes.

    Args:
        truth: (N, A) array or tensor of 0 and 1, or of bool.
        predicted: Likewise.
        zero_division: What 0 / 0 counts as, 0 or 1; see the module.

    Raises:
        ValueError: Labels other than 0 and 1, different shapes, or nothing to score.
    """
    true, found = _label_pair(truth, predicted)
    right = true == found
    by_attribute, by_sample = _counts(true, found, 0), _counts(true, found, 1)
    precision, recall, f1, jaccard = _all_averages(by_attribute, by_sample, zero_division)
    return MultilabelScores(
        float(right.all(axis=1).mean()),
        float(right.mean()),
        right.mean(axis=0),
        _balanced_accuracy(true, found),
        precision,
        recall,
        f1,
        jaccard,
    )


def multiclass_scores(truth: Any, predicted: Any, zero_division: float = 0.0) -> MulticlassScores:
    """Every score of predicted classes.

    Args:
        truth: (N,) array or tensor of whole numbers, any.
        predicted: Likewise. A class that occurs in neither does not count, as in scikit-learn.
        zero_division: What 0 / 0 counts as, 0 or 1; see the module.

    Raises:
        ValueError: Labels that are no whole numbers, different lengths, or nothing to score.
    """
    true, found = _classes(truth, "The true classes"), _classes(predicted, "The predicted classes")
    if true.shape != found.shape:
        raise ValueError(f"There are {len(true)} true classes, but {len(found)} predicted ones.")
    classes, codes = np.unique(np.concatenate([true, found]), return_inverse=True)
    pairs = codes[: len(true)] * len(classes) + codes[len(true) :]
    confusion = np.bincount(pairs, minlength=len(classes) ** 2).reshape(len(classes), -1)
    counts = _Counts(confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1))
    occurs = counts.true > 0
    precision, recall, f1, jaccard = _all_averages(counts, None, zero_division)
    return MulticlassScores(
        float((true == found).mean()),
        float((counts.both[occurs] / counts.true[occurs]).mean()),
        precision,
        recall,
        f1,
        jaccard,
        classes,
        confusion,
    )


def averages_by_name(
    scores: MultilabelScores | MulticlassScores,
) -> dict[tuple[str, str], float]:
    """The averages of all ``SCORES`` in all ways of ``AVERAGES`` that there are.

    Returns:
        Such as ``{("f1", "macro"): 0.7}``; classes have no average over samples.
    """
    found = {}
    for score in SCORES:
        for average in AVERAGES:
            value = getattr(getattr(scores, score), average)
            if value is not None:
                found[score, average] = value
    return found


def subset_accuracy(truth: Any, predicted: Any) -> float:
    """Share of samples whose attributes are all right; see ``multilabel_scores``."""
    true, found = _label_pair(truth, predicted)
    return float((true == found).all(axis=1).mean())


def hamming_accuracy(truth: Any, predicted: Any) -> float:
    """Share of right entries among all (N, A); see ``multilabel_scores``."""
    true, found = _label_pair(truth, predicted)
    return float((true == found).mean())


def average_precision(truth: Any, scores: Any) -> FloatArray:
    """Area under each attribute's curve of precision over recall, as a sum of steps.

    The sum over distinct scores, from the largest, of the gain in recall times the precision
    there; equal scores are taken together. Nothing is interpolated.

    Args:
        truth: (N, A) of 0 and 1.
        scores: (N, A) real numbers, larger where the attribute is likelier; logits will do.

    Returns:
        (A,) in [0, 1]; 0 for an attribute that no sample has.

    Raises:
        ValueError: Labels other than 0 and 1, NaN or infinite scores, or different shapes.
    """
    true, ranked_by = _scored_pair(truth, scores)
    areas = []
    for labels, values in zip(true.T, ranked_by.T, strict=True):
        positives, seen = _by_falling_score(labels, values)
        steps = np.diff(positives, prepend=0) * (positives / seen)
        areas.append(steps.sum() / max(positives[-1], 1))
    return np.array(areas)


def roc_auc(truth: Any, scores: Any) -> FloatArray:
    """Area under each attribute's curve of true over false positive rate.

    The chance that a sample with the attribute has a larger score than one without; equal scores
    count half.

    Args:
        truth: (N, A) of 0 and 1, both in every column.
        scores: (N, A) real numbers, larger where the attribute is likelier; logits will do.

    Returns:
        (A,) in [0, 1].

    Raises:
        ValueError: An attribute that all samples have, or none; labels other than 0 and 1, NaN or
            infinite scores, or different shapes.
    """
    true, ranked_by = _scored_pair(truth, scores)
    constant = true.all(axis=0) | ~true.any(axis=0)
    if constant.any():
        attribute = int(constant.argmax())
        kind = "with" if true[0, attribute] else "without"
        raise ValueError(
            "The area under a ROC curve needs samples of both kinds, but attribute "
            f"{attribute} has only samples {kind} it."
        )
    areas = []
    for labels, values in zip(true.T, ranked_by.T, strict=True):
        positives, seen = _by_falling_score(labels, values)
        negatives = seen - positives
        heights = positives + np.concatenate([[0], positives[:-1]])  # of trapezoids, twice
        area = (np.diff(negatives, prepend=0) * heights).sum()
        areas.append(area / (2.0 * positives[-1] * negatives[-1]))
    return np.array(areas)


def binary_labels(values: Any, name: str) -> BoolArray:
    """Take labels of attributes as booleans.

    Args:
        values: (N, A) array, sequence or tensor of 0 and 1, whatever the dtype.
        name: What the labels are, in the plural; begins the error messages.

    Raises:
        ValueError: An entry other than 0 and 1, NaN too, or other than two axes.
    """
    if hasattr(values, "detach"):  # a torch tensor; torch itself need not be imported here
        values = values.detach().cpu()
    labels = np.asarray(values)
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(
            f"{name} must have the shape (samples, attributes), neither of them 0, "
            f"not {labels.shape}."
        )
    ones = np.asarray(labels == 1)
    wrong = ~(ones | (labels == 0))
    if wrong.any():
        sample, attribute = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"{name} must be 0 or 1, but attribute {attribute} is {labels[sample, attribute]} "
            f"in sample {sample}."
        )
    return ones


class _Counts(NamedTuple):
    """How often attributes are true and predicted: (A,) over samples, or (N,) over attributes."""

    both: IntArray
    predicted: IntArray
    true: IntArray

    def total(self) -> _Counts:
        return _Counts(*(counts.sum(keepdims=True) for counts in self))

    def quotients(self, zero_division: float) -> list[FloatArray]:
        """Precision, recall, F1 and Jaccard index of each."""
        both, predicted, true = self
        return [
            _divided(both, predicted, zero_division),
            _divided(both, true, zero_division),
            _divided(2 * both, predicted + true, zero_division),
            _divided(both, predicted + true - both, zero_division),
        ]


def _counts(true: BoolArray, found: BoolArray, axis: int) -> _Counts:
    return _Counts(*(values.sum(axis=axis) for values in (true & found, found, true)))


def _all_averages(
    counts: _Counts, by_sample: _Counts | None, zero_division: float
) -> list[Averages]:
    """The averages of precision, recall, F1 and Jaccard index."""
    if zero_division not in (0, 1):
        raise ValueError(f"0 / 0 can count as 0 or 1, not as {zero_division}.")
    weights = counts.true if counts.true.any() else None
    single = counts.quotients(zero_division)
    pooled = counts.total().quotients(zero_division)
    sampled = by_sample.quotients(zero_division) if by_sample else [None] * len(single)
    return [
        Averages(
            float(scores.mean()),
            float(total[0]),
            float(np.average(scores, weights=weights)),
            None if rows is None else float(rows.mean()),
            scores,
        )
        for scores, total, rows in zip(single, pooled, sampled, strict=True)
    ]


def _divided(numerator: IntArray, denominator: IntArray, zero_division: float) -> FloatArray:
    defined = denominator > 0
    quotient = np.full(len(denominator), float(zero_division))
    return np.divide(numerator, denominator, out=quotient, where=defined)


def _balanced_accuracy(true: BoolArray, found: BoolArray) -> FloatArray:
    """(A,), the mean recall of the kinds of samples that there are."""
    with_it, without = _counts(true, found, 0), _counts(~true, ~found, 0)
    recalls = [_divided(kind.both, kind.true, 0.0) for kind in (without, with_it)]
    kinds = (with_it.true > 0).astype(np.int64) + (without.true > 0)
    return (recalls[0] + recalls[1]) / kinds


def _by_falling_score(labels: BoolArray, values: FloatArray) -> tuple[IntArray, IntArray]:
    """Samples with the attribute, and all, whose score is at least each distinct one."""
    order = np.argsort(-values)
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    return labels[order].cumsum()[ends], ends + 1


def _label_pair(truth: Any, predicted: Any) -> tuple[BoolArray, BoolArray]:
    true = binary_labels(truth, "The true labels")
    found = binary_labels(predicted, "The predicted labels")
    if true.shape != found.shape:
        raise ValueError(
            f"The true labels have shape {true.shape}, but the predicted ones {found.shape}."
        )
    return true, found


def _scored_pair(truth: Any, scores: Any) -> tuple[BoolArray, FloatArray]:
    true = binary_labels(truth, "The true labels")
    values = finite_array(scores, "The scores", ndim=2)
    if true.shape != values.shape:
        raise ValueError(f"The true labels have shape {true.shape}, but the scores {values.shape}.")
    return true, values


def _classes(values: Any, name: str) -> IntArray:
    labels = finite_array(values, name, ndim=1)
    whole = labels.astype(np.int64)
    if (whole != labels).any():
        sample = int((whole != labels).argmax())
        raise ValueError(
            f"{name} must be whole numbers, but that of sample {sample} is {labels[sample]}."
        )
    return whole
