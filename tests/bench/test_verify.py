from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

from bench import verify as verify_module
from bench.cli import main
from bench.errors import BenchError
from bench.verify import Case, CaseFailure, case, verify

PER_TENSOR = "per tensor: max|got-expected| <= atol + rtol*max|expected|"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "_REGISTRY", {})
    monkeypatch.setattr(verify_module, "CASE_MODULES", ())


def write_case(folder: Path, expected: dict[str, Tensor], **meta: Any) -> Path:
    folder.mkdir(parents=True)
    save_file(expected, folder / "expected.safetensors")
    (folder / "meta.json").write_text(json.dumps({"kind": "toy.sum", **meta}))
    return folder


def outcome(folder: Path, got: Any, skip: tuple[str, ...] = ()) -> Any:
    verify_module._REGISTRY.clear()
    case("toy.sum", skip=skip)(lambda golden: got)
    return verify(folder).cases[0]


def test_tolerances_per_tensor_and_per_element(tmp_path: Path) -> None:
    expected = {"x": torch.tensor([100.0, 0.0])}
    got = {"x": torch.tensor([100.0, 0.5])}
    whole = write_case(tmp_path / "whole", expected, rtol=0.01, tolerance_rule=PER_TENSOR)
    assert outcome(whole, got).status == "passed"
    assert outcome(whole, got).max_error == 0.5
    each = write_case(tmp_path / "each", expected, rtol=0.01)
    failed = outcome(each, got)
    assert (failed.status, failed.message) == ("failed", "x: error 0.5, allowed 0")
    own = write_case(tmp_path / "own", expected, tolerances={"x": [0.6, 0.0]})
    assert outcome(own, got).status == "passed"


def test_integers_are_equal_and_nan_is_nan(tmp_path: Path) -> None:
    expected = {"n": torch.tensor([1, 2]), "x": torch.tensor([float("nan"), float("inf")])}
    folder = write_case(tmp_path / "case", expected, atol=5, rtol=5)
    assert outcome(folder, expected).status == "passed"
    assert "1 of 2 entries differ" in outcome(folder, {**expected, "n": np.array([1, 3])}).message
    assert "x: error inf" in outcome(folder, {**expected, "x": torch.zeros(2)}).message
    assert "x: error inf" in outcome(folder, {**expected, "x": torch.full((2,), np.nan)}).message


def test_missing_superfluous_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    expected = {"x": torch.zeros(2, 3), "other.x": torch.ones(1)}
    folder = write_case(tmp_path / "case", expected)
    x = torch.zeros(2, 3)
    assert outcome(folder, {"x": x}).message == "no value was computed for other.x"
    assert outcome(folder, {"x": x}, skip=("other.*",)).status == "passed"
    assert outcome(folder, {"x": x, "other.x": 1.0}).status == "passed"
    assert "expects no z" in outcome(folder, {"x": x, "other.x": 1.0, "z": x}).message
    assert "shape (3, 2), expected (2, 3)" in outcome(folder, {"x": x.T, "other.x": 1.0}).message


def test_one_broken_case_hides_no_other(tmp_path: Path) -> None:
    for name, kind in (("a", "exit"), ("b", "raise"), ("c", "fail"), ("d", "good"), ("e", "new")):
        write_case(tmp_path / "area" / name, {"x": torch.zeros(1)}, kind=kind)

    @case("exit")
    def _exit(golden: Case) -> dict[str, Tensor]:
        raise SystemExit("embedded source was executed")

    @case("raise")
    def _raise(golden: Case) -> dict[str, Tensor]:
        return golden.inputs["absent"]  # type: ignore[return-value]

    @case("fail")
    def _fail(golden: Case) -> dict[str, Tensor]:
        raise CaseFailure("the file was not refused")

    @case("good")
    def _good(golden: Case) -> dict[str, Tensor]:
        return golden.expected

    run = CliRunner().invoke(main, ["verify", str(tmp_path), "--json"])
    report = json.loads(run.stdout)
    assert run.exit_code == 1
    assert (report["passed"], report["failed"], report["unsupported"]) == (1, 3, 1)
    assert [one["name"] for one in report["cases"]] == [f"area/{letter}" for letter in "abcde"]
    assert report["cases"][0]["message"] == "SystemExit: embedded source was executed"
    assert report["cases"][2]["message"] == "the file was not refused"
    assert set(report["cases"][4]) == {"name", "kind", "status", "max_error", "message"}
    run = CliRunner().invoke(main, ["verify", str(tmp_path / "area" / "d")])
    assert run.exit_code == 0
    assert run.stdout.splitlines()[-1] == "1 passed, 0 failed, 0 unsupported"


def test_a_folder_without_cases_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no golden case"):
        verify(tmp_path)
    assert CliRunner().invoke(main, ["verify", str(tmp_path)]).exit_code == 2
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(BenchError, match=r"meta\.json is not valid JSON"):
        verify(tmp_path)


def test_a_kind_has_one_function() -> None:
    case("toy.sum")(lambda golden: {})
    with pytest.raises(ValueError, match="Two functions"):
        case("toy.sum")(lambda golden: {})
