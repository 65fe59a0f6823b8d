"""Golden cases of the InfoNCE editing losses, in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from baselines.infonce import (
    attribute_classification,
    attribute_reconstruction,
    contrastive_loss,
    cosine_similarities,
    embed,
    nearest_accuracy,
)
from bench.verify import Case, case


@case("infonce_edit.losses")
def losses_case(golden: Case) -> dict[str, Tensor]:
    """The matrix and the losses at every temperature, of vectors and of maps, with gradients."""
    inputs = {name: value.double() for name, value in golden.inputs.items()}
    first, second = inputs["w1"] - inputs["mu1"], inputs["w2"] - inputs["mu2"]
    got = {"a1": first, "a2": second}
    for temperature in golden.config["temperatures"]:
        got |= _prefixed(f"T{temperature:g}", _contrast(first, second, float(temperature)))
    for embedding in ("flat", "pooled"):
        maps = [embed(inputs[name], embedding) for name in ("map1", "map2")]
        got |= _prefixed(f"map_{embedding}", _losses(cosine_similarities(*maps)))
    without = torch.cat([torch.zeros_like(first[:1]), first[1:]])
    similarities = cosine_similarities(without, second)
    got |= {"zero_row.M": similarities, "zero_row.loss_trace": contrastive_loss(similarities)}
    got["chance_loss_trace"] = contrastive_loss(torch.zeros_like(similarities))
    return got | _attribute_terms(first, inputs)


def _contrast(first: Tensor, second: Tensor, temperature: float) -> dict[str, Tensor]:
    leaves = [value.clone().requires_grad_(True) for value in (first, second)]
    similarities = cosine_similarities(*leaves)
    got = {
        "M": similarities,
        "logsoftmax_rows": (similarities / temperature).log_softmax(dim=1),
        "loss_col_sum": contrastive_loss(similarities.T, temperature),
        "loss_col_mean": contrastive_loss(similarities.T, temperature, "mean"),
        "loss_symmetric_sum": contrastive_loss(similarities, temperature, symmetric=True),
        "top1_row_accuracy": nearest_accuracy(similarities),
    } | _losses(similarities, temperature)
    for loss in ("trace", "symmetric_mean"):
        gradients = torch.autograd.grad(got[f"loss_{loss}"], leaves, retain_graph=True)
        got |= {f"grad_{loss}.a{i}": value for i, value in enumerate(gradients, start=1)}
    return got


def _losses(similarities: Tensor, temperature: float = 1.0) -> dict[str, Tensor]:
    return {
        "M": similarities,
        "loss_trace": contrastive_loss(similarities, temperature),
        "loss_row_mean": contrastive_loss(similarities, temperature, "mean"),
        "loss_symmetric_mean": contrastive_loss(similarities, temperature, "mean", symmetric=True),
    }


def _attribute_terms(first: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    embedded = inputs["h_attr"].clone().requires_grad_(True)
    distance = attribute_reconstruction(first, embedded)
    logits, attributes = inputs["logits_a"], inputs["attr"]
    return {
        "rec_a.sum_mean": distance,
        "rec_a.sum_sum": attribute_reconstruction(first, embedded, "sum", "sum"),
        "rec_a.mean_mean": attribute_reconstruction(first, embedded, "mean"),
        "rec_a.grad_sum_mean.h_attr": torch.autograd.grad(distance, embedded)[0],
        "clf_a.bce_mean": attribute_classification(logits, attributes, "mean"),
        "clf_a.bce_sum_per_sample": attribute_classification(logits, attributes, "sum"),
    }


def _prefixed(prefix: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in values.items()}
