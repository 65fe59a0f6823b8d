"""What papers say of the order of methods: data files beside this module.

A file of ``leaderboard/claims`` holds one paper: ``paper``, ``citation``, ``url`` where known,
``[defaults.PRESET]`` (by method, the settings that its runs have unasked, as far as claims name
them) and ``[[claims]]``. A claim says that ``left`` has a ``higher`` or ``lower`` (``relation``)
score than each of ``right`` in each of ``metrics``. A side is a ``method`` with, optionally, what
was ``set`` otherwise than the preset has it, or the name of one of ``[sides.NAME]``. ``says`` is
the claim in words, ``source`` the table or section that makes it, ``dataset`` and ``condition``
what the paper itself measured on; ``untestable`` says why no record here can tell.
``leaderboard.verdicts`` judges claims on results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from leaderboard.papers import Address, PaperData, Text, read_paper
from leaderboard.table import described

FOLDER = Path(__file__).parent / "claims"

Settings = dict[Text, JsonValue]
Defaults = dict[Text, dict[Text, Settings]]  # by preset and method


class Side(PaperData):
    """One side of a claim."""

    method: Text
    """Catalog name of the method."""
    settings: Settings = Field({}, alias="set")
    """What its runs set otherwise than their preset."""
    name: str = ""
    """What the paper calls it, where its settings are too many to read."""

    @property
    def label(self) -> str:
        """How tables call it."""
        if self.name:
            return self.name
        changes = described(self.settings)
        return f"{self.method} ({changes})" if changes else self.method


class Claim(PaperData):
    """One sentence of a paper about the order of methods."""

    says: Text
    """The claim in words."""
    source: Text
    """The table or section that makes it."""
    track: Text
    """The track whose results it speaks of."""
    dataset: Text
    """Catalog name of the dataset that the paper measured on."""
    condition: Text
    """How the paper measured, in words."""
    metrics: Annotated[list[Text], Field(min_length=1)]
    """Each is judged by itself."""
    left: Side
    """The side that is claimed to differ from all others."""
    relation: Literal["higher", "lower"]
    """How the left side's score is claimed to lie to those of the right."""
    right: Annotated[list[Side], Field(min_length=1)]
    """The others."""
    untestable: str = ""
    """Why no record here can tell; empty where one can."""

    @model_validator(mode="after")
    def _sides_differ(self) -> Claim:
        labels = [side.label for side in (self.left, *self.right)]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"compared with itself: {', '.join(twice)}")
        return self


class PaperClaims(PaperData):
    """The claims of one paper."""

    paper: Text
    """Its title."""
    citation: Text
    """Authors, venue and year."""
    url: Address = ""
    """Where to find it."""
    defaults: Defaults = Field({})
    """Settings that runs have unasked, as far as claims name them."""
    sides: dict[Text, Side] = Field({})
    """Sides that claims call by name."""
    claims: Annotated[list[Claim], Field(min_length=1)]
    """What it says."""

    @model_validator(mode="before")
    @classmethod
    def _call_sides_by_name(cls, content: Any) -> Any:
        named = content.get("sides") if isinstance(content.get("sides"), dict) else {}

        def side(given: Any) -> Any:
            known = isinstance(given, str) and isinstance(named.get(given), dict)
            return named[given] | {"name": given} if known else given

        def claim(given: Any) -> Any:
            match given:
                case {"left": left, "right": list(right)}:
                    return given | {"left": side(left), "right": [side(one) for one in right]}
            return given

        match content:
            case {"claims": list(claims)}:
                return content | {"claims": [claim(one) for one in claims]}
        return content


def load_claims(folder: Path = FOLDER) -> dict[str, PaperClaims]:
    """The claims of all papers, by the names of their files.

    Raises:
        ValueError: A file is no TOML, or an entry is incomplete or misspelt; the message names the
            file and the entry.
    """
    return {path.stem: read_paper(path, PaperClaims) for path in sorted(folder.glob("*.toml"))}
