"""What a check found: as text for terminals, as markdown for pull requests, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from leaderboard.check import EXIT_CODES, Check, Finding, Kind
from leaderboard.export import markdown_table, plain, printable
from leaderboard.page import titled

_TITLES: dict[Kind, str] = {
    "worse": "Worse",
    "not comparable": "Not comparable",
    "missing": "Missing",
    "better": "Better",
    "new": "New",
    "informational": "Informational, moved",
}
_HEADER = ("row", "metric", "baseline", "now", "change", "tolerance", "seeds", "")


def to_text(check: Check, baseline: str) -> str:
    """What was found, a line each, and the verdict last."""
    parts = []
    for title, findings in _sections(check):
        lines = [printable(_sentence(finding)) for finding in findings]
        parts.append("\n".join([f"{title} ({len(lines)}):", *(f"  {line}" for line in lines)]))
    parts += notes(check)
    return "\n\n".join([*parts, f"{_summary(check)} Baseline: {baseline}."]) + "\n"


def to_markdown(check: Check, baseline: str) -> str:
    """The verdict first, then a table of each kind of finding; what is no reason to act, folded."""
    heading = {
        "passes": "Scores hold against the baseline",
        "regression": "Scores got worse than the baseline",
        "incomplete": "Scores could not all be compared with the baseline",
    }[check.verdict]
    parts = [f"### {heading}", plain(f"{_summary(check)} Baseline: {baseline}.")]
    for title, findings in _sections(check):
        table = markdown_table(_HEADER, [[plain(cell) for cell in _cells(one)] for one in findings])
        if findings[0].kind in ("worse", "not comparable", "missing"):
            parts += [f"**{title}**", table]
        else:
            summary = f"<summary>{title} ({len(findings)})</summary>"
            parts += [f"<details>{summary}", table, "</details>"]
    return "\n\n".join([*parts, *map(plain, check.notes)]) + "\n"


def to_json(check: Check, baseline: str) -> str:
    """The verdict, the exit code, and all findings with the fields of ``Finding``."""
    content = {
        "verdict": check.verdict,
        "exit_code": EXIT_CODES[check.verdict],
        "baseline": baseline,
        "findings": [asdict(finding) for finding in check.findings],
        "notes": check.notes,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def notes(check: Check) -> list[str]:
    """The notes, a line each."""
    return [f"Note: {printable(note)}" for note in check.notes]


def changes(check: Check) -> str:
    """What was found, in numbers: ``2 worse, 1 new``."""
    counts = {kind: len(check.of(kind)) for kind in (*_TITLES, "unchanged")}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing"


def _sections(check: Check) -> list[tuple[str, list[Finding]]]:
    """What there is to read: all findings but those that did not move."""
    sections = []
    for kind, title in _TITLES.items():
        findings = check.of(kind)
        if kind == "informational":
            findings = [finding for finding in findings if finding.before != finding.now]
        if findings:
            sections.append((title, findings))
    return sections


def _summary(check: Check) -> str:
    verdict = {"passes": "Passes", "regression": "Regression", "incomplete": "Incomplete"}
    return f"{verdict[check.verdict]}: {changes(check)}."


def _sentence(finding: Finding) -> str:
    row, metric, before, now, change, tolerance, seeds, note = _cells(finding)
    text = f"{row}: {metric}" if metric else row
    if before:
        text += f" {before} -> {now} ({change}, tolerance {tolerance})"
    text += f" [seed{'s' if len(finding.seeds) > 1 else ''} {seeds}]"
    return f"{text} {note}" if note else text


def _cells(finding: Finding) -> Sequence[str]:
    numbers = ["", "", "", ""]
    if finding.before is not None and finding.now is not None:
        limit = finding.limit
        numbers = [
            f"{finding.before:.5g}",
            f"{finding.now:.5g}",
            f"{finding.now - finding.before:+.3g}",
            f"{limit.reach:.3g}, {limit.rule}" if limit else "none",
        ]
    seeds = ", ".join(map(str, finding.seeds))
    return (
        finding.row,
        titled(finding.metric or "", finding.higher_is_better),
        *numbers,
        seeds,
        finding.note,
    )
