"""Results against baselines whose outcome is known by construction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.baseline import (
    Acceptance,
    Baseline,
    BrokenBaseline,
    Tolerance,
    Tolerances,
    baseline_text,
    read_baseline,
    rows_of,
)
from leaderboard.check import Check, accepted, compare
from leaderboard.check_export import changes, to_json, to_markdown, to_text
from leaderboard.schema import Measurement, Result
from tests.records import record, score

EXACT = Tolerance(absolute=0.0, relative=0.0, deviations=0.0)
IDENTITY = {"predictor": "ab" * 32, "samples": 100}


def _score(value, name="accuracy", better=True, identity=None) -> Measurement:
    return score(value, name=name, higher_is_better=better, identity=identity or IDENTITY)


def _run(*scores, seed=0, method="stargan", **changes) -> Result:
    return record(method, seed, *scores, track="editing", dataset="digits", **changes)


def _runs(values, **changes) -> list[Result]:
    return [_run(_score(value, **changes), seed=seed) for seed, value in enumerate(values)]


def _check(before, now, tolerance=EXACT, metrics=None, **changes) -> Check:
    tolerances = Tolerances(default=tolerance, metrics=metrics or {})
    return Check(tuple(compare(rows_of(before), rows_of(now), tolerances)), **changes)


def _kinds(check: Check) -> list[str]:
    return [finding.kind for finding in check.findings]


@pytest.mark.parametrize(
    ("parts", "limit", "rule"),
    [
        ({"absolute": 0.5, "relative": 0.1}, 0.5, "absolute"),
        ({"absolute": 0.1, "relative": 0.1}, 0.4, "10%"),
        ({"relative": 0.1, "deviations": 1.5}, 3.0, "1.5 deviations over 3 seeds"),
    ],
)
def test_a_score_may_move_as_far_as_the_largest_tolerance_allows(parts, limit, rule):
    before = [2.0, 4.0, 6.0]  # mean 4, deviation 2
    tolerance = EXACT.model_copy(update=parts)
    for share, kind in ((-1.01, "worse"), (-0.99, "unchanged"), (0.99, "unchanged")):
        now = [value + share * limit for value in before]
        (finding,) = _check(_runs(before), _runs(now), tolerance).findings
        assert (finding.kind, finding.limit.rule) == (kind, rule)
        assert finding.limit.reach == pytest.approx(limit)
    (finding,) = _check(_runs(before), _runs([9.0, 9.0, 9.0]), tolerance).findings
    assert (finding.kind, finding.before, finding.now) == ("better", 4.0, 9.0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=4),
    st.lists(st.floats(-100, 100), min_size=1, max_size=4),
)
def test_directions_mirror_each_other_and_nothing_changes_by_itself(before, now):
    higher = _check(_runs(before), _runs(now), Tolerance())
    lower = _check(
        _runs([-value for value in before], better=False),
        _runs([-value for value in now], better=False),
        Tolerance(),
    )
    assert _kinds(higher) == _kinds(lower)
    same = _check(_runs(before), _runs(before)[::-1])
    assert _kinds(same) == ["unchanged"]
    assert same.verdict == "passes"


def test_single_metrics_have_tolerances_of_their_own_and_the_default_fills_their_gaps():
    before, now = _runs([1.0, 1.0]), _runs([0.8, 0.8])
    default = EXACT.model_copy(update={"relative": 0.3})
    assert _kinds(_check(before, now, default)) == ["unchanged"]
    wide, narrow = Tolerance(absolute=0.0), Tolerance(relative=0.1)
    assert _kinds(_check(before, now, default, {"accuracy": wide})) == ["unchanged"]
    assert _kinds(_check(before, now, default, {"accuracy": narrow})) == ["worse"]


def test_informational_metrics_are_judged_only_by_a_tolerance_of_their_own():
    before, now = _runs([1.0], better=None), _runs([2.0], better=None)
    shown = _check(before, now)
    assert _kinds(shown) == ["informational"]
    assert shown.verdict == "incomplete"  # nothing was judged
    for values in ([2.0], [0.0]):
        either_way = _check(before, _runs(values, better=None), EXACT, {"accuracy": EXACT})
        assert _kinds(either_way) == ["worse"]


def test_runs_that_no_longer_complete_are_worse():
    sound, broken = _run(_score(1.0)), _run(status="diverged", message="NaN in the loss")
    assert _check([sound], [broken]).verdict == "regression"
    assert "completed before, diverged now: NaN in the loss" in to_text(
        _check([sound], [broken]), "small"
    )
    assert _kinds(_check([broken], [sound])) == ["better", "new"]
    same = _check([broken], [broken])
    assert (_kinds(same), same.verdict) == (["unchanged"], "incomplete")  # no score was compared
    beside = _run(_score(1.0), seed=1)
    assert _check([broken, beside], [broken, beside]).verdict == "passes"
    failed = _run(status="failed", message="no memory")
    other = _check([broken, beside], [failed, beside])
    assert (_kinds(other), other.verdict) == (["not comparable", "unchanged"], "incomplete")


def test_other_identities_are_no_regression_and_no_pass():
    other = IDENTITY | {"predictor": "cd" * 32, "size": 32}
    for now, why in (
        (_score(0.1, identity=other), "predictor was abababababab and is cdcdcdcdcdcd; "),
        (_score(0.1, better=False), "the direction of improvement changed"),
    ):
        check = _check([_run(_score(1.0))], [_run(now)])
        assert check.verdict == "incomplete"
        (finding,) = check.findings
        assert finding.kind == "not comparable"
        assert finding.note.startswith(why)
    as_floats = [_run(_score(1.0, identity=IDENTITY | {"samples": 100.0}))]
    assert _check([_run(_score(1.0))], as_floats).verdict == "passes"


def test_what_is_missing_fails_unless_allowed_and_what_is_new_does_not():
    before = [_run(_score(1.0), _score(2.0, "f1")), _run(_score(1.0), seed=1)]
    before.append(_run(_score(1.0), method="attgan"))
    now = [
        _run(_score(1.0), _score(None, "f1"), _score(3.0, "psnr")),
        _run(_score(1.0), seed=2),
        _run(_score(1.0), overrides={"steps": 5}),
    ]
    check = _check(before, now)
    missing = [(one.row, one.metric, one.seeds) for one in check.of("missing")]
    row = "editing/digits/small stargan"
    assert missing == [
        ("editing/digits/small attgan", None, (0,)),
        (row, None, (1,)),
        (row, "f1", (0,)),
    ]
    new = [(one.row, one.metric, one.seeds) for one in check.of("new")]
    assert new == [
        (row, None, (2,)),
        (row, "psnr", (0,)),
        (f"{row} (steps=5)", None, (0,)),
    ]
    assert check.verdict == "incomplete"
    assert _check(before, now, missing_allowed=True).verdict == "incomplete"  # f1 has vanished
    now[0] = _run(_score(1.0), _score(2.0, "f1"), _score(3.0, "psnr"))
    assert _check(before, now, missing_allowed=True).verdict == "passes"
    assert _check(before, [], missing_allowed=True).verdict == "incomplete"
    assert changes(check) == "3 missing, 3 new, 1 unchanged"


def test_a_baseline_comes_back_as_it_was_written_and_its_diffs_can_be_read(tmp_path):
    entry = Tolerance(absolute=0.5)
    first = Baseline(tolerances=Tolerances(metrics={"accuracy": entry}))
    acceptance = Acceptance(date="2026-01-31", reason="A first one", changes="1 new")
    rows = rows_of([*_runs([0.1, 0.2]), _run(status="failed", message="é", method="a")])
    baseline = accepted(first, rows, lambda row: True, acceptance)
    path = tmp_path / "some.json"
    path.write_text(baseline_text(baseline))
    assert read_baseline(path) == baseline
    assert json.loads(path.read_text())["tolerances"]["metrics"] == {"accuracy": {"absolute": 0.5}}
    (line,) = [line for line in path.read_text().splitlines() if '"metric": "accuracy"' in line]
    assert json.loads(line.strip(" ,"))["values"] == {"0": 0.1, "1": 0.2}
    path.write_text(baseline_text(Baseline()))
    assert read_baseline(path) == Baseline()


def test_acceptance_replaces_rows_and_drops_or_keeps_what_is_gone():
    old = rows_of([_run(_score(1.0)), _run(_score(1.0), method="attgan")])
    new = rows_of([_run(_score(2.0)), _run(_score(2.0), method="icgan")])
    acceptance = Acceptance(date="2026-01-31", reason="Twice as good", changes="")
    for keep, methods in ((True, ["attgan", "icgan", "stargan"]), (False, ["icgan", "stargan"])):
        baseline = accepted(Baseline(rows=old), new, lambda row, keep=keep: keep, acceptance)
        assert [row.method for row in baseline.rows] == methods
        assert baseline.rows[-1].scores[0].values == {0: 2.0}
        assert baseline.history == (acceptance,)


def test_acceptance_of_some_seeds_replaces_a_row_or_keeps_its_other_seeds():
    other = IDENTITY | {"samples": 7}
    stored = rows_of([_run(_score(v), _score(v, "f1"), seed=s) for s, v in enumerate([1.0, 2.0])])
    again = [_run(_score(5.0), _score(6.0, "f1", identity=other), spec_hash="other")]
    acceptance = Acceptance(date="2026-01-31", reason="Longer training", changes="")

    def scores(keep: bool) -> list[tuple[object, ...]]:
        new = accepted(Baseline(rows=stored), rows_of(again), lambda row: keep, acceptance)
        (row,) = read_again(new).rows
        assert {run.spec_hash for run in row.runs.values()} == {"other", *keep * ["stargan1"]}
        return [(one.metric, one.identity["samples"], one.values) for one in row.scores]

    def read_again(baseline: Baseline) -> Baseline:
        return Baseline.model_validate_json(baseline_text(baseline))

    assert scores(keep=False) == [("accuracy", 100, {0: 5.0}), ("f1", 7, {0: 6.0})]
    assert scores(keep=True) == [
        ("accuracy", 100, {0: 5.0, 1: 2.0}),
        ("f1", 100, {1: 2.0}),
        ("f1", 7, {0: 6.0}),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[", "holds no baseline"),
        ('{"rows": 1}', "rows: "),
        ('{"tolerances": {"metrics": {"fd": {"absolut": 1}}}}', "fd.absolut: "),
        ('{"schema_version": 2}', "schema_version: "),
        (None, "holds no baseline"),
    ],
)
def test_broken_baselines_are_named(text: str | None, what: str, tmp_path: Path):
    path = tmp_path / "some.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BrokenBaseline, match=what) as caught:
        read_baseline(path)
    assert str(path) in str(caught.value)


def test_a_row_twice_is_refused():
    rows = rows_of(_runs([1.0]))
    with pytest.raises(ValueError, match="two rows"):
        Baseline(rows=(*rows, *rows))


def test_reports_say_the_same_and_show_names_as_they_stand():
    evil = "<script>|\x1b[31m"
    before = [_run(_score(1.0), _score(1.0, "edit_scale", None), method=evil)]
    now = [_run(_score(0.5), _score(2.0, "edit_scale", None), method=evil)]
    check = _check(before, now)
    text, markdown = to_text(check, "small"), to_markdown(check, "small")
    assert "accuracy ↑ 1 -> 0.5 (-0.5, tolerance 0, absolute) [seed 0]" in text
    assert text.endswith("Regression: 1 worse, 1 informational. Baseline: small.\n")
    assert "\x1b" not in text
    assert markdown.startswith("### Scores got worse than the baseline\n")
    assert "<script>" not in markdown
    assert "<details><summary>Informational, moved (1)</summary>\n\n|" in markdown
    content = json.loads(to_json(check, "small"))
    assert (content["verdict"], content["exit_code"]) == ("regression", 3)
    assert [one["kind"] for one in content["findings"]] == _kinds(check)
    still = to_text(_check(before, before), "small")
    assert still == "Passes: 1 informational, 1 unchanged. Baseline: small.\n"
