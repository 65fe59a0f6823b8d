"""Tables on terminals of any width."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from leaderboard.table import Table, build_tables
from leaderboard.terminal import to_terminal
from tests.records import record, score

EVIL = "[bold]evil[/bold]\x1b[2J:boom:"


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    """Five metrics of two methods, the first of them far better in all."""
    return build_tables(
        record(
            method,
            seed,
            *(
                score(value + place + seed / 100, 0.25, name=f"metric_{place}")
                for place in range(5)
            ),
            overrides={"layers": [*range(30)]} if method == "long" else {},
        )
        for method, value in ((EVIL, 100.0), ("long", 50.0))
        for seed in range(2)
    )


@pytest.mark.parametrize(("width", "blocks"), [(40, 7), (80, 2), (400, 1)])
def test_what_has_no_room_comes_below(tables: list[Table], width: int, blocks: int) -> None:
    text = to_terminal(tables, width)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert sum(line.startswith("method") for line in lines) == blocks
    words = " ".join(lines)
    for place in range(5):
        assert f"metric_{place} ↑" in words
        assert re.search(rf"\b{100 + place}(\.\d+)? ± 0.0071\b", words)
    assert "Bold: best of its column" in " ".join(words.split())
    assert text.count("\x1b[2J") == words.count("\x1b") == 0
    if width == 400:
        assert "[bold]evil[/bold]?[2J:boom:" in words
