"""Imports go down only: bench -> baselines -> metrics, and bench -> leaderboard."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "baselines", "metrics", "leaderboard")
MAY_IMPORT = {
    "bench": ("bench", "baselines", "metrics", "leaderboard"),
    "baselines": ("baselines", "metrics"),
    "metrics": ("metrics",),
    "leaderboard": ("leaderboard", "metrics.statistics"),
}
HEAVY = ("torch", "torchvision", "pydantic", "pandas", "numpy", "scipy", "sklearn", "rich")


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            yield node.module


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_down_only(package: str) -> None:
    for path in files(package):
        for module in imported(ast.walk(ast.parse(path.read_text("utf-8")))):
            ours = within(module, PACKAGES)
            assert not ours or within(module, MAY_IMPORT[package]), f"{path} imports {module}"


def test_the_leaderboard_never_imports_torch() -> None:
    for path in files("leaderboard"):
        for module in imported(ast.walk(ast.parse(path.read_text("utf-8")))):
            assert not within(module, ("torch", "torchvision")), f"{path} imports {module}"


def test_commands_import_heavy_modules_only_inside_their_handlers() -> None:
    for path in files("bench/cli"):
        for module in imported(ast.parse(path.read_text("utf-8")).body):
            assert not within(module, HEAVY), f"{path} imports {module} at its top"


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_say_what_they_are_and_stay_readable(package: str) -> None:
    for path in files(package):
        text = path.read_text("utf-8")
        if text:
            assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
        assert text.count("\n") <= 400, f"{path} is longer than 400 lines"
