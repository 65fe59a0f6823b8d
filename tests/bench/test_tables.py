"""The tables that the suite ships: each can be read, and all its runs resolve."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path

import pytest

import leaderboard
from bench.catalog import entries
from bench.sweep import read_table

TABLES = sorted((Path(__file__).parents[2] / "tables").glob("*.toml"))
BOARD = "leaderboard-small"


@pytest.mark.parametrize(
    "path", [path for path in TABLES if path.stem != BOARD], ids=lambda path: path.stem
)
def test_a_shipped_table_names_runs_that_there_are(path: Path, tmp_path: Path) -> None:
    runs = read_table(path, tmp_path, allow_absent=True).specs
    assert runs
    assert len({run.track for run in runs}) == 1


def test_the_board_is_made_of_tables_with_every_method_and_every_record_s_row() -> None:
    contents = {path.name: tomllib.loads(path.read_text("utf-8")) for path in TABLES}
    included = contents[f"{BOARD}.toml"]["include"]
    assert included[0] == "discovery.toml"  # group-vae learns from its runs
    grids = [grid for name in included for grid in contents[name]["grid"]]
    assert all(grid["presets"] == ["small"] and "set" not in grid for grid in grids)
    rows = {row for grid in grids for row in product(grid["methods"], grid["datasets"])}
    assert {method for method, _ in rows} == {entry.name for entry in entries("methods")}
    plain = (one for one in leaderboard.load() if one.overrides.keys() <= {"directions"})
    assert {(one.method, one.dataset) for one in plain if one.preset == "small"} <= rows
