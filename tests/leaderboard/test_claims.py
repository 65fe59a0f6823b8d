"""Claims of papers, judged on results whose verdicts are known by construction."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.claims import Claim, PaperClaims, Side, load_claims
from leaderboard.claims_export import to_csv, to_json, to_markdown
from leaderboard.differences import difference_of, more_seeds
from leaderboard.reported import load_reported
from leaderboard.schema import Measurement, Result
from leaderboard.verdicts import judge
from tests.records import record, score

IDENTITY = {"predictor": "ab" * 32, "samples": 100}
NARROW, WIDE = (0.19, 0.2, 0.21), (0.1, 0.2, 0.3)  # differences that seeds decide, and do not


def _claim(left="new", right=("old",), relation="higher", **changes) -> Claim:
    fields = {
        "says": "New finds [more] than old",
        "source": "Table 1",
        "track": "discovery",
        "dataset": "ffhq",
        "condition": "30 directions",
        "metrics": ["s_disen"],
        "left": _side(left),
        "relation": relation,
        "right": [_side(one) for one in right],
    }
    return Claim.model_validate(fields | changes)


def _side(side) -> Side:
    method, settings = side if isinstance(side, tuple) else (side, {})
    return Side.model_validate({"method": method, "set": settings})


def _score(value, reach=None, identity=None) -> Measurement:
    return score(value, reach, identity=IDENTITY if identity is None else identity)


def _run(method, value, seed=0, reach=None, identity=None, **changes) -> Result:
    metrics = () if value is None else (_score(value, reach, identity),)
    return record(method, seed, *metrics, **changes)


def _runs(method, values, **changes) -> list[Result]:
    return [_run(method, value, seed, **changes) for seed, value in enumerate(values)]


def _pair(differences, **changes) -> list[Result]:
    return _runs("old", [0.5] * len(differences)) + _runs(
        "new", [0.5 + one for one in differences], **changes
    )


def _one(claim, results, defaults=None):
    (verdict,) = judge(claim, results, defaults or {})
    return verdict


@pytest.mark.parametrize(
    ("differences", "higher", "lower"),
    [
        (NARROW, "held", "not held"),
        ([-one for one in NARROW], "not held", "held"),
        (WIDE, "undecided", "undecided"),
    ],
)
def test_an_interval_over_paired_seeds_decides(differences, higher, lower):
    results = _pair(differences)
    verdict = _one(_claim(), results)
    assert (verdict.status, _one(_claim(relation="lower"), results).status) == (higher, lower)
    assert (verdict.dataset, verdict.preset) == ("shapes3d", "small")
    (comparison,) = verdict.comparisons
    found = comparison.difference
    low, high = stats.t.interval(
        0.95, 2, sum(differences) / 3, stats.sem([0.5 + one for one in differences])
    )
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.basis, comparison.seeds) == ("seeds", (0, 1, 2))


_FLIPPED = {"held": "not held", "not held": "held", "undecided": "undecided"}
_SCORES = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 9), st.integers(1, 9)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(_SCORES, st.randoms())
def test_swapped_sides_flip_the_verdict_and_the_order_of_results_does_not_matter(scores, random):
    results = []
    for seed, (one, other, reach, others) in enumerate(scores):
        results += [_run("new", one / 10, seed, reach / 7), _run("old", other / 10, seed, others)]
    verdict = _one(_claim(), results)
    random.shuffle(results)
    assert _one(_claim(), results) == verdict
    assert _one(_claim("old", ["new"], "lower"), results).status == verdict.status
    swapped = _one(_claim("old", ["new"]), results)
    assert swapped.status == _FLIPPED[verdict.status]
    assert swapped.comparisons[0].more_seeds == verdict.comparisons[0].more_seeds
    ends, others = verdict.comparisons[0].difference, swapped.comparisons[0].difference
    assert (ends.low, ends.high) == (pytest.approx(-others.high), pytest.approx(-others.low))


def test_one_seed_has_the_intervals_over_samples_and_says_so():
    results = [_run("new", 0.7, reach=(0.03, 0.1)), _run("old", 0.6, reach=(0.2, 0.04))]
    (comparison,) = _one(_claim(), results).comparisons
    found = comparison.difference
    assert (found.basis, comparison.status, comparison.seeds) == ("samples", "held", (0,))
    assert found.low == pytest.approx(0.1 - math.hypot(0.03, 0.04))
    assert found.high == pytest.approx(0.1 + math.hypot(0.1, 0.2))
    text = to_markdown(_judged(results))
    assert "| 0 (samples) | held" in text
    assert "| s_disen (samples) |" in text


def test_counts_that_differ_alike_in_all_seeds_are_not_certain_for_it():
    counts = [(4.0, 3.0), (6.0, 5.0), (5.0, 4.0)]
    left, right = ([_score(pair[side], 2.0) for pair in counts] for side in (0, 1))
    found = difference_of(left, right)
    assert (found.basis, found.sign) == ("samples", 0)
    assert found.low == pytest.approx(1 - math.hypot(2, 2))
    bare = difference_of([_score(4.0), _score(6.0)], [_score(3.0), _score(5.0)])
    assert (bare.mean, bare.low, bare.basis) == (1.0, None, "none")
    assert more_seeds(bare, 2) is None
    assert more_seeds(difference_of([_score(4.0)], [_score(3.0)]), 1) == 1
    same = difference_of([_score(4.0, 1.0)], [_score(4.0, 1.0)])
    assert more_seeds(same, 1) is None


@pytest.mark.parametrize("mean", [0.05, 0.02, -0.08])
def test_about_as_many_more_seeds_as_an_interval_of_that_spread_needs(mean):
    differences = [mean - 0.1, mean, mean + 0.1]  # their standard deviation is 0.1
    (comparison,) = _one(_claim(), _pair(differences)).comparisons
    assert comparison.status == "undecided"

    def decided(count: int) -> bool:
        return stats.t.ppf(0.975, count - 1) * 0.1 / math.sqrt(count) < abs(mean)

    total = 3 + comparison.more_seeds
    assert decided(total)
    assert not decided(total - 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": {"predictor": "another"}},
        {"dataset": "ffhq"},
        {"preset": "paper"},
        {"track": "editing"},
        {"overrides": {"steps": 10}},
        {"overrides": {"track.samples": 50}},
        {"metrics": [_score(None)]},
        {"metrics": []},
    ],
    ids=str,
)
def test_what_is_not_comparable_is_not_compared(changes):
    verdict = _one(_claim(), _pair(NARROW, **changes))
    assert (verdict.status, verdict.comparisons) == ("not measured", ())
    assert verdict.notes[0].startswith("no ")


def test_runs_of_different_seeds_are_not_compared():
    results = [_run("new", 0.9, seed=0, reach=0.1), _run("old", 0.1, seed=1, reach=0.1)]
    assert "seed" in _one(_claim(), results).notes[0]


def test_runs_asked_the_same_otherwise_are_compared_apart_from_the_others():
    asked = {"track.samples": 50, "generator": "mine.pkl", "directions": "sefa"}
    apart = {"overrides": {**asked, "directions.pairs": 9}}
    results = _pair(NARROW) + _runs("new", [0.1, 0.2, 0.3], **apart)
    results += _runs("old", [0.9, 0.8, 0.7], **apart)
    plain, other = judge(_claim(), results)
    assert (plain.status, plain.condition) == ("held", "")
    assert other.condition == (
        'directions="sefa", directions.pairs=9, generator="mine.pkl", track.samples=50'
    )
    assert other.status == "not held"


def test_two_identities_of_a_metric_have_a_verdict_each():
    other = IDENTITY | {"samples": 500}
    results = _pair(NARROW) + _runs("old", [0.9, 0.91, 0.9], identity=other)
    results += _runs("new", [0.1, 0.1, 0.11], identity=other)
    verdicts = judge(_claim(), results)
    assert {(one.condition, one.status) for one in verdicts} == {
        ("samples 100", "held"),
        ("samples 500", "not held"),
    }


def test_settings_name_variants_and_defaults_count_as_named():
    claim = _claim(("new", {"size": 100}), [("new", {"size": 30})])
    results = _runs("new", [0.5, 0.5, 0.5]) + _runs(
        "new", [0.5 + one for one in NARROW], overrides={"size": 100}
    )
    assert _one(claim, results).status == "not measured"
    verdict = _one(claim, results, {"small": {"new": {"size": 30}}})
    assert (verdict.status, verdict.comparisons[0].right) == ("held", "new (size=30)")
    assert _one(claim, results, {"paper": {"new": {"size": 30}}}).status == "not measured"
    typed = _runs("new", [0.5] * 3, overrides={"size": 30})
    assert _one(claim, typed + results[3:]).status == "held"


def test_a_claim_about_several_others_needs_them_all():
    claim = _claim(right=["old", "third"])
    held = _pair(NARROW)
    assert _one(claim, held + _runs("third", [0.3, 0.31, 0.3])).status == "held"
    assert _one(claim, held + _runs("third", [0.9, 0.91, 0.9])).status == "not held"
    assert _one(claim, held + _runs("third", [0.1, 0.9, 0.5])).status == "undecided"
    verdict = _one(claim, held)
    assert verdict.status == "undecided"
    assert [one.status for one in verdict.comparisons] == ["held", "not measured"]


def test_runs_that_did_not_complete_are_left_out_and_named():
    lost = _run("new", 9.0, seed=3, status="diverged", message="the loss is NaN")
    verdict = _one(_claim(), [*_pair(NARROW), lost, _run("old", 0.5, seed=3)])
    assert verdict.comparisons[0].seeds == (0, 1, 2)
    assert verdict.notes == ("new, seed 3, diverged and is left out",)


def test_untestable_claims_say_why_until_somebody_measures_them():
    claim = _claim(untestable="it needs Inception's weights")
    verdict = _one(claim, [])
    assert (verdict.status, verdict.notes) == ("not testable", ("it needs Inception's weights",))
    assert _one(claim, _pair(NARROW)).status == "held"


def _judged(results):
    claims = [
        _claim(right=["old", "third"]),
        _claim(says="Never", metrics=["fvm", "mig"], untestable="no *network*"),
    ]
    paper = PaperClaims(paper="A <Paper>", citation="Somebody, 2020", claims=claims)
    return [(paper, [verdict for claim in claims for verdict in judge(claim, results)])]


def test_verdicts_as_markdown_json_and_csv():
    judged = _judged(_pair(WIDE))
    text = to_markdown(judged)
    assert "A \\<Paper\\>" in text
    assert "1 undecided, 2 not testable" in text
    assert "| New finds \\[more\\] than old (Table 1) | shapes3d, small |" in text
    assert "new less old: +0.2 [-0.0484, +0.448]" in text
    assert "undecided: about 1 more seed " in text
    assert "not measured: no completed run" in text
    assert "- Never (Table 1), fvm, mig: no \\*network\\*." in text
    assert "these verdicts neither bear out nor refute its own numbers" in text
    (paper,) = json.loads(to_json(judged))
    first = paper["verdicts"][0]
    assert (first["status"], first["claim"]["left"]["method"]) == ("undecided", "new")
    assert first["comparisons"][0]["difference"]["mean"] == pytest.approx(0.2)
    lines = list(csv.DictReader(io.StringIO(to_csv(judged))))
    assert [(line["right"], line["status"]) for line in lines] == [
        ("old", "undecided"),
        ("third", "not measured"),
        *[("old", "not testable")] * 2,
    ]
    assert (lines[0]["seeds"], lines[0]["more_seeds"]) == ("0 1 2", "1")
    assert {line["paper_measured_on"] for line in lines} == {"ffhq, 30 directions"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("relation =", "relaton ="), "One is better.*relation: Field required"),
        (('"higher"', '"better"'), "relation"),
        (('method = "b"', 'method = "a"'), "compared with itself: a"),
        (('["m"]', "[]"), "metrics"),
        (('says = "One is better"', "says ="), "no TOML"),
        (('{ method = "a" }', '"A"'), "claims.0..left"),
        (("[[claims]]", "sides = 3\n[[claims]]"), "sides"),
        (("[[claims]]", "[claims]"), "claims"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, changed, message):
    text = (
        'paper = "P"\ncitation = "C"\n[[claims]]\nsays = "One is better"\nsource = "T"\n'
        'track = "t"\ndataset = "d"\ncondition = "c"\nmetrics = ["m"]\nleft = { method = "a" }\n'
        'relation = "higher"\nright = [{ method = "b" }]\n'
    )
    (tmp_path / "one.toml").write_text(text)
    assert list(load_claims(tmp_path)) == ["one"]
    (tmp_path / "two.toml").write_text(text.replace(*changed))
    with pytest.raises(ValueError, match=f"two.toml.*{message}|two.toml holds {message}"):
        load_claims(tmp_path)


def test_sides_can_have_names(tmp_path):
    text = (
        'paper = "P"\ncitation = "C"\nsides.A = { method = "a", set = { size = 30 } }\n[[claims]]\n'
        'says = "A is better"\nsource = "T"\ntrack = "discovery"\ndataset = "d"\ncondition = "c"\n'
        'metrics = ["s_disen"]\nleft = "A"\nrelation = "higher"\nright = [{ method = "a" }, "A"]\n'
    )
    (tmp_path / "one.toml").write_text(text)
    with pytest.raises(ValueError, match="compared with itself: A"):
        load_claims(tmp_path)
    (tmp_path / "one.toml").write_text(text.replace(', "A"', ""))
    (claim,) = load_claims(tmp_path)["one"].claims
    assert (claim.left.label, claim.left.settings) == ("A", {"size": 30})
    results = _runs("a", [0.9, 0.91, 0.9], overrides={"size": 30}) + _runs("a", [0.1] * 3)
    assert _one(claim, results).status == "held"


def test_the_guides_example_is_a_file_of_claims(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "claims.md"
    example = guide.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "paper.toml").write_text(example)
    (claim,) = load_claims(tmp_path)["paper"].claims
    assert [side.label for side in (claim.left, *claim.right)] == ["new (width=64)", "old", "older"]


def test_the_papers_own_numbers_bear_out_their_claims():
    """Of CRG all tables are known, of ContraFeat Tables 7 and 8."""
    variants = {"": "", "l2": "L2 mask", "none": "no focus", "pooled": "pooled features"}
    reported = {
        (one.table, one.method, one.variant.replace("128 latents", ""), one.metric): one.value
        for one in load_reported()
        if one.origin == "paper" and one.variant != "512 latents"
    } | {("Table 1", "age", "", "fid"): 154.79, ("Table 1", "pioneer", "", "fid"): 23.15}

    def value(claim: Claim, side: Side, metric: str) -> float | None:
        masked = "l2" if claim.source in ("Table 7", "Table 8") else ""
        variant = variants[str(side.settings.get("focus", masked))]
        return reported.get((claim.source.split(" and ")[0], side.method, variant, metric))

    checked = 0
    for paper in load_claims().values():
        for claim in paper.claims:
            for metric in claim.metrics:
                left = value(claim, claim.left, metric)
                others = [value(claim, side, metric) for side in claim.right]
                if left is not None:
                    signs = {(left > other) == (claim.relation == "higher") for other in others}
                    assert signs == {True}, claim.says
                    checked += 1
    assert checked == 3 + 2 + 3 + 2 + 2 + 1 + 2 * 2 + 1


def test_no_shipped_claim_compares_a_run_with_itself():
    for paper in load_claims().values():
        for claim in paper.claims:
            for usual in [{}, *paper.defaults.values()]:
                sides = [
                    (one.method, usual.get(one.method, {}) | one.settings)
                    for one in (claim.left, *claim.right)
                ]
                assert all(sides.count(side) == 1 for side in sides), claim.says
