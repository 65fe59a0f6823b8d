from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch

from bench import provenance
from bench.resolve import RunRequest
from metrics.statistics import Interval


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with a committed package and an environment that nothing tracks."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    (tmp_path / "README.md").write_text("")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "one")
    (tmp_path / "env" / "bench").mkdir(parents=True)
    (tmp_path / "env" / "bench" / "__init__.py").write_text("")
    return tmp_path


def test_the_commit_is_that_of_the_packages_own_tree(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = _git(tree, "rev-parse", "HEAD")
    monkeypatch.chdir("/")
    assert provenance._commit_of_source_tree(tree / "bench") == head
    (tree / "README.md").write_text("changed")
    assert provenance._commit_of_source_tree(tree / "bench") == head
    (tree / "bench" / "__init__.py").write_text("changed")
    assert provenance._commit_of_source_tree(tree / "bench") == f"{head}-dirty"


def test_an_environment_inside_some_repository_has_no_commit(tree: Path) -> None:
    assert provenance._commit_of_source_tree(tree / "env" / "bench") is None


def test_an_installation_from_git_states_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Installed:
        def read_text(self, name: str) -> str:
            assert name == "direct_url.json"
            return json.dumps({"vcs_info": {"vcs": "git", "commit_id": "abc"}})

    monkeypatch.setattr(provenance, "distribution", lambda name: Installed())
    assert provenance.commit() == "abc"


def test_the_record_is_json_and_names_no_place_or_person(tmp_path: Path) -> None:
    record = provenance.collect(Interval, torch.device("cpu"), "f" * 64, {"generator": "0" * 64})
    text = json.dumps(record)
    assert json.loads(text) == record
    assert record["packages"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert str(Path.home()) not in text
    assert str(Path(provenance.__file__).parent) not in text
    assert record["method"]["class"] == "metrics.statistics:Interval"


def test_the_code_of_a_loose_method_is_identified_by_its_hash() -> None:
    assert len(provenance._source(RunRequest)["sha256"]) == 64
    assert provenance._source(torch.nn.Module)["package"] == "torch"
