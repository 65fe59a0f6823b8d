"""``bench show``: one result, with its intervals, protocol, provenance and figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
    from bench.cli.finding import find_result
    from bench.errors import BenchError
    from leaderboard.store import BrokenRecord, read_result

    path = find_result(run, runs)
    try:
        result = read_result(path)
    except BrokenRecord as error:
        raise BenchError(str(error)) from error
    if as_json:
        click.echo(json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(result, path)))


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
