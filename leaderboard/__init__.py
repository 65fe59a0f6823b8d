"""Results, the store they lie in, reported numbers, and the tables made of them. Never torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.schema import Result

__all__ = ["load"]


def load(*sources: str | Path) -> list[Result]:
    """All results of folders and merged files, each run once.

    ::

        import leaderboard

        results = leaderboard.load("runs", "theirs.jsonl")
        scores = [one.metric("s_disen") for one in results if one.method == "contrafeat"]

    Args:
        sources: Folders of runs or of records, and ``.jsonl`` files that ``bench leaderboard
            --merge`` has written; none for the records that come with the package.

    Returns:
        The results in the order of the sources. Of several records of a run, the first counts.

    Warns:
        UserWarning: A record is broken and left out, or contradicts an earlier one of the same run.

    Raises:
        ValueError: A source is neither a folder nor a ``.jsonl`` file.
    """
    import warnings

    from leaderboard.merging import merge
    from leaderboard.store import RECORDS

    merged = merge(*(map(Path, sources) if sources else [RECORDS]))
    for reason in merged.broken:
        warnings.warn(f"Left out: {reason}", stacklevel=2)
    for conflict in merged.conflicts:
        warnings.warn(str(conflict), stacklevel=2)
    return merged.results
