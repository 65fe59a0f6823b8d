"""Data files about papers: TOML, one file a paper, checked when loaded."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from leaderboard.schema import describe_errors

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Address = Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")]

_NAMES = ("table", "method", "variant", "says")  # what an entry is known by


class PaperData(BaseModel):
    """A part of such a file: nothing unknown, nothing mistyped, no infinite numbers."""

    # Strict: a number in quotes is a mistake, not a number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_Data = TypeVar("_Data", bound=PaperData)


def read_paper(path: Path, model: type[_Data]) -> _Data:
    """The content of one file.

    Raises:
        ValueError: The file is no TOML, or an entry is incomplete, misspelt or no number; the
            message names the file and the entry.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no TOML ({error}).") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        entry = _entry(content, first["loc"])
        raise ValueError(f"{path}: {entry}{describe_errors([first])}.") from error


def _entry(content: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """What a place in the file is part of, as far as that has names there."""
    names = []
    place: Any = content
    for step in location:
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(place, dict):
            names += [str(place[key]) for key in _NAMES if key in place]
    return f"{', '.join(names)}: " if names else ""
