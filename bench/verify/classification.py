"""Golden cases of classification scores and of control over attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.verify import Case, case
from metrics.attribute_control import (
    AttributeRates,
    attribute_control_accuracy,
    class_control_accuracy,
    editing_accuracy,
    preservation_error,
)
from metrics.classification import (
    SCORES,
    MulticlassScores,
    MultilabelScores,
    average_precision,
    averages_by_name,
    hamming_accuracy,
    multiclass_scores,
    multilabel_scores,
    roc_auc,
    subset_accuracy,
)

Values = dict[str, float | NDArray[Any]]


@case("metrics.multilabel_classification")
def multilabel_case(golden: Case) -> Values:
    """Attributes with logits, degenerate attributes, and classes."""
    inputs = golden.inputs
    labels, logits = inputs["labels"], inputs["logits"]
    got = _flat_names(multilabel_scores(labels, logits > 0))
    got["average_precision_per_attribute"] = average_precision(labels, logits)
    got["roc_auc_per_attribute"] = roc_auc(labels, logits)

    degenerate = inputs["labels_degenerate"], inputs["predictions_degenerate"]
    by_zero = [multilabel_scores(*degenerate, zero_division) for zero_division in (0, 1)]
    got |= {f"degenerate.{name}": value for name, value in _flat_names(by_zero[0]).items()}
    for (score, average), value in averages_by_name(by_zero[1]).items():
        if score == "f1" and average != "weighted":
            got[f"degenerate.f1_{average}_zero_division_1"] = value

    classes = multiclass_scores(inputs["class_labels"], inputs["class_predictions"])
    got |= {"multiclass.accuracy": classes.accuracy, "multiclass.confusion": classes.confusion}
    return got | _f1_of_classes(classes, "multiclass.f1_")


@case("editing.classification_metrics")
def editing_classification_case(golden: Case) -> Values:
    """All averages of all scores at two kinds of threshold, classes, and edits."""
    inputs, threshold = golden.inputs, golden.config["threshold"]
    got: Values = {}
    for letter in ("a", "b"):
        labels, scores = inputs[f"{letter}.y_true"], inputs[f"{letter}.scores"].double()
        for name, predicted in (("gt", scores > threshold), ("ge", scores >= threshold)):
            found = _dotted_names(labels, predicted)
            got |= {f"{letter}.{name}.{key}": value for key, value in found.items()}
    classes = multiclass_scores(inputs["c.y_true"], inputs["c.y_pred"])
    got["c.accuracy"] = classes.accuracy
    got |= _f1_of_classes(classes, "c.f1.")
    predicted, source = inputs["a.scores"].double() > threshold, inputs["src"]
    samples, attributes = source.shape
    asked = [np.full(samples, attribute) for attribute in range(attributes)]
    for name, function in (
        ("success_if_pred_is_for_flip_i", editing_accuracy),
        ("preservation_error_if_flip_i", preservation_error),
    ):
        got[f"edit.{name}"] = np.array([function(predicted, source, one).mean for one in asked])
    return got


@case("metrics.attribute_control")
def attribute_control_case(golden: Case) -> Values:
    """Edits of one attribute each."""
    inputs = golden.inputs
    predicted, source = inputs["edited_scores"] > 0, inputs["source_labels"]
    edited, wanted = inputs["edited_attribute"], inputs["wanted_labels"]
    accuracy = editing_accuracy(predicted, source, edited)
    error = preservation_error(predicted, source, edited)
    against_prediction = preservation_error(predicted, inputs["source_scores"] > 0, edited)
    return {
        "all_attributes_accuracy": hamming_accuracy(wanted, predicted),
        "exact_match": subset_accuracy(wanted, predicted),
        "control_accuracy": accuracy.mean,
        "control_accuracy_per_attribute": _by_attribute(accuracy),
        "preservation_accuracy_vs_label": 1.0 - error.mean,
        "preservation_accuracy_vs_source_prediction": 1.0 - against_prediction.mean,
        "preservation_error_per_attribute": _by_attribute(error),
    }


@case("infoscc.attribute_control_accuracy")
def infoscc_case(golden: Case) -> Values:
    """Samples with one attribute or class asked for."""
    logits = golden.inputs["logits"]
    if golden.config["kind"] == "one_hot":
        return {"accuracy": _by_attribute(class_control_accuracy(logits))}
    return {"accuracy": _by_attribute(attribute_control_accuracy(logits))}


def _by_attribute(rates: AttributeRates) -> NDArray[np.float64]:
    return np.array([rates.by_attribute[number] for number in sorted(rates.by_attribute)])


def _f1_of_classes(classes: MulticlassScores, prefix: str) -> Values:
    averages = averages_by_name(classes).items()
    return {f"{prefix}{average}": value for (score, average), value in averages if score == "f1"}


def _flat_names(scores: MultilabelScores) -> Values:
    """Names with underscores; what a loss is there is an accuracy here."""
    got: Values = {
        "subset_accuracy": scores.subset_accuracy,
        "hamming_loss": 1.0 - scores.hamming_accuracy,
        "mean_attribute_accuracy": scores.hamming_accuracy,
        "attribute_accuracy": scores.accuracy_per_attribute,
        "balanced_accuracy_per_attribute": scores.balanced_accuracy_per_attribute,
        "f1_per_attribute": scores.f1.per_attribute,
    }
    for (score, average), value in averages_by_name(scores).items():
        if score != "jaccard":
            got[f"{score}_{average}"] = value
    return got


def _dotted_names(labels: Any, predicted: Any) -> Values:
    """Names with dots, ending in what 0 / 0 counts as."""
    got: Values = {}
    for zero_division in (0, 1):
        scores = multilabel_scores(labels, predicted, zero_division)
        for (score, average), value in averages_by_name(scores).items():
            got[f"{score}.{average}.zd{zero_division}"] = value
        for score in SCORES:
            got[f"{score}.per_attribute.zd{zero_division}"] = getattr(scores, score).per_attribute
    got["subset_accuracy"] = scores.subset_accuracy
    got["hamming_accuracy"] = scores.hamming_accuracy
    got["per_attribute_accuracy"] = scores.accuracy_per_attribute
    got["zero_one_loss_count"] = float(round((1.0 - scores.subset_accuracy) * len(labels)))
    return got
