"""``bench check`` on the committed records, and on some edited to be worse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome

from bench.cli.check import command
from bench.errors import BenchError, UnknownName
from leaderboard.baseline import BASELINES, read_baseline, rows_of
from leaderboard.check import Finding, compare
from leaderboard.schema import Result
from leaderboard.store import RECORDS, find_results, record_path, write_result

DIGITS = RECORDS / "editing" / "digits"
ACCEPT = ("--accept", "--reason", "A better predictor")


@pytest.fixture(scope="module")
def committed() -> list[Result]:
    return find_results(DIGITS)


@pytest.fixture(scope="module")
def finding(committed: list[Result]) -> Finding:
    """A score of the committed records against the shipped baseline."""
    baseline = read_baseline(BASELINES / "small.json")
    rows = rows_of(committed)
    stored = [row for row in baseline.rows if row.dataset == "digits"]
    found = list(compare(stored, rows, baseline.tolerances))
    return next(one for one in found if one.limit and one.limit.reach and len(one.seeds) > 1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> Outcome:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


def edited(result: Result, metric: str | None, change: float) -> Result:
    """A result whose score got worse by so much."""
    scores = [
        one.model_copy(update={"value": one.value - change * (1 if one.higher_is_better else -1)})
        if one.name == metric and one.value is not None
        else one
        for one in result.metrics
    ]
    return result.model_copy(update={"metrics": tuple(scores)})


def test_the_committed_records_hold_against_the_shipped_baseline() -> None:
    outcome = run()
    assert outcome.exit_code == 0, outcome.stdout
    assert outcome.stdout.splitlines()[-1].startswith("Passes: ")  # after new records, if any


@pytest.mark.parametrize(("share", "code"), [(1.01, 3), (0.99, 0)])
def test_an_edited_result_fails_only_beyond_its_tolerance(
    share: float, code: int, committed: list[Result], finding: Finding
) -> None:
    assert finding.limit is not None
    change = share * finding.limit.reach * len(finding.seeds)  # of one seed, so of the mean
    write_result(Path("runs/one/result.json"), edited(committed[0], finding.metric, change))
    outcome = run("runs", DIGITS, "--dataset", "digits", "--json")
    content = json.loads(outcome.stdout)
    assert outcome.exit_code == content["exit_code"] == code
    worse = [one["metric"] for one in content["findings"] if one["kind"] == "worse"]
    assert worse == ([finding.metric] if code else [])
    assert "seed 0, contradict each other: runs/one/result.json counts" in content["notes"][0]


def test_what_cannot_be_judged_has_a_code_of_its_own(committed: list[Result]) -> None:
    first = committed[0]
    scores = [
        one.model_copy(update={"identity": {**one.identity, "images": 7}}) for one in first.metrics
    ]
    changed = first.model_copy(update={"metrics": tuple(scores)})
    write_result(Path("changed/result.json"), changed)
    outcome = run("changed", DIGITS, "--dataset", "digits", "--format", "md")
    assert outcome.exit_code == 4
    assert " and is 7" in outcome.stdout
    write_result(Path("part/result.json"), first)
    Path("part/half.result.json").write_text("{")
    outcome = run("part", "--dataset", "digits")
    assert outcome.exit_code == 4
    assert "Note: Left out: part/half.result.json holds no JSON" in outcome.stdout
    assert run("part", "--dataset", "digits", "--allow-missing").exit_code == 0


def test_accept_writes_a_baseline_and_keeps_what_people_wrote_into_it(
    committed: list[Result], finding: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    for result in committed:
        write_result(record_path(Path("own"), result), result)
        smoke = result.model_copy(update={"preset": "smoke"})
        write_result(record_path(Path("own"), smoke), smoke)
    check = ("own", "--baseline", "own.json")
    assert run(*check, *ACCEPT, "--preset", "small").exit_code == 0
    path = Path("own.json")
    path.write_text(path.read_text().replace('"deviations": 3.0', '"deviations": 2.5'))
    outcome = run(*check)
    assert (outcome.exit_code, "new" in outcome.stdout) == (0, False)  # a baseline of small only
    before = path.read_text()
    assert "stays as it is" in run(*check, *ACCEPT).stderr
    assert path.read_text() == before

    worse = edited(committed[0], finding.metric, 100.0)
    write_result(record_path(Path("own"), worse), worse)
    assert run(*check).exit_code == 3

    def full_disk(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("bench.files.os.fsync", full_disk)
        with pytest.raises(BenchError, match="cannot be written"):
            run(*check, *ACCEPT)
    assert path.read_text() == before
    assert run(*check, "--accept", "--reason", " Longer training ").exit_code == 0
    assert run(*check).exit_code == 0
    baseline = read_baseline(path)
    assert baseline.tolerances.default.deviations == 2.5
    assert [(one.reason, one.changes.split(",")[0]) for one in baseline.history] == [
        ("A better predictor", "1 new"),
        ("Longer training", "1 worse"),
    ]
    assert {row.preset for row in baseline.rows} == {"small"}


def test_accept_names_conflicts_and_waits_until_broken_records_are_mended(
    committed: list[Result], finding: Finding
) -> None:
    first = committed[0]
    write_result(Path("one/result.json"), first)
    write_result(Path("two/result.json"), edited(first, finding.metric, 1.0))
    half = Path("two/half.result.json")
    half.write_text("{")
    check = ("one", "two", "--baseline", "own.json", *ACCEPT)
    outcome = CliRunner().invoke(command, [*check])
    assert isinstance(outcome.exception, BenchError)
    assert "make again or delete 1 (see the notes)" in str(outcome.exception)
    assert f"Note: Left out: {half} holds no JSON" in outcome.stderr
    assert not Path("own.json").exists()
    half.unlink()
    outcome = run(*check)
    assert "contradict each other: one/result.json counts" in outcome.stderr
    before = Path("own.json").read_text()

    write_result(Path("one/result.json"), first.model_copy(update={"spec_hash": "0" * 10}))
    assert "stays as it is" in run(*check).stderr  # other code, the same scores
    assert Path("own.json").read_text() == before


def test_mistakes(here: Path) -> None:
    for half in (["--accept"], ["--reason", "why"], ["--accept", "--reason", " "]):
        with pytest.raises(BenchError, match="go together"):
            run(*half)
    with pytest.raises(UnknownName, match="no baseline 'smal'; did you mean small"):
        run("--baseline", "smal")
    with pytest.raises(BenchError, match="elsewhere is neither a folder"):
        run("elsewhere")
    with pytest.raises(UnknownName, match="did you mean digits"):
        run(DIGITS, "--dataset", "digit")
    (here / "empty").mkdir()
    with pytest.raises(BenchError, match="no results to accept"):
        run("empty", "--baseline", "own.json", *ACCEPT)
    Path("own.json").write_text("{")
    with pytest.raises(BenchError, match=r"own\.json holds no baseline .* Mend it"):
        run(DIGITS, "--baseline", "own.json")
