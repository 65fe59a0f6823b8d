"""`bench cache`: sizes, and a removal that stays inside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli.cache import command
from bench.errors import UnknownName


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "sets"))
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / ".cache/bench"
    (cache / "weights").mkdir(parents=True)
    (cache / "weights/net.pkl").write_bytes(bytes(1500))
    (cache / "weights/.net.pkl.lock").touch()
    (cache / "codes").mkdir()
    (cache / "codes/pca.safetensors").write_bytes(bytes(10))
    (tmp_path / "sets/faces/deep").mkdir(parents=True)
    (tmp_path / "sets/faces/deep/a.png").write_bytes(bytes(20))
    (tmp_path / "sets/elsewhere").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.tex").write_text("text")
    return tmp_path


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(command, arguments, input=answer)


def test_lists_names_and_sizes() -> None:
    records = {record["name"]: record["bytes"] for record in json.loads(run("ls", "--json").stdout)}
    assert records.keys() == {"weights/net.pkl", "data/faces", "data/elsewhere", "codes"}
    assert (records["weights/net.pkl"], records["data/faces"], records["codes"]) == (1500, 20, 10)
    assert "1 KiB  weights/net.pkl" in run("ls").stdout


def test_removes_what_is_named_after_asking(home: Path) -> None:
    assert run("rm", "data/faces", answer="n\n").exit_code == 1
    assert (home / "sets/faces").exists()
    assert run("rm", "data/faces", answer="y\n").exit_code == 0
    assert run("rm", "weights/net.pkl", "codes", "--yes").exit_code == 0
    assert [p.name for p in (home / ".cache/bench").iterdir()] == ["weights"]
    assert not (home / "sets/faces").exists()


def test_a_link_goes_and_what_it_leads_to_stays(home: Path) -> None:
    assert run("rm", "data/elsewhere", "--yes").exit_code == 0
    assert not (home / "sets/elsewhere").is_symlink()
    assert (home / "precious/thesis.tex").exists()


def test_what_stages_left_is_listed_and_removed_below_the_folder_of_runs(home: Path) -> None:
    for name in ("encode-0", "classify-1"):
        (home / "mine/artefacts/infoscc" / name).mkdir(parents=True)
        (home / "mine/artefacts/infoscc" / name / "weights.safetensors").write_bytes(bytes(30))
    assert "artefacts" not in run("ls").stdout
    assert "30 B  artefacts/infoscc/encode-0" in run("ls", "--out", "mine").stdout
    assert run("rm", "artefacts/*/encode-*", "--out", "mine", "--yes").exit_code == 0
    assert [path.name for path in (home / "mine/artefacts/infoscc").iterdir()] == ["classify-1"]


@pytest.mark.parametrize(
    "name", ["../precious", "data/../../precious", "/etc", "weights", "", ".", "weights/net.pk"]
)
def test_refuses_everything_else(home: Path, name: str) -> None:
    before = sorted(home.rglob("*"))
    assert isinstance(run("rm", "codes", name, "--yes").exception, UnknownName)
    assert sorted(home.rglob("*")) == before
