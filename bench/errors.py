"""What a user can do wrong: one sentence with the remedy, printed without a traceback.

``counted`` and ``listed`` are for such sentences.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_NAMED = 5  # so many things are named in a message


class BenchError(Exception):
    """A mistake in the input; the message is one sentence that names it and the remedy."""

    exit_code = 2


class UnknownName(BenchError):
    """A name that the catalog does not hold."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
        meant = f"; did you mean {' or '.join(near)}?" if near else "."
        super().__init__(f"There is no {kind} {name!r}{meant}{' ' + hint if hint else ''}")


class MissingFile(BenchError):
    """A file that must be fetched or put in place by hand."""


class Refused(BenchError):
    """A checkpoint that asks for code to be executed, or is not what its name says."""


class Locked(BenchError):
    """Another process works on the same run."""


class Diverged(BenchError):
    """Training ended in NaN, infinity or collapse."""

    exit_code = 3


def counted(count: int, thing: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def listed(things: Sequence[object]) -> str:
    """The first few of many things, and how many more there are."""
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return ", ".join(map(str, things[:_NAMED])) + more
