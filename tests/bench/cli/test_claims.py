"""`bench claims`: own runs and committed records, judged by what papers say."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.catalog import lookup
from bench.cli import leaderboard
from bench.cli.claims import command
from bench.errors import BenchError, UnknownName
from bench.spec import read_toml
from bench.sweep import read_table
from leaderboard.claims import load_claims
from leaderboard.schema import Measurement, Result
from leaderboard.store import record_path, write_result
from leaderboard.verdicts import judge
from tests import records

TABLES = Path(__file__).parents[3] / "tables"


def keep(method: str, seed: int, score: float, folder: str, preset: str = "small") -> None:
    result = records.record(method, seed, records.score(score), preset=preset)
    write_result(record_path(Path(folder), result), result)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(leaderboard, "records_folder", lambda: tmp_path / "records")
    for seed, score in enumerate((0.3, 0.31, 0.29)):
        keep("contrafeat", seed, score, "runs")
        keep("contrafeat", seed, 0.9, "runs", "smoke")
        keep("ganspace", seed, 0.5, "records")
        keep("sefa", seed, 0.1, "records")
        keep("sefa", seed, 0.1, "records", "smoke")
    return tmp_path


def run(*arguments: str) -> str:
    outcome = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout


def test_a_claim_that_does_not_hold_is_no_error() -> None:
    text = run("contrafeat")
    assert "Verdicts: 1 not held," in text
    assert "contrafeat less ganspace: -0.2 [" in text
    assert "smoke" not in text
    assert "CRG" not in text


def test_records_are_those_of_the_board(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep("ganspace", 0, 0.1, "runs")  # contradicts the committed record, and is found first
    (here / "runs" / "result.json").write_text("{")
    results = leaderboard.measured(None)
    assert len(results) == len({(one.method, one.preset, one.seed) for one in results}) == 15
    scores = {(one.method, one.seed): one.metrics[0].value for one in results}
    assert (scores["ganspace", 0], scores["ganspace", 1]) == (0.1, 0.5)
    said = capsys.readouterr().err
    assert "runs/result.json holds no JSON" in said
    assert "Two records of ganspace on shapes3d, small, seed 0, contradict each other" in said


def test_formats_and_presets() -> None:
    (paper,) = json.loads(run("contrafeat", "--json", "--preset", "smoke"))
    judged = [one for one in paper["verdicts"] if one["comparisons"]]
    assert [(one["preset"], one["metric"]) for one in judged] == [("smoke", "s_disen")]
    lines = list(csv.DictReader(io.StringIO(run("--format", "csv"))))
    assert {line["paper"].split(":")[0] for line in lines} >= {"ContraFeat"}
    assert len({line["paper"] for line in lines}) == len(load_claims())
    assert {line["dataset"] for line in lines} == {"", "shapes3d"}


def test_mistakes() -> None:
    with pytest.raises(UnknownName, match="no paper 'contrafeet'; did you mean contrafeat"):
        run("contrafeet")
    with pytest.raises(UnknownName, match="did you mean shapes3d"):
        run("--dataset", "shapes3")
    with pytest.raises(BenchError, match="no folder elsewhere"):
        run("--runs", "elsewhere")


def test_shipped_claims_name_methods_and_settings_that_there_are() -> None:
    for paper in load_claims().values():
        for claim in paper.claims:
            lookup("datasets", claim.dataset)
            for side in (claim.left, *claim.right):
                method = lookup("methods", side.method).load()
                assert method.track == claim.track
                settings = dict(side.settings)
                if (discovery := settings.pop("directions", None)) is not None:
                    assert lookup("methods", str(discovery)).track == "discovery"
                method.configure("paper", settings)
        for preset, methods in paper.defaults.items():
            for name, usual in methods.items():
                config = lookup("methods", name).load().configure(preset).model_dump()
                assert config | usual == config


def planned(table: Path, metrics: set[str]) -> list[Result]:
    """Results as the runs of a table leave them, alike in all metrics."""
    scores = tuple(Measurement(name=name, value=0.0) for name in metrics)
    return [
        Result(
            **spec.model_dump(
                include={"method", "track", "dataset", "preset", "seed", "overrides"}
            ),
            spec_hash=spec.hash,
            status="completed",
            metrics=scores,
        )
        for spec in read_table(table, Path("runs"), allow_absent=True).specs
    ]


def test_what_shipped_claims_compare_is_what_shipped_tables_run() -> None:
    """Those of a paper's table are compared on the runs of that table, where there is one."""
    papers = load_claims()
    metrics = {name for paper in papers.values() for one in paper.claims for name in one.metrics}
    runs = {
        path.stem: planned(path, metrics)
        for path in TABLES.glob("*.toml")
        if "grid" in read_toml(path)  # else it includes others
    }
    for name, paper in papers.items():
        for claim in paper.claims:
            number = re.search(r"Table (\d+)", claim.source)
            own = runs.get(f"{name}-table{number[1]}", []) if number else []
            of_track = [run for runs_of in runs.values() for run in runs_of]
            found = own if any(run.track == claim.track for run in own) else of_track
            for verdict in [] if claim.untestable else judge(claim, found, paper.defaults):
                assert verdict.comparisons, f"{claim.says}: {verdict.notes}"
                lost = [one.right for one in verdict.comparisons if one.status == "not measured"]
                assert not lost, f"{claim.says}: {verdict.dataset}, {verdict.preset}"
