"""`bench fetch`: resumed, verified, and plain about what to do by hand."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from bench import downloads as table
from bench import fetch as fetching
from bench.cli.fetch import command
from bench.downloads import Download
from bench.errors import MissingFile, Refused, UnknownName

CONTENT = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>"


@dataclass
class Server:
    """Serves one body, at first only `cut` bytes of it, with or without ranges."""

    body: bytes = CONTENT
    cut: int | None = None
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server_state: Server, *arguments: object) -> None:
        self.state = server_state
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        state = self.state
        state.asked.append(self.headers["Range"])
        start = int(re.findall(r"\d+", self.headers["Range"])[0]) if state.ranges else 0
        if start >= len(state.body):
            self.send_error(416)
            return
        rest = state.body[start:]
        self.send_response(206 if state.ranges else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: state.cut])
        state.cut = None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, state)) as http:
        state.address = f"http://127.0.0.1:{http.server_port}/net.pkl"
        Thread(target=http.serve_forever, daemon=True).start()
        yield state
        http.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("BENCH_DATA", "BENCH_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def offer(monkeypatch: pytest.MonkeyPatch, url: str | None, sha256: str | None = None) -> Download:
    """Make one download the whole table."""
    entry = Download("net", "weights", "net.pkl", url, sha256, note="as in the test")
    monkeypatch.setattr(table, "downloads", lambda: (entry,))
    return entry


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=True)


def test_fetches_checks_and_fetches_only_once(
    monkeypatch: pytest.MonkeyPatch, server: Server, home: Path
) -> None:
    entry = offer(monkeypatch, server.address, SHA256[:8])
    first = run("net", "--json")
    assert entry.path == home / ".cache/bench/weights/net.pkl"
    assert entry.path.read_bytes() == CONTENT
    assert json.loads(first.stdout) == [
        {
            "name": "net",
            "path": str(entry.path),
            "sha256": SHA256,
            "status": "fetched",
            "recorded": True,
        }
    ]
    second = json.loads(run("net", "--json").stdout)[0]
    assert (second["status"], second["recorded"]) == ("present", False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, server: Server, ranges: bool
) -> None:
    entry = offer(monkeypatch, server.address, SHA256)
    server.cut, server.ranges = 100_000, ranges
    cut = run("net").exception
    assert isinstance(cut, MissingFile)
    assert "bytes that came" in str(cut)
    part = entry.path.with_name("net.pkl.part").stat().st_size
    assert 0 < part <= 100_000
    assert run("net").exit_code == 0
    assert server.asked[1] == f"bytes={part}-"
    assert entry.path.read_bytes() == CONTENT


def test_a_complete_part_is_taken(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    entry = offer(monkeypatch, server.address, SHA256)
    entry.folder.mkdir(parents=True)
    entry.path.with_name("net.pkl.part").write_bytes(CONTENT)
    assert run("net").exit_code == 0
    assert entry.path.read_bytes() == CONTENT


def test_records_an_unknown_hash_and_holds_to_it(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    entry = offer(monkeypatch, server.address)
    assert "no source states this sha256" in run("net").stderr
    entry.path.write_bytes(b"another file")
    changed = run("net").exception
    assert isinstance(changed, Refused)
    assert SHA256 in str(changed)
    entry.path.unlink()
    server.body = b"another file again"
    assert isinstance(run("net").exception, Refused)
    assert not entry.path.exists()


def test_refuses_a_web_page(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    entry = offer(monkeypatch, server.address)
    server.body = PAGE
    answered = run("net").exception
    assert isinstance(answered, Refused)
    assert "answers with a web page" in str(answered)
    assert not list(entry.folder.glob("net*"))
    entry.path.write_bytes(PAGE)
    assert "is a web page" in str(run("net").exception)
    with pytest.raises(Refused, match="is a web page"):
        table.locate("net")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/net.pkl", None, "no_such_package:URL"])
@pytest.mark.parametrize("offline", [True, False])
def test_says_what_to_put_where(
    monkeypatch: pytest.MonkeyPatch, url: str | None, offline: bool
) -> None:
    entry = offer(monkeypatch, url, SHA256)
    message = str(run("net", *["--offline"] * offline).exception)
    assert "put the file net.pkl into the folder" in message
    assert str(entry.folder) in message
    assert SHA256 in message
    assert ("--offline" in message) == offline
    entry.folder.mkdir(parents=True, exist_ok=True)
    entry.path.write_bytes(CONTENT)
    assert run("net", "--offline").exit_code == 0
    assert table.locate("net") == entry.path


def test_one_failure_does_not_keep_the_others_away(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    dead = Download("dead", "weights", "dead.pkl")
    live = Download("live", "weights", "live.pkl", server.address)
    monkeypatch.setattr(table, "downloads", lambda: (dead, live))
    assert isinstance(run("dead", "live").exception, MissingFile)
    assert live.path.is_file()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Download:
    """A wheel in a folder, which is all that pip knows, as the whole table."""
    folder = tmp_path / "links"
    folder.mkdir()
    path = folder / "tiny_face-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_face.py", "raise SystemExit('the wheel was imported')")
        about = (
            "Metadata-Version: 2.1\nName: tiny-face\nVersion: 1.0\nRequires-Dist: absent-package"
        )
        archive.writestr("tiny_face-1.0.dist-info/METADATA", about)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        archive.writestr("tiny_face-1.0.dist-info/WHEEL", tags)
        archive.writestr("tiny_face-1.0.dist-info/RECORD", "")
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = Download("face", "weights", path.name, "pip:tiny-face==1.0", sha256)
    monkeypatch.setattr(table, "downloads", lambda: (entry,))
    return entry


def test_pip_brings_a_wheel_alone(wheel: Download) -> None:
    assert json.loads(run("face", "--json").stdout)[0]["status"] == "fetched"
    assert zipfile.ZipFile(wheel.path).testzip() is None
    assert [one.name for one in wheel.folder.glob("[!.]*")] == [wheel.file]


def test_a_wheel_with_another_hash_is_thrown_away(
    wheel: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(wheel, sha256=SHA256)
    monkeypatch.setattr(table, "downloads", lambda: (changed,))
    refused = run("face").exception
    assert isinstance(refused, Refused)
    assert SHA256 in str(refused)
    assert not list(wheel.folder.glob("[!.]*"))


def test_what_pip_cannot_bring_is_told(wheel: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(wheel, url="pip:tiny-face==2.0")
    monkeypatch.setattr(table, "downloads", lambda: (absent,))
    _is_missing("No matching distribution found for tiny-face==2.0", wheel)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    _is_missing("the package index cannot be reached", wheel)
    monkeypatch.setattr(importlib.metadata, "version", _raise_not_found)
    _is_missing("-m ensurepip", wheel)


def _raise_not_found(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def _is_missing(reason: str, wheel: Download) -> None:
    missing = run("face").exception
    assert isinstance(missing, MissingFile)
    assert reason in str(missing)
    assert f"put the file {wheel.file} into the folder {wheel.folder}" in str(missing)
    assert not list(wheel.folder.glob("[!.]*"))


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = run("stylegan2-fhq-256").exception
    assert isinstance(wrong, UnknownName)
    assert "stylegan2-ffhq-256" in str(wrong)
    assert "nothing to fetch" in run("shapes3d").stderr
    assert "stylegan2-ffhq-256" in run().stdout.splitlines()
    assert {"name", "present", "sha256"} <= json.loads(run("--json").stdout)[0].keys()


def test_links_of_installed_packages_lead_to_the_files_of_the_table() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("torch_fidelity")
    for name in ("alexnet", "vgg16", "squeezenet1_1", "inception-v3-tf"):
        entry = table.download(name)
        assert fetching._address(entry).endswith("/" + entry.file)
        assert entry.sha256 is not None
        assert entry.sha256 in entry.file
