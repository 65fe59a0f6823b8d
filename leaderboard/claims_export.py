"""Verdicts on claims as text: markdown to read, JSON and CSV to compute with.

pandas and tabulate are imported when a table is printed, not with the module.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from leaderboard.claims import Claim, PaperClaims
from leaderboard.differences import MOST_SEEDS
from leaderboard.export import markdown_table, plain
from leaderboard.verdicts import Comparison, Verdict

Judged = Sequence[tuple[PaperClaims, Sequence[Verdict]]]

_STATUSES = ("held", "not held", "undecided", "not measured", "not testable")
_DECIDED = _STATUSES[:3]
_CSV_COLUMNS = (
    "paper",
    "claim",
    "source",
    "metric",
    "dataset",
    "preset",
    "condition",
    "verdict",
    "left",
    "relation",
    "right",
    "status",
    "difference",
    "low",
    "high",
    "level",
    "basis",
    "seeds",
    "more_seeds",
    "note",
    "paper_measured_on",
)


def to_markdown(judged: Judged) -> str:
    """Verdicts as GitHub markdown, a section for each paper.

    A first table names the metrics in which each claim is held, not held or undecided, a second the
    comparisons that this rests on, and a list what is not measured.
    """
    return "\n\n".join(_section(paper, verdicts) for paper, verdicts in judged) + "\n"


def to_json(judged: Judged) -> str:
    """Verdicts as a JSON list of papers, with the fields of ``leaderboard.claims``."""
    papers = [
        {
            **paper.model_dump(include={"paper", "citation", "url"}),
            "verdicts": [
                {"claim": verdict.claim.model_dump(by_alias=True)} | _fields(verdict)
                for verdict in verdicts
            ],
        }
        for paper, verdicts in judged
    ]
    return json.dumps(papers, indent=2, ensure_ascii=False) + "\n"


def to_csv(judged: Judged) -> str:
    """Verdicts as CSV: a line for each comparison, or for a verdict without any."""
    import pandas

    lines = [
        {"paper": paper.paper} | line
        for paper, verdicts in judged
        for verdict in verdicts
        for line in _csv_lines(verdict)
    ]
    return pandas.DataFrame(lines, columns=list(_CSV_COLUMNS)).to_csv(index=False)


def _fields(verdict: Verdict) -> dict[str, object]:
    return {key: value for key, value in asdict(verdict).items() if key != "claim"}


def _csv_lines(verdict: Verdict) -> Iterator[dict[str, object]]:
    claim = verdict.claim
    shared: dict[str, object] = {
        "claim": claim.says,
        "source": claim.source,
        "metric": verdict.metric,
        "dataset": verdict.dataset,
        "preset": verdict.preset,
        "condition": verdict.condition,
        "verdict": verdict.status,
        "left": claim.left.label,
        "relation": claim.relation,
        "note": "; ".join(verdict.notes),
        "paper_measured_on": _measured_on(claim),
    }
    if not verdict.comparisons:
        others = "; ".join(side.label for side in claim.right)
        yield shared | {"right": others, "status": verdict.status}
    for one in verdict.comparisons:
        line = shared | {
            "right": one.right,
            "status": one.status,
            "seeds": " ".join(map(str, one.seeds)),
            "more_seeds": "" if one.more_seeds is None else one.more_seeds,
        }
        if one.difference is not None:
            line |= asdict(one.difference) | {"difference": one.difference.mean}
        yield line | ({"note": one.note} if one.note else {})


def _section(paper: PaperClaims, verdicts: Sequence[Verdict]) -> str:
    counts: Counter[str] = Counter(verdict.status for verdict in verdicts)
    summary = ", ".join(f"{counts[status]} {status}" for status in _STATUSES if counts[status])
    parts = [f"### {plain(paper.paper)}", plain(f"{paper.citation}. Verdicts: {summary}.")]
    measured = [verdict for verdict in verdicts if verdict.comparisons]
    if measured:
        parts += [*_tables(measured), _legend(measured)]
    for status in ("not measured", "not testable"):
        lines = _unmeasured([verdict for verdict in verdicts if verdict.status == status])
        if lines:
            parts += [f"{status.capitalize()}:", "\n".join(lines)]
    return "\n\n".join([*parts, "  \n".join(map(plain, _conditions(verdicts)))])


def _tables(verdicts: Sequence[Verdict]) -> tuple[str, str]:
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
        where = plain(", ".join(filter(None, place)))
        overview.append([str(number), _claim(members[0].claim), where, *metrics])
        details += [
            [str(number), plain(verdict.metric), *_cells(verdict.claim, comparison)]
            for verdict in members
            for comparison in verdict.comparisons
        ]
    return (
        markdown_table(("", "claim", "on", *_DECIDED), overview),
        markdown_table(("", "metric", "left less right", "seeds", "verdict"), details),
    )


def _metric(verdict: Verdict) -> str:
    marked = any(_over_samples(comparison) for comparison in verdict.comparisons)
    return plain(verdict.metric) + " (samples)" * marked


def _over_samples(comparison: Comparison) -> bool:
    return comparison.difference is not None and comparison.difference.basis == "samples"


def _claim(claim: Claim) -> str:
    return plain(f"{claim.says} ({claim.source})")


def _measured_on(claim: Claim) -> str:
    """What the paper itself measured on."""
    return f"{claim.dataset}, {claim.condition}"


def _unmeasured(verdicts: Iterable[Verdict]) -> list[str]:
    """A line for each claim and reason, with all metrics that it is about."""
    metrics: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        reason = plain("; ".join(verdict.notes))
        metrics.setdefault((_claim(verdict.claim), reason), []).append(plain(verdict.metric))
    return [
        f"- {claim}, {', '.join(names)}: {reason}." for (claim, reason), names in metrics.items()
    ]


def _cells(claim: Claim, comparison: Comparison) -> list[str]:
    sides = plain(f"{claim.left.label} less {comparison.right}")
    return [sides + _interval(comparison), _seeds(comparison), plain(_outcome(comparison))]


def _interval(comparison: Comparison) -> str:
    difference = comparison.difference
    if difference is None:
        return ""
    text = f": {difference.mean:+.3g}"
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


def _legend(verdicts: Sequence[Verdict]) -> str:
    """How to read the second table, and which runs it leaves out."""
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
    return "  \n".join(map(plain, lines))


def _conditions(verdicts: Iterable[Verdict]) -> list[str]:
    """What the paper itself measured on, by table or section."""
    places: dict[str, dict[str, None]] = {}
    for claim in (verdict.claim for verdict in verdicts):
        sources = places.setdefault(_measured_on(claim), {})
        sources[claim.source] = None
    return [f"The paper's {'; '.join(sources)}: {place}." for place, sources in places.items()]
