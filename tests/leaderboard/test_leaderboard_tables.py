"""From results to tables, and from tables to text."""

from __future__ import annotations

import csv
import io
import json
import random

import pytest
from scipy import stats

from leaderboard.export import to_csv, to_json, to_markdown
from leaderboard.reported import ReportedNumber
from leaderboard.schema import Measurement, Result
from leaderboard.table import build_tables
from tests import records

PAIRS = {"plus": "plain"}
IDENTITY = {"predictor": "ab" * 32, "samples_per_direction": 100}


def _result(method="contrafeat", seed=0, score=0.4, identity=None, **changes) -> Result:
    metrics = [
        Measurement(name="edit_scale", value=2 * score),
        records.score(score, (0.1, 0.2), identity=IDENTITY if identity is None else identity),
    ]
    return records.record(
        method, seed, **{"spec_hash": f"hash{seed}", "metrics": metrics} | changes
    )


def _failed(method="contrafeat", seed=0, status="diverged") -> Result:
    return _result(method, seed, status=status, message="the loss is NaN", metrics=[])


def _reported(method="contrafeat", dataset="shapes3d", metric="s_disen", value=0.9, **changes):
    fields = {
        "paper": "A Paper",
        "citation": "Somebody, 2020",
        "url": "https://example.org/paper",
        "track": "discovery",
        "table": "Table 7",
        "page": 3,
        "origin": "paper",
        "variant": "L2 mask",
        "spread": None,
        "protocol": "with another predictor",
        "identity": {},
    }
    named = {"method": method, "dataset": dataset, "metric": metric, "value": value}
    return ReportedNumber(**(fields | named | changes))


def test_one_row_a_method_with_mean_spread_and_interval():
    results = [_result(seed=seed, score=score) for seed, score in enumerate([0.3, 0.4, 0.5])]
    results += [_result("sefa", 0, 0.45), _result(overrides={"steps": 10}, score=0.1)]
    tables = build_tables(results)
    assert len(tables) == 1
    rows = tables[0].rows
    assert [(row.method, row.overrides) for row in rows] == [
        ("sefa", ""),
        ("contrafeat", ""),
        ("contrafeat", "steps=10"),
    ]
    cell = rows[1].cells["s_disen"]
    assert (cell.mean, cell.std, cell.seeds) == (pytest.approx(0.4), pytest.approx(0.1), 3)
    assert (cell.low, cell.high, cell.level) == (pytest.approx(0.3), pytest.approx(0.6), 0.95)
    assert rows[1].cells["edit_scale"].low is None
    assert rows[0].cells["s_disen"].std is None
    text = to_markdown(tables)
    assert "0.4 ± 0.1 [0.3, 0.6]" in text
    assert "| s_disen ↑" in text
    assert "contrafeat (steps=10)" in text
    assert "predictor abababababab, samples_per_direction 100" in text


def test_runs_that_did_not_complete_stay_visible_and_out_of_the_mean():
    results = [
        _result(seed=0, score=0.4),
        _failed(seed=1),
        _failed("sefa", status="failed"),
        _result(seed=2, score=9.0, status="failed", message="the disk is full"),
    ]
    (table,) = build_tables(results)
    contrafeat, sefa = table.rows
    assert contrafeat.status == "1 completed, 1 diverged, 1 failed"
    assert contrafeat.cells["s_disen"].mean == 0.4
    assert contrafeat.seeds == (0, 1, 2)
    assert (sefa.status, sefa.cells) == ("failed", {})
    assert table.notes == (
        "contrafeat, seed 1: the loss is NaN",
        "contrafeat, seed 2: the disk is full",
        "sefa, seed 0: the loss is NaN",
    )


def test_different_identities_never_share_a_table():
    other = IDENTITY | {"samples_per_direction": 50, "protocol": "released"}
    results = [_result(seed=seed) for seed in range(3)]
    results += [_result("sefa", 0, 0.2, other), _failed("sefa", 1), _failed("ganspace", 0)]
    expected = build_tables(results)
    first, second = expected
    assert [row.method for row in first.rows] == ["contrafeat", "ganspace"]
    assert [(row.method, row.status) for row in second.rows] == [
        ("sefa", "1 completed, 1 diverged")
    ]
    assert second.notes == (
        "Not comparable with the first table of this preset: protocol is released here and "
        "unstated there (s_disen); samples_per_direction is 50 here and 100 there (s_disen).",
        "sefa, seed 1: the loss is NaN",
    )
    random.Random(0).shuffle(results)
    assert build_tables(results) == expected


def test_tracks_datasets_and_presets_stay_apart():
    results = [_result(preset=preset) for preset in ("smoke", "small", "paper")]
    results += [_result(dataset="ffhq"), _result(track="editing")]
    places = [(table.track, table.dataset, table.preset) for table in build_tables(results)]
    assert places == [
        ("discovery", "ffhq", "small"),
        ("discovery", "shapes3d", "paper"),
        ("discovery", "shapes3d", "small"),
        ("discovery", "shapes3d", "smoke"),
        ("editing", "shapes3d", "small"),
    ]


def test_a_run_counts_once_and_contradictions_are_told():
    (table,) = build_tables([_result(score=0.4), _result(score=0.4, seconds=3.0)])
    assert table.rows[0].cells["s_disen"].seeds == 1
    assert table.notes == ()
    (table,) = build_tables([_result(score=0.4), _result(score=0.6, spec_hash="later")])
    assert table.rows[0].cells["s_disen"].mean == 0.4
    assert table.notes == (
        "Two records of contrafeat, seed 0, differ (hash0, later); the first one found is shown.",
    )


def test_a_metric_that_does_not_apply_is_no_zero():
    accuracy = Measurement(name="accuracy", value=None, higher_is_better=True)
    (table,) = build_tables([_result(metrics=[accuracy]), _failed("sefa")])
    lines = to_markdown([table]).splitlines()
    assert "n/a" in next(line for line in lines if "contrafeat" in line)
    assert " - " in next(line for line in lines if "sefa" in line)


def test_reported_numbers_stand_apart_from_measured_ones():
    numbers = [
        _reported(value=0.357, spread=0.01),
        _reported(metric="n_discov", value=14.2),
        _reported(origin="authors-notebook", table="a notebook", value=0.3),
        _reported(dataset="ffhq"),
    ]
    results = [_result(), _result(preset="smoke")]
    small, smoke, elsewhere = build_tables(results, numbers)
    assert small.rows == build_tables(results)[0].rows
    assert (len(small.reported), len(smoke.reported)) == (3, 0)
    assert (elsewhere.dataset, elsewhere.preset, elsewhere.rows) == ("ffhq", "", ())
    measured, reported = to_markdown([small]).split("Reported, not measured here:")
    assert "0.357" not in measured
    cells = [cell.strip() for cell in reported.splitlines()[4].split("|")[1:-1]]
    assert cells == ["contrafeat", "L2 mask", "paper (1)", "0.357 ± 0.01", "14.2"]
    assert "authors' notebook (2)" in reported
    assert "(1) Somebody, 2020, Table 7, p. 3: with another predictor." in reported


def test_csv_and_json_hold_the_same_numbers():
    tables = build_tables([_result(seed=0), _result(seed=1), _failed("sefa")], [_reported()])
    lines = list(csv.DictReader(io.StringIO(to_csv(tables))))
    scores = {(line["method"], line["metric"], line["origin"]): line["value"] for line in lines}
    assert scores == {
        ("contrafeat", "edit_scale", "measured"): "0.8",
        ("contrafeat", "s_disen", "measured"): "0.4",
        ("sefa", "", "measured"): "",
        ("contrafeat", "s_disen", "paper"): "0.9",
    }
    measured = next(line for line in lines if line["metric"] == "s_disen")
    assert json.loads(measured["identity"]) == IDENTITY
    assert (measured["standing"], measured["higher_is_better"]) == ("leading", "True")
    (table,) = json.loads(to_json(tables))
    assert table["rows"][0]["cells"]["s_disen"]["mean"] == 0.4
    assert table["rows"][0]["cells"]["s_disen"]["standing"] == "leading"
    assert table["reported"][0]["value"] == 0.9


def test_columns_of_csv_and_json_are_what_others_read():
    tables = build_tables([_result()], [_reported()])
    assert to_csv(tables).splitlines()[0] == (
        "track,dataset,preset,table,method,settings,metric,value,std,low,high,seeds,status,origin,"
        "source,higher_is_better,standing,identity,deviation"
    )
    (table,) = json.loads(to_json(tables))
    fields = "track dataset preset columns rows differences reported notes deviations"
    assert " ".join(table) == fields
    assert [*table["columns"][0]] == ["metric", "higher_is_better", "identity", "origin"]
    assert [*table["rows"][0]] == ["method", "overrides", "seeds", "status", "cells"]
    cell = table["rows"][0]["cells"]["s_disen"]
    assert " ".join(cell) == "mean std seeds low high level standing"


def test_text_from_outside_cannot_change_the_table():
    hostile = "a|b <script>alert(1)</script> [x](http://y) `z`"
    results = [_result(method=hostile, overrides={"note": "one\n| two"}), _result("plain_name")]
    text = to_markdown(build_tables(results, [_reported(variant=hostile)]))
    assert "<script>" not in text.replace("\\<", "")
    assert "](" not in text.replace("\\]", "")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in rows[:3]}) == 1
    assert "plain_name" in text


def test_differences_pair_the_seeds_that_both_have():
    ours, theirs = [0.50, 0.40, 0.45], [0.40, 0.35, 0.45]
    results = [_result("plus", seed, score) for seed, score in enumerate(ours)]
    results += [_result("plain", seed, score) for seed, score in reversed([*enumerate(theirs)])]
    results += [_result("plus", 3, 0.9), _failed("plain", 3), _result("plain", 4, 0.1)]
    (table,) = build_tables(results, (), PAIRS)
    (difference,) = table.differences
    assert (difference.method, difference.baseline) == ("plus", "plain")
    assert set(difference.cells) == {"s_disen"}  # edit_scale has no direction
    cell = difference.cells["s_disen"]
    assert (cell.mean, cell.count) == (pytest.approx(0.05), 3)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    text = to_markdown([table])
    assert "| plus less plain | +0.05 [-0.0742, +0.174] |" in " ".join(text.split())
    assert json.loads(to_json([table]))[0]["differences"][0]["cells"]["s_disen"]["count"] == 3


@pytest.mark.parametrize(
    "results",
    [
        [_result("plus", 0), _result("plain", 0)],  # a single seed
        [_result("plus", 0), _result("plus", 1), _result("plain", 2), _result("plain", 3)],
        [_result("plus", seed, overrides={"a": 1}) for seed in (0, 1)]
        + [_result("plain", seed) for seed in (0, 1)],
    ],
)
def test_no_difference_without_two_common_seeds_of_the_same_settings(results):
    assert all(table.differences == () for table in build_tables(results, (), PAIRS))
