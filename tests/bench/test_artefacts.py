"""Stages that leave artefacts: trained once, and a run's bits do not tell who trained them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save
from torch import Tensor

from bench.cli.plan import command
from bench.errors import BenchError, MissingFile
from bench.files import read_json_lines
from bench.plan import plan
from bench.resolve import ABSENT, RunRequest, resolve
from bench.run import RunFailed, RunOptions, execute
from bench.spec import RunSpec
from bench.stored_artefact import StageOrigin, StoredArtefact, write_artefact
from bench.sweep import execute_all
from bench.trainer import TrainingOptions
from leaderboard.schema import Result

TOY = RunRequest("toy_stages:StagesMethod", "toy_parts:ToyDataset", "smoke")
KEPT = ["classify", "encode"]

pytestmark = pytest.mark.usefixtures("toys")


def spec(seed: int = 0, artefact: tuple[Path, ...] = (), **settings: Any) -> RunSpec:
    return resolve(replace(TOY, settings=settings, artefact=artefact), seed)


def run(root: Path, spec: RunSpec, **changes: Any) -> Result:
    return execute(spec, RunOptions(root, device="cpu", **{"quiet": True, **changes}))


def kept(root: Path, stage: str = "") -> list[Path]:
    found = (root / "artefacts").glob(f"*/{stage}*")
    return sorted(path for path in found if not path.name.startswith("."))  # locks stay


def weights(root: Path, spec: RunSpec) -> dict[str, Tensor]:
    (path,) = (root / spec.folder / "checkpoint").rglob("model.safetensors")
    return load_file(path)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not one[name].equal(other[name])] == []


def how(result: Result) -> dict[str, Any]:
    artefacts: Any = result.provenance["artefacts"]
    return {stage: used["how"] for stage, used in artefacts.items()}


def names(root: Path) -> list[str]:
    return [path.name for path in kept(root)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The artefact of the encoder of a finished run."""
    run(tmp_path / "first", spec())
    (found,) = kept(tmp_path / "first", "encode")
    return found


def test_a_run_is_the_same_whether_its_stages_were_trained_or_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "both", spec())
    taken = run(tmp_path / "both", spec(power=2.0), quiet=False)
    said = capsys.readouterr().err
    trained = run(tmp_path / "alone", spec(power=2.0))
    asked = spec(power=2.0)
    assert_same(weights(tmp_path / "both", asked), weights(tmp_path / "alone", asked))
    assert taken.metrics == trained.metrics
    assert (taken.steps, trained.steps) == (4, 12)
    assert how(taken) == {"encode": "taken", "classify": "taken"}
    assert how(trained) == {"encode": "trained", "classify": "trained"}
    for stage, path in zip(KEPT, kept(tmp_path / "both"), strict=True):
        assert f"{stage}: not trained again, taken from {path}\n" in said
        noted: Any = taken.provenance["artefacts"]
        assert (noted[stage]["name"], noted[stage]["steps"]) == (path.name, 4)
        assert noted[stage]["sha256"] == trained.provenance["artefacts"][stage]["sha256"]  # type: ignore[call-overload,index]
    log = read_json_lines(tmp_path / "both" / spec(power=2.0).folder / "log.jsonl")
    assert [record["stage"] for record in log if "artefact" in record] == ["encode", "classify"]
    assert {record["stage"] for record in log if "loss" in record} == {"generate"}


@pytest.mark.parametrize(
    ("stops_at", "beside_another"),
    [("encode 2", False), ("classify 3", True), ("generate 2", True), ("generate 2", False)],
)
def test_an_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: str, beside_another: bool
) -> None:
    asked = spec(power=2.0)
    whole = run(tmp_path / "whole", asked)
    if beside_another:
        run(tmp_path / "part", spec())
        for path in kept(tmp_path / "part", stops_at.split()[0]):
            shutil.rmtree(path)  # so that this stage is trained, and interrupted
    often = partial(TrainingOptions, checkpoint_seconds=0.0)
    monkeypatch.setattr("bench.run.TrainingOptions", often)
    monkeypatch.setenv("TOY_STOPS_AT", stops_at)
    with pytest.raises(RunFailed, match="the spring is broken"):
        run(tmp_path / "part", asked)
    monkeypatch.delenv("TOY_STOPS_AT")
    result = run(tmp_path / "part", asked)
    assert result.metrics == whole.metrics
    assert_same(weights(tmp_path / "part", asked), weights(tmp_path / "whole", asked))
    assert names(tmp_path / "part") == names(tmp_path / "whole")
    early = "taken" if beside_another else "trained"
    where = stops_at.split()[0]
    assert how(result) == {
        stage: "trained" if stage == where else early for stage in ("encode", "classify")
    }


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"settings": {"power": 3.0}}, []),
        ({"settings": {"classes": 2}}, ["classify"]),
        ({"settings": {"rate": 0.1}}, KEPT),
        ({"settings": {"wider": True}}, KEPT),
        ({"settings": {"dataset": {"count": 30}}}, KEPT),
        ({"limit": 20}, KEPT),
        ({"precision": "bfloat16"}, KEPT),
        ({"seed": 1}, KEPT),
    ],
)
def test_only_stages_that_would_end_with_other_weights_are_trained(
    tmp_path: Path, change: dict[str, Any], stages: list[str]
) -> None:
    run(tmp_path, spec())
    seed = change.pop("seed", 0)
    result = run(tmp_path, resolve(replace(TOY, **change), seed))
    assert sorted(stage for stage, way in how(result).items() if way == "trained") == stages


def test_forcing_starts_a_run_over_with_the_artefacts_that_are_there(tmp_path: Path) -> None:
    first = run(tmp_path, spec())
    again = run(tmp_path, spec(), force=True)
    assert again.metrics == first.metrics
    assert how(again) == {"encode": "taken", "classify": "taken"}


def test_the_runs_of_a_sweep_share_their_stages(tmp_path: Path) -> None:
    specs = [spec(power=power) for power in (1.0, 2.0, 3.0)]
    options = RunOptions(tmp_path / "many", device="cpu", quiet=True)
    outcomes = list(execute_all(specs, options, jobs=2))
    assert [outcome.exit_code for outcome in outcomes] == [0, 0, 0]
    assert [path.name.split("-")[0] for path in kept(tmp_path / "many")] == KEPT
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))  # a worker's: bits depend on it
    try:
        for outcome in outcomes:
            assert outcome.result is not None
            assert outcome.result.metrics == run(tmp_path / "one", outcome.spec).metrics
    finally:
        torch.set_num_threads(threads)


def test_several_processes_go_on_with_the_same_weights(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from bench.resolve import RunRequest, resolve
        from bench.run import RunOptions, execute
        names = {TOY.method!r}, {TOY.dataset!r}, {TOY.preset!r}
        for root, power in (("both", 1.0), ("both", 2.0), ("alone", 2.0)):
            spec = resolve(RunRequest(*names, settings={{"power": power}}), 0)
            execute(spec, RunOptions(Path({str(tmp_path)!r}, root), "cpu", quiet=True))
        """)
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, str(program)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    asked = spec(power=2.0)
    assert_same(weights(tmp_path / "both", asked), weights(tmp_path / "alone", asked))
    provenance = json.loads((tmp_path / "both" / asked.folder / "provenance.json").read_text())
    assert {used["how"] for used in provenance["artefacts"].values()} == {"taken"}
    alone = run(tmp_path / "both", spec(power=3.0))  # one process sums in another order
    assert set(how(alone).values()) == {"trained"}


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
            r"toy_parts:ToyDataset of fingerprint feed there, .* of finger.*28 h",
        ),
        ("attributes", ["hue", "age"], "attributes: hue, age there, brightness here"),
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


def test_a_given_artefact_needs_those_that_it_was_trained_after(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path / str(seed), spec(seed))
    classify, encode = kept(tmp_path / "0")
    _, another = kept(tmp_path / "1")
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


PLUG_IN = """
from plug_losses import WEIGHT
from toy_stages import StagesMethod, ToyStage

class PlugStage(ToyStage):
    def step(self, batch):
        return super().step(batch) if WEIGHT else {}

class PlugMethod(StagesMethod):
    def stages(self, data):
        for stage in super().stages(data):
            stage.__class__ = PlugStage
            yield stage
"""


def test_what_a_stage_imports_counts_and_an_interrupted_stage_of_two_codes_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug.py").write_text(PLUG_IN)
    losses = tmp_path / "plug_losses.py"
    losses.write_text("WEIGHT = 1")
    monkeypatch.syspath_prepend(tmp_path)
    request = replace(TOY, method="plug:PlugMethod")
    trained = {"encode": "trained", "classify": "trained"}
    root = tmp_path / "runs"
    assert how(run(root, resolve(request, 0))) == trained
    again = resolve(replace(request, settings={"power": 2.0}), 0)
    assert set(how(run(root, again)).values()) == {"taken"}
    losses.write_text("WEIGHT = 2")
    monkeypatch.setattr("bench.run.TrainingOptions", partial(TrainingOptions, checkpoint_seconds=0))
    monkeypatch.setenv("TOY_STOPS_AT", "encode 2")
    with pytest.raises(RunFailed):
        run(root, again, force=True)
    monkeypatch.delenv("TOY_STOPS_AT")
    losses.write_text("WEIGHT = 3")
    assert how(run(root, again)) == trained
    assert [len(kept(root, stage)) for stage in KEPT] == [2, 1]


@pytest.mark.parametrize("field", ["code", "torch", "device", "start"])
def test_another_origin_is_another_folder(folder: Path, field: str) -> None:
    origin: StageOrigin = StoredArtefact(folder).record.origin
    assert origin.folder.name == folder.name
    assert origin.model_copy(update={field: "another"}).folder.name != folder.name


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


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("weights.safetensors", _cut, "has the sha256 .* and not "),
        ("weights.safetensors", Path.unlink, "is missing or cannot be read"),
        ("artefact.json", _cut, "is cut off or of another version"),
        ("artefact.json", Path.unlink, "has no artefact.json"),
    ],
)
def test_damage_is_one_sentence_with_path_and_remedy(
    tmp_path: Path, folder: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder / name)
    with pytest.raises(BenchError, match=message) as given:
        spec(1, (folder,))
    with pytest.raises(BenchError, match=message) as found:
        run(tmp_path / "first", spec(power=2.0))
    for error in (given, found):
        assert str(folder) in str(error.value)
        assert "delete" in str(error.value)
    shutil.rmtree(folder)
    assert how(run(tmp_path / "first", spec(power=2.0)))["encode"] == "trained"


def test_weights_of_another_network_are_refused(tmp_path: Path, folder: Path) -> None:
    content = save({"1.weight": torch.zeros(5, 5)})
    (folder / "weights.safetensors").write_bytes(content)
    record = json.loads((folder / "artefact.json").read_text())
    record["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "artefact.json").write_text(json.dumps(record))
    with pytest.raises(BenchError, match=r"another network than .* stage encode .*1\.weight"):
        run(tmp_path / "runs", spec(1, (folder,)))


def test_the_first_of_two_writers_wins_and_what_a_kill_left_is_removed(folder: Path) -> None:
    stored = StoredArtefact(folder)
    write_artefact(folder, stored.record, b"later")
    assert stored.verified() == stored.record.sha256
    leftover = folder.with_name(f".part-{folder.name}")
    shutil.move(folder, leftover)
    (leftover / "half").write_bytes(b"")
    write_artefact(folder, stored.record, b"again")
    assert sorted(path.name for path in folder.iterdir()) == [
        "artefact.json",
        "weights.safetensors",
    ]
    assert not leftover.exists()


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
