"""Text from outside shows as it is, and is no markup, in markdown and LaTeX."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from leaderboard.export import plain, to_markdown
from leaderboard.latex import escaped, to_latex
from leaderboard.schema import Measurement, Result
from leaderboard.table import build_tables

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    st.sampled_from("\\{}$&#_%~^<>|`'\"[]*-+=!()/:. 1a\n±≈"), min_size=1, max_size=20
)
LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textasciigrave{}": "`",
    r"\symbol{34}": '"',
    "{'}": "'",
    "{-}": "-",
    "{[}": "[",
    "{]}": "]",
    "{*}": "*",
    r"$\pm$": "±",
    r"$\approx$": "≈",
    r"$\uparrow$": "↑",
    r"$\downarrow$": "↓",
} | {f"\\{one}": one for one in "{}$&#_%"}
TOKENS = re.compile("|".join(map(re.escape, LATEX)) + r"|[^\\{}$&#_%~^<>|`'\"\[\]*-]")


@settings(max_examples=200)
@given(NAMES)
@example("-- {x}_2 & 50% [1] \\\\ ~^")
def test_latex_of_any_text_prints_that_text(text: str) -> None:
    found = TOKENS.findall(escaped(text))
    assert "".join(found) == escaped(text)
    printed = "".join(LATEX.get(token, token) for token in found)
    controls = re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    assert printed == controls


@settings(max_examples=200)
@given(NAMES)
@example("a_b __c__ ~~d~~ &lt; $x$ \\| <b>")
def test_markdown_of_any_text_has_no_markup_and_shows_that_text(text: str) -> None:
    shown = plain(text)
    assert re.sub(r"\\([\\`*|<>\[\]&~$_])", r"\1", shown) == " ".join(text.split())
    bare = re.sub(r"\\[\\`*|<>\[\]&~$_]", "", shown)
    assert not re.search(r"[\\`*|<>\[\]&~$]", bare)


@settings(max_examples=30, deadline=None)
@given(NAMES.filter(lambda name: not re.search(r"[\r\n]", name)), NAMES)
@example("- [x](http://y)", "# <script>\n| \\")
def test_no_name_or_message_changes_a_table(method: str, message: str) -> None:
    score = Measurement(name=method, value=1.0, higher_is_better=True)
    fields = {"track": "t", "dataset": "d", "preset": "p", "spec_hash": "h"}
    results = [
        Result(method=method, seed=0, status="completed", metrics=(score,), **fields),
        Result(method="other", seed=0, status="failed", message=message, **fields),
    ]
    tables = build_tables(results)
    lines = to_markdown(tables).split("\n")
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.sub(r"\\.", "", row).split("|")) for row in rows} == {6}
    assert not [line for line in lines[1:] if re.match(r"[-+=#>]|\d+[.)]\s", line)]
    latex = to_latex(tables).splitlines()
    grid = latex[latex.index(r"\toprule") + 1 : latex.index(r"\bottomrule")]
    assert len(grid) == 4  # the header, a rule and both rows
    assert {len(re.findall(r"(?<!\\)&", row)) for row in grid if row != r"\midrule"} == {3}
