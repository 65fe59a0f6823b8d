"""Numbers that papers report: data files beside this module, checked when loaded.

A file holds one paper: ``paper``, ``citation``, ``track`` and, where known, ``url``, then
``[[tables]]`` as the paper prints them. A table says where its numbers stand (``table``, optionally
``page``), who says so (``origin``), on what (``dataset``), how they were measured (``protocol`` in
words, ``identity`` as far as it is known), and lists ``rows`` of a ``method`` (its catalog name), a
``variant`` (the settings that differ from the method's default) and ``values`` with optional
``spread``, both by metric. Reported numbers never mix with measured ones.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    ValidationError,
    model_validator,
)

from leaderboard.schema import describe_errors

Origin = Literal["paper", "authors-notebook", "third-party"]
FOLDER = Path(__file__).parent / "reported"

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


@dataclass(frozen=True)
class ReportedNumber:
    """One number with its source.

    Attributes:
        paper: Title of the paper or page.
        citation: Authors, venue and year.
        url: Where to find it; empty where no address is known.
        track: The track it belongs to.
        table: Table or notebook that prints it.
        page: Page, if known.
        origin: The paper itself, a notebook of its authors, or somebody else.
        method: Catalog name of the method.
        variant: Settings that differ from the method's default; may be empty.
        dataset: Catalog name of the dataset.
        metric: Name of the metric.
        value: The number.
        spread: What the source prints after its plus-minus sign, or None.
        protocol: How it was measured, in words.
        identity: What is known of the metric's identity.
    """

    paper: str
    citation: str
    url: str
    track: str
    table: str
    page: int | None
    origin: Origin
    method: str
    variant: str
    dataset: str
    metric: str
    value: float
    spread: float | None
    protocol: str
    identity: dict[str, str | int | float]


def load_reported(folder: Path = FOLDER) -> list[ReportedNumber]:
    """All numbers of the ``*.toml`` files of a folder, by file name, then in the file's order.

    Raises:
        ValueError: A file is no TOML, or an entry is incomplete, misspelt or no number; the
            message names the file and the entry.
    """
    return [number for path in sorted(folder.glob("*.toml")) for number in read_reported(path)]


def read_reported(path: Path) -> list[ReportedNumber]:
    """The numbers of one file; raises as ``load_reported``."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no TOML ({error}).") from error
    try:
        source = _Source.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        entry = _entry(content, first["loc"])
        raise ValueError(f"{path}: {entry}{describe_errors([first])}.") from error
    return list(source.numbers())


class _Strict(BaseModel):
    # Strict: a number in quotes is a mistake, not a number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Row(_Strict):
    method: _Text
    variant: str = ""
    values: Annotated[dict[_Text, FiniteFloat], Field(min_length=1)]
    spread: dict[_Text, Annotated[FiniteFloat, Field(ge=0)]] = {}

    @model_validator(mode="after")
    def _spread_has_values(self) -> _Row:
        lonely = sorted(set(self.spread) - set(self.values))
        if lonely:
            raise ValueError(f"a spread without a value: {', '.join(lonely)}")
        return self


class _Table(_Strict):
    table: _Text
    page: Annotated[int, Field(gt=0)] | None = None
    origin: Origin
    dataset: _Text
    protocol: _Text
    identity: dict[str, str | int | float] = {}
    rows: Annotated[list[_Row], Field(min_length=1)]


class _Source(_Strict):
    paper: _Text
    citation: _Text
    url: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")] = ""
    track: _Text
    tables: Annotated[list[_Table], Field(min_length=1)]

    def numbers(self) -> list[ReportedNumber]:
        shared = self.model_dump(exclude={"tables"})
        return [
            ReportedNumber(
                **shared,
                **table.model_dump(exclude={"rows"}),
                method=row.method,
                variant=row.variant,
                metric=metric,
                value=value,
                spread=row.spread.get(metric),
            )
            for table in self.tables
            for row in table.rows
            for metric, value in row.values.items()
        ]


def _entry(content: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """The table and the row of a place in the file, as far as they have names there."""
    names = []
    place: Any = content
    for step in location:
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(place, dict):
            names += [str(place[key]) for key in ("table", "method", "variant") if key in place]
    return f"{', '.join(names)}: " if names else ""
