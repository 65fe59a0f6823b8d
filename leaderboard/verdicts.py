"""Whether results bear out what papers say of the order of methods; ``judge`` says how."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pydantic import JsonValue

from leaderboard.claims import Claim, PaperClaims, Settings
from leaderboard.differences import Difference, difference_of, more_seeds
from leaderboard.summary import AnyResult, AnyScore
from leaderboard.table import described, identity_text
from leaderboard.vocabulary import ASKED

Status = Literal["held", "not held", "undecided", "not measured", "not testable"]

_SHARED_TABLES = ("track.", "dataset.", "directions.")  # of settings that are not the method's


@dataclass(frozen=True)
class Comparison:
    """The left side of a claim against one of the right.

    Attributes:
        right: Label of that side.
        status: ``held``, ``not held``, ``undecided`` or ``not measured``.
        difference: Left minus right with its interval; None if not measured.
        seeds: The seeds that it rests on.
        more_seeds: Undecided: about how many more seeds would decide it; None if not even 1,000.
        note: Why it is not measured.
    """

    right: str
    status: Status
    difference: Difference | None = None
    seeds: tuple[int, ...] = ()
    more_seeds: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """A claim, judged in one metric on the results of one dataset and preset.

    Attributes:
        claim: The claim.
        metric: The metric.
        status: How it stands.
        dataset: What it was judged on; empty where nothing is measured.
        preset: Likewise.
        condition: What both sides' runs were asked otherwise than the preset, and, where there are
            several identities of the metric, in what this one differs.
        comparisons: With each of the right sides.
        notes: Runs that did not complete and are left out; why nothing is measured.
    """

    claim: Claim
    metric: str
    status: Status
    dataset: str = ""
    preset: str = ""
    condition: str = ""
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = ()


def judge_papers(
    papers: Iterable[PaperClaims], results: Sequence[AnyResult], preset: str | None = None
) -> list[tuple[PaperClaims, list[Verdict]]]:
    """All claims of papers, judged.

    Args:
        papers: The papers.
        results: What they are judged on, in any order.
        preset: Only this one; None for all but ``smoke``, which proves nothing.
    """
    wanted = [one for one in results if (one.preset == preset if preset else one.preset != "smoke")]
    return [
        (paper, [one for claim in paper.claims for one in judge(claim, wanted, paper.defaults)])
        for paper in papers
    ]


def judge(
    claim: Claim,
    results: Iterable[AnyResult],
    defaults: Mapping[str, Mapping[str, Settings]] = MappingProxyType({}),
) -> list[Verdict]:
    """Whether a claim holds, for each of its metrics on each dataset and preset with results.

    - Runs are compared that completed, have exactly the settings that the claim names (those of
      ``defaults`` count as named by their preset), and agree in track, dataset, preset, options of
      the evaluation, generator and so on, and in the metric's identity. Others never are.
    - Both sides are paired by seed. With two common seeds or more, the interval of the difference
      is Student's over seeds; with one, or where the differences of all seeds are equal, as those
      of counts often are, it comes from the runs' own intervals over samples.
    - A comparison is ``held`` if its interval leaves out 0 on the claimed side, ``not held`` if on
      the other, and ``undecided`` else.
    - A claim about several others is held if every comparison is, not held if one is not, and else
      undecided. Where no comparison is measured at all, it is ``not testable`` if the claim says
      why, and ``not measured`` if it does not.

    Args:
        claim: The claim.
        results: In any order; of several records of a run the first counts, as in tables.
        defaults: By preset and method, the settings that runs have unasked.

    Returns:
        At least one verdict for each metric.
    """
    methods = {side.method for side in (claim.left, *claim.right)}
    runs = [one for one in results if one.track == claim.track and one.method in methods]
    verdicts = []
    for metric in claim.metrics:
        places = _gather(claim, metric, runs, defaults)
        found = [one for place in sorted(places) for one in _judged(claim, place, places[place])]
        verdicts += found or [_unmeasured(claim, metric, places.values())]
    return verdicts


@dataclass(frozen=True, order=True)
class _Place:
    """All that runs have in common that may be compared, but for the metric's identity."""

    metric: str
    dataset: str
    preset: str
    condition: str


_Scores = dict[str, dict[int, AnyScore]]  # by label of the side and by seed


@dataclass
class _Runs:
    """What there is of a claim's sides in one place: scores by identity, and runs without."""

    scores: dict[str, _Scores] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def _gather(
    claim: Claim,
    metric: str,
    results: Iterable[AnyResult],
    defaults: Mapping[str, Mapping[str, Settings]],
) -> dict[_Place, _Runs]:
    places: dict[_Place, _Runs] = {}
    sides = (claim.left, *claim.right)
    named = {key for side in sides for key in side.settings}
    for result in results:
        usual = defaults.get(result.preset, {}).get(result.method, {})
        changed = _unusual(result.overrides, usual)
        asked = [key for key in changed if _is_shared(key) and key not in named]
        shared = {key: changed.pop(key) for key in asked}
        place = _Place(metric, result.dataset, result.preset, described(shared))
        for side in sides:
            if side.method == result.method and _unusual(side.settings, usual) == changed:
                _add(places.setdefault(place, _Runs()), side.label, result, metric)
    return places


def _add(runs: _Runs, label: str, result: AnyResult, metric: str) -> None:
    measured = result.metric(metric)
    if result.status != "completed":
        runs.lost.append(f"{label}, seed {result.seed}, {result.status} and is left out")
    elif measured is not None and measured.value is not None:
        identity = json.dumps(measured.identity, sort_keys=True)
        runs.scores.setdefault(identity, {}).setdefault(label, {}).setdefault(result.seed, measured)


def _unusual(settings: Mapping[str, JsonValue], usual: Mapping[str, JsonValue]) -> Settings:
    return {key: value for key, value in settings.items() if usual.get(key, ...) != value}


def _is_shared(key: str) -> bool:
    """Whether both sides of a comparison have to be asked the same."""
    return key in ASKED or key.startswith(_SHARED_TABLES)


def _judged(claim: Claim, place: _Place, runs: _Runs) -> list[Verdict]:
    """A verdict for each identity of the metric that some comparison has."""
    compared = {identity: _compared(claim, scores) for identity, scores in runs.scores.items()}
    found = {
        identity: comparisons
        for identity, comparisons in compared.items()
        if any(one.status != "not measured" for one in comparisons)
    }
    return [
        Verdict(
            claim,
            place.metric,
            _together([comparison.status for comparison in comparisons]),
            place.dataset,
            place.preset,
            ", ".join(filter(None, (place.condition, _peculiar(identity, [*found])))),
            comparisons,
            tuple(dict.fromkeys(runs.lost)),
        )
        for identity, comparisons in found.items()
    ]


def _compared(claim: Claim, scores: _Scores) -> tuple[Comparison, ...]:
    left = scores.get(claim.left.label, {})
    return tuple(
        _compare(claim.relation, left, side.label, scores.get(side.label, {}))
        for side in claim.right
    )


def _compare(
    relation: str, left: Mapping[int, AnyScore], label: str, right: Mapping[int, AnyScore]
) -> Comparison:
    seeds = tuple(sorted(left.keys() & right.keys()))
    if not seeds:
        note = "no seed in common" if left and right else "no completed run"
        return Comparison(label, "not measured", note=note)
    difference = difference_of([left[seed] for seed in seeds], [right[seed] for seed in seeds])
    if difference.sign == 0:
        more = more_seeds(difference, len(seeds))
        return Comparison(label, "undecided", difference, seeds, more)
    held = (difference.sign > 0) == (relation == "higher")
    return Comparison(label, "held" if held else "not held", difference, seeds)


def _together(statuses: Sequence[Status]) -> Status:
    if "not held" in statuses:
        return "not held"
    return "held" if set(statuses) == {"held"} else "undecided"


def _peculiar(identity: str, all_identities: Sequence[str]) -> str:
    """In what a metric's identity differs from the others of the same place."""
    own, *others = (json.loads(text) for text in (identity, *all_identities))
    return identity_text(
        {key: own[key] for key in own if any(other.get(key, ...) != own[key] for other in others)}
    )


def _unmeasured(claim: Claim, metric: str, places: Iterable[_Runs]) -> Verdict:
    if claim.untestable:
        return Verdict(claim, metric, "not testable", notes=(claim.untestable,))
    measured = {label for runs in places for scores in runs.scores.values() for label in scores}
    sides = dict.fromkeys(side.label for side in (claim.left, *claim.right))
    missing = [label for label in sides if label not in measured]
    if claim.left.label in missing or len(missing) == len(claim.right):
        reason = f"no completed run of {', '.join(missing)} has this metric"
    else:
        reason = (
            "no two runs with this metric agree in dataset, preset, options of the evaluation, "
            "seed and the metric's identity"
        )
    return Verdict(claim, metric, "not measured", notes=(reason,))
