"""`bench doctor`: exits by the core alone, and says why something does not work."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import doctor
from bench.cli.doctor import command
from bench.doctor import Check
from bench.downloads import download


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("BENCH_DATA", "BENCH_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long: shipped weights and optional packages."""
    monkeypatch.setattr(doctor, "_shipped_weights", lambda: iter(()))
    monkeypatch.setattr(doctor, "_OPTIONAL", {})


def one(name: str) -> Check:
    return next(check for check in doctor.examine() if check.name == name)


def test_this_machine_is_whole(home: Path) -> None:
    result = CliRunner().invoke(command, ["--json"])
    report = json.loads(result.stdout)
    assert [check for check in report["checks"] if check["status"] == "broken"] == []
    assert (result.exit_code, report["core"]) == (0, "ok")
    assert f"{home / '.cache/bench/weights'}" in result.stdout


@pytest.mark.usefixtures("quick")
def test_a_broken_optional_part_is_explained_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    part = ("no_such_module_of_it", "track", "logs")
    monkeypatch.setattr(doctor, "_OPTIONAL", {"numpy": part, "not-installed": part})
    monkeypatch.setattr(doctor, "_CORE", {})
    checks = list(doctor.examine())
    found = {check.name: check for check in checks if check.group == "optional"}
    assert found["numpy"].status == "broken"
    assert "No module named 'no_such_module_of_it'" in found["numpy"].detail
    assert found["not-installed"].status == "absent"
    assert "gan-attribute-bench[track]" in found["not-installed"].detail
    assert doctor.core_is_whole(checks)


def test_every_extra_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    asked = {
        (re.split(r"[^\w-]", package)[0].lower(), extra)
        for extra, packages in extras.items()
        for package in packages
        if extra != "dev" and not package.startswith("gan-attribute-bench")
    }
    assert {(name.lower(), extra) for name, (_, extra, _) in doctor._OPTIONAL.items()} == asked


@pytest.mark.usefixtures("quick")
def test_a_broken_core_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_CORE", {"numpy": "no_such_module_of_it"})
    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert "pip install --force-reinstall numpy" in result.stdout
    assert "The core is broken" in result.stdout


@pytest.mark.usefixtures("quick")
def test_a_web_page_under_the_name_of_weights_is_found() -> None:
    path = download("alexnet").path
    path.parent.mkdir(parents=True)
    path.write_text("<html>Sign in</html>")
    assert one("alexnet").status == "broken"
    assert "web page" in one("alexnet").detail


@pytest.mark.usefixtures("quick")
def test_a_folder_that_cannot_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_DATA", str(home / "file"))
    assert one("data").status == "broken"
    assert "$BENCH_DATA" in one("data").detail


@pytest.mark.usefixtures("quick")
def test_text() -> None:
    text = CliRunner().invoke(command).stdout
    assert "core\n  ok      python " in text
    assert "downloads\n  absent  stylegan2-ffhq-1024 " in text
    assert text.endswith("The core works.\n")
