"""What there is to run: names of methods, datasets, generators, extractors and so on.

The catalog is data: ``catalog.toml`` beside this file leads from a name to ``"module:object"``,
which is imported only when it is used, so that listing never imports torch. Other packages add
names through entry points in the groups ``bench.methods``, ``bench.datasets``,
``bench.generators``, ``bench.extractors``, ``bench.metrics`` and ``bench.tracks``;
``package.module:Class`` works in place of any name.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UnknownName

KINDS = ("methods", "datasets", "generators", "extractors", "predictors", "metrics", "tracks")


class PluginWarning(UserWarning):
    """An entry point of another package that cannot be used."""


@dataclass(frozen=True)
class Entry:
    """One line of the catalog.

    Attributes:
        name: What users type.
        target: ``"module:object"``.
        title: One line for lists.
        track: The track of a method or metric; the only one, if any, whose runs take a predictor
            without being told to.
        paper: Where it is from.
        needs: What has to be there first, for people.
        aliases: Other names of the same thing.
        dataset: The embedded dataset that a track's methods are shown on where none is asked for; a
            method's own goes before its track's.
        generator: The default generator of a dataset.
        predictor: The default predictor of a dataset.
        checkpoint: ``"module:function"`` that reads the files of a method's reference
            implementation.
        baseline: The method that this one extends, trained as long without its addition; tables
            state the difference.
        distribution: The package that brought the line in; empty for ours.
    """

    name: str
    target: str
    title: str = ""
    track: str = ""
    paper: str = ""
    needs: str = ""
    aliases: tuple[str, ...] = ()
    dataset: str = ""
    generator: str = ""
    predictor: str = ""
    checkpoint: str = ""
    baseline: str = ""
    distribution: str = ""

    def load(self) -> Any:
        """Import the module and return the object.

        Raises:
            BenchError: The module cannot be imported or has no such object.
        """
        return _load(self)


def entries(kind: str) -> tuple[Entry, ...]:
    """All entries of a kind, ours first, then those of other packages, each by name.

    Args:
        kind: One of ``KINDS``.
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS, f"There are: {', '.join(KINDS)}.")
    return _built_in(kind) + _plugins(kind)


def lookup(kind: str, name: str) -> Entry:
    """The entry of a name, an alias or a ``package.module:Class`` path.

    Raises:
        UnknownName: There is none; the message holds the nearest names.
    """
    known = entries(kind)
    for entry in known:
        if name == entry.name or name in entry.aliases:
            return entry
    if _is_path(name):
        return Entry(name, name)
    names = [name for entry in known for name in (entry.name, *entry.aliases)]
    raise UnknownName(kind.removesuffix("s"), name, names, f"`bench list {kind}` shows them all.")


def embedded_dataset(method: str) -> str:
    """The dataset that a method is run on where none is asked for; empty if it has none.

    Raises:
        UnknownName: There is no such method.
    """
    entry = lookup("methods", method)
    if entry.dataset or not entry.track:
        return entry.dataset
    return lookup("tracks", entry.track).dataset


def _load(entry: Entry) -> Any:
    module_name, _, path = entry.target.partition(":")
    source = f" (from the package {entry.distribution})" if entry.distribution else ""
    if entry.name == entry.target:
        _allow_current_folder()
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, SyntaxError) as error:
        raise BenchError(
            f"{entry.name}{source} cannot be imported ({error}): install its package, or run bench "
            "in the folder that holds its file."
        ) from error
    except AttributeError as error:
        message = f"{entry.name}{source} cannot be loaded: {error}."
        raise BenchError(message) from error
    return found


def _allow_current_folder() -> None:
    """Let ``my_module:MyMethod`` name a file of the current folder, as ``python -m`` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


@cache
def _built_in(kind: str) -> tuple[Entry, ...]:
    lines = _table().get(kind, {})
    return tuple(
        Entry(name=name, **{**line, "aliases": tuple(line.get("aliases", ()))})
        for name, line in lines.items()
    )


@cache
def _table() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


@cache
def _plugins(kind: str) -> tuple[Entry, ...]:
    taken = {name for entry in _built_in(kind) for name in (entry.name, *entry.aliases)}
    found: dict[str, Entry] = {}
    for point in sorted(entry_points(group=f"bench.{kind}"), key=lambda point: point.name):
        package = point.dist.name if point.dist else "unknown"
        fault = _fault(point.value) or (
            "its name is taken" if point.name in taken | found.keys() else ""
        )
        if fault:
            message = f"The plugin {point.name!r} of the package {package} is left out: {fault}."
            warnings.warn(message, PluginWarning, stacklevel=2)
        else:
            title = f"From the package {package}"
            found[point.name] = Entry(point.name, point.value, title, distribution=package)
    return tuple(found.values())


def _fault(target: str) -> str:
    """What is wrong with a plugin's target, as far as it shows without importing it."""
    if not _is_path(target):
        return f"{target!r} is not of the form package.module:object"
    package = re.split("[.:]", target)[0]
    if importlib.util.find_spec(package) is None:
        return f"there is no module {package!r}"
    return ""


def _is_path(name: str) -> bool:
    """Whether a name is of the form ``package.module:object``; names may hold a colon too."""
    module, _, path = name.partition(":")
    return all(part.isidentifier() for part in (*module.split("."), *path.split(".")))
