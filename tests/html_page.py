"""What the tests of HTML pages share: a page as a machine reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "input", "path", "polyline", "br", "link", "wbr"}


class Parsed(HTMLParser):
    """A page as a machine reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"
        self.ids = [named["id"] for _, named in self.elements if "id" in named]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [named for name, named in self.elements if name == tag]

    def check(self) -> None:
        """That nothing is loaded, and that names, captions and headings are as readers need."""
        assert not self.all("link")
        for _, named in self.elements:
            assert named.get("src", "data:image/").startswith("data:image/")
        assert len(self.ids) == len(set(self.ids))
        inner = [named["href"] for named in self.all("a") if named["href"].startswith("#")]
        assert all(address[1:] in self.ids for address in inner)
        for _, named in self.elements:
            assert named.get("aria-labelledby", self.ids[0]) in self.ids
        assert {named["for"] for named in self.all("label")} <= set(self.ids)
        assert len(self.all("table")) == len(self.all("caption"))
        assert all(named.get("scope") in ("row", "col") for named in self.all("th"))
        assert all(named["alt"] for named in self.all("img"))
        levels = [int(tag[1]) for tag, _ in self.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert all(1 < after <= before + 1 for before, after in pairwise(levels))
