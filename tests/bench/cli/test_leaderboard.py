"""`bench leaderboard`: own runs and committed records in one table, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import leaderboard
from bench.cli.leaderboard import command
from bench.errors import BenchError, UnknownName
from leaderboard.schema import Result
from leaderboard.store import find_results, record_path, write_result
from tests import records


def result(method: str, seed: int, score: float, **other: str) -> Result:
    return records.record(method, seed, records.score(score), **other)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(leaderboard, "records_folder", lambda: tmp_path / "records")
    for seed, score in enumerate((0.5, 0.7)):
        write_result(Path(f"runs/contrafeat/{seed}/result.json"), result("contrafeat", seed, score))
    smoke = result("contrafeat", 0, 0.9, preset="smoke")
    write_result(Path("runs/contrafeat/smoke/result.json"), smoke)
    record = result("sefa", 0, 0.25)
    write_result(record_path(Path("records"), record), record)
    return tmp_path


def run(*arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).stdout


def test_runs_and_records_share_a_table_with_reported_numbers_below() -> None:
    text = run("--track", "discovery", "--preset", "small")
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert table[1].startswith("| contrafeat")
    assert "0.6 ± 0.14" in table[1]
    assert table[2].startswith("| sefa")
    assert "0.25" in table[2]
    assert text.index("| sefa") < text.index("Reported, not measured here")
    assert "smoke" not in text


def test_on_a_terminal_tables_are_as_wide_as_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("--track", "discovery", "--preset", "small")
    piped = run(*asked)
    monkeypatch.setattr(leaderboard, "_terminal_width", lambda: 60)
    shown = run(*asked)
    assert max(map(len, shown.splitlines())) <= 60
    assert "contrafeat  0.6 ± 0.14  2      completed" in shown
    assert run(*asked, "--format", "md") == piped
    assert json.loads(run(*asked, "--json"))


def test_results_can_be_kept_as_records(here: Path) -> None:
    run("--preset", "small", "--record", "kept")
    kept = {(one.method, one.seed) for one in find_results(here / "kept")}
    assert kept == {("contrafeat", 0), ("contrafeat", 1), ("sefa", 0)}
    (here / "a file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        run("--record", "a file/below")


def test_formats() -> None:
    tables = json.loads(run("--format", "json"))
    assert tables == json.loads(run("--json"))
    assert {(t["dataset"], t["preset"]) for t in tables} >= {("shapes3d", "small")}
    lines = run("--dataset", "shapes3d", "--format", "csv").splitlines()
    assert lines[0].startswith("track,dataset,preset")
    assert sum(line.startswith("discovery,shapes3d,small") for line in lines) == 2


def test_sources_replace_ones_own_folders(here: Path) -> None:
    theirs = result("contrafeat", 1, 0.75)
    write_result(here / "theirs" / "result.json", theirs)
    copied = result("sefa", 0, 0.25)
    write_result(here / "theirs" / "copied" / "result.json", copied)
    (here / "theirs" / "broken").mkdir()
    (here / "theirs" / "broken" / "result.json").write_text("{")
    outcome = CliRunner().invoke(command, ["runs", "records", "theirs", "--merge", "all.jsonl"])
    assert outcome.exit_code == 0
    assert "runs/contrafeat/1/result.json counts, theirs/result.json is left out" in outcome.stderr
    assert "1 further record of the same runs: theirs/copied/result.json is as" in outcome.stderr
    assert "Left out: theirs/broken/result.json holds no JSON" in outcome.stderr
    assert "Two records of contrafeat, seed 1, differ" in outcome.stdout
    for form in ("md", "html"):
        arguments = ["runs", "records", "theirs", "--format", form]
        assert "Left out: theirs/broken" in CliRunner().invoke(command, arguments).stderr
    merged = CliRunner().invoke(command, ["all.jsonl", "--format", "csv"])
    assert "sefa" in merged.stdout
    assert "further" not in merged.stderr
    assert "0.75" in run("theirs")


def test_what_is_said_of_records_of_others_moves_no_terminal(here: Path) -> None:
    evil = "sefa\x1b[2J\x9b31m"
    for folder, score in (("one", 0.5), ("two", 0.75)):
        write_result(here / folder / "result.json", result(evil, 0, score, dataset=evil))
    broken = (
        result("age", 0, 0.5)
        .model_dump_json()
        .replace('"seed":0', f'"seed":0,{json.dumps(evil)}:1')
    )
    (here / "more.jsonl").write_text(broken)
    outcome = CliRunner().invoke(command, ["one", "two", "more.jsonl", "--format", "html"])
    assert "records of sefa?[2J?31m on sefa?[2J?31m, small, seed 0, contradict" in outcome.stderr
    assert "Left out: more.jsonl, line 1 is not a result (sefa?[2J?31m: " in outcome.stderr
    with pytest.raises(UnknownName, match=r"numbers of .*sefa") as caught:
        run("one", "--dataset", "elsewhere")
    assert all(one.isprintable() for one in str(caught.value) + outcome.stderr.replace("\n", ""))


def other_extractor(method: str, seed: int, score: float) -> Result:
    found = result(method, seed, score)
    (score_of,) = found.metrics
    return found.model_copy(
        update={"metrics": (score_of.model_copy(update={"identity": {"extractor": "other"}}),)}
    )


@pytest.mark.parametrize("form", ["json", "html"])
def test_what_is_left_out_makes_no_table_of_its_own(here: Path, form: str) -> None:
    write_result(here / "theirs" / "result.json", other_extractor("contrafeat", 1, 0.75))
    text = run("runs", "theirs", "--preset", "small", "--format", form)
    note = "Two records of contrafeat, seed 1, differ (contrafeat1, contrafeat1)"
    if form == "json":
        (table,) = [table for table in json.loads(text) if table["rows"]]
        assert [row["seeds"] for row in table["rows"]] == [[0, 1]]
        assert table["notes"][0].startswith(note)
        return
    assert "2 runs in 1 rows" in text
    assert note in text


def test_lines_that_are_no_result_are_named_and_never_written_over(here: Path) -> None:
    good = result("sefa", 0, 0.25).model_dump_json()
    negative = result("sefa", 1, 0.5).model_dump_json().replace('"seconds":0.0', '"seconds":-1')
    extra = result("crg", 0, 0.75).model_dump_json().replace('"seed":0', '"seed":0,"mood":"good"')
    file = here / "all.jsonl"
    file.write_text("\n".join([good, negative, extra]))
    outcome = CliRunner().invoke(command, ["all.jsonl", "--format", "html"])
    assert outcome.exit_code == 0
    assert "1 runs in 1 rows" in outcome.stdout
    for reason in ("line 2 is not a result (seconds", "line 3 is not a result (mood"):
        assert f"Left out: all.jsonl, {reason}" in outcome.stderr
    before = file.read_bytes()
    with pytest.raises(BenchError, match=r"^all.jsonl holds what is left out as broken"):
        run("all.jsonl", "--merge", "all.jsonl")
    assert file.read_bytes() == before
    run("all.jsonl", "--merge", "mended.jsonl")
    assert (here / "mended.jsonl").read_text() == good + "\n"
    broken = record_path(here / "records", result("contrafeat", 1, 0.7))
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    with pytest.raises(BenchError, match=r"another folder by --record"):
        run("--record", "records")
    assert broken.read_text() == "{"


def test_a_source_loses_no_records_to_what_is_asked_for(here: Path) -> None:
    run("--merge", "all.jsonl")
    before = (here / "all.jsonl").read_bytes()
    with pytest.raises(BenchError, match=r"^all.jsonl is a source too"):
        run("all.jsonl", "--preset", "smoke", "--merge", "./all.jsonl", "--record", "kept")
    assert not (here / "kept").exists()
    assert (here / "all.jsonl").read_bytes() == before
    run("all.jsonl", "--preset", "smoke", "--merge", "smoke.jsonl")
    assert len((here / "smoke.jsonl").read_text().splitlines()) == 1
    run("all.jsonl", "--track", "discovery", "--merge", "all.jsonl")  # which is all
    assert (here / "all.jsonl").read_bytes() == before


def test_latex() -> None:
    text = run("--track", "discovery", "--preset", "small", "--format", "latex")
    assert text.index(r"\toprule") < text.index("contrafeat & 0.6 $\\pm$ 0.14") < text.index("sefa")
    assert r"s\_disen $\uparrow$" in text


def test_html() -> None:
    text = run("--track", "discovery", "--preset", "small", "--format", "html")
    assert text.index("--method contrafeat") < text.index("--method sefa")
    assert "--seeds 0..1</code>" in text
    assert "Claims of papers" in text
    assert "ContraFeat" in text
    assert "Information-theoretic" not in text  # a paper with claims of another track


def test_mistakes() -> None:
    with pytest.raises(BenchError, match="elsewhere is neither a folder"):
        run("elsewhere")
    with pytest.raises(BenchError, match="replace --runs"):
        run("records", "--runs", "runs")
    with pytest.raises(BenchError, match=r"ends in .jsonl, not all.csv"):
        run("--merge", "all.csv")
    Path("a file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        run("--merge", "a file/all.jsonl")
    with pytest.raises(UnknownName, match="did you mean discovery"):
        run("--track", "discvery")
    with pytest.raises(BenchError, match="no folder elsewhere"):
        run("--runs", "elsewhere")


def test_nothing_measured(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "empty").mkdir()
    monkeypatch.chdir(here / "empty")
    monkeypatch.setattr(leaderboard, "records_folder", lambda: here / "nowhere")
    outcome = CliRunner().invoke(command, ["--track", "discovery"])
    assert outcome.exit_code == 0
    assert "bench run --method contrafeat" in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [["leaderboard"], ["claims"], ["show", "00"], ["cache", "ls"], ["fetch"]]
)
def test_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom bench.cli import main\n"
        f"try:\n    main({arguments})\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
