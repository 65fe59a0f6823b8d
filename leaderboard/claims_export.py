"""Verdicts on claims as text: markdown to read, JSON and CSV to compute with.

pandas and tabulate are imported when a table is printed, not with the module.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from leaderboard.claims import PaperClaims
from leaderboard.claims_page import ClaimsPage, claims_page, measured_on
from leaderboard.export import grid, plain
from leaderboard.page import Entry, Section
from leaderboard.verdicts import Verdict

Judged = Sequence[tuple[PaperClaims, Sequence[Verdict]]]

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
    return "\n\n".join(_section(claims_page(*one)) for one in judged) + "\n"


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
        "paper_measured_on": measured_on(claim),
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


def _section(content: ClaimsPage) -> str:
    parts = [f"### {plain(content.heading)}", plain(content.introduction)]
    if content.overview is not None and content.comparisons is not None:
        parts += [grid(content.overview), grid(_narrower(content.comparisons))]
        parts.append(_paragraph(content.comparisons.notes))
    for status, lines in content.unmeasured.items():
        parts += [f"{status.capitalize()}:", "\n".join(f"- {plain(line)}" for line in lines)]
    return "\n\n".join([*parts, _paragraph(content.conditions)])


def _narrower(comparisons: Section) -> Section:
    """The difference beside its sides, for a table of text must not be wide."""
    number, metric, sides, _, *others = comparisons.header
    lines = []
    for line in comparisons.lines:
        together = plain(line[2].text) + (f": {line[3].text}" if line[3].text else "")
        lines.append((*line[:2], Entry(together, ours=True), *line[4:]))
    return replace(comparisons, header=(number, metric, sides, *others), lines=(*lines,))


def _paragraph(sentences: Sequence[str]) -> str:
    return "  \n".join(map(plain, sentences))
