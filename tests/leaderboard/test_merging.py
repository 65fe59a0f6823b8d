"""Results of several folders and files as one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import leaderboard
from leaderboard.merging import merge, merge_summaries
from leaderboard.schema import Measurement, Result
from leaderboard.store import record_path, write_merged, write_result
from leaderboard.summary import summary_of
from leaderboard.table import build_tables
from tests import records


def _result(method: str = "sefa", seed: int = 0, score: float = 0.5, **changes: object) -> Result:
    identity = {"samples": 100, "step": 0.5, "predictor": "ab" * 32}
    measured = records.score(score, 0.1, identity=identity)
    fields = {
        "overrides": {"layers": [1, None], "mask": {"kind": "L2"}},
        "metrics": (measured, Measurement(name="accuracy", value=None)),
        "provenance": {"torch": "2.12.0"},
    }
    return records.record(method, seed, **fields | changes)


def _failed() -> Result:
    return _result("crg", status="failed", message="the disk\nis full |", metrics=())


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    for seed in range(2):
        result = _result(seed=seed)
        write_result(record_path(tmp_path / "ours", result), result)
    return tmp_path / "ours"


def test_a_merged_file_holds_the_records_and_makes_the_same_tables(tmp_path: Path) -> None:
    results = [_result(seed=seed, score=seed / 3) for seed in range(3)] + [_failed()]
    file = tmp_path / "below" / "all.jsonl"
    write_merged(file, results)
    assert [json.loads(line)["seed"] for line in file.read_text().splitlines()] == [0, 1, 2, 0]
    assert leaderboard.load(file) == results
    summaries = merge_summaries(file).results
    assert summaries == [summary_of(result) for result in results]
    assert type(summaries[0].metrics[0].identity["samples"]) is int
    assert build_tables(summaries) == build_tables(results)


def test_a_changed_result_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    write_merged(file, [_result()])
    before = file.read_bytes()
    with pytest.raises(ValueError, match="status"):
        write_merged(file, [_result(), _result().model_copy(update={"status": "paused"})])
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_each_run_counts_once_and_contradictions_name_both_files(
    tmp_path: Path, ours: Path
) -> None:
    theirs = tmp_path / "theirs"
    same = _result(seed=0, seconds=9.0, provenance={"torch": "2.11.0"})
    write_result(theirs / "a" / "result.json", same)
    write_result(theirs / "b" / "result.json", _result(seed=1, score=0.75, spec_hash="other"))
    write_result(theirs / "c" / "result.json", _result(seed=2))
    file = tmp_path / "more.jsonl"
    write_merged(file, [_result(seed=2), _result("crg")])
    for merged in (merge(ours, theirs, file, ours), merge_summaries(ours, theirs, file, ours)):
        runs = [(one.method, one.seed, one.metrics[0].value) for one in merged.results]
        assert runs == [("sefa", 0, 0.5), ("sefa", 1, 0.5), ("sefa", 2, 0.5), ("crg", 0, 0.5)]
        assert merged.duplicates == [
            (str(record_path(ours, _result(seed=0))), str(theirs / "a" / "result.json")),
            (str(theirs / "c" / "result.json"), f"{file}, line 1"),
        ]
        (conflict,) = merged.conflicts
        first = record_path(ours, _result(seed=1))
        assert str(conflict) == (
            "Two records of sefa on shapes3d, small, seed 1, contradict each other: "
            f"{first} counts, {theirs / 'b' / 'result.json'} is left out."
        )
        assert conflict.result.spec_hash == "other"
    with pytest.warns(UserWarning, match="contradict"):
        assert len(leaderboard.load(ours, str(theirs))) == 3


def test_broken_records_are_named_and_left_out(tmp_path: Path, ours: Path) -> None:
    lines = [
        _result("crg").model_dump_json(),
        "",
        _result("age").model_dump_json()[:-40],
        "[" * 100_000,
        '{"schema_version": 2}',
        _result("age").model_dump_json().replace('"seed":0', '"seed":"many"'),
        _result("age").model_dump_json().replace('"value":0.5', '"value":NaN'),
        _result("bigan").model_dump_json(exclude_defaults=True),  # by hand, and a record
    ]
    file = tmp_path / "theirs.jsonl"
    file.write_text("\n".join(lines))
    (ours / "result.json").write_bytes(b"\xff")
    for merged in (merge(ours, file), merge_summaries(ours, file)):
        assert [one.method for one in merged.results] == ["sefa", "sefa", "crg", "bigan"]
        assert merged.incomplete == {file, ours / "result.json"}
        named = [
            reason.split(" holds ")[0].split(" has ")[0].split(" is ")[0]
            for reason in merged.broken
        ]
        places = [
            str(ours / "result.json"),
            *(f"{file}, line {number}" for number in (3, 4, 5, 6, 7)),
        ]
        assert named == places
        assert "update it" in merged.broken[3]
        assert "seed" in merged.broken[4]
    with pytest.warns(UserWarning, match="Left out: ") as caught:
        leaderboard.load(file)
    assert len(caught) == 5


def test_what_is_no_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("")
    for source in (tmp_path / "absent", tmp_path / "absent.jsonl", tmp_path / "scores.csv"):
        with pytest.raises(ValueError, match=f"{source.name} is neither a folder"):
            leaderboard.load(source)


def test_without_a_source_the_shipped_records_are_loaded() -> None:
    results = leaderboard.load()
    assert {"discovery", "editing"} <= {one.track for one in results}
