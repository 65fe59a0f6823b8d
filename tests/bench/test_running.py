from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import BenchError, Locked, UnknownName
from bench.files import read_json_lines
from bench.parts import load_parts
from bench.resolve import RunRequest, load_method, resolve
from bench.rundir import RunDirectory
from bench.running import RunFailed, RunOptions, execute
from bench.spec import RunSpec

TOY = RunRequest("toy_parts:ToyMethod", "toy_parts:ToyDataset", "smoke")

pytestmark = pytest.mark.usefixtures("toys")


def spec(seed: int = 0, **settings: Any) -> RunSpec:
    return resolve(replace(TOY, settings=settings), seed)


def options(root: Path, **changes: Any) -> RunOptions:
    return RunOptions(root, device="cpu", quiet=True, **changes)


def test_a_run_leaves_everything_in_its_directory(tmp_path: Path) -> None:
    run = spec(rate=0.5)
    result = execute(run, options(tmp_path))
    folder = tmp_path / run.folder
    assert result.status == "completed"
    assert (result.steps, result.parameters) == (5, 3)
    assert result.spec_hash == run.hash
    assert result.overrides == {"rate": 0.5}
    assert result.metric("fun") is not None
    assert json.loads((folder / "result.json").read_text())["metrics"][0]["name"] == "fun"
    assert RunSpec.model_validate_json((folder / "spec.json").read_text()) == run
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance == result.provenance
    assert provenance["dataset"] == f"{40:064x}"
    assert len(provenance["method"]["sha256"]) == 64
    assert read_json_lines(folder / "log.jsonl")[-1]["total"] == 5
    assert [(folder / figure).exists() for figure in result.figures] == [True]
    assert list((folder / "checkpoint").rglob("model.safetensors"))


def test_a_finished_run_is_only_read_unless_forced(tmp_path: Path) -> None:
    first = execute(spec(), options(tmp_path))
    path = tmp_path / spec().folder / "result.json"
    written = path.stat().st_mtime_ns
    assert execute(spec(), options(tmp_path)) == first
    assert path.stat().st_mtime_ns == written
    again = execute(spec(), options(tmp_path, force=True))
    assert path.stat().st_mtime_ns > written
    assert again.metrics == first.metrics


def test_a_forced_run_that_cannot_begin_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(spec(), options(tmp_path))
    log = tmp_path / spec().folder / "log.jsonl"

    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in log.parent.rglob("*") if path.is_file()}

    before = kept()
    method: Any = load_method(TOY.method)
    elsewhere = spec().model_copy(update={"data": "nowhere"})
    with pytest.raises(BenchError, match="reads no files"):
        execute(elsewhere, options(tmp_path, force=True))
    with pytest.raises(BenchError, match="did you mean tensorboard"):
        execute(spec(), options(tmp_path, force=True, trackers=("tensorbord",)))
    with monkeypatch.context() as patch:
        patch.setattr(method, "extractors_of", lambda config: ("vgg61",))
        with pytest.raises(BenchError, match="did you mean vgg16"):
            execute(spec(), options(tmp_path, force=True))
    assert kept() == before
    monkeypatch.setattr(method, "__init__", lambda *_: dict[str, int]()["bolt"])
    with pytest.raises(RunFailed, match=r"KeyError.*log\.jsonl"):
        execute(spec(), options(tmp_path, force=True))
    after = kept()
    assert after.pop(log).startswith(before.pop(log))
    assert "bolt" in read_json_lines(log)[-1]["traceback"]
    assert after == before


def test_numbers_are_a_function_of_the_spec(tmp_path: Path) -> None:
    first, other = (execute(spec(seed), options(tmp_path)) for seed in (0, 1))
    assert first.metrics != other.metrics
    assert execute(spec(), options(tmp_path / "elsewhere")).metrics == first.metrics


def test_divergence_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    run = spec(rate=1e30)
    result = execute(run, options(tmp_path))
    assert result.status == "diverged"
    assert "loss is" in result.message
    assert not result.metrics
    assert execute(run, options(tmp_path)) == result


def test_a_fault_is_one_sentence_and_its_traceback_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = spec(fault=True)
    with pytest.raises(RunFailed, match=r"KeyError: 'the spring is broken'.*log\.jsonl") as failure:
        execute(run, options(tmp_path))
    assert failure.value.exit_code == 1
    folder = tmp_path / run.folder
    assert "in step" in read_json_lines(folder / "log.jsonl")[-1]["traceback"]
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"
    monkeypatch.setenv("TOY_MENDED", "yes")
    assert execute(run, options(tmp_path)).status == "completed"


def test_an_evaluation_that_no_record_can_hold_is_a_fault(tmp_path: Path) -> None:
    run = resolve(replace(TOY, method="toy_parts:UnspeakableMethod"), 0)
    with pytest.raises(RunFailed, match=r"ValidationError.*finite number"):
        execute(run, options(tmp_path))
    record = json.loads((tmp_path / run.folder / "result.json").read_text())
    assert (record["status"], record["steps"], record["protocol"]) == ("failed", 5, {})


def test_a_locked_run_names_the_process_that_works_on_it(tmp_path: Path) -> None:
    with (
        RunDirectory(tmp_path, spec()).lock(),
        pytest.raises(Locked, match=f"Process {os.getpid()} works in "),
    ):
        execute(spec(), options(tmp_path))
    assert execute(spec(), options(tmp_path)).status == "completed"


def test_changed_inputs_are_noticed(tmp_path: Path) -> None:
    execute(spec(), options(tmp_path))
    folder = tmp_path / spec().folder
    (folder / "result.json").unlink()
    provenance = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({**provenance, "dataset": "other"}))
    with pytest.raises(BenchError, match=r"dataset changed since.*--force"):
        execute(spec(), options(tmp_path))
    assert list((folder / "checkpoint").iterdir())  # of a run that has begun, nothing is removed
    assert execute(spec(), options(tmp_path, force=True)).status == "completed"


def test_a_limit_bounds_images_and_samples(tmp_path: Path) -> None:
    run = resolve(replace(TOY, limit=3), 0)
    assert run.track_options["samples"] == 3
    result = execute(run, options(tmp_path))
    assert result.protocol["images"] == 3
    assert result.overrides == {"limit": 3}
    kept = load_parts(run, torch.device("cpu")).images("train")
    _, attributes = kept.batch(torch.arange(len(kept)))
    assert len(kept) == 3
    assert attributes.max() - attributes.min() > 0.5  # spread over the dataset
    assert run.hash != spec().hash


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (replace(TOY, settings={"stesp": 3}), "did you mean steps"),
        (replace(TOY, settings={"tarck": {"samples": 3}}), r"did you mean track\?$"),
        (replace(TOY, settings={"steps": 0}), "steps is a whole number of at least 1, not 0;"),
        (replace(TOY, settings={"track": {"sample": 3}}), "did you mean samples"),
        (replace(TOY, settings={"track": 3}), "needs a key"),
        (replace(TOY, settings={"rate": float("inf")}), "rate = inf cannot be kept"),
        (replace(TOY, preset="smal"), "did you mean small"),
        (replace(TOY, precision="float"), "did you mean float32"),
        (replace(TOY, generator="nowhere.pkl"), "no file nowhere.pkl"),
        (replace(TOY, generator="stylegan2-fhq-256"), "did you mean stylegan2-ffhq-256"),
        (replace(TOY, data=Path("nowhere")), "reads no files"),
        (replace(TOY, method="toy_parts:ToyDataset"), "is no method"),
        (replace(TOY, method="baselines.base:Method"), "names no track"),
    ],
)
def test_wrong_input_is_one_sentence(request_: RunRequest, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        resolve(request_, 0)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (replace(TOY, settings={"rate": -1}), "A toy learns forwards"),
        (replace(TOY, settings={"dataset": {"cout": 3}}), "did you mean count"),
        (replace(TOY, settings={"dataset": {"count": 1}}), "Toys come in pairs"),
        (replace(TOY, settings={"dataset": {"count": "x"}}), 'is a whole number, not "x"; change'),
        (replace(TOY, method="toy_parts:NoRepresenter"), "has to be a Representer"),
        (
            replace(TOY, method="toy_parts:DemandingMethod"),
            "the predictor.*train-predictor.*--predictor",
        ),
    ],
)
def test_wrong_parts_end_a_run_before_it_starts(
    request_: RunRequest, message: str, tmp_path: Path
) -> None:
    run = resolve(request_, 0)
    with pytest.raises(BenchError, match=message) as error:
        execute(run, options(tmp_path))
    assert error.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_names_follow_from_the_dataset_and_the_track() -> None:
    run = resolve(RunRequest("contrafeat-pt", "shapes3d", "smoke"), 0)
    assert run.method == "contrafeat"
    assert (run.generator, run.predictor) == ("shapes3d-stylegan2", "shapes3d")
    assert run.extractor == "efficientnet-lite0"
    typed_out = RunRequest(
        "contrafeat",
        "shapes3d",
        "smoke",
        extractor="efficientnet-lite0",
        settings={"num_directions": run.config["num_directions"]},
    )
    assert resolve(typed_out, 0).hash == run.hash
    settings = {"extractor": "efficientnet-lite0", "directions": "subspace"}
    own = replace(typed_out, settings={**typed_out.settings, **settings})
    named = {f"method.{name}": value for name, value in settings.items()}  # as options are named
    assert resolve(own, 0).overrides == resolve(typed_out, 0).overrides | named
    with pytest.raises(UnknownName):
        resolve(RunRequest("contrafeat", "shapes4d"), 0)


def test_the_code_of_a_method_outside_the_catalog_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for remark in ("one", "one", "another"):
        text = f"from toy_parts import ToyMethod as Toy  # {remark}\nclass Mine(Toy): pass\n"
        (tmp_path / "my_toy.py").write_text(text)
        sys.modules.pop("my_toy", None)
        hashes.append(resolve(replace(TOY, method="my_toy:Mine"), 0).hash)
    assert hashes[0] == hashes[1] != hashes[2]
    assert "method file" not in resolve(RunRequest("sefa", "shapes3d", "smoke"), 0).contents


def test_other_weights_under_a_name_make_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RunRequest("sefa", "shapes3d", "smoke")
    before = resolve(request, 0)
    assert {"generator file", "predictor file"} <= before.contents.keys()
    (tmp_path / "shapes3d-stylegan2.safetensors").write_bytes(b"trained for longer")
    monkeypatch.setattr("bench.generators._SHIPPED", tmp_path)
    after = resolve(request, 0)
    assert after.generator == before.generator
    assert after.hash != before.hash
    (tmp_path / "shapes3d-stylegan2.safetensors").unlink()
    assert "generator file" not in resolve(request, 0).contents


def test_a_generator_file_counts_by_its_contents(tmp_path: Path) -> None:
    hashes = []
    for name, content in (("a.pkl", b"1"), ("b.pkl", b"1"), ("c.pkl", b"2")):
        (tmp_path / name).write_bytes(content)
        run = resolve(replace(TOY, generator=str(tmp_path / name)), 0)
        assert run.overrides == {"generator": name}
        hashes.append(run.hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_interrupted_and_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    """Ctrl-C, then kill -9, then to the end: the scores are those of an uninterrupted run."""
    settings = {"steps": 60}
    whole = execute(spec(**settings), options(tmp_path / "whole"))
    log = tmp_path / "broken" / spec(**settings).folder / "log.jsonl"

    first = _start(tmp_path / "broken", slow=True)
    _wait_for_step(log, 10)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=300)
    assert first.returncode == 130, said
    assert "goes on from here" in said
    stopped = max(record["total"] for record in read_json_lines(log))
    assert list((log.parent / "checkpoint").glob("00-*")), "Ctrl-C writes a checkpoint"

    second = _start(tmp_path / "broken", slow=True)
    _wait_for_step(log, stopped + 1)
    second.kill()
    second.communicate()
    assert not (log.parent / "result.json").exists()

    result = execute(spec(**settings), options(tmp_path / "broken"))
    assert result.metrics == whole.metrics
    assert result.steps == whole.steps == 60
    records = [record["step"] for record in read_json_lines(log)]
    assert len(records) == len(set(records)), "nothing is logged twice"


@pytest.mark.parametrize("device", [["--device", "cpu"], []])
def test_several_processes_make_one_run_and_go_on_with_the_next(
    tmp_path: Path, device: list[str]
) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    program = tmp_path / "bench_main.py"
    program.write_text("from bench.cli import main\nmain()\n")
    done = subprocess.run(
        [*launch, str(program), *_arguments(tmp_path, device), "--seeds", "0..1"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("completed") == 1
    results = [json.loads(record.read_text()) for record in tmp_path.rglob("result.json")]
    assert {result["seed"] for result in results} == {0, 1}
    assert {result["steps"] for result in results} == {60}
    assert {result["provenance"]["processes"] for result in results} == {2}


def _start(root: Path, slow: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", *_arguments(root)],
        env={**os.environ, "TOY_STEP_SECONDS": "0.2" if slow else "0", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def _arguments(root: Path, device: Sequence[str] = ("--device", "cpu")) -> list[str]:
    what = ["run", "--method", TOY.method, "--dataset", TOY.dataset, "--preset", "smoke"]
    return [*what, "--set", "steps=60", *device, "--out", str(root)]


def _wait_for_step(log: Path, step: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if any(record.get("total", 0) >= step for record in read_json_lines(log)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{log} does not reach step {step}")
