"""Reported numbers in columns beside measured ones."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from pydantic import JsonValue

from leaderboard.comparison import beside_reported, deviations
from leaderboard.export import to_csv, to_markdown
from leaderboard.reported import load_reported
from leaderboard.schema import Measurement, Result
from leaderboard.table import build_tables
from tests.records import record, score

NUMBERS = [
    number
    for number in load_reported()
    if number.table in ("Table 7", "eval_nav_nb_loss_compare.ipynb")
]


def _result(method: str, value: float, **overrides: JsonValue) -> Result:
    return record(method, 0, score(value), overrides=overrides)


def test_reported_numbers_have_columns_of_their_own_in_the_rows_of_their_variants() -> None:
    results = [
        _result("contrafeat", 0.1, focus="none"),
        _result("contrafeat", 0.3),
        _result("contrafeat", 0.2, focus="pooled-l2"),
    ]
    variants = {
        ("contrafeat", 'focus="none"'): "no focus",
        ("contrafeat", ""): "L2 mask",
        ("contrafeat", 'focus="pooled-l2"'): "as released",
    }
    (table,) = beside_reported(build_tables(results), NUMBERS, variants)
    assert [column.metric for column in table.columns] == [
        "s_disen",
        "s_disen, reported: paper (1)",
        "n_discov, reported: paper (1)",
        "s_disen, reported: authors-notebook (2)",
        "n_discov, reported: authors-notebook (2)",
    ]
    found = {
        (row.method, row.overrides): {name: cell.mean for name, cell in row.cells.items() if cell}
        for row in table.rows
    }
    assert list(found)[:3] == [
        ("contrafeat", 'no focus; focus="none"'),
        ("contrafeat", "L2 mask"),
        ("contrafeat", 'as released; focus="pooled-l2"'),
    ]
    assert found["contrafeat", 'no focus; focus="none"'] == {
        "s_disen": 0.1,
        "s_disen, reported: paper (1)": 0.298,
        "n_discov, reported: paper (1)": 11.6,
        "s_disen, reported: authors-notebook (2)": 0.247,
        "n_discov, reported: authors-notebook (2)": 14,
    }
    assert found["contrafeat", 'as released; focus="pooled-l2"'] == {"s_disen": 0.2}
    assert found["contrafeat", "pooled features"]["n_discov, reported: paper (1)"] == 11.0
    assert {row.status for row in table.rows[3:]} == {"not run"}
    text = to_markdown([table])
    assert "(2) Reported by Xinqi Zhu" in text
    assert "dataset ffhq" in text


def test_deviations_are_of_the_same_protocol_only() -> None:
    identity: dict[str, str | int | float] = {"extractor": "inception", "images": 50_000}
    measured = Measurement(name="fid", value=10.0, higher_is_better=False, identity=identity)
    bare = Measurement(name="mse", value=1.0, higher_is_better=False)
    fields = {"preset": "paper", "metrics": (measured, bare)}
    result = _result("contrafeat", 0.1).model_copy(update=fields)
    of = {"dataset": "shapes3d", "metric": "fid", "value": 9.5, "variant": "", "identity": identity}
    same = replace(NUMBERS[0], method="contrafeat", **of)
    others = [
        replace(same, identity={"extractor": "inception"}),  # the rest is not known
        replace(same, identity=identity | {"images": 10_000}),
        replace(same, variant="L2 mask"),
        replace(same, method="sefa"),
        replace(same, metric="mse", identity={}),  # nothing is known of either
    ]
    (table,) = build_tables([result], [same, *others])
    (deviation,) = deviations(table)
    assert (deviation.reported, deviation.measured, deviation.difference) == (same, 10.0, 0.5)
    text = to_markdown([table])
    assert "+0.5" in text.split("Measured less reported")[1]
    lines = [*csv.DictReader(io.StringIO(to_csv([table])))]
    assert [line["deviation"] for line in lines] == ["", "", "0.5", *[""] * 5]

    variants = {("contrafeat", ""): "L2 mask"}  # what the paper calls the plain settings
    (table,) = beside_reported(build_tables([result]), [same, *others], variants)
    deviating = [note for note in table.notes if "measured" in note]
    assert deviating == ["contrafeat, L2 mask: fid is measured +0.5 off paper (1)."]
    lines = [*csv.DictReader(io.StringIO(to_csv([table])))]
    origins = {line["method"]: line["origin"] for line in lines if line["status"] == "not run"}
    assert origins == {"contrafeat": "paper", "sefa": "paper"}  # no row without runs is measured
    assert {line["origin"] for line in lines if line["metric"] == "fid"} == {"measured"}

    small = result.model_copy(update={"preset": "small"})  # which has not the paper's settings
    (table,) = build_tables([small], [same])
    assert deviations(table) == ()
    (table,) = beside_reported([table], [same], variants)
    assert not [note for note in table.notes if "measured" in note]


def test_numbers_of_other_tracks_are_left_out() -> None:
    other = _result("contrafeat", 0.1).model_copy(update={"track": "editing"})
    (table,) = build_tables([other])
    assert beside_reported([table], NUMBERS, {}) == [table]
