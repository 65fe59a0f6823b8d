"""Golden cases of the disentanglement metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.verify import Case, Got, case
from metrics.disentanglement.beta_vae import beta_vae_metric_from_points, pair_difference
from metrics.disentanglement.dci import ImportanceScores, dci, dci_from_importance
from metrics.disentanglement.factor_vae import (
    factor_vae_metric_from_batches,
    least_varying_codes,
)
from metrics.disentanglement.information import discretise
from metrics.disentanglement.mig import mig
from metrics.disentanglement.modularity import (
    explicitness,
    modularity,
    modularity_from_information,
)
from metrics.disentanglement.sap import SeparatedPredictability, sap, sap_continuous


@case("metrics.mig")
def mig_case(golden: Case) -> Got:
    """MIG with its bins and its matrix, of duplicated and of perfect codes too."""
    inputs, bins = golden.inputs, golden.config["bins"]
    codes, factors = inputs["codes"], inputs["factors"]
    gap = mig(codes, factors, bins=bins)
    got: dict[str, Any] = {
        "discretised_codes": discretise(codes, bins),
        "mutual_information": gap.information,
        "factor_entropy": gap.entropy,
        "mig_per_factor": gap.per_factor,
        "mig": gap.score,
        "mig_duplicated": mig(inputs["codes_duplicated"], factors, bins=bins).score,
        "mig_perfect": mig(inputs["codes_grid"], inputs["factors_grid"], bins=bins).score,
    }
    for key in golden.expected:
        if key.endswith("_bins"):  # mig_10_bins
            got[key] = mig(codes, factors, bins=int(key.split("_")[1])).score
    return got


@case("metrics.dci_from_importance")
def dci_from_importance_case(golden: Case) -> Got:
    """The formulas of disentanglement and completeness on given matrices."""
    got: dict[str, Any] = {}
    for name, matrix in golden.inputs.items():
        found = _importance(dci_from_importance(matrix))
        got |= {f"{name}.{key}": value for key, value in found.items()}
    return got


@case("metrics.dci")
def dci_case(golden: Case) -> Got:
    """DCI with scikit-learn's boosting."""
    scores = dci(*_train_and_test(golden))
    return {
        **_importance(scores),
        "importance_matrix": scores.importance,
        "informativeness_train": scores.informativeness_train,
        "informativeness_test": scores.informativeness_test,
    }


@case("metrics.factor_vae_score")
def factor_vae_case(golden: Case) -> Got:
    """The FactorVAE metric of stored batches, pruned and not."""
    inputs = golden.inputs
    arguments = [
        inputs[key]
        for key in (
            "variance_codes",
            "train_codes",
            "train_fixed_factor",
            "eval_codes",
            "eval_fixed_factor",
        )
    ]
    num_factors = len(golden.config["factor_cardinalities"])
    threshold = golden.config["prune_std_threshold"]
    scores = factor_vae_metric_from_batches(
        *arguments, num_factors=num_factors, prune_threshold=threshold
    )
    unpruned = factor_vae_metric_from_batches(
        *arguments, num_factors=num_factors, prune_threshold=0.0
    )
    winners = {
        f"{part}_argmin": least_varying_codes(
            inputs[f"{part}_codes"], scores.global_variances, scores.active
        )
        for part in ("train", "eval")
    }
    return {
        "global_variances": scores.global_variances,
        "active_dims": scores.active.astype(np.int64),
        **winners,
        "train_votes": scores.train_votes,
        "eval_votes": scores.eval_votes,
        "classifier": scores.classifier,
        "train_accuracy": scores.train_accuracy,
        "eval_accuracy": scores.score,
        "eval_accuracy_without_pruning": unpruned.score,
    }


@case("metrics.beta_vae_score")
def beta_vae_case(golden: Case) -> Got:
    """The beta-VAE metric of stored points, and one point from its pairs."""
    inputs = golden.inputs
    scores = beta_vae_metric_from_points(
        inputs["train_points"],
        inputs["train_labels"],
        inputs["eval_points"],
        inputs["eval_labels"],
        num_factors=len(golden.config["factor_cardinalities"]),
    )
    points = pair_difference(inputs["pair_codes_1"][None], inputs["pair_codes_2"][None])
    return {
        "pair_feature": points[0],
        "train_accuracy": scores.train_accuracy,
        "eval_accuracy": scores.score,
    }


@case("metrics.sap")
def sap_case(golden: Case) -> Got:
    """SAP of discrete and of ordered factors."""
    parts = _train_and_test(golden)
    return _leads("discrete", sap(*parts)) | _leads("continuous", sap_continuous(*parts[:2]))


@case("metrics.modularity")
def modularity_case(golden: Case) -> Got:
    """Modularity of the training part and of given matrices, and explicitness."""
    parts = _train_and_test(golden)
    modular = modularity(*parts[:2], bins=golden.config["bins"])
    explicit = explicitness(*parts)
    got: dict[str, Any] = {
        "mutual_information": modular.information,
        "modularity": modular.score,
        "explicitness_per_factor": explicit.per_factor,
        "explicitness_train": explicit.train,
        "explicitness_test": explicit.test,
    }
    for name, matrix in golden.inputs.items():
        if name.startswith("mi_"):
            got[f"modularity.{name}"] = modularity_from_information(matrix).score
    return got


def _train_and_test(golden: Case) -> list[Any]:
    return [
        golden.inputs[key] for key in ("codes_train", "factors_train", "codes_test", "factors_test")
    ]


def _importance(scores: ImportanceScores) -> dict[str, Any]:
    return {
        "disentanglement": scores.disentanglement,
        "disentanglement_per_code": scores.disentanglement_per_code,
        "completeness": scores.completeness,
        "completeness_per_factor": scores.completeness_per_factor,
    }


def _leads(form: str, found: SeparatedPredictability) -> dict[str, Any]:
    return {f"{form}.sap": found.score, f"{form}.score_matrix": found.predictability}
