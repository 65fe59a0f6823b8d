"""The training loop: exact resume after every kind of stop, and guards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.base import Attributes, Average, Batch, Method, MethodConfig, Stage, TrainingData
from bench.errors import BenchError, Diverged
from bench.trainer import TrainingOptions, train

QUIET = TrainingOptions(device="cpu", quiet=True)


class Numbers:
    """Images whose pixels tell their index."""

    def __len__(self) -> int:
        return 50

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        pixels = (indices.float() / 50)[:, None, None, None].expand(-1, 1, 2, 2)
        return pixels, indices.float()[:, None]


class Toy(Method):
    """Two stages that use every source of randomness, an optimiser's momentum and an average."""

    steps = 30

    def __init__(self, data: TrainingData, poison: int | None = None, lame: bool = False) -> None:
        super().__init__(MethodConfig(), data)
        self.weight = nn.Linear(4, 4)
        self.averaged = nn.Linear(4, 4).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(4))
        self.poison, self.lame = poison, lame

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield ToyStage(self, "first")
        yield ToyStage(self, "second")


class ToyStage(Stage):
    batch_size = 4

    def __init__(self, method: Toy, name: str) -> None:
        super().__init__()
        self.method, self.name, self.steps = method, name, method.steps
        self.optimizer = torch.optim.Adam(method.weight.parameters(), lr=0.01)
        self.optimizers = {"only": self.optimizer}
        self.averages = [Average(method.weight, method.averaged, lambda step: 0.9)]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        inputs = batch.images.flatten(1) + batch.draws.normal("z", 4, 4) + torch.randn(4, 4)
        loss = (self.method.weight(inputs) - 1).square().mean()
        if self.name == "second" and batch.step == self.method.poison:
            loss = loss * float("nan")
        self.optimizer.zero_grad()
        loss.backward()
        if self.method.poison is None:
            self.optimizer.step()
        self.method.seen += inputs.detach().mean(dim=0)
        if os.environ.get("TOY_SLOW"):
            time.sleep(0.02)
        return {"loss": loss.detach()}

    def collapsed(self) -> str | None:
        return "it was told to" if self.method.lame else None


def data() -> TrainingData:
    return TrainingData(Numbers(), Attributes(("index",)), 2, 1)


def toy(**settings: object) -> Toy:
    torch.manual_seed(1)
    return Toy(data(), **settings)  # type: ignore[arg-type]


def run(folder: Path, options: TrainingOptions = QUIET) -> dict[str, Tensor]:
    method = toy()
    summary = train(method, data(), seed=7, folder=folder, options=options)
    assert summary.steps == 2 * Toy.steps
    return method.state_dict()


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, stop: signal.Signals) -> None:
    whole = run(tmp_path / "whole")
    program = textwrap.dedent(f"""
        from pathlib import Path
        from tests.bench.test_trainer import run
        from bench.trainer import TrainingOptions
        run(Path({str(tmp_path / "part")!r}), TrainingOptions("cpu", checkpoint_seconds=0.05))
    """)
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TOY_SLOW": "1"},
        stderr=subprocess.DEVNULL,
    )
    checkpoints = tmp_path / "part" / "checkpoint"
    while child.poll() is None and not list(checkpoints.glob("0*")):
        time.sleep(0.01)
    child.send_signal(stop)
    assert child.wait() != 0
    assert_same(run(tmp_path / "part"), whole)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    log = (tmp_path / "log.jsonl").read_text()
    assert_same(run(tmp_path), first)
    assert (tmp_path / "log.jsonl").read_text() == log


def test_the_log_holds_the_losses_of_every_stage(tmp_path: Path) -> None:
    run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(r["stage"], r["step"]) for r in records][-1] == ("second", Toy.steps)
    assert {r["stage"] for r in records} == {"first", "second"}
    assert all(r["loss"] > 0 for r in records)


def test_nan_ends_as_diverged_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"stage second.*loss is nan"):
        train(toy(poison=15), data(), seed=7, folder=tmp_path, options=QUIET)
    kept = list((tmp_path / "checkpoint").iterdir())
    assert [folder.name for folder in kept] == ["01-00000000"]


@pytest.mark.parametrize("seconds", [0, 60])
def test_collapse_ends_as_diverged_at_a_checkpoint_and_at_the_end(
    tmp_path: Path, seconds: float
) -> None:
    options = TrainingOptions("cpu", checkpoint_seconds=seconds, quiet=True)
    with pytest.raises(Diverged, match=r"collapsed.*it was told to"):
        train(toy(lame=True), data(), seed=7, folder=tmp_path, options=options)


def test_trackers_that_would_do_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.trainer.get_available_trackers", list)
    for name, message in (("tensorbord", "did you mean tensorboard"), ("tensorboard", r"\[track")):
        with pytest.raises(BenchError, match=message):
            run(tmp_path, replace(QUIET, trackers=(name,)))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    (checkpoint,) = (tmp_path / "checkpoint").iterdir()
    (checkpoint / "state.pt").write_bytes(b"not a checkpoint")
    named = f"{checkpoint.name}/state.pt cannot be read .*: remove the folder {checkpoint} and"
    with pytest.raises(BenchError, match=named):
        run(tmp_path)
