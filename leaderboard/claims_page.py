"""Verdicts on the claims of a paper as they are read: grids and sentences, not yet escaped.

``leaderboard.claims_export`` and ``leaderboard.html`` write them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.claims import Claim, PaperClaims
from leaderboard.differences import MOST_SEEDS
from leaderboard.page import Entry, Section
from leaderboard.verdicts import Comparison, Verdict

_STATUSES = ("held", "not held", "undecided", "not measured", "not testable")
_DECIDED = _STATUSES[:3]


@dataclass(frozen=True)
class ClaimsPage:
    """The verdicts on one paper's claims.

    Attributes:
        heading: The paper.
        introduction: Its citation, and how many verdicts of which kind there are.
        url: Where to find it, or empty.
        overview: In which metrics each claim is held, not held or undecided; None if nothing is
            measured.
        comparisons: What this rests on; has lines if there is an overview. The third and the
            fourth entry are the sides and their difference.
        unmeasured: By status, a sentence for each claim and reason.
        conditions: What the paper itself measured on.
    """

    heading: str
    introduction: str
    url: str
    overview: Section | None
    comparisons: Section | None
    unmeasured: dict[str, tuple[str, ...]]
    conditions: tuple[str, ...]


def claims_page(paper: PaperClaims, verdicts: Sequence[Verdict]) -> ClaimsPage:
    """The verdicts on one paper's claims, to be read."""
    counts: Counter[str] = Counter(verdict.status for verdict in verdicts)
    summary = ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])
    measured = [verdict for verdict in verdicts if verdict.comparisons]
    overview, comparisons = _grids(measured) if measured else (None, None)
    unmeasured = {
        status: _unmeasured([verdict for verdict in verdicts if verdict.status == status])
        for status in _STATUSES[3:]
    }
    return ClaimsPage(
        paper.paper,
        f"{paper.citation}. Verdicts: {summary}.",
        paper.url,
        overview,
        comparisons,
        {status: lines for status, lines in unmeasured.items() if lines},
        _conditions(verdicts),
    )


def measured_on(claim: Claim) -> str:
    """What the paper itself measured on."""
    return f"{claim.dataset}, {claim.condition}"


def _grids(verdicts: Sequence[Verdict]) -> tuple[Section, Section]:
    """Which metrics bear out which claim, and the comparisons that this rests on."""
    groups: dict[tuple[int, str, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        key = (id(verdict.claim), verdict.dataset, verdict.preset, verdict.condition)
        groups.setdefault(key, []).append(verdict)
    overview, details = [], []
    for number, ((_, *place), members) in enumerate(groups.items(), start=1):
        metrics = [
            ", ".join(_metric(one) for one in members if one.status == status)
            for status in _DECIDED
        ]
        where = ", ".join(filter(None, place))
        overview.append(_line(number, _claim(members[0].claim), where, *metrics))
        details += [
            _line(number, verdict.metric, *_cells(verdict.claim, comparison))
            for verdict in members
            for comparison in verdict.comparisons
        ]
    return (
        Section("Claims", _line("no.", "claim", "on", *_DECIDED), (*overview,)),
        Section(
            "What the verdicts rest on",
            _line("no.", "metric", "left less right", "difference", "seeds", "verdict"),
            (*details,),
            _legend(verdicts),
        ),
    )


def _line(*texts: str | int) -> tuple[Entry, ...]:
    return tuple(Entry(str(text)) for text in texts)


def _metric(verdict: Verdict) -> str:
    marked = any(_over_samples(comparison) for comparison in verdict.comparisons)
    return verdict.metric + " (samples)" * marked


def _over_samples(comparison: Comparison) -> bool:
    return comparison.difference is not None and comparison.difference.basis == "samples"


def _claim(claim: Claim) -> str:
    return f"{claim.says} ({claim.source})"


def _unmeasured(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """A sentence for each claim and reason, with all metrics that it is about."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        reason = "; ".join(verdict.notes)
        metrics.setdefault((_claim(verdict.claim), reason), []).append(verdict.metric)
    return tuple(
        f"{claim}, {', '.join(names)}: {reason}." for (claim, reason), names in metrics.items()
    )


def _cells(claim: Claim, comparison: Comparison) -> tuple[str, str, str, str]:
    sides = f"{claim.left.label} less {comparison.right}"
    return sides, _interval(comparison), _seeds(comparison), _outcome(comparison)


def _interval(comparison: Comparison) -> str:
    difference = comparison.difference
    if difference is None:
        return ""
    text = f"{difference.mean:+.3g}"
    if difference.low is not None and difference.high is not None:
        text += f" [{difference.low:+.3g}, {difference.high:+.3g}]"
    return text


def _seeds(comparison: Comparison) -> str:
    seeds = ", ".join(map(str, comparison.seeds))
    return f"{seeds} (samples)" if _over_samples(comparison) else seeds


def _outcome(comparison: Comparison) -> str:
    if comparison.note:
        return f"{comparison.status}: {comparison.note}"
    if comparison.status != "undecided":
        return comparison.status
    if comparison.more_seeds is not None:
        plural = "" if comparison.more_seeds == 1 else "s"
        return f"undecided: about {comparison.more_seeds} more seed{plural}"
    equal = comparison.difference is not None and comparison.difference.mean == 0
    return "undecided: equal" if equal else f"undecided: more than {MOST_SEEDS} seeds"


def _legend(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """How to read the comparisons, and which runs they leave out."""
    differences = [one.difference for verdict in verdicts for one in verdict.comparisons]
    levels = sorted({one.level for one in differences if one and one.level is not None})
    percent = "".join(f"{level:.0%} " for level in levels)
    lines = [
        f"Left less right [{percent}interval over paired seeds]; (samples): the interval is over "
        "samples of the same runs and says nothing of other trainings. Undecided: about how many "
        "more seeds would decide it if the difference and its spread stayed."
    ]
    if any((one.dataset, one.preset) != (one.claim.dataset, "paper") for one in verdicts):
        lines.append(
            "Where the column on names another dataset or preset than the paper's, it stands in: "
            "these verdicts neither bear out nor refute its own numbers."
        )
    lines += dict.fromkeys(f"{note}." for verdict in verdicts for note in verdict.notes)
    return tuple(lines)


def _conditions(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """What the paper itself measured on, by table or section."""
    places: dict[str, dict[str, None]] = {}
    for claim in (verdict.claim for verdict in verdicts):
        sources = places.setdefault(measured_on(claim), {})
        sources[claim.source] = None
    return tuple(f"The paper's {'; '.join(sources)}: {place}." for place, sources in places.items())
