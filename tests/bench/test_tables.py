"""The tables that the suite ships: each can be read, and all its runs resolve."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sweep import read_table

TABLES = sorted((Path(__file__).parents[2] / "tables").glob("*.toml"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_shipped_table_names_runs_that_there_are(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # --directions are looked for below the current folder
    runs = read_table(path, allow_absent=True).specs
    assert runs
    assert len({run.track for run in runs}) == 1
