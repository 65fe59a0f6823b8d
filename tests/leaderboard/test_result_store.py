"""The result's schema, and records on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from leaderboard.schema import Measurement, Result
from leaderboard.store import BrokenRecord, find_results, read_result, record_path, write_result
from tests.records import record, score


def _result(**changes) -> Result:
    identity = {"predictor": "ab" * 32, "samples_per_direction": 100, "step": 0.5}
    fields = {
        "method": "contrafeat",
        "overrides": {"steps": 10, "layers": [1, 2]},
        "spec_hash": "0123abcd",
        "metrics": [
            score(0.4, 0.05, standard_error=0.02, identity=identity),
            Measurement(name="accuracy", value=None),
        ],
        "protocol": {"reading": "signed-mean"},
        "provenance": {"torch": "2.12.0", "weights": {"generator": "cd" * 32}},
        "figures": ["figures/traversal.png"],
    }
    return record(**fields | changes)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    result = _result()
    path = record_path(tmp_path, result)
    assert path.relative_to(tmp_path).as_posix() == (
        "discovery/shapes3d/contrafeat/small-s0-0123abcd.result.json"
    )
    write_result(path, result)
    assert read_result(path) == result
    assert type(read_result(path).metrics[0].identity["samples_per_direction"]) is int
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    write_result(path, _result(seconds=2.0))
    assert read_result(path).seconds == 2.0


def test_an_interrupted_write_leaves_the_old_record(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_result(path, _result())

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("leaderboard.store.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_result(path, _result(seconds=2.0))
    assert read_result(path) == _result()
    assert list(tmp_path.iterdir()) == [path]


def test_names_of_foreign_methods_stay_inside_the_folder(tmp_path):
    path = record_path(tmp_path, _result(method="../../my.module:Method", track=".."))
    assert path.resolve().is_relative_to(tmp_path.resolve())


def test_find_results_names_broken_records_and_reads_the_rest(tmp_path):
    write_result(tmp_path / "runs/a/result.json", _result(seed=1))
    write_result(record_path(tmp_path / "records", _result(seed=2)), _result(seed=2))
    (tmp_path / "runs/a/spec.json").write_text("{}")
    broken = {
        "truncated": (tmp_path / "runs/a/result.json").read_text()[:50],
        "foreign": "[1, 2]",
        "newer": json.dumps({"schema_version": 2}),
        "wrong": _result().model_dump_json().replace('"seed":0', '"seed":-1,"colour":"red"'),
    }
    for name, text in broken.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "result.json").write_text(text)
    with pytest.warns(UserWarning, match="Left out") as caught:
        found = find_results(tmp_path / "records", tmp_path / "runs")
    assert [result.seed for result in found] == [2, 1]
    messages = {Path(str(one.message).split()[2]).parent.name: str(one.message) for one in caught}
    assert set(messages) == set(broken)
    assert "update it" in messages["newer"]
    assert "seed: " in messages["wrong"]
    assert "colour: " in messages["wrong"]
    with pytest.raises(ValueError, match="There is no folder"):
        find_results(tmp_path / "absent")
    with pytest.raises(BrokenRecord, match="no JSON"):
        read_result(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": [{"name": "fd", "value": float("nan")}]},
        {"metrics": [{"name": "fd", "value": 1.0}, {"name": "fd", "value": 2.0}]},
        {"metrics": [{"name": "fd", "value": 1.0, "interval": {"low": 2.0, "high": 1.0}}]},
        {"status": "diverged"},
        {"status": "paused", "message": "waits"},
        {"seed": -1},
        {"method": ""},
        {"method": "two\nlines"},
        {"schema_version": 2},
        {"unknown": 1},
    ],
)
def test_inconsistent_results_are_refused(changes):
    with pytest.raises(ValidationError):
        _result(**changes)


def test_the_json_schema_explains_every_field():
    schema = Result.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            assert field.get("description"), name


def test_leaderboard_never_imports_torch():
    modules = "leaderboard.schema, leaderboard.store, leaderboard.reported, leaderboard.export"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
