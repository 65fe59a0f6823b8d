"""Who is best in a column, as far as the seeds can tell.

The row with the best mean is compared with every other one by the paired difference over the seeds
that both completed (``leaderboard.differences``, as claims are). The level is that of each single
comparison: where many rows are no different, some are told apart by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from leaderboard.differences import Basis, difference_of
from leaderboard.summary import AnyScore

Standing = Literal["best", "tied", "leading", "worse", "untested"]
"""How a score stands in its column.

- ``best``: the best mean, told apart from every other row;
- ``tied``: the best mean where another row cannot be told from it, or such a row;
- ``leading``: the best mean; no tie is found, but not every other row is tested, or there is none;
- ``worse``: told apart from the best mean;
- ``untested``: fewer than two seeds in common with the best mean; or the differences of all seeds
  are equal, which shows no spread, and a run has no interval over samples to judge by instead.
"""

Scores = Mapping[int, AnyScore]  # by seed; only runs that completed and scores with a value


@dataclass(frozen=True)
class Standings:
    """How all rows stand in one column.

    Attributes:
        rows: One for each row; None where it has no score.
        over_samples: Whether intervals over samples decided for some, because the differences of
            all seeds are equal.
    """

    rows: tuple[Standing | None, ...]
    over_samples: bool = False


def standings(rows: Sequence[Scores], higher_is_better: bool) -> Standings:
    """How each row stands in one column.

    Args:
        rows: Each row's scores of one metric; may be empty.
        higher_is_better: The direction of improvement.
    """
    means = [
        fmean(one.value for one in scores.values() if one.value is not None) if scores else None
        for scores in rows
    ]
    known = [mean for mean in means if mean is not None]
    if not known:
        return Standings((None,) * len(rows))
    best = means.index((max if higher_is_better else min)(known))
    better = 1 if higher_is_better else -1
    found: list[Standing | None] = [None] * len(rows)
    bases: set[Basis] = set()
    for row, scores in enumerate(rows):
        if scores and row != best:
            found[row], basis = _standing(scores, rows[best], better)
            bases.add(basis)
    found[best] = _leader([one for one in found if one is not None])
    return Standings(tuple(found), "samples" in bases)


def _leader(others: Sequence[Standing]) -> Standing:
    if "tied" in others:
        return "tied"
    return "best" if others and set(others) == {"worse"} else "leading"


def _standing(scores: Scores, best: Scores, better: int) -> tuple[Standing, Basis]:
    seeds = sorted(scores.keys() & best.keys())
    if len(seeds) < 2:
        return "untested", "none"
    difference = difference_of([best[seed] for seed in seeds], [scores[seed] for seed in seeds])
    if difference.sign == better:  # on common seeds alone, the other one may even be ahead
        return "worse", difference.basis
    untested = difference.basis == "none" and difference.mean
    return "untested" if untested else "tied", difference.basis
