"""The checks of ``bench test``: what keeps the contract passes, and each breach fails its own."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench.cli import main

TOYS = ("--dataset", "toy_parts:ToyDataset")


@pytest.mark.usefixtures("toys")
def test_a_method_that_keeps_the_contract_passes() -> None:
    done = CliRunner().invoke(main, ["test", "toy_parts:ToyMethod", *TOYS])
    assert done.exit_code == 0, done.output
    assert "loss: finite in 5 steps" in done.stdout
    assert done.stdout.splitlines()[-1] == "toy_parts:ToyMethod: 12 passed."


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("name", "failed", "found"),
    [
        ("toy_parts:NoRepresenter", ["contract"], "asks for a Representer"),
        ("toy_broken:Lax", ["contract"], "allows settings that it does not know"),
        ("toy_broken:Misspelt", ["settings"], "no preset smoek"),
        ("toy_broken:Unseeded", ["construction"], "same seed differ in value"),
        ("toy_broken:Borrowing", ["stages"], "optimiser lent of the stage play trains 1 tensor"),
        ("toy_broken:Poisoned", ["losses"], "the loss loss is nan"),
        ("toy_broken:Silent", ["losses"], "play reports no loss"),
        ("toy_broken:Restless", ["seed", "resume"], "same seed, value ended differently"),
        ("toy_broken:Forgetful", ["resume"], "after an interruption, value ended differently"),
        ("toy_broken:Flat", ["outputs"], "the shape (12,) for 4 samples, not two dimensions"),
        ("toy_broken:Greedy", ["outputs"], "that were given have been changed"),
        ("toy_broken:Noisy", ["repetition", "batch", "saving"], "two calls of represent"),
        ("toy_broken:Centred", ["batch"], "represent of a sample changes by"),
        ("toy_broken:Unsaved", ["saving"], "represent returns something else"),
        ("toy_broken:Unbounded", ["messages"], "width=-1 ends in RuntimeError"),
    ],
)
def test_each_breach_is_named_with_its_remedy(name: str, failed: list[str], found: str) -> None:
    done = CliRunner().invoke(main, ["test", name, *TOYS, "--json"])
    assert done.exit_code == 1, done.output
    findings = json.loads(done.stdout)
    breaches = [finding for finding in findings if finding["status"] == "failed"]
    assert [finding["check"] for finding in breaches] == failed
    assert found in breaches[0]["found"]
    assert all(finding["remedy"] for finding in breaches)
    if breaches[0]["check"] == "messages":
        assert "(toy_broken.py, line " in breaches[0]["found"]


@pytest.mark.usefixtures("toys")
def test_wrong_input_exits_2() -> None:
    for arguments, message in (
        (["no_such_module_here:Thing"], "cannot be imported"),
        (["toy_parts:ToyMethod"], "implies no dataset; name one with --dataset"),
        (["sefa", "--dataset", "shapes3"], "did you mean"),
        (["toy_parts:ToyMethod", *TOYS, "--directions", "nowhere"], "There is no run nowhere"),
    ):
        done = CliRunner().invoke(main, ["test", *arguments])
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
