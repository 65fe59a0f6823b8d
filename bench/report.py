"""Reports: one HTML page on a run, or on several side by side, complete in one file.

The page loads nothing and runs no script; its figures are part of it. All of a record is untrusted:
the templates escape every text, and figures are taken only from below the record's own folder.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import curves
from bench.command_line import command_line
from bench.curves import TrainingLog, read_log
from bench.errors import BenchError
from leaderboard.details import flat
from leaderboard.page import Page, page, titled
from leaderboard.schema import Measurement, Result
from leaderboard.store import RESULT_NAME, BrokenRecord, read_result
from leaderboard.table import build_tables, described, identity_text
from leaderboard.templating import environment
from leaderboard.vocabulary import ASKED

if TYPE_CHECKING:
    from jinja2 import Environment

_TABLES_OF_A_SPEC = {  # and how `--set` calls their settings
    "config": "",
    "track_options": "track.",
    "dataset_options": "dataset.",
    "direction_options": "directions.",
    "contents": "hash of ",
}
_LEVEL = 0.95  # of the intervals, where nothing else is said
_UNKNOWN = "not known"
_ABSENT = "-"


@dataclass(frozen=True)
class ReportedRun:
    """A run as it is found on disk.

    Attributes:
        result: Its record.
        spec: The contents of ``spec.json``; empty where it is not beside the record.
        log: What it logged; None where no log is beside the record.
        figures: By path, each figure that is there as a ``data:`` address.
    """

    result: Result
    spec: Mapping[str, Any] = field(default_factory=dict)
    log: TrainingLog | None = None
    figures: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ReportedRun:
        """The run of a record, ``result.json`` in a run's folder or a record without one.

        Raises:
            BenchError: The record is broken.
        """
        try:
            result = read_result(path)
        except BrokenRecord as error:
            raise BenchError(str(error)) from error
        if path.name != RESULT_NAME:
            return cls(result)
        log = path.parent / "log.jsonl"
        return cls(
            result,
            _spec(path.parent / "spec.json"),
            read_log(log) if log.is_file() else None,
            dict(_figures(path.parent, result.figures)),
        )

    @property
    def settings(self) -> dict[str, str]:
        """All settings as ``--set`` and the other options call them; without a spec, the known."""
        result = self.result
        known: dict[str, Any] = {
            "method": result.method,
            "track": result.track,
            "dataset": result.dataset,
            "preset": result.preset,
            "seed": result.seed,
        }
        for name, value in self.spec.items() if self.spec else result.overrides.items():
            if name in _TABLES_OF_A_SPEC and isinstance(value, dict):
                for key, setting in value.items():
                    key = f"method.{key}" if name == "config" and key in ASKED else key
                    known[_TABLES_OF_A_SPEC[name] + key] = setting
            elif name != "overrides":
                known[name] = value
        return dict(flat(known))

    @property
    def command(self) -> str:
        """The command line that asks for the same run."""
        return command_line(self.result, [self.result.seed], self.spec)

    @property
    def missing_figures(self) -> list[str]:
        """Figures that the record names and that are not beside it."""
        return [name for name in self.result.figures if name not in self.figures]


@dataclass(frozen=True)
class ScoreText:
    """One score of one run, as text."""

    value: str
    interval: str = ""
    standard_error: str = _ABSENT


@dataclass(frozen=True)
class ScoreTable:
    """Scores that may be compared, a line for each metric and a column for each run.

    Attributes:
        place: Track, dataset and preset.
        runs: The places of the runs in the comparison, from 0.
        lines: The metric, what only it is measured with, and a score for each run.
        shared: What all are measured with.
        notes: Why it is a table of its own.
    """

    place: str
    runs: tuple[int, ...]
    lines: tuple[tuple[str, str, tuple[ScoreText, ...]], ...]
    shared: str
    notes: tuple[str, ...]


def report(paths: Sequence[Path], baselines: Mapping[str, str]) -> str:
    """The page on the runs of some records.

    Args:
        paths: The records, one or more.
        baselines: From a method to the one that it is compared with, seed by seed.

    Raises:
        BenchError: A record is broken.
    """
    runs = [ReportedRun.read(path) for path in paths]
    names = labels([run.result for run in runs])
    text = (
        _templates()
        .get_template("report.html.j2")
        .render(
            alone=len(runs) == 1,
            runs=list(zip(names, runs, strict=True)),
            names=names,
            scores=score_tables([run.result for run in runs]),
            over_seeds=_over_seeds([run.result for run in runs], baselines),
            settings=differing([run.settings for run in runs], [bool(run.spec) for run in runs]),
            provenance=differing(
                [dict(flat(run.result.provenance)) for run in runs], [True] * len(runs)
            ),
            stages=curves.charts([run.log or TrainingLog() for run in runs]),
            drawing=curves,
            figures=list(dict.fromkeys(name for run in runs for name in run.result.figures)),
            settings_of=described,
        )
    )
    return text.lstrip()


@cache
def _templates() -> Environment:
    templates = environment("bench", "leaderboard")
    templates.filters["flat"] = lambda table: list(flat(table))
    return templates


def labels(results: Sequence[Result]) -> list[str]:
    """A name for each run, of its method and of what sets it apart; no two are the same."""
    apart = {
        "dataset": lambda one: f" on {one.dataset}",
        "preset": lambda one: f", {one.preset}",
        "overrides": lambda one: f", {described(one.overrides) or 'as in the preset'}",
        "seed": lambda one: f", seed {one.seed}",
        "spec_hash": lambda one: f", {one.spec_hash}",
    }
    names = [one.method for one in results]
    for attribute, text in apart.items():
        values = [described({"": getattr(one, attribute)}) for one in results]
        differ = len(set(values)) > 1
        if differ and (attribute != "spec_hash" or len(set(names)) < len(names)):
            names = [name + text(one) for name, one in zip(names, results, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{number}: {name}" for number, name in enumerate(names, start=1)]
    return names


def score_tables(results: Sequence[Result]) -> list[ScoreTable]:
    """The scores of each run; those that may not be compared are in different tables.

    Scores that were taken before a run failed are shown too.
    """
    # A table of the leaderboard where every run is a row of its own: it keeps apart what differs in
    # identity, and says why.
    names = labels(results)
    apart = [
        one.model_copy(update={"method": name, "overrides": {}, "message": ""})
        for name, one in zip(names, results, strict=True)
    ]
    found = []
    for table in build_tables(apart):
        runs = sorted(names.index(row.method) for row in table.rows)
        identities = [column.identity for column in table.columns]
        first = identities[0] if len(identities) > 1 else {}
        shared = {
            key: value
            for key, value in first.items()
            if all(other.get(key) == value for other in identities)
        }
        lines = []
        for column in table.columns:
            own = {key: value for key, value in column.identity.items() if key not in shared}
            scores = tuple(_score(results[run].metric(column.metric)) for run in runs)
            lines.append(
                (titled(column.metric, column.higher_is_better), identity_text(own), scores)
            )
        place = " / ".join((table.track, table.dataset, table.preset))
        found.append(
            ScoreTable(place, tuple(runs), tuple(lines), identity_text(shared), table.notes)
        )
    return found


def differing(
    tables: Sequence[Mapping[str, str]], complete: Sequence[bool]
) -> list[tuple[str, tuple[str, ...]]]:
    """The names whose values are not the same in all tables, with the value in each.

    Args:
        tables: Names and values of each run.
        complete: Whether a name that is not in a run's table does not exist there.
    """
    found = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values = tuple(
            table.get(name, _ABSENT if whole else _UNKNOWN)
            for table, whole in zip(tables, complete, strict=True)
        )
        if len({value for value in values if value != _UNKNOWN}) > 1:
            found.append((name, values))
    return found


def _score(measured: Measurement | None) -> ScoreText:
    if measured is None:
        return ScoreText(_ABSENT)
    if measured.value is None:
        return ScoreText("n/a")
    interval, ends = measured.interval, ""
    if interval is not None:
        level = "" if interval.level == _LEVEL else f" ({interval.level:.0%})"
        ends = f"[{interval.low:.4g}, {interval.high:.4g}]{level}"
    error = measured.standard_error
    return ScoreText(f"{measured.value:.4g}", ends, _ABSENT if error is None else f"{error:.2g}")


def _over_seeds(results: Sequence[Result], baselines: Mapping[str, str]) -> list[Page]:
    """The leaderboard of these runs alone, if it takes several seeds together."""
    tables = build_tables(results, baselines=baselines)
    return [page(table) for table in tables if any(len(row.seeds) > 1 for row in table.rows)]


def _spec(path: Path) -> dict[str, Any]:
    """The specification in a file, of any version of the suite; empty if it cannot be read."""
    try:
        spec = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}


def _figures(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pictures by their path below a folder; what lies elsewhere is no part of the run."""
    inside = folder.resolve()
    for name in names:
        kind = mimetypes.guess_type(name)[0] or ""
        try:
            path = (folder / name).resolve()
            if kind.startswith("image/") and path.is_relative_to(inside) and path.is_file():
                picture = base64.b64encode(path.read_bytes()).decode()
                yield name, f"data:{kind};base64,{picture}"
        except (OSError, ValueError):  # no file can have such a name, or it cannot be read
            continue
