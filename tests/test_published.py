"""What is published: the board of the committed records, as ``make board`` writes it; the wheel."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.catalog import entries
from bench.cli.leaderboard import command
from leaderboard.store import RECORDS
from tests.html_page import in_browser

ROOT = Path(__file__).parents[1]


def published(name: str, form: str) -> tuple[str, str]:
    """The text of a file, and what of it comes of the records."""
    arguments = [str(RECORDS), "--preset", "small", "--format", form]
    outcome = CliRunner().invoke(command, arguments, catch_exceptions=False)
    text = (ROOT / name).read_text("utf-8")
    assert str(ROOT) not in text
    return text, outcome.stdout


def test_the_tables() -> None:
    text, tables = published("LEADERBOARD.md", "md")
    head = text.partition("### ")[0]
    assert head.startswith("# Leaderboard\n")
    for track in entries("tracks"):
        assert f"\n### {track.name} / " in text
    if text != head + tables:
        pytest.fail("LEADERBOARD.md is not of the committed records: run `make board`.")


def test_the_page() -> None:
    if len(set(published("docs/leaderboard.html", "html"))) > 1:
        pytest.fail("docs/leaderboard.html is not of the committed records: run `make board`.")


def test_the_page_loads_nothing_and_fits_narrow_windows(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "leaderboard.html").read_text("utf-8")
    rows = "found.rows = document.querySelectorAll('.measured > tbody').length;"
    assert in_browser(text, rows, tmp_path)["rows"] >= 37


def test_the_wheel_has_every_file_of_the_packages() -> None:
    builders = pytest.importorskip("hatchling.builders.wheel")
    files = builders.WheelBuilder(str(ROOT)).recurse_included_files()
    packed = {file.distribution_path for file in files}
    for package in ("bench", "baselines", "metrics", "leaderboard"):
        paths = (path for path in (ROOT / package).rglob("*") if path.is_file())
        present = {path.relative_to(ROOT).as_posix() for path in paths}
        assert {name for name in present - packed if "__pycache__" not in name} == set()
