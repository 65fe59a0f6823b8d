"""``bench show``: one result, with its intervals, protocol, provenance and figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import RUNS

if TYPE_CHECKING:
    from leaderboard.schema import Measurement, Result


@click.command(
    epilog="""\b
Examples:
  bench show runs/discovery/shapes3d/contrafeat/small-s0-3f2a90c1d4
  bench show 3f2a --json
"""
)
@click.argument("run")
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Where the runs lie.  [default: runs]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def command(run: str, runs: Path | None, as_json: bool) -> None:
    """Show the result of RUN: a run's folder, its result.json, or the first digits of its hash."""
    from bench.errors import BenchError
    from leaderboard.store import BrokenRecord, read_result

    path = _find(run, runs)
    try:
        result = read_result(path)
    except BrokenRecord as error:
        raise BenchError(str(error)) from error
    if as_json:
        click.echo(json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(result, path)))


def _find(run: str, runs: Path | None) -> Path:
    """The record of a path or of the beginning of a hash."""
    from bench.errors import BenchError
    from leaderboard.store import RESULT_NAME

    path = Path(run)
    if path.is_file():
        return path
    if (path / RESULT_NAME).is_file():
        return path / RESULT_NAME
    if (path / "spec.json").is_file():
        raise BenchError(f"{path} has no result yet; the `bench run` that began it goes on there.")
    if not path.is_dir() and re.fullmatch("[0-9a-f]+", run):
        return _find_hash(run, runs)
    raise BenchError(
        f"{str(run)!r} is no run: give a run's folder, its {RESULT_NAME}, or the first digits of "
        "its hash."
    )


def _find_hash(start: str, runs: Path | None) -> Path:
    from bench.cli.leaderboard import records_folder
    from bench.errors import BenchError
    from leaderboard.store import RECORD_SUFFIX, RESULT_NAME

    root = runs or RUNS
    found: dict[str, Path] = {}  # the user's own runs first, then committed records of others
    for path in (
        *sorted(root.rglob(f"*-{start}*/{RESULT_NAME}")),
        *sorted(records_folder().rglob(f"*-{start}*{RECORD_SUFFIX}")),
    ):
        place = path.parent.name if path.name == RESULT_NAME else path.name
        digits = place.removesuffix(RECORD_SUFFIX).rpartition("-")[2]
        if digits.startswith(start):
            found.setdefault(digits, path)
    if not found:
        raise BenchError(f"No finished run in {root} has a hash that begins with {start}.")
    if len(found) > 1:
        places = "; ".join(map(str, found.values()))
        raise BenchError(f"{len(found)} runs begin with {start}, give more digits: {places}.")
    return next(iter(found.values()))


def _lines(result: Result, path: Path) -> Iterator[str]:
    yield f"{result.method} on {result.dataset} ({result.preset}, seed {result.seed})"
    yield from _table(
        {
            "status": f"{result.status}: {result.message}" if result.message else result.status,
            "track": result.track,
            "record": path,
            "spec hash": result.spec_hash,
            "settings": _plain(result.overrides) or "as in the preset",
            "training": f"{result.steps:,} steps, {result.parameters:,} trainable parameters",
            "time": f"{result.seconds:.1f} s with evaluation",
        }.items()
    )
    shared = _shared_identity(result)
    yield from ("", "scores")
    yield from _table((measured.name, _score(measured, shared)) for measured in result.metrics)
    if shared:
        yield from ("", "comparable only with scores of the same")
        yield from _table((key, _plain(value)) for key, value in shared.items())
    for title, part in (("protocol", result.protocol), ("provenance", result.provenance)):
        yield from ("", title)
        yield from _table((key, _plain(value)) for key, value in part.items())
    yield from ("", "figures")
    yield from (f"  {path.parent / figure}" for figure in result.figures)


def _table(rows: Iterable[tuple[str, Any]]) -> Iterator[str]:
    lines = list(rows)
    width = max((len(key) for key, _ in lines), default=0)
    return (f"  {key:{width}}  {value}" for key, value in lines)


def _shared_identity(result: Result) -> dict[str, Any]:
    """What the identities of all scores have in common."""
    first, *others = [measured.identity for measured in result.metrics] or [{}]
    return {
        key: value
        for key, value in first.items()
        if all(other.get(key) == value for other in others)
    }


def _score(measured: Measurement, shared: Mapping[str, Any]) -> str:
    if measured.value is None:
        return "n/a"
    parts = [f"{measured.value:.6g}"]
    if measured.interval is not None:
        interval = measured.interval
        parts.append(f"[{interval.low:.6g}, {interval.high:.6g}] ({interval.level:.0%} interval)")
    if measured.standard_error is not None:
        parts.append(f"standard error {measured.standard_error:.2g}")
    if measured.higher_is_better is not None:
        parts.append("higher is better" if measured.higher_is_better else "lower is better")
    own = {key: value for key, value in measured.identity.items() if key not in shared}
    if own:
        parts.append(_plain(own))
    return ", ".join(parts)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
