"""Pairs of images that differ in one direction of a finished discovery run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from bench.cli import main
from bench.contents import ABSENT
from bench.directions.pairs import RunDirectionPairs
from bench.directions.runs import DirectionOptions, DirectionRun
from bench.errors import BenchError, MissingFile
from bench.parts import load_parts
from bench.resolve import RunRequest, resolve, resolve_seeds
from bench.spec import RunSpec
from bench.trained import load_trained
from tests.bench.tracks import toy

CPU = torch.device("cpu")


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    asked = ("--method", "random-directions", "--dataset", "shapes3d", "--preset", "smoke")
    few = ("--set", "track.samples=2", "--set", "track.calibration_codes=4")
    done = bench("run", *asked, *few, "--device", "cpu", "--out", root)
    assert done.exit_code == 0, done.output
    return next(root.rglob("result.json")).parent


def asked(run: Path, **changes: Any) -> RunRequest:
    settings = {"directions": {"pairs": 12, "codes": 4}}
    request = RunRequest("group-vae", "shapes3d", "smoke", settings=settings, directions=run)
    return replace(request, **changes)


def open_pairs(spec: RunSpec) -> RunDirectionPairs:
    pairs = load_parts(spec, CPU).training_data().direction_pairs
    assert isinstance(pairs, RunDirectionPairs)
    return pairs


def test_pairs_are_a_code_moved_both_ways(run: Path) -> None:
    pairs = open_pairs(resolve(asked(run), 0))
    trained = load_trained(run, "cpu")
    assert pairs.num_directions == trained.method.num_directions == 4
    drawn = pairs.draw(3, 6)
    assert drawn.first.shape == drawn.second.shape == (6, 3, 64, 64)
    assert set(drawn.labels.tolist()) <= set(pairs.directions) <= set(range(4))
    levels = (drawn.first + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    # Whichever codes they came from: half way between lies an image of the generator.
    scale = json.loads((run / "result.json").read_text())["protocol"]["edit_scale"]
    assert pairs._scale == scale
    number = torch.tensor([5])
    codes, label = pairs._codes("codes", number), pairs._directions(number)
    with torch.no_grad():
        moved = trained.method.shift(codes, label, scale)
        image = trained.parts.generator.synthesis(moved, noise_mode="const").clamp(-1, 1)
    found = torch.from_numpy(pairs._read(number)[:, 1]).float() / 127.5 - 1
    assert (found - image).abs().max() <= 1.001 / 255


def test_a_pair_has_its_bits_whatever_was_drawn_before(run: Path) -> None:
    spec = resolve(asked(run), 0)
    first, other = open_pairs(spec), open_pairs(spec)
    other.draw(1, 5)
    a, b = first.draw(2, 9), other.draw(2, 9)
    for name in ("first", "second", "labels"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    assert not torch.equal(a.first, first.draw(3, 9).first)
    uncached = open_pairs(spec)
    uncached._pixels, uncached._made = uncached._pixels[:0], uncached._made[:0]
    assert torch.equal(uncached.draw(2, 9).first, a.first)


class Source:
    """What pairs ask of a discovery run, with directions of one's own."""

    def __init__(self, directions: Tensor) -> None:
        self.folder, self.spec = Path("toys"), SimpleNamespace(extractor="random-features")
        self.method = toy.FixedDirections(directions)
        extractor = toy.RandomFeatures()
        self.parts = SimpleNamespace(
            generator=toy.StripeGenerator(), extractor=lambda name: extractor
        )


def toy_pairs(directions: Tensor, **options: Any) -> RunDirectionPairs:
    run: Any = SimpleNamespace(scale=0.5, sha256="d" * 64)
    source: Any = Source(directions)
    asked = DirectionOptions.configure("smoke", options)
    return RunDirectionPairs(source, run, asked, (3, toy.SIZE, toy.SIZE), 0, CPU)


def test_duplicates_and_dead_directions_are_not_drawn() -> None:
    first, second, third, _ = torch.eye(4)
    given = torch.stack([first, second, 0.7 * first, 0 * first, -second, third])
    pairs = toy_pairs(given, similarity=1.0)
    assert pairs.num_directions == 6
    assert pairs.directions == (0, 1, 5)
    labels = pairs.draw(0, 64).labels
    assert set(labels.tolist()) == {0, 1, 5}
    # The sum over two layers in [0, 1] is never above 2.
    assert toy_pairs(given, similarity=2.0).directions == (0, 1, 2, 4, 5)
    with pytest.raises(BenchError, match=r"None of the 6 directions of toys changes images"):
        toy_pairs(0 * given).draw(0, 2)


def test_options_change_pairs() -> None:
    directions = torch.eye(4)
    few = toy_pairs(directions, pairs=3).draw(0, 40)
    assert len(few.first.flatten(1).unique(dim=0)) <= 3
    near, far = (toy_pairs(directions, scale=scale).draw(0, 8) for scale in (0.1, 1.0))
    size = [(pairs.second - pairs.first).abs().mean().item() for pairs in (near, far)]
    assert size[0] < 0.3 * size[1]
    with pytest.raises(BenchError, match="did you mean pairs"):
        DirectionOptions.configure("small", {"pair": 3})
    with pytest.raises(BenchError, match="similarity is a number above 0"):
        DirectionOptions.configure("small", {"similarity": 0})


def test_the_discovery_run_counts_by_what_it_is(run: Path, tmp_path: Path) -> None:
    base = resolve(asked(run), 0)
    assert base.overrides["directions"].startswith("random-directions track.calibration_codes=4")
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    assert resolve(asked(moved), 0).hash == base.hash
    more = resolve(asked(run, settings={"directions": {"pairs": 13, "codes": 4}}), 0)
    none = resolve(asked(run, directions=None, settings={}), 0)
    assert len({base.hash, more.hash, none.hash}) == 3
    assert "directions" not in none.contents
    assert none.direction_options == {}
    result = json.loads((moved / "result.json").read_text())
    result["protocol"]["edit_scale"] *= 2
    (moved / "result.json").write_text(json.dumps(result))
    assert resolve(asked(moved), 0).hash != base.hash


def test_the_runs_of_a_method_are_taken_seed_by_seed(run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        copy = tmp_path / f"smoke-s{seed}-abc"
        shutil.copytree(run, copy)
        spec = json.loads((copy / "spec.json").read_text()) | {"seed": seed}
        (copy / "spec.json").write_text(json.dumps(spec))
    first, second = resolve_seeds(asked(tmp_path), (0, 1))
    assert [Path(spec.directions or "").name for spec in (first, second)] == [
        "smoke-s0-abc",
        "smoke-s1-abc",
    ]
    assert first.contents["directions"] != second.contents["directions"]
    with pytest.raises(MissingFile, match="holds no smoke run with seed 2"):
        resolve(asked(tmp_path), 2)
    shutil.copytree(run, tmp_path / "smoke-s1-def")
    with pytest.raises(BenchError, match="holds several smoke runs with seed 1"):
        resolve(asked(tmp_path), 1)
    plain = tmp_path / "smoke-s1-abc" / "spec.json"
    plain.write_text(json.dumps(json.loads(plain.read_text()) | {"overrides": {}}))
    assert resolve(asked(tmp_path), 1).directions == second.directions  # it has only its preset
    plain.write_text("{}")
    with pytest.raises(BenchError, match=r"smoke-s1-abc/spec\.json is damaged"):
        resolve(asked(tmp_path), 1)


def test_what_is_no_finished_discovery_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="There is no run"):
        resolve(asked(tmp_path / "nowhere"), 0)
    planned = resolve(asked(tmp_path / "nowhere"), 0, allow_absent=True)
    assert planned.contents["directions"] == ABSENT
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    with pytest.raises(BenchError, match="is unfinished; give one that is completed"):
        DirectionRun.read(copy)
    for protocol, told in (({}, "Field required"), ({"edit_scale": "far"}, "valid number")):
        record = json.loads((run / "result.json").read_text()) | {"protocol": protocol}
        (copy / "result.json").write_text(json.dumps(record))
        with pytest.raises(BenchError, match=rf"copy/result\.json does not tell .*{told}"):
            DirectionRun.read(copy)
    shutil.copy(run / "result.json", copy)
    spec = json.loads((copy / "spec.json").read_text()) | {"track": "editing"}
    (copy / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(BenchError, match=r"of the track editing; --directions takes"):
        resolve(asked(copy), 0)


def test_images_of_another_size_are_refused(run: Path) -> None:
    settings = {"dataset": {"size": 32}}
    with pytest.raises(BenchError, match=r"makes images of 64 pixels .* set dataset\.size=64"):
        load_parts(resolve(asked(run, settings=settings), 0), CPU)
    with pytest.raises(BenchError, match="no setting of group-vae 'directions'"):
        resolve(asked(run, directions=None), 0)


def test_group_vae_learns_from_a_discovery_run(run: Path, tmp_path: Path) -> None:
    smoke = ("--method", "group-vae", "--dataset", "shapes3d", "--preset", "smoke")
    pairs = ("--directions", run, "--set", "directions.pairs=12", "--set", "directions.codes=4")
    plan = bench("plan", *smoke, *pairs, "--out", tmp_path, "--json")
    assert json.loads(plan.output)[0]["obstacles"] == [], plan.output
    done = bench("run", *smoke, *pairs, "--device", "cpu", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    folder = next(tmp_path.rglob("result.json")).parent
    result = json.loads((folder / "result.json").read_text())
    assert {"fvm", "mig", "sap"} <= {found["name"] for found in result["metrics"]}
    assert "figures/traversals.png" in result["figures"]
    assert result["protocol"]["codes"] == 4
    assert len(result["provenance"]["weights"]["directions"]) == 64
    images = torch.zeros(2, 3, 64, 64)
    codes = load_trained(folder, "cpu").method.represent(images)
    assert np.isfinite(codes.detach().numpy()).all()
