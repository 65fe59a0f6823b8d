"""The code that decides what a stage trains: its own file and all that this imports.

Followed are the imports within the package that a class is from, and into this suite. A file that
is in no package counts with what lies beside it. What other distributions hold is not looked at:
torch's version, which decides most, is compared on its own.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import baselines
from bench.files import sha256_of

_ELSEWHERE = {*sys.stdlib_module_names, "torch"}
_INSTALLED = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}


class _Home(NamedTuple):
    """Where imports are followed: a folder, and the one name in it that counts, or None: all."""

    folder: Path
    top: str | None


_ROOT = Path(str(baselines.__file__)).resolve().parents[1]
_SUITE = {_Home(_ROOT, "baselines"), _Home(_ROOT, "metrics")}


def code_hash(*classes: type) -> str:
    """sha256 of the code that classes are made of; where it lies plays no part."""
    hashes = {name: sha256_of(path) for name, path in sources(*classes).items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def sources(*classes: type) -> dict[str, Path]:
    """The files that define classes and their bases, and those that they import, by module.

    Imports are read and not done, so that what else a process has imported plays no part.
    """
    names = {base.__module__ for one in classes for base in one.__mro__}
    waiting = {name: _file(name) for name in names if _top(name) not in _ELSEWHERE}
    homes = sorted(_SUITE | {_home(name, file) for name, file in waiting.items()}, key=str)
    found: dict[str, Path] = {}
    while waiting:
        name, file = waiting.popitem()
        found[name] = file
        for imported in _imports(name, file):
            beside = None if imported in found else _locate(imported, homes)
            if beside is not None:
                waiting[imported] = beside
    return found


def _top(name: str) -> str:
    return name.partition(".")[0]


def _file(name: str) -> Path:
    return Path(str(sys.modules[name].__file__)).resolve()


def _home(name: str, file: Path) -> _Home:
    depth = name.count(".") + (file.stem == "__init__")
    folder = file.parents[depth]
    alone = depth == 0 and folder not in _INSTALLED
    return _Home(folder, None if alone else _top(name))


def _locate(name: str, homes: list[_Home]) -> Path | None:
    for home in homes:
        if home.top in (None, _top(name)):
            path = home.folder.joinpath(*name.split("."))
            for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
                if file.is_file():
                    return file
    return None


def _imports(name: str, file: Path) -> Iterator[str]:
    """What a file may import: each module on the way to each imported name, and that name."""
    if file.suffix != ".py":  # compiled
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whence = "." * node.level + (node.module or "")
            base = resolve_name(whence, package) if node.level else whence
            imported = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for path in imported:
            parts = path.split(".")
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))
