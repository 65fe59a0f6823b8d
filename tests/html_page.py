"""What the tests of HTML pages share: a page as a machine reads it, and in a browser.

The browser is Chromium without a window, if there is one: Debian's package `chromium`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

VOID = {"meta", "img", "input", "path", "polyline", "br", "link", "wbr"}

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# What scripts on pages begin with: `widths` says how wide the page is in a window of a width, with
# all details open, and `tell` ends the script with what it found.
SCRIPT = """
const found = {};
const whole = document.documentElement.outerHTML;
const widths = async (wanted) => {
  const frame = document.createElement("iframe");
  frame.style.width = `${wanted}px`;
  frame.style.border = "0";
  frame.srcdoc = whole;
  const loaded = new Promise((done) => frame.addEventListener("load", done));
  document.body.append(frame);
  await loaded;
  const inner = frame.contentDocument;
  for (const details of inner.querySelectorAll("details")) details.open = true;
  return [frame.contentWindow.innerWidth, inner.documentElement.scrollWidth];
};
const tell = async () => {
  found.loaded = performance.getEntriesByType("resource").map((one) => one.name)
    .filter((name) => !name.startsWith("data:"));
  found.widths = [await widths(320), await widths(1280)];
  found.ran = String(window.evil);
  document.body.append(Object.assign(document.createElement("pre"),
    { id: "found", textContent: JSON.stringify(found) }));
};
"""


def in_browser(text: str, script: str, folder: Path) -> dict[str, Any]:
    """What a script finds on a page that lets no other run; nothing may go wrong or be stopped.

    The page has no text that runs or loads, and nothing of it juts out of narrow windows.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    script = f"{SCRIPT}if (window === top) (async () => {{{script}}})().then(tell);"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    before = "script-src" if "script-src" in text else "default-src 'none'"
    after = before if before == "script-src" else f"{before}; script-src"
    text = text.replace(before, f"{after} 'sha256-{digest}'", 1)
    path = folder / "page.html"
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'browser'}",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
        "--enable-logging=stderr",
        "--dump-dom",
    )
    outcome = subprocess.run(
        [browser, *options, path.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', outcome.stdout, re.DOTALL)
    assert match is not None, outcome.stderr
    assert "CONSOLE" not in outcome.stderr  # no error, and nothing that the page's policy stopped
    found: dict[str, Any] = json.loads(unescape(match[1]))
    assert found["widths"] == [[320, 320], [1280, 1280]]
    assert found["ran"] == "undefined"
    assert not found["loaded"]
    return found


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
