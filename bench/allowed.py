"""What values a setting takes, in words: for lists of settings, and for messages about wrong ones.

Both are made from the JSON schema of the pydantic model, so that they say what it checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bench.errors import BenchError
from bench.spec import check_keys

_BOUNDS = {
    "minimum": "of at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "of at most {:g}",
    "exclusiveMaximum": "below {:g}",
    "multipleOf": "divisible by {:g}",
    "minLength": "of length {} or more",
    "maxLength": "of length {} or less",
    "pattern": "matching {}",
    "minItems": "of at least {}",
    "maxItems": "of at most {}",
}
_WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "object": "a table",
}

_Schema = Mapping[str, Any]


def allowed(schema: _Schema) -> str:
    """What a JSON schema allows, such as ``a whole number above 0``; null goes without saying."""
    found = list(_alternatives(schema))
    return " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def wrong_values(model: Any, values: Mapping[str, Any], error: ValidationError) -> str:
    """What is wrong with values: which, what is allowed and what was given.

    Args:
        model: The pydantic model, or dataclass, that refused them.
        values: What it was given.
        error: What it raised.
    """
    schema = TypeAdapter(model).json_schema()
    reasons = (_reason(one, schema, values) for one in error.errors())
    return "; ".join(dict.fromkeys(reasons))  # each part of a union has an error of its own


@contextmanager
def wrong_settings_explained(
    model: type[BaseModel], settings: Mapping[str, Any], what: str
) -> Iterator[None]:
    """Refuse settings that a model does not know, and turn its refusals into one sentence.

    Args:
        model: The pydantic model that is made of them within.
        settings: What ``--set`` asks for.
        what: What one of them is, such as ``setting of contrafeat``.

    Raises:
        BenchError: A setting is unknown, wrong or out of range.
    """
    check_keys(settings, model.model_fields, what)
    try:
        yield
    except ValidationError as error:
        reason = wrong_values(model, settings, error)
        raise BenchError(f"Wrong {what}: {reason}; change it with --set.") from error


def part_of(schema: _Schema, name: str, definitions: _Schema) -> _Schema | None:
    """The schema of a setting within that of its model, or None."""
    part: _Schema | None = schema.get("properties", {}).get(name)
    if part is not None and "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    return part


def _reason(error: Any, schema: _Schema, values: Any) -> str:
    if "error" in (context := error.get("ctx", {})):  # of a validator, in words of our own
        words = str(context["error"]).rstrip(".")
        return ": ".join([*map(str, error["loc"]), words])
    place, part, value = [], schema, values
    for step in error["loc"]:
        inner = part_of(part, step, schema.get("$defs", {}))
        if inner is None or not isinstance(value, Mapping):
            break
        place.append(str(step))
        part, value = inner, value.get(step)
    if error["type"] == "extra_forbidden":
        return f"there is no {'.'.join(map(str, error['loc']))}"
    given = json.dumps(value, ensure_ascii=False, default=str)
    return f"{'.'.join(place)} is {allowed(part)}, not {given}"


def _alternatives(schema: _Schema) -> Iterator[str]:
    if "anyOf" in schema:
        for part in schema["anyOf"]:
            if part.get("type") != "null":
                yield from _alternatives(part)
    elif "enum" in schema or "const" in schema:
        yield from map(str, schema.get("enum") or [schema["const"]])
    elif schema.get("type") == "array":
        yield _list(schema)
    elif schema.get("format") == "path":
        yield "a path"
    else:
        yield _bounded(_WORDS.get(schema.get("type", ""), "any value"), schema)


def _list(schema: _Schema) -> str:
    items = schema.get("prefixItems") or [schema.get("items", {})]
    each = " and ".join(dict.fromkeys(map(allowed, items)))
    if schema.get("uniqueItems"):
        each += ", none twice"
    count = schema.get("minItems")
    exact = count is not None and count == schema.get("maxItems")
    return f"{f'a list of {count}' if exact else _bounded('a list', schema)} (each {each})"


def _bounded(kind: str, schema: _Schema) -> str:
    """A kind of value with the bounds that a schema sets to it."""
    bounds = [words.format(schema[key]) for key, words in _BOUNDS.items() if key in schema]
    return " ".join([kind, " and ".join(bounds)]) if bounds else kind
