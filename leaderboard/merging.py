"""Results of several sources as one: each run once, with what was found twice, or contradicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from leaderboard.garbage import no_search_for_cycles
from leaderboard.grouping import contradict
from leaderboard.schema import Result
from leaderboard.store import MERGED_SUFFIX, BrokenRecord, parse_result, read_result, record_files
from leaderboard.summary import Summary, parse_summary, summary_of
from leaderboard.table import run_of

_Record = TypeVar("_Record", Result, Summary)


@dataclass(frozen=True)
class Conflict(Generic[_Record]):
    """Two records of one run that say different things of it.

    Attributes:
        kept: Where the first one lies, which counts.
        left_out: Where the other one lies.
        result: That other one.
    """

    kept: str
    left_out: str
    result: _Record

    def __str__(self) -> str:
        run = f"{self.result.method} on {self.result.dataset}, {self.result.preset}"
        return (
            f"Two records of {run}, seed {self.result.seed}, contradict each other: {self.kept} "
            f"counts, {self.left_out} is left out."
        )


@dataclass
class Merged(Generic[_Record]):
    """What several sources hold.

    Attributes:
        results: Each run once, the first record of it, in the order of the sources.
        duplicates: Where further records of the same content lie: the kept one, the other one.
        conflicts: Further records of other content.
        broken: Why files or lines that should hold a record hold none.
        incomplete: The files, resolved, that those are or are in: to write them loses something.
    """

    results: list[_Record] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    conflicts: list[Conflict[_Record]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    incomplete: set[Path] = field(default_factory=set)


def merge(*sources: Path) -> Merged[Result]:
    """Read all records of folders and of merged files (``.jsonl``).

    Two records are of the same run if they agree in track, dataset, preset, method, overrides and
    seed; they contradict each other if they differ in the status or in any score. Time and
    provenance may differ. A file that is reached twice is read once.

    Raises:
        ValueError: A source is neither a folder nor a ``.jsonl`` file, or cannot be read.
    """
    return _merge(sources, read_result, parse_result)


def merge_summaries(
    *sources: Path, shown: Callable[[Result], None] | None = None
) -> Merged[Summary]:
    """As ``merge``, what tables take of each record: fast, and in little memory.

    Records in files of their own are validated; the lines of merged files were when written, and
    are checked only for what is taken of them.

    Args:
        sources: As for ``merge``.
        shown: Is shown each record whole before it is summed up, further ones of a run too; all are
            validated then.
    """
    if shown is None:
        return _merge(sources, lambda path: summary_of(read_result(path)), parse_summary)

    def summed_up(result: Result) -> Summary:
        shown(result)
        return summary_of(result)

    return _merge(
        sources,
        lambda path: summed_up(read_result(path)),
        lambda line, place: summed_up(parse_result(line, place)),
    )


@no_search_for_cycles()
def _merge(
    sources: tuple[Path, ...],
    read: Callable[[Path], _Record],
    parse: Callable[[bytes, str], _Record],
) -> Merged[_Record]:
    merged: Merged[_Record] = Merged()
    first: dict[tuple[object, ...], tuple[_Record, _Place]] = {}
    for place, line in _places(sources):
        try:
            record = read(Path(place[0])) if line is None else parse(line, _named(place))
        except BrokenRecord as error:
            merged.broken.append(str(error))
            merged.incomplete.add(Path(place[0]).resolve())
            continue
        kept, kept_place = first.setdefault(run_of(record)[:-1], (record, place))
        if kept is record:
            merged.results.append(record)
        elif contradict(kept, record):
            merged.conflicts.append(Conflict(_named(kept_place), _named(place), record))
        else:
            merged.duplicates.append((_named(kept_place), _named(place)))
    return merged


_Place = tuple[str, int | None]  # a file, and the line in a merged one


def _places(sources: tuple[Path, ...]) -> Iterator[tuple[_Place, bytes | None]]:
    """Where records lie, and the lines of merged files; every file once."""
    seen: set[Path] = set()
    for source in sources:
        is_merged = source.suffix == MERGED_SUFFIX and source.is_file()
        if not is_merged and not source.is_dir():
            raise ValueError(f"{source} is neither a folder of results nor a {MERGED_SUFFIX} file.")
        for path in [source] if is_merged else record_files(source):
            resolved = path.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
            if is_merged:
                yield from _lines(path)
            else:
                yield (str(path), None), None


def _lines(path: Path) -> Iterator[tuple[_Place, bytes]]:
    try:
        named = str(path)
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    yield (named, number), line
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}).") from error


def _named(place: _Place) -> str:
    path, line = place
    return path if line is None else f"{path}, line {line}"
