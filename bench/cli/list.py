"""``bench list``: the names that the other commands take, and what can be set of them."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from leaderboard.vocabulary import PRESETS

if TYPE_CHECKING:
    from bench.catalog import Entry
    from bench.settings import Setting

_COLUMNS = ("name", "track", "title", "needs")
_WIDTH = 100


@click.command(
    epilog="""\b
Examples:
  bench list methods --track discovery
  bench list generators --json
  bench list settings --method contrafeat
  bench list settings --dataset celeba-synth
"""
)
@click.argument("kind", metavar="KIND")
@click.option("--track", help="Only methods or metrics of this track; or whose settings.")
@click.option("--method", help="Whose settings.")
@click.option("--dataset", help="Whose settings, attributes and size.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; of names, with papers and aliases."
)
def command(
    kind: str, track: str | None, method: str | None, dataset: str | None, as_json: bool
) -> None:
    """List what there is of a KIND.

    A KIND is methods, datasets, generators, extractors, predictors, metrics or tracks. Plain
    names, one a line, when the output is not a terminal.

    Or it is settings, what --set takes for the --method, --dataset or --track: each one's name,
    what is allowed, its value by preset (paper has the defaults) and its meaning.
    """
    owners = {"method": method, "dataset": dataset, "track": track}
    given = {name: value for name, value in owners.items() if value is not None}
    if kind == "settings":
        _list_settings(given, as_json)
        return
    found = _entries(kind, given)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found], indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(found)
    else:
        click.echo("".join(f"{entry.name}\n" for entry in found), nl=False)


def _entries(kind: str, given: Mapping[str, str]) -> Sequence[Entry]:
    from bench.catalog import entries, lookup
    from bench.errors import BenchError

    found = entries(kind)
    for name in given.keys() - {"track"}:
        raise BenchError(f"--{name} goes with `bench list settings`; leave it out.")
    if "track" not in given:
        return found
    if not any(entry.track for entry in found):
        raise BenchError(f"--track goes with methods, metrics and settings, not with {kind}.")
    track = lookup("tracks", given["track"]).name
    return [entry for entry in found if entry.track == track]


def _print_table(found: Sequence[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = [name for name in _COLUMNS if any(getattr(entry, name) for entry in found)]
    table = Table(*columns, box=None, header_style="bold")
    for entry in found:
        names = ", ".join((entry.name, *entry.aliases))
        table.add_row(names, *(getattr(entry, column) for column in columns[1:]))
    Console().print(table)


def _list_settings(given: Mapping[str, str], as_json: bool) -> None:
    from bench.catalog import lookup
    from bench.errors import BenchError
    from bench.resolve import load_method, load_track
    from bench.settings import dataset_settings, settings_of

    if len(given) != 1:
        raise BenchError("Say whose settings by one of --method, --dataset and --track.")
    ((kind, name),) = given.items()
    entry = lookup(f"{kind}s", name)
    facts: dict[str, Any] = {kind: entry.name, "title": entry.title}
    if kind == "dataset":
        settings = dataset_settings(entry.load())
        facts |= _facts(entry.name)
    elif kind == "track":
        settings = settings_of(load_track(entry.name))
    else:
        method = load_method(entry.name)
        settings = settings_of(method)
        facts["track"] = method.track
    if as_json:
        record = facts | {"settings": [asdict(setting) for setting in settings]}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    else:
        click.echo("\n".join(_lines(facts, settings)))


def _facts(name: str) -> dict[str, Any]:
    """What a dataset holds when none of its options is set."""
    from bench.errors import BenchError
    from bench.parts import open_dataset

    try:
        dataset = open_dataset(name, None, {})
    except BenchError as error:
        return {"images": None, "attributes": None, "obstacle": str(error)}
    return {
        "images": len(dataset),
        "size": dataset.size,
        "channels": dataset.channels,
        "attributes": list(dataset.attributes.names),
        "factor_sizes": dataset.factor_sizes,
    }


def _lines(facts: Mapping[str, Any], settings: Sequence[Setting]) -> Iterator[str]:
    kind, title = next(iter(facts)), facts["title"]
    yield f"{facts[kind]}: {title}" if title else str(facts[kind])
    if kind == "method":
        yield f"    track {facts['track']}"
    if kind == "dataset":
        yield from _wrapped("; ".join(_told(facts)))
    for setting in settings:
        default = _text(setting.values["paper"])
        others = (
            f", {preset} {_text(setting.values[preset])}"
            for preset in PRESETS
            if setting.values[preset] != setting.values["paper"]
        )
        yield ""
        yield f"{setting.name}: {setting.allowed}"
        yield f"    default {default}{''.join(others)}"
        yield from _wrapped(setting.about)


def _told(facts: Mapping[str, Any]) -> Iterator[str]:
    """What a dataset holds, in words."""
    from bench.errors import counted

    if "obstacle" in facts:
        yield f"attributes are unknown: {facts['obstacle']}"
        return
    size, channels, names = facts["size"], facts["channels"], facts["attributes"]
    planes = counted(channels, "channel")
    yield f"by default {facts['images']:,} images of {size} x {size} pixels, {planes}"
    if counts := facts["factor_sizes"]:
        names = [f"{name} ({count} values)" for name, count in zip(names, counts, strict=True)]
    yield f"attributes {', '.join(names) or 'none'}"


def _wrapped(text: str) -> list[str]:
    indent = "    "
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, default=str)
