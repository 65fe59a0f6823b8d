"""`bench edit`: attributes by examples, from a finished run to figures and safe amounts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from bench.cli import main
from bench.trained import load_trained

PAIR = ("--without", "test:1", "--with", "test:2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    asked = ["run", "--method", "crg", "--dataset", "shapes3d", "--preset", "smoke"]
    done = CliRunner().invoke(main, [*asked, "--device", "cpu", "--out", str(root)])
    assert done.exit_code == 0, done.output
    return next(root.rglob("result.json")).parent


def edit(run: Path, out: Path, *arguments: str) -> Result:
    options = ["edit", str(run), "--device", "cpu", "--out", str(out), *arguments]
    return CliRunner().invoke(main, options)


def test_a_pair_gives_edits(run: Path, tmp_path: Path) -> None:
    done = edit(run, tmp_path, "--source", "test:0,7", *PAIR, "--k", "0.5", "1", "1.5", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["amounts"] == [0.5, 1.0, 1.5]
    assert report["k"] == pytest.approx(
        [0.5 * k * report["pair distance"] for k in (1, 2, 3)], rel=0.01
    )
    assert report["pairs"] == [["test:1", "test:2"]]
    assert "resizing" not in report
    assert report["figures"] == [str(tmp_path / "edits.png")]
    assert Image.open(tmp_path / "edits.png").width > 0


def test_more_pairs_are_compared_and_sets_say_how_far_to_go(run: Path, tmp_path: Path) -> None:
    sets = ("--neutral", "test:10,11,12", "--attributed", "test:20,21")
    pairs = (*PAIR, "--without", "test:3", "--with", "test:4")
    done = edit(run, tmp_path, "--source", "test:0", *pairs, *sets, "--unit", "latent", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert len(report["cosines with the mean"]) == 2
    low, high = report["safe amounts"]["test:0"]
    assert low <= 0 <= high
    assert low == 0 or high == 0
    assert report["by pair"].keys() == report["cosines with the mean"].keys()
    separations = {pair["separation"] for pair in report["by pair"].values()}
    assert len(separations | {report["separation"]}) == 3
    assert report["k"] == report["amounts"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "edits.png",
        "edits-by-pair.png",
        "pairs.png",
        "projections.png",
    }


def test_amounts_count_in_distances_of_the_pairs(run: Path, tmp_path: Path) -> None:
    sets = ("--neutral", "test:10,11,12", "--attributed", "test:20,21")
    reports = [
        json.loads(
            edit(run, tmp_path, "--source", "test:0", *PAIR, *sets, "--unit", unit, "--json").output
        )
        for unit in ("pair", "latent")
    ]
    distance = reports[0]["pair distance"]
    for pair, latent in zip(*(report["safe amounts"]["test:0"] for report in reports), strict=True):
        assert pair * distance == pytest.approx(latent, rel=0.02, abs=1e-3)


def test_files_are_resized_and_the_report_says_so(run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "wide.png"
    Image.linear_gradient("L").resize((120, 80)).save(picture)
    done = edit(run, tmp_path / "out", "--source", str(picture), *PAIR, "--k", "-1", "1", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["amounts"] == [-1.0, 1.0]
    assert "central square" in report["resizing"]


def test_the_method_is_read_back_as_it_was(run: Path) -> None:
    first, second = load_trained(run, "cpu").method, load_trained(run, "cpu").method
    assert not first.training
    assert all(
        a.equal(b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--without", "test:1", "--with", "test:1"), "encodes to the same point"),
        (("--without", "test:1,2", "--with", "test:3"), "2 images and --with 1"),
        ((*PAIR, "--neutral", "test:4"), "belong together"),
        ((*PAIR, "--neutral", "test:4", "--attributed", "test:5,6"), "two images each"),
        (("--without", "missing.png", "--with", "test:3"), "There is no image missing.png"),
        (("--without", "test:1"), "give pairs of images by --without and --with"),
        ((*PAIR, "--direction", "3", "--step", "-1", "1"), "--direction, --step are for runs of"),
    ],
)
def test_images_that_give_no_direction(
    run: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = edit(run, tmp_path, "--source", "test:0", *arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_runs_that_cannot_edit(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoint")
    assert "keeps no checkpoint" in edit(copy, tmp_path, "--source", "test:0", *PAIR).output
    (copy / "result.json").unlink()
    assert "has no result yet" in edit(copy, tmp_path, "--source", "test:0", *PAIR).output
