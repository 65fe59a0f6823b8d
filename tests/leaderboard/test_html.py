"""The leaderboard as one HTML page: whole, read by machines, escaped, and at work in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leaderboard.claims import PaperClaims
from leaderboard.details import DetailsOfRows, in_common
from leaderboard.html import to_html
from leaderboard.reported import ReportedNumber
from leaderboard.schema import Result
from leaderboard.table import build_tables
from leaderboard.verdicts import judge_papers
from tests.html_page import Parsed, in_browser
from tests.records import record, score

EVIL = "\"'></script><script>window.evil = 1</script><img src=x onerror=alert(2)>{{ 7 * 7 }}&amp;"


def run(method: str, seed: int, value: float | None, **changes: Any) -> Result:
    fields = {
        "spec_hash": f"hash{seed}",
        "metrics": (
            score(value, 0.125),
            score(3.0 if value else 9.0, name="fd", higher_is_better=False),
        ),
        "protocol": {"options": {"samples": 100}, "edit_scale": seed},
        "provenance": {"packages": {"torch": "2.12.0"}, "commit": "abc123"},
        "figures": ("figures/traversals.png",),
    }
    return record(method, seed, **fields | changes)


def reported(method: str, **changes: Any) -> ReportedNumber:
    number = ReportedNumber(
        paper="A Paper",
        citation="Somebody, 2020",
        url="",
        track="discovery",
        table="Table 1",
        page=None,
        origin="paper",
        method=method,
        variant="",
        dataset="shapes3d",
        metric="s_disen",
        value=0.25,
        spread=None,
        protocol="30 directions",
        identity={},
    )
    return replace(number, **changes)


def paper(text: str) -> PaperClaims:
    claim = {
        "says": text,
        "source": text,
        "track": "discovery",
        "dataset": text,
        "condition": text,
        "metrics": ["s_disen", "never"],
        "left": {"method": "high"},
        "relation": "higher",
        "right": [{"method": "low"}],
    }
    content = {"paper": text, "citation": text, "claims": [claim]}
    return PaperClaims.model_validate(content)


def page(
    results: Sequence[Result],
    numbers: Sequence[ReportedNumber] = (),
    papers: Sequence[PaperClaims] = (),
) -> str:
    def command(result: Result, seeds: Sequence[int]) -> str:
        return f"bench run --method {result.method} of {len(seeds)} seeds"

    tables = build_tables(results, numbers, {"high": "low"})
    details = DetailsOfRows(command)
    for one in results:
        details.add(one)
    return to_html(tables, details, judge_papers(papers, results))


@pytest.fixture(scope="module")
def board() -> str:
    """Three rows with scores and two without, two tracks, reported numbers and claims."""
    scores = {"low": (0.25, 0.26), "high": (0.75, 0.77), "hi": (0.5, 0.53)}
    results = [run(name, seed, one) for name, two in scores.items() for seed, one in enumerate(two)]
    results += [
        run("high", 2, None, status="diverged", message="Losses are infinite.", metrics=()),
        run("broken", 0, None, status="failed", message=EVIL, metrics=()),
        run(EVIL, 0, None, overrides={EVIL: EVIL}, protocol={EVIL: EVIL}, figures=(EVIL,)),
        run("low", 0, 0.5, track="editing", dataset="digits"),
    ]
    elsewhere = reported("low", track="editing", dataset="celeba")
    numbers = [reported("high"), reported(EVIL, protocol=EVIL), elsewhere]
    return page(results, numbers, [paper("High is best"), paper(EVIL)])


def test_the_page_is_whole_in_itself_and_can_be_read_by_machines(board: str) -> None:
    assert board.startswith("<!doctype html>")
    assert not re.search(r"url\(|@import|https?:", board)
    parsed = Parsed(board)
    parsed.check()
    words = " ".join(parsed.text.split())
    for expected in (
        "10 runs in 6 rows",
        "0.76 ± 0.014 best [0.635, 0.885]",
        "3 ± 0 ≈ tied",
        "2 completed, 1 diverged",
        "high, seed 2: Losses are infinite.",
        "bench run --method high of 3 seeds",
        "discovery/shapes3d/high/small-s1-hash1.result.json",
        "options.samples100",
        "packages.torch2.12.0",
        "Not the same in all of these runs: edit_scale.",
        "figures/traversals.png",
        "Reported, not measured here",
        "high less low+0.505 [",
    ):
        assert expected in words, expected


def test_details_do_not_grow_with_the_runs_of_a_row() -> None:
    few, many = (page([run("many", seed, 0.5) for seed in range(count)]) for count in (20, 200))
    assert len(many) - len(few) < 100
    assert "And 180 more." in many


def test_what_runs_share() -> None:
    first = {"options": {"samples": 1, "none": None}, "scale": 0.5, "own": [1, 2]}
    second = {"options": {"samples": 1, "none": None}, "scale": 0.6, "other": {}}
    shared = {"options.samples": "1", "options.none": "none"}
    assert in_common([first, first, second]) == (shared, ["scale", "own", "other"])
    (cut,) = in_common([{"matrix": [0] * 999}])[0].values()
    assert len(cut) < 250


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    st.sampled_from("<>&\"'`/=!-{}%# scriptalert"), min_size=1, max_size=20
)


@settings(max_examples=15, deadline=None)
@given(NAMES.filter(lambda name: not re.search(r"[\r\n]", name)), NAMES)
@example(EVIL, "<!--<script>{% raw %}")
def test_no_text_is_markup(method: str, text: str) -> None:
    failed = run(method, 0, None, status="failed", message=text, overrides={text: text}, metrics=())
    parsed = Parsed(page([run(method, 1, 0.5), failed], [reported("high", protocol=text)]))
    assert len(parsed.all("script")) == 1
    assert not parsed.all("img")
    assert [named["data-method"] for named in parsed.all("tbody") if named] == [method] * 2
    assert method in parsed.text
    assert text in parsed.text


AT_WORK = """
const rows = () => [...document.querySelectorAll(".measured > tbody")].filter(
  (row) => row.checkVisibility());
const methods = () => rows().map((row) => row.dataset.method);
const [table] = document.querySelectorAll(".measured");
const [name, score] = table.tHead.querySelectorAll("th button");
const choose = (kind, value) => {
  const select = document.getElementById(`filter-${kind}`);
  select.value = value;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  return [methods(), document.querySelectorAll("section.place:not([hidden])").length,
    document.getElementById("shown").textContent];
};
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
found.ranked = methods();
score.click();
found.lowest = [methods(), score.parentNode.ariaSort];
score.click();
found.highest = [methods(), score.parentNode.ariaSort];
name.click();
found.named = [methods(), score.parentNode.ariaSort, name.parentNode.ariaSort];
found.evil = choose("method", EVIL);
document.getElementById("filters").reset();
await wait(50);
found.differences = ["hi", "high", "low"].map((method) => [
  ...choose("method", method)[0],
  [...document.querySelectorAll("[data-beside]")].filter((one) => one.checkVisibility()).length,
]);
document.getElementById("filters").reset();
await wait(50);
found.all = choose("preset", "small");
found.editing = choose("track", "editing");
found.nothing = choose("method", "high");
document.getElementById("filters").reset();
await wait(50);
document.querySelector(".more summary").click();
found.open = document.querySelectorAll("details[open]").length;
"""


def test_sorting_and_filtering_in_a_browser(board: str, tmp_path: Path) -> None:
    script = AT_WORK.replace("EVIL", json.dumps(EVIL).replace("</", "<\\/"))
    found = in_browser(board, script, tmp_path)
    scored, rest, editing = ["high", "hi", "low"], {"broken", EVIL}, "low"
    for order, expected in (
        (found["ranked"], scored),
        (found["highest"][0], scored),
        (found["lowest"][0], scored[::-1]),
    ):
        assert order[:3] == expected
        assert set(order[3:5]) == rest
        assert order[5:] == [editing]
    assert (found["lowest"][1], found["highest"][1]) == ("ascending", "descending")
    assert found["named"][0][1:5] == ["broken", "hi", "high", "low"]
    assert found["named"][1:] == [None, "ascending"]
    assert found["evil"][:2] == [[EVIL], 1]
    assert found["evil"][2] == "1 of 6 measured rows and 1 of 3 reported rows are shown."
    # "high less low" is not of the method "hi"
    assert found["differences"] == [["hi", 0], ["high", 1], ["low", editing, 1]]
    assert len(found["all"][0]) == 6
    assert found["all"][1] == 3  # the table of reported numbers alone is of no preset
    assert found["editing"][:2] == [[editing], 2]
    assert found["nothing"][:2] == [[], 0]
    assert found["nothing"][2].endswith("Nothing fits these filters together.")
    assert found["open"] == 1
