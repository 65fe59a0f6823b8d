"""Results against a stored baseline: what got worse, better, is missing, new or not comparable.

Scores are compared as means over the seeds that both have completed, row by row (track, dataset,
preset, method, overrides), and only where the metric's identity and direction agree. A score is
worse if it moved against its direction by more than its tolerance. ``leaderboard.check_export``
prints what is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

from leaderboard.baseline import (
    Acceptance,
    Baseline,
    ScoreOverSeeds,
    ScoreRow,
    Tolerance,
    Tolerances,
    with_further_seeds,
)
from leaderboard.table import identity_changes
from metrics.statistics import spread_over_seeds

Kind = Literal["worse", "better", "unchanged", "informational", "not comparable", "missing", "new"]
Verdict = Literal["passes", "regression", "incomplete"]
EXIT_CODES: Final[dict[Verdict, int]] = {"passes": 0, "regression": 3, "incomplete": 4}


@dataclass(frozen=True)
class Limit:
    """A tolerance as it applies to one score.

    Attributes:
        reach: How far the score may move.
        rule: Which part of the tolerance allows the most.
    """

    reach: float
    rule: str


@dataclass(frozen=True)
class Finding:
    """What became of one score, or of the runs of one row.

    Attributes:
        kind: ``unchanged`` is within its tolerance; ``informational`` scores have no direction and
            no tolerance of their own.
        row: The row's name.
        metric: The metric, or None where it is about runs.
        seeds: The seeds that it is about.
        higher_is_better: The metric's direction; None without one.
        before: Mean of the baseline over the seeds; None where nothing was compared.
        now: Mean of the results over the seeds, or None.
        limit: The tolerance, or None.
        note: What the numbers do not say.
    """

    kind: Kind
    row: str
    metric: str | None
    seeds: tuple[int, ...]
    higher_is_better: bool | None = None
    before: float | None = None
    now: float | None = None
    limit: Limit | None = None
    note: str = ""


@dataclass(frozen=True)
class Check:
    """The outcome of a comparison.

    Attributes:
        findings: In the order of the baseline's rows, then what is new.
        missing_allowed: Whether it may pass although rows or seeds are missing. A metric that a
            completed run no longer has is never excused.
        notes: Sentences that a reader needs.
    """

    findings: tuple[Finding, ...]
    missing_allowed: bool = False
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of a kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    @property
    def verdict(self) -> Verdict:
        """``incomplete`` if nothing got worse, but part of the baseline could not be judged."""
        if self.of("worse"):
            return "regression"
        # runs that fail as before say nothing of scores
        judged = any(one.metric for one in (*self.of("better"), *self.of("unchanged")))
        missing = any(one.metric or not self.missing_allowed for one in self.of("missing"))
        unjudged = missing or self.of("not comparable")
        return "passes" if judged and not unjudged else "incomplete"


def compare(
    stored: Iterable[ScoreRow], found: Iterable[ScoreRow], tolerances: Tolerances
) -> Iterator[Finding]:
    """Findings on all rows of either side.

    Args:
        stored: The baseline's rows.
        found: The rows of results.
        tolerances: How far scores may move.
    """
    results = {row.key: row for row in found}
    for row in stored:
        result = results.pop(row.key, None)
        if result is None:
            yield Finding("missing", row.label, None, tuple(row.runs), note="no such results")
        else:
            yield from _runs_compared(row, result)
            for score in row.scores:
                yield from _score_compared(row.label, score, result, tolerances)
            yield from _new_scores(row, result)
    for row in results.values():
        statuses = Counter(run.status for run in row.runs.values())
        note = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        yield Finding("new", row.label, None, tuple(row.runs), note=note)


def accepted(
    baseline: Baseline,
    found: Sequence[ScoreRow],
    keep: Callable[[ScoreRow], bool],
    acceptance: Acceptance,
) -> Baseline:
    """The baseline with results in place of its rows, and the reason at the end of its history.

    Args:
        baseline: What it was.
        found: The rows of results.
        keep: Whether of a row of the baseline stays what the results do not have: all, or seeds.
        acceptance: Why.
    """
    rows = {row.key: row for row in baseline.rows if keep(row)}
    for row in found:
        rows[row.key] = with_further_seeds(row, rows[row.key]) if row.key in rows else row
    return baseline.model_copy(
        update={
            "rows": tuple(row for _, row in sorted(rows.items())),
            "history": (*baseline.history, acceptance),
        }
    )


def _runs_compared(row: ScoreRow, result: ScoreRow) -> Iterator[Finding]:
    for seed, before in row.runs.items():
        now = result.runs.get(seed)
        if now is None:
            yield Finding("missing", row.label, None, (seed,), note="no result of this seed")
        elif now.status != "completed":
            same: Kind = "unchanged" if now.status == before.status else "not comparable"
            kind: Kind = "worse" if before.status == "completed" else same
            note = f"{before.status} before, {now.status} now: {now.message}"
            yield Finding(kind, row.label, None, (seed,), note=note)
        elif before.status != "completed":
            note = f"{before.status} before, completed now"
            yield Finding("better", row.label, None, (seed,), note=note)
    added = tuple(seed for seed in result.runs if seed not in row.runs)
    if added:
        yield Finding("new", row.label, None, added, note="runs of further seeds")


def _score_compared(
    label: str, score: ScoreOverSeeds, result: ScoreRow, tolerances: Tolerances
) -> Iterator[Finding]:
    """What became of a score, as far as the runs that it is of have completed again."""
    ended = [seed for seed in score.values if seed in result.runs]
    wanted = [seed for seed in ended if result.runs[seed].status == "completed"]
    same = next((one for one in result.scores if one.kind == score.kind), None)
    common = [seed for seed in wanted if same is not None and seed in same.values]
    if same is not None and common:
        yield _judged(label, score, same, common, tolerances)
    others = [one for one in result.scores if one.metric == score.metric and one is not same]
    for other in others:
        seeds = tuple(seed for seed in wanted if seed not in common and seed in other.values)
        if seeds:
            note = _why_not_comparable(score, other)
            yield Finding("not comparable", label, score.metric, seeds, note=note)
    measured = {seed for one in others for seed in one.values} | set(common)
    missing = tuple(seed for seed in wanted if seed not in measured)
    if missing:
        yield Finding("missing", label, score.metric, missing, note="no longer measured")


def _judged(
    label: str,
    score: ScoreOverSeeds,
    now: ScoreOverSeeds,
    seeds: Sequence[int],
    tolerances: Tolerances,
) -> Finding:
    directed = score.higher_is_better is not None
    tolerance = tolerances.of(score.metric, directed=directed)
    means = [fmean(one.values[seed] for seed in seeds) for one in (score, now)]
    limit = None if tolerance is None else _limit(tolerance, score, means[0])
    change = means[1] - means[0]
    kind: Kind
    if limit is None:
        kind = "informational"
    elif abs(change) <= limit.reach:
        kind = "unchanged"
    else:  # what has no direction, but a tolerance, must not move either way
        kind = "better" if directed and (change > 0) == score.higher_is_better else "worse"
    return Finding(
        kind, label, score.metric, tuple(seeds), score.higher_is_better, means[0], means[1], limit
    )


def _limit(tolerance: Tolerance, score: ScoreOverSeeds, before: float) -> Limit:
    std = spread_over_seeds(list(score.values.values())).std or 0.0
    deviations = f"{tolerance.deviations:.3g} deviations over {len(score.values)} seeds"
    return max(
        Limit(tolerance.absolute, "absolute"),
        Limit(tolerance.relative * abs(before), f"{100.0 * tolerance.relative:.3g}%"),
        Limit(tolerance.deviations * std, deviations),
        key=lambda limit: limit.reach,
    )


def _new_scores(row: ScoreRow, result: ScoreRow) -> Iterator[Finding]:
    """Metrics that the baseline has no value of."""
    known = {score.metric for score in row.scores}
    for score in result.scores:
        seeds = tuple(seed for seed in score.values if seed in row.runs)
        if score.metric not in known and seeds:
            yield Finding("new", row.label, score.metric, seeds, score.higher_is_better)


def _why_not_comparable(score: ScoreOverSeeds, other: ScoreOverSeeds) -> str:
    parts = [
        f"{key} was {before} and is {now}"
        for key, before, now in identity_changes(score.identity, other.identity)
    ]
    if score.higher_is_better != other.higher_is_better:
        parts.append("the direction of improvement changed")
    return "; ".join(parts)
