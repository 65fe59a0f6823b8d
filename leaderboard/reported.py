"""Numbers that papers report: data files beside this module, checked when loaded.

A file holds one paper: ``paper``, ``citation``, ``track`` and, where known, ``url``, then
``[[tables]]`` as the paper prints them. A table says where its numbers stand (``table``, ``page``),
who says so (``origin``), on what (``dataset``), how they were measured (``protocol`` in words,
``identity`` as far as it is known, ``metric_identity`` with what is true of one metric only, or of
all that begin alike before a colon), and lists ``rows`` of a ``method`` (its catalog name), a
``variant`` (the settings that differ from the method's default) and ``values`` with optional
``spread``, both by metric. ``no_page`` says why tables without a page have none, and ``elsewhere``
what the names mean that the suite does not have: methods, datasets and metrics of others. Reported
numbers never mix with measured ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from leaderboard.papers import Address, PaperData, Text, read_paper

Origin = Literal["paper", "authors-notebook", "third-party"]
_Identity = dict[str, str | int | float]
FOLDER = Path(__file__).parent / "reported"


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
        no_page: Why the page is not known; empty where it is.
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
    identity: _Identity
    no_page: str = ""

    @property
    def source(self) -> str:
        """Who reports it, where, and how it was measured."""
        place = self.table if self.page is None else f"{self.table}, p. {self.page}"
        return f"{self.citation}, {place}: {self.protocol}. {self.url}".rstrip()


def load_reported(folder: Path = FOLDER) -> list[ReportedNumber]:
    """All numbers of the ``*.toml`` files of a folder, by file name, then in the file's order.

    Raises:
        ValueError: A file is no TOML, or an entry is incomplete, misspelt or no number; the
            message names the file and the entry.
    """
    return [number for path in sorted(folder.glob("*.toml")) for number in read_reported(path)]


def read_reported(path: Path) -> list[ReportedNumber]:
    """The numbers of one file; raises as ``load_reported``."""
    return read_paper(path, _Source).numbers()


class _Row(PaperData):
    method: Text
    variant: str = ""
    values: Annotated[dict[Text, FiniteFloat], Field(min_length=1)]
    spread: dict[Text, Annotated[FiniteFloat, Field(ge=0)]] = Field({})

    @model_validator(mode="after")
    def _spread_has_values(self) -> _Row:
        lonely = sorted(set(self.spread) - set(self.values))
        if lonely:
            raise ValueError(f"a spread without a value: {', '.join(lonely)}")
        return self


class _Table(PaperData):
    table: Text
    page: Annotated[int, Field(gt=0)] | None = None
    origin: Origin
    dataset: Text
    protocol: Text
    identity: _Identity = Field({})
    metric_identity: dict[Text, _Identity] = Field({})
    rows: Annotated[list[_Row], Field(min_length=1)]

    @model_validator(mode="after")
    def _metrics_have_values(self) -> _Table:
        metrics = {metric for row in self.rows for metric in row.values}
        known = {name for metric in metrics for name in (metric, metric.partition(":")[0])}
        lonely = sorted(set(self.metric_identity) - known)
        if lonely:
            raise ValueError(f"a metric_identity without a value: {', '.join(lonely)}")
        return self

    def identity_of(self, metric: str) -> _Identity:
        family = self.metric_identity.get(metric.partition(":")[0], {})
        return self.identity | family | self.metric_identity.get(metric, {})


class _Source(PaperData):
    paper: Text
    citation: Text
    url: Address = ""
    track: Text
    no_page: str = ""
    elsewhere: dict[Text, Text] = Field({})
    tables: Annotated[list[_Table], Field(min_length=1)]

    @model_validator(mode="after")
    def _pages_and_names_are_explained(self) -> _Source:
        pageless = [table.table for table in self.tables if table.page is None]
        if bool(pageless) != bool(self.no_page):
            missing = f"no page, and no no_page that says why: {', '.join(pageless)}"
            raise ValueError(missing if pageless else "no_page, though all tables have a page")
        used = {name for one in self.numbers() for name in (one.method, one.dataset, one.metric)}
        unused = sorted(set(self.elsewhere) - used)
        if unused:
            raise ValueError(f"elsewhere explains what no table names: {', '.join(unused)}")
        return self

    def numbers(self) -> list[ReportedNumber]:
        return [
            ReportedNumber(
                paper=self.paper,
                citation=self.citation,
                url=self.url,
                track=self.track,
                table=table.table,
                page=table.page,
                origin=table.origin,
                method=row.method,
                variant=row.variant,
                dataset=table.dataset,
                metric=metric,
                value=value,
                spread=row.spread.get(metric),
                protocol=table.protocol,
                identity=table.identity_of(metric),
                no_page=self.no_page if table.page is None else "",
            )
            for table in self.tables
            for row in table.rows
            for metric, value in row.values.items()
        ]
