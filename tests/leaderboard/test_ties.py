"""How scores stand in their column."""

from __future__ import annotations

import pytest

from leaderboard.export import to_markdown
from leaderboard.schema import ConfidenceInterval, Measurement
from leaderboard.table import Table, build_tables
from leaderboard.ties import standings
from tests.records import record, score


def _scores(*values: float | None, reach: float | None = None) -> dict[int, Measurement]:
    """Scores of the seeds 0, 1 ...; None where a seed has none."""
    return {seed: score(value, reach) for seed, value in enumerate(values) if value is not None}


A, B, FAR = (0.50, 0.60, 0.55), (0.49, 0.62, 0.53), (0.10, 0.19, 0.16)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([_scores(*A), _scores(*FAR)], ["best", "worse"]),
        ([_scores(*B), _scores(*FAR), _scores(*A)], ["tied", "worse", "tied"]),
        ([_scores(*A)], ["leading"]),
        ([_scores(0.5), _scores(0.1)], ["leading", "untested"]),  # a single seed
        ([_scores(*A), _scores(None, None, None, 0.1, 0.1)], ["leading", "untested"]),
        ([_scores(*A), _scores(*FAR), _scores(0.1)], ["leading", "worse", "untested"]),
        ([_scores(*A), _scores(*B), _scores(0.1)], ["tied", "tied", "untested"]),
        ([_scores(*A), {}, _scores(*FAR)], ["best", None, "worse"]),
        ([{}, {}], [None, None]),
        ([_scores(4, 5), _scores(4, 5)], ["tied", "tied"]),
        # Equal differences show no spread: the samples judge, if they can.
        ([_scores(5, 6), _scores(4, 5)], ["leading", "untested"]),
        ([_scores(5, 6, reach=0.1), _scores(4, 5, reach=0.1)], ["best", "worse"]),
        ([_scores(5, 6, reach=2.0), _scores(4, 5, reach=2.0)], ["tied", "tied"]),
        # On the common seeds, the second is ahead: it is not worse.
        ([_scores(0.2, 0.3, 9.0), _scores(0.8, 0.91)], ["tied", "tied"]),
    ],
)
def test_standings(rows: list[dict[int, Measurement]], expected: list[str | None]) -> None:
    found = standings(rows, True)
    assert found.rows == tuple(expected)
    intervals = any(one.interval for row in rows for one in row.values())
    assert found.over_samples == intervals  # the rows above with intervals need them
    turned = [
        {
            seed: Measurement(
                name="error",
                value=-one.value,
                interval=one.interval
                and ConfidenceInterval(low=-one.interval.high, high=-one.interval.low),
            )
            for seed, one in row.items()
        }
        for row in rows
    ]
    assert standings(turned, False) == found


def _table(reach: float | None = None, **scores: tuple[float, ...]) -> Table:
    (table,) = build_tables(
        record(
            method,
            seed,
            score(value, reach, name="error", higher_is_better=False),
            Measurement(name="scale", value=value),
        )
        for method, values in scores.items()
        for seed, value in enumerate(values)
    )
    return table


def test_only_what_is_told_apart_from_all_others_is_bold() -> None:
    table = _table(near=FAR, far=A)
    assert [row.cells["error"].standing for row in table.rows if row.cells["error"]] == [
        "best",
        "worse",
    ]
    assert {row.cells["scale"].standing for row in table.rows if row.cells["scale"]} == {None}
    text = to_markdown([table])
    assert text.count("**") == 2
    assert "| **0.15 ± 0.046** " in text
    assert "Bold: best of its column" in text
    assert "≈" not in text

    text = to_markdown([_table(far=FAR, one=A, other=B)])
    assert text.count("**") == 2
    text = to_markdown([_table(one=A, other=B)])
    assert "**" not in text
    assert "0.55 ± 0.05 ≈" in text
    assert "≈: the best mean, or not told apart" in text

    text = to_markdown([_table(one=(0.5,), other=(0.1,))])
    assert not {"**", "≈"} & {*text.split()}
    assert "fewer than two seeds" in text


def test_the_table_says_where_samples_decide_in_place_of_seeds() -> None:
    text = to_markdown([_table(reach=0.1, one=(5.0, 6.0), other=(4.0, 5.0))])
    assert "| **4.5 ± 0.71 " in text
    assert "error: rows whose difference from the best mean is the same on all seeds" in text
    assert "over samples, which" not in to_markdown([_table(reach=0.1, one=A, other=B)])
