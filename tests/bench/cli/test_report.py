"""`bench report`: one page on runs, whole in itself, readable by machines and escaped."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import curves
from bench.cli import leaderboard
from bench.cli.report import command
from bench.curves import charts, read_log
from bench.errors import BenchError
from bench.report import ReportedRun, labels, report
from bench.spec import parse_assignments
from leaderboard.schema import ConfidenceInterval, Measurement, Result
from leaderboard.store import record_path, write_result
from tests.html_page import Parsed, in_browser

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EVIL = "\"'><script>window.evil = 1</script><img src=x onerror=window.evil=2>{{ 7 * 7 }}&amp;"


def result(**changes: Any) -> Result:
    metrics = (
        Measurement(
            name="s_disen",
            value=0.43212,
            interval=ConfidenceInterval(low=0.41, high=0.45),
            standard_error=0.0123,
            higher_is_better=True,
            identity={"predictor": "shapes3d", "samples": 100},
        ),
        Measurement(name="fd", value=None, identity={"samples": 100}),
    )
    return Result(
        **{
            "method": "contrafeat",
            "track": "discovery",
            "dataset": "shapes3d",
            "preset": "small",
            "seed": 3,
            "spec_hash": "3f2a90c1d4",
            "status": "completed",
            "metrics": metrics,
            "protocol": {"options": {"samples": 100}, "edit_scale": 0.5},
            "provenance": {"packages": {"torch": "2.12.0"}, "commit": "abc123-dirty"},
            "figures": ("figures/traversals.png",),
            "steps": 40,
            **changes,
        }
    )


def write(folder: Path, record: Result, spec: dict[str, Any], losses: dict[str, float]) -> Path:
    """A run's folder with a figure, and a log of two stages."""
    write_result(folder / "result.json", record)
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "figures").mkdir()
    (folder / "figures" / "traversals.png").write_bytes(PNG)
    lines = [
        {"stage": stage, "step": step, "total": step, "seconds": 1.0, "waited": 0.1}
        | {name: value / step for name, value in losses.items()}
        for stage in ("first", "second")
        for step in (10, 20, 30)
    ]
    log = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "log.jsonl").write_text(log + '[1]\n{"stage": "fir')
    return folder / "result.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run, another that diverged and has another setting, and a record without a folder."""
    root = tmp_path_factory.mktemp("runs")
    place = root / "discovery/shapes3d/contrafeat"
    plain = {"method": "contrafeat", "config": {"width": 8, "rate": 0.1}, "overrides": {}}
    wide = {"method": "contrafeat", "config": {"width": 16, "rate": 0.1}, "overrides": {}}
    diverged = result(
        spec_hash="77de000000",
        overrides={"width": 16},
        status="diverged",
        message="The loss grew.",
        metrics=(),
        figures=(),
    )
    identity = {"predictor": "other", "samples": 100}
    other = result().metrics[0].model_copy(update={"identity": identity})
    record = result(method="sefa", spec_hash="9c01000000", seed=0, metrics=(other,))
    write_result(record_path(root / "records", record), record)
    return [
        write(place / "small-s3-3f2a90c1d4", result(), plain, {"loss": 5.0, "gap": -1.0}),
        write(place / "small-s3-77de000000", diverged, wide, {"loss": 900.0}),
        record_path(root / "records", record),
    ]


def page(*paths: Path) -> tuple[str, Parsed]:
    text = report(paths, {})
    return text, Parsed(text)


def test_a_page_is_whole_in_itself_and_can_be_read_by_machines(runs: list[Path]) -> None:
    for paths in (runs[:1], runs[2:], runs):
        text, parsed = page(*paths)
        assert text.startswith("<!doctype html>")
        assert not parsed.all("script")
        assert all(named["href"].startswith("#") for named in parsed.all("a"))
        assert not re.search(r"url\(|@import|https?:", text)
        parsed.check()


def test_a_run_with_everything(runs: list[Path]) -> None:
    text, parsed = page(runs[0])
    assert "<h1>contrafeat on shapes3d (small, seed 3)</h1>" in text
    words = " ".join(parsed.text.split())
    for expected in (
        "s_disen ↑0.4321 [0.41, 0.45]0.012predictor shapes3d",
        "fdn/a--",
        "All measured with: samples 100.",
        "width8",
        "options.samples100",
        "packages.torch2.12.0",
        "abc123-dirty, which had changes",
    ):
        assert expected in words
    (picture,) = parsed.all("img")
    assert base64.b64decode(picture["src"].partition("base64,")[2]) == PNG
    assert len(parsed.all("polyline")) == 4  # two losses in each of two stages
    assert "loss in stage second; contrafeat: 0.5 at step 10, 0.1667 at step 30." in words


def test_runs_side_by_side(runs: list[Path]) -> None:
    text, parsed = page(*runs)
    words = " ".join(parsed.text.split())
    assert "Comparison of 3 runs" in words
    names = labels([ReportedRun.read(path).result for path in runs])
    assert names[:2] == ["contrafeat, as in the preset, seed 3", "contrafeat, width=16, seed 3"]
    # The record's predictor is another one: its score has a table of its own.
    assert "predictor is other here and shapes3d there (s_disen)" in words
    tables = re.findall(r'id="scores-\d".*?</table>', text, re.DOTALL)
    assert [[name in table for name in names] for table in tables] == [
        [True, True, False],
        [False, False, True],
    ]
    assert '<span class="status diverged">diverged</span>' in tables[0]
    assert f"{names[1]}, diverged: The loss grew." in words
    assert "width816not known" in words
    assert "rate0.1" not in words.partition("Training curves")[0]  # it does not differ
    overlaid = re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL)
    assert [svg.count("<polyline") for svg in overlaid] == [2, 1, 2, 1]
    assert "(logarithmic scale)" in words
    assert f"{names[2]}: no log is beside the record" in words
    assert "not beside the record, so not shown here: figures/traversals.png" in words
    assert f"{names[1]}: the record names no figures." in words


def test_seeds_are_taken_together_too(tmp_path: Path, runs: list[Path]) -> None:
    again = write(tmp_path / "run", result(seed=4), {}, {})
    words = " ".join(page(runs[0], again)[1].text.split())
    assert "contrafeat, seed 3" in words
    assert "seeds taken together" in words
    assert "0.4321 ± 0 [0.41, 0.45]" in words


def test_text_of_a_record_is_never_markup_and_a_browser_shows_the_page(tmp_path: Path) -> None:
    evil = result(
        method=EVIL,
        dataset=EVIL,
        preset=EVIL,
        spec_hash=EVIL,
        status="failed",
        message=EVIL,
        overrides={EVIL: EVIL, "generator": EVIL},
        protocol={EVIL: {EVIL: EVIL}},
        provenance={"commit": EVIL},
        metrics=(Measurement(name=EVIL, value=1.0, identity={EVIL: EVIL}),),
        figures=(f"{EVIL.replace('/', '')}.png", "figures/traversals.png"),
    )
    path = write(tmp_path / "evil", evil, {"config": {EVIL: EVIL}}, {EVIL: 1.0})
    with (tmp_path / "evil" / "log.jsonl").open("a") as log:
        print(file=log)
        print(json.dumps({"stage": EVIL, "step": 10, EVIL: 1.0}), file=log)
        print(json.dumps({"event": "error", "traceback": f"Traceback {EVIL}"}), file=log)
    plain = write(tmp_path / "plain", result(), {}, {"loss": 1.0})
    for paths in ([path], [path, plain]):
        text, parsed = page(*paths)
        assert not parsed.all("script")
        assert not any("onerror" in named for _, named in parsed.elements)
        assert EVIL in parsed.text
        assert f"Traceback {EVIL}" in parsed.text
        assert "<script" not in text
    pictures = "found.pictures = [...document.images].map((one) => one.naturalWidth);"
    assert in_browser(page(path, plain)[0], pictures, tmp_path)["pictures"] == [1, 1]


def test_figures_are_taken_from_the_runs_own_folder_only(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    outside = ("../secret.png", str(tmp_path / "secret.png"), "link.png")
    names = (*outside, "spec.json", "gone.png", "a\0.png", f"{'long' * 999}.png")
    path = write(tmp_path / "run", result(figures=names), {}, {})
    (path.parent / "link.png").symlink_to(tmp_path / "secret.png")
    _, parsed = page(path)
    assert not parsed.all("img")
    assert all(name in parsed.text for name in names)


def test_the_command_line_asks_for_the_same_run(tmp_path: Path) -> None:
    overrides = {
        "name": "a b; rm -rf $HOME",
        "number": "3",  # a text that looks like a number
        "rates": [0.1, 1e-05],
        "track.samples": 50,
        "method.extractor": "alexnet",
        "generator": "mine.pkl",
        "method.directions": "free",
        "directions": "sefa",
        "artefact": ["first-1", "second-2"],
        "flag": True,
    }
    spec = {"generator": "/weights/mine.pkl", "artefacts": ["/a/first-1", "/a/second-2"]}
    spec |= {"data": "/my data", "directions": "/runs/sefa"}
    path = write(tmp_path / "run", result(overrides=overrides), spec, {})
    words = shlex.split(ReportedRun.read(path).command.replace("\\\n", " "))
    assert words[:2] == ["bench", "run"]
    asked = list(zip(words[2::2], words[3::2], strict=True))
    assert [pair for pair in asked if pair[0] != "--set"] == [
        ("--method", "contrafeat"),
        ("--dataset", "shapes3d"),
        ("--preset", "small"),
        ("--seeds", "3"),
        ("--data", "/my data"),
        ("--generator", "/weights/mine.pkl"),
        ("--directions", "/runs/sefa"),
        ("--artefact", "/a/first-1"),
        ("--artefact", "/a/second-2"),
    ]
    assert parse_assignments(text for option, text in asked if option == "--set") == {
        "name": overrides["name"],
        "number": "3",
        "rates": [0.1, 1e-05],
        "track": {"samples": 50},
        "extractor": "alexnet",
        "directions": "free",
        "flag": True,
    }


def test_curves_stay_inside_their_panel_and_keep_their_peaks(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    records = [
        {"stage": "s", "step": step, "level": 2.0, "zero": 0, "far": 10.0 ** (step % 9)}
        | {"peak": 7.5 if step == 1321 else 0.5, "none": float("nan"), "name": "text"}
        for step in range(1500)
    ]
    taken = {"stage": "t", "total": 0, "artefact": {"how": "taken"}}
    log.write_text("\n".join(map(json.dumps, [*records, taken])))
    read = read_log(log)
    assert read.artefacts == {"t": "taken"}
    drawn = {chart.loss: chart for chart in charts([read])["s"]}
    assert drawn.keys() == {"level", "zero", "far", "peak"}
    for chart in drawn.values():
        places = [tuple(map(float, point.split(","))) for point in chart.curves[0].points.split()]
        assert 1 < len(places) <= 420
        assert all(curves.LEFT <= x <= curves.RIGHT for x, _ in places)
        assert all(curves.TOP <= y <= curves.BOTTOM for _, y in places)
        assert all(curves.TOP <= tick.at <= curves.BOTTOM for tick in chart.values)
        assert 1 <= len(chart.values) <= 7
        assert [tick.text for tick in chart.steps] == ["0", "500", "1000"]
    assert drawn["peak"].curves[0].highest == (1321, 7.5)
    assert f",{curves.TOP:.1f}" in drawn["peak"].curves[0].points
    assert drawn["far"].logarithmic
    assert not read_log(tmp_path / "none").losses


def test_the_command(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(leaderboard, "records_folder", lambda: runs[2].parents[3])
    root = runs[0].parents[4]

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(command, [*arguments, "--runs", str(root)])

    folder = str(runs[0].parent)
    assert invoke(folder, "3f2a", str(runs[0])).stdout == "report.html\n"  # one run, named thrice
    assert "contrafeat on shapes3d" in (tmp_path / "report.html").read_text("utf-8")
    assert invoke("3f2a", "9c01", "--out", "two.html").exit_code == 0
    assert "Comparison of 2 runs" in (tmp_path / "two.html").read_text("utf-8")
    (tmp_path / "file").touch()
    (tmp_path / "result.json").write_text("{}")
    for arguments, message in (
        (("nowhere",), "is no run"),
        (("result.json",), "is not a result"),
        ((folder, "--out", "file/report.html"), "cannot be read or written"),
    ):
        error = invoke(*arguments).exception
        assert isinstance(error, BenchError)
        assert message in str(error)
