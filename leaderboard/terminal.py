"""Tables for a terminal: as many columns side by side as it has room for, the others below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from leaderboard.export import printable
from leaderboard.page import Entry, Section, page
from leaderboard.table import Table

if TYPE_CHECKING:
    from rich.text import Text

_GAP = 2  # characters between two columns
_LEAST = 24  # an interval fits into so many


def to_terminal(tables: Sequence[Table], width: int) -> str:
    """Tables as text with colours of a terminal, in lines of at most ``width`` characters.

    A grid that is wider comes in blocks, each of which begins with the names of the rows.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    # Without a height, a terminal that can do little is taken for 80 characters wide.
    console = Console(width=width, height=1, force_terminal=True)
    with console.capture() as captured:
        for table in tables:
            content = page(table)
            console.print(_text(content.heading, "bold underline"))
            for section in content.sections:
                if section.title:
                    console.print(_text(f"{section.title}:"))
                widest = max(width // 3, _LEAST)
                for names, *columns in _blocks(section, width, widest):
                    grid = Grid(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
                    for column in (names, *columns):
                        grid.add_column(column[0], max_width=widest, overflow="fold")
                    for line in zip(names[1:], *(one[1:] for one in columns), strict=True):
                        grid.add_row(*line)
                    console.print(grid, "")
                for note in section.notes:
                    console.print(_text(note, "dim"))
            console.print()
    return captured.get()


def _blocks(section: Section, width: int, widest: int) -> Iterator[list[list[Text]]]:
    """The columns of a grid, as many as fit side by side, always with the first one."""
    first, *others = (
        [_cell(entry) for entry in column]
        for column in zip(section.header, *section.lines, strict=True)
    )
    start = taken = _width(first, widest)
    block = [first]
    for column in others:
        if len(block) > 1 and taken + _width(column, widest) > width:
            yield block
            block, taken = [first], start
        block.append(column)
        taken += _width(column, widest)
    yield block


def _width(column: Sequence[Text], widest: int) -> int:
    longest = max(line.cell_len for text in column for line in text.split("\n"))
    return min(longest, widest) + _GAP


def _cell(entry: Entry) -> Text:
    """An entry; the interval of a number has a line of its own."""
    number, *interval = entry.text.split(" [", 1) if entry.ours else [entry.text]
    text = _text(number, "bold green" if entry.bold else "")
    return text.append(f"\n[{interval[0]}") if interval else text


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(printable(text), style)
