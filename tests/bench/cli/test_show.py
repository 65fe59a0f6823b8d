"""`bench show`: a result by path or by hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import leaderboard
from bench.cli.show import command
from bench.errors import BenchError
from leaderboard.schema import ConfidenceInterval, Measurement, Result
from leaderboard.store import record_path, write_result

RESULT = Result(
    method="contrafeat",
    track="discovery",
    dataset="shapes3d",
    preset="small",
    seed=3,
    overrides={"directions": 8},
    spec_hash="3f2a90c1d4",
    status="completed",
    metrics=(
        Measurement(
            name="s_disen",
            value=0.4321,
            interval=ConfidenceInterval(low=0.41, high=0.45),
            higher_is_better=True,
            identity={"predictor": "shapes3d", "samples": 100},
        ),
        Measurement(name="fd", value=None, identity={"samples": 100}),
    ),
    protocol={"edit_scale": 0.5},
    provenance={"packages": {"torch": "2.12.0"}},
    figures=("figures/traversals.png",),
)


def write(root: Path, spec_hash: str) -> Path:
    result = RESULT.model_copy(update={"spec_hash": spec_hash})
    folder = root / "discovery/shapes3d/contrafeat" / f"small-s3-{spec_hash}"
    write_result(folder / "result.json", result)
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(leaderboard, "records_folder", lambda: tmp_path / "records")
    for spec_hash in ("3f2a90c1d4", "3fbb90c1d4"):
        write(tmp_path / "runs", spec_hash)
    return tmp_path / "runs"


def message(*arguments: str) -> str:
    error = CliRunner().invoke(command, arguments).exception
    assert isinstance(error, BenchError)
    return str(error)


def test_all_ways_to_name_a_run_lead_to_the_same_text(runs: Path) -> None:
    folder = runs / "discovery/shapes3d/contrafeat/small-s3-3f2a90c1d4"
    texts = {
        CliRunner().invoke(command, [run]).stdout
        for run in (str(folder), str(folder / "result.json"), "3f2a90c1d4", "3f2")
    }
    relative = {text.replace(f"{folder.parents[3].parent}/", "") for text in texts}
    assert len(relative) == 1
    text = relative.pop()
    assert text.startswith("contrafeat on shapes3d (small, seed 3)\n")
    score = "0.4321, [0.41, 0.45] (95% interval), higher is better, predictor shapes3d"
    for expected in (score, "n/a", "directions 8", "of the same\n  samples  100\n", "torch 2.12.0"):
        assert expected in text
    assert f"{folder.relative_to(runs.parent)}/figures/traversals.png" in text


def test_json_is_the_record(runs: Path) -> None:
    shown = CliRunner().invoke(command, ["3f2a", "--json"]).stdout
    assert Result.model_validate(json.loads(shown)) == RESULT


def test_committed_records_are_found_behind_own_runs(runs: Path) -> None:
    for spec_hash in ("aaaa90c1d4", "3f2a90c1d4"):
        record = RESULT.model_copy(update={"spec_hash": spec_hash, "seed": 9})
        write_result(record_path(runs.parent / "records", record), record)
    assert "seed 9" in CliRunner().invoke(command, ["aaa"]).stdout
    assert "seed 3" in CliRunner().invoke(command, ["3f2a"]).stdout


def test_mistakes(runs: Path, tmp_path: Path) -> None:
    assert "give more digits" in message("3f")
    assert "No finished run" in message("abc")
    assert "is no run" in message("runs/nowhere")
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "spec.json").write_text("{}")
    assert "no result yet" in message(str(begun))
    (begun / "result.json").write_text("{}")
    assert "is not a result" in message(str(begun))
