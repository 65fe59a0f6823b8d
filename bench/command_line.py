"""The command line that asks for the runs of a record."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bench.spec import parse_assignments
from leaderboard.schema import Result
from leaderboard.vocabulary import ASKED


def command_line(
    result: Result, seeds: Sequence[int], spec: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """The command line that asks for runs like that of a record.

    Args:
        result: The record.
        seeds: Of which seeds.
        spec: The run's specification, which has the paths of what was given; without it, only
            their names are known.
    """
    asked = [
        ("--method", result.method),
        ("--dataset", result.dataset),
        ("--preset", result.preset),
        ("--seeds", _seeds(seeds)),
    ]
    if spec.get("data"):
        asked.append(("--data", str(spec["data"])))
    for key, value in result.overrides.items():
        if key in ASKED:
            place = spec.get("artefacts" if key == "artefact" else key) or value
            places = place if isinstance(place, list) else [place]
            asked += [(f"--{key}", str(one)) for one in places]
        else:
            name = key.removeprefix("method.")
            asked.append(("--set", _assignment(name if name in ASKED else key, value)))
    return " \\\n  ".join(["bench run", *map(shlex.join, asked)])


def _seeds(seeds: Sequence[int]) -> str:
    ordered = sorted(set(seeds))
    first, last = ordered[0], ordered[-1]
    if len(ordered) > 1 and last - first == len(ordered) - 1:
        return f"{first}..{last}"
    return ",".join(map(str, ordered))


def _assignment(key: str, value: Any) -> str:
    """``key=value`` that ``--set`` reads as this value."""
    if isinstance(value, str) and parse_assignments([f"it={value}"]) == {"it": value}:
        return f"{key}={value}"  # words need no quotes
    return f"{key}={json.dumps(value, ensure_ascii=False)}"
