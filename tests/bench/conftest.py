from __future__ import annotations

from pathlib import Path

import pytest

TOYS = Path(__file__).parent / "toy"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``toy_parts:ToyMethod`` and its siblings importable, here and in other processes."""
    monkeypatch.syspath_prepend(TOYS)
    monkeypatch.setenv("PYTHONPATH", str(TOYS))
    return TOYS
