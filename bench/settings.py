"""What can be set of a method, a track or a dataset: names, values by preset, and meanings.

The meanings are the lines of docstrings; nothing about a setting is said twice.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, JsonValue, PydanticUserError, create_model

from baselines.base import Method
from bench.allowed import allowed, part_of
from bench.data.base import Dataset
from bench.tracks import Track
from leaderboard.vocabulary import PRESETS

_NOT_OPTIONS = ("path", "device")  # of a dataset's class: the former is --data


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: As it is typed after ``--set``.
        allowed: What values it takes, in words.
        values: Its value in each preset; that of ``paper`` is its default.
        about: What it means.
    """

    name: str
    allowed: str
    values: Mapping[str, JsonValue]
    about: str


def settings_of(owner: type[Method] | type[Track]) -> list[Setting]:
    """All settings of a method, or options of a track, in the order of its docstring."""
    model: type[BaseModel] = owner.Config if issubclass(owner, Method) else owner.Options
    values = {preset: owner.configure(preset).model_dump(mode="json") for preset in PRESETS}
    prefix = "" if issubclass(owner, Method) else "track."
    return list(_settings(model, values, prefix, _meanings(model)))


def dataset_settings(dataset: type[Dataset]) -> list[Setting]:
    """All options of a dataset."""
    model = options_model(dataset)
    default = {name: field.get_default() for name, field in model.model_fields.items()}
    values = {preset: {**default, **dataset.presets.get(preset, {})} for preset in PRESETS}
    return list(_settings(model, values, "dataset.", _meanings(dataset, "Args")))


def options_model(dataset: type[Dataset]) -> type[BaseModel]:
    """A model of the options that a dataset's class takes; of any type where one is unknown."""
    try:
        return _model(dataset, get_type_hints(dataset.__init__))
    except (NameError, PydanticUserError):  # one is imported for type checkers only, or unknown
        return _model(dataset, {})


def _model(dataset: type[Dataset], types: Mapping[str, Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (types.get(name, Any), ... if one.default is one.empty else one.default)
        for name, one in inspect.signature(dataset).parameters.items()
        if name not in _NOT_OPTIONS and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }
    return create_model(dataset.__name__, **fields)


def _settings(
    model: type[BaseModel], values: Mapping[str, Any], prefix: str, about: Mapping[str, str]
) -> Iterator[Setting]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        own = {preset: value[name] for preset, value in values.items()}
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _settings(inner, own, f"{prefix}{name}.", _meanings(inner))
        else:
            part = part_of(schema, name, schema.get("$defs", {})) or {}
            yield Setting(f"{prefix}{name}", allowed(part), own, about.get(name, ""))


def _meanings(documented: type, section: str = "Attributes") -> dict[str, str]:
    """From a name to its line in a section of a class's docstring, or of those it derives from."""
    found: dict[str, str] = {}
    for kind in reversed(documented.__mro__):
        text = inspect.cleandoc(kind.__doc__ or "") + "\n"
        lines = re.search(rf"^{section}:\n((?: {{4}}.*\n|\n)*)", text, re.MULTILINE)
        if lines is not None:
            each = re.findall(r"^ {4}(\w+): (.*(?:\n {5}.*)*)", lines[1], re.MULTILINE)
            found |= {name: " ".join(words.split()).replace("``", "`") for name, words in each}
    return found
