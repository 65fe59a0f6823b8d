"""``bench.run``: the program's road, for Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.errors import BenchError
from bench.resolve import RunRequest, resolve

TOY = ("toy_parts:ToyMethod", "toy_parts:ToyDataset")


@pytest.mark.usefixtures("toys")
def test_a_run_is_that_of_the_command(tmp_path: Path) -> None:
    settings = {"track.samples": 5, "dataset": {"count": 30}, "rate": 0.5}
    result = bench.run(*TOY, preset="smoke", seed=2, settings=settings, out=str(tmp_path))
    nested = {"track": {"samples": 5}, "dataset": {"count": 30}, "rate": 0.5}
    spec = resolve(RunRequest(*TOY, "smoke", settings=nested), 2)
    assert result.spec_hash == spec.hash
    written = (tmp_path / spec.folder / "result.json").stat().st_mtime_ns
    assert bench.run(*TOY, preset="smoke", seed=2, settings=settings, out=tmp_path) == result
    assert (tmp_path / spec.folder / "result.json").stat().st_mtime_ns == written
    bench.run(*TOY, preset="smoke", seed=2, settings=settings, out=tmp_path, force=True)
    assert (tmp_path / spec.folder / "result.json").stat().st_mtime_ns > written


@pytest.mark.usefixtures("toys")
def test_wrong_input_is_one_sentence(tmp_path: Path) -> None:
    for arguments, message in (
        ({"dataset": None}, "needs a dataset"),
        ({"seed": -1}, "seed -1 has to be a whole number"),
        ({"limit": 0}, "limit is a whole number above 0, not 0"),
        ({"settings": {"track.sample": 5}}, "did you mean samples"),
    ):
        given = {"method": TOY[0], "dataset": TOY[1], "out": tmp_path, **arguments}
        with pytest.raises(BenchError, match=message):
            bench.run(**given)


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, bench; print({'torch', 'pydantic', 'click'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
