from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, Locked
from bench.rundir import RunDirectory
from bench.spec import RunSpec
from leaderboard.schema import Result

SPEC = RunSpec(method="m", track="t", dataset="d")
HOLD = """
import sys, time
from pathlib import Path
from bench.rundir import RunDirectory
from bench.spec import RunSpec
with RunDirectory(Path(sys.argv[1]), RunSpec(method="m", track="t", dataset="d")).lock():
    print("locked", flush=True)
    time.sleep(600)
"""


def directory(root: Path, spec: RunSpec = SPEC) -> RunDirectory:
    return RunDirectory(root, spec)


def result(**changes: Any) -> Result:
    fields = {
        "method": "m",
        "track": "t",
        "dataset": "d",
        "preset": "small",
        "seed": 0,
        "spec_hash": SPEC.hash,
        "status": "completed",
    }
    return Result.model_validate({**fields, **changes})


def test_a_lock_keeps_others_out_and_dies_with_its_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "locked\n"
    with pytest.raises(Locked, match=f"Process {owner.pid} works"), directory(tmp_path).lock():
        pass
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with directory(tmp_path).lock():
        pass


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BenchError, match="cannot be made or written to"),
        directory(tmp_path / "file").lock(),
    ):
        pass


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    run = directory(tmp_path)
    run.path.mkdir(parents=True)
    run.open()
    run.open()
    spec = json.loads((run.path / "spec.json").read_text())
    for other in (json.dumps({**spec, "seed": 5}), "{"):
        (run.path / "spec.json").write_text(other)
        with pytest.raises(BenchError, match="another run; use --force"):
            run.open()


def test_only_completed_and_diverged_runs_are_over(tmp_path: Path) -> None:
    run = directory(tmp_path)
    assert run.result() is None
    run.write_result(result(status="failed", message="broken"))
    assert run.result() is None
    for over in (result(), result(status="diverged", message="loss is nan")):
        run.write_result(over)
        assert run.result() == over
    (run.path / "result.json").write_text("{")
    with pytest.raises(BenchError, match=r"result\.json.*--force"):
        run.result()


def test_clearing_leaves_only_the_lock(tmp_path: Path) -> None:
    run = directory(tmp_path)
    with run.lock():
        run.open()
        run.log("note", text="é")
        (run.path / "checkpoint").mkdir()
        (run.path / "checkpoint" / "state.pt").write_bytes(b"")
        run.clear()
        left = {item.name for item in run.path.iterdir()}
    assert all(name.startswith(".") for name in left)


def test_what_cannot_be_removed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    run = directory(tmp_path)
    (run.path / "checkpoint").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(BenchError, match=r"cannot be emptied .*denied: '.*checkpoint'.*by hand"):
        run.clear()


def test_weights_that_changed_are_named(tmp_path: Path) -> None:
    run = directory(tmp_path)
    before: dict[str, Any] = {"dataset": "a", "processes": 1, "weights": {"generator": "1"}}
    run.check_provenance(before)
    run.check_provenance({**before, "weights": {"generator": "1", "extractor x": "2"}})
    with pytest.raises(BenchError, match="weights of generator changed"):
        run.check_provenance({**before, "weights": {"generator": "3"}})
    with pytest.raises(BenchError, match="The dataset and the number of processes changed"):
        run.check_provenance({**before, "dataset": "b", "processes": 2})
