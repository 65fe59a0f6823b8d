"""Golden cases of S_disen and N_discov that are named as metrics."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bench.verify import Case, CaseFailure, case
from metrics.discovery import DiscoveryScores, discovery_scores, scores_from_changes


@case("metrics.contrafeat", skip=("*.matrix_raw", "*.signed_mean_shift"))
def readings_case(golden: Case) -> dict[str, Any]:
    """The released code's reading, the paper's, and the paper's with steps both ways.

    The matrices before division by a row's largest entry are steps on the way, kept within the
    function.
    """
    before, minus, plus = (golden.inputs[f"scores_{name}"] for name in ("base", "minus", "plus"))
    readings = {
        "official": discovery_scores(plus, minus, "signed-mean"),
        "paper_text": discovery_scores(plus, before, "mean-absolute"),
        "paper_text_symmetric": discovery_scores(plus, minus, "mean-absolute"),
    }
    got: dict[str, Any] = {}
    for name, scores in readings.items():
        got |= _named(name, scores)
    return {name: value for name, value in got.items() if name in golden.expected}


# Skipped: NaN where the released code divides 0 by 0, and readings that the case calls wrong.
@case(
    "metrics.contrafeat_from_matrix",
    skip=("*.official.s_disen", "*.n_discov_first_argmax_only", "*.s_disen_excluding_dead"),
)
def edges_case(golden: Case) -> dict[str, Any]:
    """Small matrices with ties, dead rows and extreme scales; NaN has to be refused."""
    got: dict[str, Any] = {}
    for name, changes in golden.inputs.items():
        if changes.isfinite().all():
            scores = scores_from_changes(changes)
            got |= _named(name, scores) | {f"{name}.official.n_discov": scores.n_discov}
        else:
            _must_refuse(name, changes)
    return got


def _named(name: str, scores: DiscoveryScores) -> dict[str, Any]:
    return {
        f"{name}.matrix": scores.matrix,
        f"{name}.s_disen": scores.s_disen,
        f"{name}.n_discov": scores.n_discov,
    }


def _must_refuse(name: str, changes: Tensor) -> None:
    try:
        scores_from_changes(changes)
    except ValueError:
        return
    raise CaseFailure(f"{name}: a matrix with NaN or infinite entries was not refused")
