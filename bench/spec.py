"""What a run is: everything that decides its numbers, and the hash that names it.

The hash covers the resolved configuration, not how it was typed: an alias, the default written
out, or another ``--data`` folder with the same data lead to the same run. Other weights under the
same name lead to another.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt, PositiveInt

from bench.errors import BenchError
from leaderboard.vocabulary import Preset

Precision = Literal["float32", "bfloat16"]

# Where things lie, and how settings were typed.
_PLACES = {"data", "checkpoint", "directions", "artefacts", "overrides"}
_HASH_DIGITS = 10


class RunSpec(BaseModel):
    """One run: a method on a dataset, with all settings resolved.

    Attributes:
        method: Catalog name, or ``package.module:Class``.
        track: The name of the method's track.
        dataset: Catalog name.
        generator: Catalog name or path of the pretrained generator, or None.
        predictor: Name of the attribute predictor, or None.
        extractor: Name of the track's feature network.
        preset: ``smoke``, ``small`` or ``paper``.
        seed: Root of all random numbers.
        config: The method's configuration in full.
        track_options: The track's options in full.
        dataset_options: What was asked of the dataset, such as its size in pixels.
        overrides: What ``--set`` and other options changed, as it was typed; a method's own
            setting ``extractor`` is ``method.extractor``, as the option of that name stands there.
        limit: At most so many images of the dataset and samples of the evaluation, or None.
        precision: Arithmetic of the training.
        data: Where the dataset lies, if that was said.
        checkpoint: Trained weights of the method's reference, if they stand for its training.
        directions: The folder of the discovery run whose directions make pairs of images, or None.
        direction_options: How they do, in full; see ``bench.directions.runs.DirectionOptions``.
        artefacts: Folders of stages' artefacts that were given.
        contents: Hashes of what was given by path, which stand for it in the spec's hash; and of
            the files behind names: ``generator file``, ``predictor file``, and ``method file``,
            the code of a method outside the catalog.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    track: str
    dataset: str
    generator: str | None = None
    predictor: str | None = None
    extractor: str | None = None
    preset: Preset = "small"
    seed: NonNegativeInt = 0
    config: dict[str, JsonValue] = Field(default_factory=dict)
    track_options: dict[str, JsonValue] = Field(default_factory=dict)
    dataset_options: dict[str, JsonValue] = Field(default_factory=dict)
    overrides: dict[str, JsonValue] = Field(default_factory=dict)
    limit: PositiveInt | None = None
    precision: Precision = "float32"
    data: str | None = None
    checkpoint: str | None = None
    directions: str | None = None
    direction_options: dict[str, JsonValue] = Field(default_factory=dict)
    artefacts: tuple[str, ...] = ()
    contents: dict[str, str] = Field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Ten hexadecimal digits that stand for everything that decides the numbers."""
        left_out = _PLACES | self.contents.keys()
        if self.directions is None:
            left_out |= {"direction_options"}
        fields = self.model_dump(mode="json", exclude=left_out)
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]

    @property
    def folder(self) -> Path:
        """The run's directory, relative to the root of all runs."""
        parts = (file_name(part) for part in (self.track, self.dataset, self.method))
        return Path(*parts, f"{self.preset}-s{self.seed}-{self.hash}")

    def __str__(self) -> str:
        return f"{self.method} on {self.dataset} ({self.preset}, seed {self.seed})"


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """The nested dictionary of ``key=value`` texts as ``--set`` takes them.

    A value follows the rules of TOML (``3``, ``0.1``, ``true``, ``[1, 2]``, ``"text"``); what TOML
    does not know is taken as text, so that words need no quotes. Dots in the key go one level
    down.

    Raises:
        BenchError: There is no ``=``, or a key is set twice.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise BenchError(f"--set {assignment!r} is not of the form key=value.")
        *parents, last = key.strip().split(".")
        level = values
        for parent in parents:
            level = level.setdefault(parent, {})
            if not isinstance(level, dict):
                raise BenchError(f"--set {key} contradicts another --set of {parent}.")
        if last in level:
            raise BenchError(f"--set {key} is given twice; leave one out.")
        level[last] = _toml_value(text.strip())
    return values


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from a list of numbers and inclusive ranges, such as ``0..2`` or ``0,3,7..9``.

    Raises:
        BenchError: The text is of another form, a range is empty, or a seed comes twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\.\.(\d+))?\s*", part)
        if match is None:
            raise BenchError(f"--seeds {text!r} is not of the form 3, 0..2 or 0,3.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise BenchError(f"--seeds {part.strip()} is empty; write the smaller number first.")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise BenchError(f"--seeds {text!r} names a seed twice.")
    return tuple(seeds)


def read_toml(path: Path) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises:
        BenchError: The file is missing or not TOML; the message says where.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{path} is not valid TOML: {error}.") from error


def check_keys(keys: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse keys that are not known, naming the nearest.

    Args:
        keys: What was given.
        known: What may be given.
        what: What a key is, for the message, such as ``setting of contrafeat``.

    Raises:
        BenchError: A key is unknown.
    """
    known = list(known)
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {_joined(known)}."
            raise BenchError(f"There is no {what} {key!r}; {hint}")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dictionaries as one; where both have a value, that of ``over`` counts."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        result[key] = value
    return result


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose keys may have dots, ``{"track.samples": 5}``, as nested dictionaries."""
    levels: dict[str, Any] = {}
    for key, value in settings.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        levels = merged(levels, value)
    return levels


def file_name(text: str) -> str:
    """A name with what may not stand in a file's name replaced."""
    return re.sub(r"[^\w.+-]", "_", text)


def _toml_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, date | time) else value  # JSON knows no dates


def _joined(names: list[str]) -> str:
    return ", ".join(names) or "none"
