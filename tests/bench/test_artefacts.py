"""Stages that leave artefacts: trained once, and a run's bits do not tell who trained them."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import multiprocessing
from torch.multiprocessing import start_processes

from bench.files import read_json_lines
from bench.resolve import resolve
from bench.running import RunFailed, RunOptions
from bench.spec import RunSpec
from bench.sweep import execute_all
from bench.trainer import TrainingOptions
from tests.bench.artefact_runs import KEPT, TOY, assert_same, how, kept, run, spec, weights

pytestmark = pytest.mark.usefixtures("toys")


def test_a_run_is_the_same_whether_its_stages_were_trained_or_taken(
    first: Path, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = spec(power=2.0)
    taken = run(first, asked, quiet=False)
    said = capsys.readouterr().err
    trained = run(alone, asked)
    assert_same(weights(first, asked), weights(alone, asked))
    assert taken.metrics == trained.metrics
    assert (taken.steps, trained.steps) == (4, 12)
    assert how(taken) == {"encode": "taken", "classify": "taken"}
    assert how(trained) == {"encode": "trained", "classify": "trained"}
    for stage, path in zip(KEPT, kept(first), strict=True):
        assert f"{stage}: not trained again, taken from {path}\n" in said
        noted: Any = taken.provenance["artefacts"]
        assert (noted[stage]["name"], noted[stage]["steps"]) == (path.name, 4)
        assert noted[stage]["sha256"] == trained.provenance["artefacts"][stage]["sha256"]  # type: ignore[call-overload,index]
    log = read_json_lines(first / asked.folder / "log.jsonl")
    assert [record["stage"] for record in log if "artefact" in record] == ["encode", "classify"]
    assert {record["stage"] for record in log if "loss" in record} == {"generate"}


@pytest.mark.parametrize(
    ("stops_at", "beside_another"),
    [("encode 2", False), ("classify 3", True), ("generate 2", True), ("generate 2", False)],
)
def test_an_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path,
    first: Path,
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    stops_at: str,
    beside_another: bool,
) -> None:
    asked = spec(power=2.0)
    part = first if beside_another else tmp_path / "empty"
    where = stops_at.split()[0]
    if beside_another:
        for path in kept(part, where):
            shutil.rmtree(path)  # so that this stage is trained, and interrupted
    often = partial(TrainingOptions, checkpoint_seconds=0.0)
    monkeypatch.setattr("bench.running.TrainingOptions", often)
    monkeypatch.setenv("TOY_STOPS_AT", stops_at)
    with pytest.raises(RunFailed, match="the spring is broken"):
        run(part, asked)
    monkeypatch.delenv("TOY_STOPS_AT")
    result = run(part, asked)
    assert result.metrics == run(alone, asked).metrics
    assert_same(weights(part, asked), weights(alone, asked))
    assert [path.name for path in kept(part)] == [path.name for path in kept(alone)]
    early = "taken" if beside_another else "trained"
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
    first: Path, change: dict[str, Any], stages: list[str]
) -> None:
    seed = change.pop("seed", 0)
    result = run(first, resolve(replace(TOY, **change), seed))
    assert sorted(stage for stage, way in how(result).items() if way == "trained") == stages


def test_forcing_starts_a_run_over_with_the_artefacts_that_are_there(first: Path) -> None:
    before = run(first, spec())
    again = run(first, spec(), force=True)
    assert again.metrics == before.metrics
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
    both, alone, asked = tmp_path / "both", tmp_path / "alone", spec(power=2.0)
    run_by_two([(both, spec()), (both, asked), (alone, asked)])
    assert_same(weights(both, asked), weights(alone, asked))
    provenance = json.loads((both / asked.folder / "provenance.json").read_text())
    assert provenance["processes"] == 2
    assert {used["how"] for used in provenance["artefacts"].values()} == {"taken"}
    by_one = run(both, spec(power=3.0))  # one process sums in another order
    assert set(how(by_one).values()) == {"trained"}


def run_by_two(runs: list[tuple[Path, RunSpec]]) -> None:
    """Have two processes make runs together, forked from one that imports the suite once."""
    multiprocessing.set_forkserver_preload(["bench.running", "bench.trainer", "toy_stages"])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    together: Any = importlib.import_module("toy_processes").together
    start_processes(together, (2, port, runs), nprocs=2, start_method="forkserver")


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
    monkeypatch.setattr(
        "bench.running.TrainingOptions", partial(TrainingOptions, checkpoint_seconds=0)
    )
    monkeypatch.setenv("TOY_STOPS_AT", "encode 2")
    with pytest.raises(RunFailed):
        run(root, again, force=True)
    monkeypatch.delenv("TOY_STOPS_AT")
    losses.write_text("WEIGHT = 3")
    assert how(run(root, again)) == trained
    assert [len(kept(root, stage)) for stage in KEPT] == [2, 1]
