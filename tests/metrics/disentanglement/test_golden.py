"""The disentanglement metrics against values of disentanglement_lib."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import verify

GOLDEN = Path(__file__).parents[2] / "data" / "metrics"
CASES = (
    "beta_vae_metric",
    "dci_formula",
    "factor_vae_metric",
    "mig",
    "modularity_explicitness",
    "sap",
)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / name))
    assert outcome.status == "passed", outcome.message
