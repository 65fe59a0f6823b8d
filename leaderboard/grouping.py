"""Which results are of the same run, and which may stand in one table.

Values are comparable only if they agree in the metric's identity (extractor, predictor, sample
counts ...) and direction: results that differ in one go to separate groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from leaderboard.summary import AnyResult, AnyScore

Configuration = tuple[str, str]  # a method and its overrides as text


class Run(NamedTuple):
    """A result with what orders it: worked out once, for there may be very many."""

    place: tuple[str, str, int, str]  # track, dataset, rank of the preset, preset
    configuration: Configuration
    seed: int
    result: AnyResult


@dataclass
class Group:
    """Runs whose metrics have one identity each."""

    columns: dict[str, AnyScore] = field(default_factory=dict)
    """By metric, the first measurement; all others agree with it."""
    runs: list[Run] = field(default_factory=list)
    configurations: set[Configuration] = field(default_factory=set)

    def accepts(self, run: Run) -> bool:
        """Whether no measurement of a run contradicts the columns."""
        for measured in run.result.metrics:
            known = self.columns.get(measured.name)
            if known is not None and not _agree(known, measured):
                return False
        return True

    def add(self, run: Run) -> None:
        """Take a run in that is accepted, or has no metrics."""
        self.runs.append(run)
        self.configurations.add(run.configuration)
        for measured in run.result.metrics:
            self.columns.setdefault(measured.name, measured)


def contradict(first: AnyResult, second: AnyResult) -> bool:
    """Whether two records of the same run say different things of it."""
    return (first.status, first.metrics) != (second.status, second.metrics)


def distinct(runs: Iterable[Run]) -> tuple[list[Run], list[str]]:
    """Each run once, the first record of it; and notes on records that contradict each other."""
    kept: dict[tuple[Configuration, int], Run] = {}
    notes = []
    for run in runs:
        first = kept.setdefault((run.configuration, run.seed), run)
        if first is not run and contradict(first.result, run.result):
            notes.append(contradiction(first, run))
    return list(kept.values()), notes


def contradiction(first: Run, other: Run) -> str:
    """The note that a run has another record, which says something else."""
    return (
        f"Two records of {first.result.method}, seed {first.seed}, differ "
        f"({first.result.spec_hash}, {other.result.spec_hash}); the first one found is shown."
    )


def comparable(runs: Sequence[Run]) -> list[Group]:
    """Split the runs of one place by the identities of their metrics, the largest group first."""
    groups: list[Group] = []
    homes: dict[Configuration, list[Group]] = {}
    for run in runs:
        if run.result.metrics:
            kin = homes.setdefault(run.configuration, [])
            group = _accepting(run, kin) or _accepting(run, groups)
            if group is None:
                group = Group()
                groups.append(group)
            if run.configuration not in group.configurations:
                kin.append(group)
            group.add(run)
    groups.sort(key=lambda group: -len(group.runs))
    for run in runs:
        if not run.result.metrics:  # failed early: beside the method's other seeds, or in the first
            groups = groups or [Group()]
            kin = [group for group in groups if run.configuration in group.configurations]
            (kin or groups)[0].add(run)
    return groups


def _accepting(run: Run, groups: Iterable[Group]) -> Group | None:
    return next((group for group in groups if group.accepts(run)), None)


def _agree(first: AnyScore, second: AnyScore) -> bool:
    if first.higher_is_better != second.higher_is_better:
        return False
    return first.identity is second.identity or first.identity == second.identity
