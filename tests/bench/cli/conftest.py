from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and a home without caches and weights."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # no processes for a few samples
    monkeypatch.chdir(tmp_path)
    return tmp_path
