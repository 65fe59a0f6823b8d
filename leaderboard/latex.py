"""Tables as LaTeX: one ``table`` with booktabs' rules for each grid, every text escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from leaderboard.page import Entry, Line, Page, Section, page
from leaderboard.table import Table

_HEAD = r"""% Needs \usepackage{booktabs}; other scripts than Latin need XeLaTeX or LuaLaTeX.
"""
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\symbol{34}",
    "'": "{'}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "-": "{-}",  # two of them would become a dash, as two apostrophes a quotation mark
    "[": "{[}",  # after the end of a line, these are an option of that end
    "]": "{]}",
    "*": "{*}",
} | {character: f"\\{character}" for character in "{}$&#_%"}
_TO_ESCAPE = re.compile("|".join(map(re.escape, _ESCAPED)))


def to_latex(tables: Sequence[Table]) -> str:
    """Tables as LaTeX, to be input where ``booktabs`` is loaded.

    Measured, reported and compared numbers have a ``table`` each, with the notes below it.
    """
    return _HEAD + "\n".join(_page(page(table)) for table in tables)


def escaped(text: str) -> str:
    """Text in one line that LaTeX prints as it stands."""
    visible = "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in ("Cc", "Cs")
        else character
        for character in " ".join(text.split())
    )
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], visible)


def _page(content: Page) -> str:
    return "\n".join(_section(content.heading, section) for section in content.sections)


def _section(heading: str, section: Section) -> str:
    caption = f"{heading}. {section.title}" if section.title else heading
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}.}}",
        r"\centering",
        rf"\begin{{tabular}}{{{'l' * len(section.header)}}}",
        r"\toprule",
        _line(section.header),
        r"\midrule",
        *map(_line, section.lines),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\raggedright\footnotesize {escaped(note)}" for note in section.notes),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _line(line: Line) -> str:
    return " & ".join(map(_entry, line)) + r" \\"


def _entry(entry: Entry) -> str:
    text = escaped(entry.text)
    return rf"\textbf{{{text}}}" if entry.bold else text
