"""Artefacts that a run is given by ``--artefact``: taken where they fit, refused where not."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save

from baselines.infoscc import InfoSCCGAN
from bench.cli.plan import command
from bench.contents import ABSENT
from bench.errors import BenchError, MissingFile
from bench.plan import plan
from bench.resolve import resolve
from bench.spec import RunSpec
from bench.stored_artefact import StoredArtefact
from tests.bench.artefact_runs import TOY, assert_same, how, kept, run, spec, weights

pytestmark = pytest.mark.usefixtures("toys")


def test_a_given_artefact_is_taken_and_counts_in_the_hash(tmp_path: Path, folder: Path) -> None:
    asked = spec(1, (folder,))
    assert asked.hash != spec(1).hash
    assert asked.overrides == {"artefact": [folder.name]}
    moved = folder.rename(tmp_path / "moved")
    assert spec(1, (moved,)).hash == asked.hash
    result = run(tmp_path / "runs", spec(1, (moved,)))
    assert how(result) == {"encode": "given", "classify": "trained"}
    final = weights(tmp_path / "runs", asked)
    given = load_file(moved / "weights.safetensors")
    assert_same({name: final[f"encoder.{name}"] for name in given}, given)
    # A stage after it has other weights than in a run that trained the encoder itself.
    assert how(run(tmp_path / "runs", spec(1))) == {"encode": "trained", "classify": "trained"}
    assert how(run(tmp_path / "runs", spec(1, (moved,), power=2.0)))["classify"] == "taken"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "fingerprint",
            "feed",
            r"run \(dataset: toy_parts:ToyDataset of fingerprint feed there, .* 0{12} here\)",
        ),
        ("attributes", list("abcdefg"), "attributes: a, b, c, d, e and 2 more there, brightness h"),
        ("size", 64, "images: 64 x 64 x 1 there, 2 x 2 x 1 here"),
        ("channels", 3, "images: 2 x 2 x 3 there, 2 x 2 x 1 here"),
        (
            "settings",
            {"rate": 0.2, "shape": [4, 3], "depth": 2},
            "depth: 2 .* null here; rate: 0.2",
        ),
        ("networks", {"checkpoint": "feed"}, "checkpoint: feed there, none here"),
        ("networks", {"generator": "feed"}, "generator: feed there, none here"),
        (
            "after",
            {"paint": "feed"},
            "encode-.* of the stage encode was .* paint whose sha256 is feed, and none .* is given",
        ),
        ("stage", "paint", "is of the stage paint, and the .* are: encode, classify; leave"),
    ],
)
def test_a_given_artefact_that_does_not_fit_is_refused_before_anything_is_trained(
    tmp_path: Path, folder: Path, field: str, value: Any, message: str
) -> None:
    path = folder / "artefact.json"
    record = json.loads(path.read_text())
    owner = record["origin"]["run"] if field in record["origin"]["run"] else record["origin"]
    owner[field] = value
    path.write_text(json.dumps(record))
    asked = spec(1, (folder,))
    with pytest.raises(BenchError, match=message) as error:
        run(tmp_path / "runs", asked)
    assert "leave" in str(error.value)
    assert not list((tmp_path / "runs").rglob("checkpoint"))
    (obstacle,) = plan(asked, tmp_path / "runs").obstacles
    assert obstacle == str(error.value)


def test_where_the_preset_alone_differs_it_is_the_remedy(folder: Path) -> None:
    path = folder / "artefact.json"
    record = json.loads(path.read_text())
    record["origin"]["run"]["method"] = "infoscc"
    names = "encoder_batch_size", "encoder_width"
    configs = {name: InfoSCCGAN.configure(name).model_dump() for name in ("smoke", "small")}
    smoke, small = ({name: config[name] for name in names} for config in configs.values())
    record["origin"]["settings"] = small
    path.write_text(json.dumps(record))
    stored = StoredArtefact(folder)
    run = stored.record.origin.run
    with pytest.raises(
        BenchError, match=r"8 here; encoder_width.* here\): choose --preset small, or"
    ):
        stored.require_fit(run, smoke)
    with pytest.raises(BenchError, match=r"here\): choose the same by .* and --set, or"):
        stored.require_fit(run, {**smoke, "encoder_width": 5})
    with pytest.raises(
        BenchError, match=r"28 here; settings: encoder_b.*, encoder_width\): choose th"
    ):
        stored.require_fit(run.model_copy(update={"fingerprint": "28"}), smoke)


def test_a_given_artefact_needs_those_that_it_was_trained_after(
    tmp_path: Path, first: Path
) -> None:
    run(tmp_path / "second", spec(1))
    classify, encode = kept(first)
    _, another = kept(tmp_path / "second")
    runs = tmp_path / "runs"
    with pytest.raises(
        BenchError, match=r"stage encode whose .* none of that .* by --artefact too"
    ):
        run(runs, spec(2, (classify,)))
    with pytest.raises(BenchError, match=rf"{classify} .* and {another} is another: give"):
        run(runs, spec(2, (another, classify)))
    assert not list(runs.rglob("checkpoint"))
    result = run(runs, spec(2, (classify, encode)))
    assert how(result) == {"encode": "given", "classify": "given"}
    assert result.steps == 4


def test_wrong_folders_are_one_sentence_and_a_plan_can_do_without(
    tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(MissingFile, match=r"nowhere is no artefact.*--artefact"):
        spec(0, (tmp_path / "nowhere",))
    absent = resolve(replace(TOY, artefact=(tmp_path / "nowhere",)), 0, allow_absent=True)
    assert absent.contents["artefact nowhere"] == ABSENT
    assert "nowhere is no artefact" in plan(absent, tmp_path / "runs").obstacles[0]
    twice = tmp_path / "twice"
    shutil.copytree(folder, twice)
    with pytest.raises(BenchError, match=f"stage encode twice; leave {twice} out"):
        spec(0, (folder, twice))


def test_weights_of_another_network_are_refused(tmp_path: Path, folder: Path) -> None:
    content = save({"1.weight": torch.zeros(5, 5)})
    (folder / "weights.safetensors").write_bytes(content)
    record = json.loads((folder / "artefact.json").read_text())
    record["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "artefact.json").write_text(json.dumps(record))
    with pytest.raises(BenchError, match=r"another network than .* stage encode .*1\.weight"):
        run(tmp_path / "runs", spec(1, (folder,)))


def test_the_command_line_and_a_config_file_give_artefacts(tmp_path: Path, folder: Path) -> None:
    asked = resolve(replace(TOY, artefact=(folder,)), 0)
    config = tmp_path / "run.toml"
    config.write_text(f"artefact = ['{folder}']")
    common = ["--method", TOY.method, "--dataset", TOY.dataset, "--preset", TOY.preset, "--json"]
    for given in (["--artefact", str(folder)], ["--config", str(config)]):
        (planned,) = json.loads(CliRunner().invoke(command, [*common, *given]).stdout)
        assert planned["spec_hash"] == asked.hash
        assert planned["obstacles"] == []


def test_runs_without_artefacts_keep_their_hash() -> None:
    plain = RunSpec(method="m", track="t", dataset="d", config={"steps": 3}, seed=1)
    assert plain.hash == "ef8ad66931"
