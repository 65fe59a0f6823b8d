"""The commands that make something: what they hand to the functions behind them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from bench.cli import main


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command hands over."""
    seen: dict[str, Any] = {}

    def note(*arguments: Any, **keywords: Any) -> SimpleNamespace:
        seen.update(arguments=arguments, **keywords)
        score = {"name": "scale", "r2": 0.99, "mae": 0.01, "accuracy": 0.9}
        return SimpleNamespace(steps=3, seconds=1.5, report={"scores": [score]}, sha256="ab12")

    monkeypatch.setattr("bench.pretrain.pretrain", note)
    monkeypatch.setattr("bench.predictor_training.train_predictor", note)
    return seen


def test_pretrain(handed: dict[str, Any], tmp_path: Path) -> None:
    asked = ("--dataset", "shapes3d", "--preset", "smoke", "--set", "dataset.size=16")
    done = bench("pretrain", "stylegan2", *asked, "--precision", "bfloat16", "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'generator.safetensors'} after 3 steps\n"
    dataset, folder = handed["arguments"]
    assert (dataset.name, dataset.size, folder) == ("shapes3d", 16, tmp_path)
    assert (handed["preset"], handed["overrides"]) == ("smoke", {})
    assert handed["options"].precision == "bfloat16"
    made = json.loads(bench("pretrain", "stylegan2", *asked, "--json").stdout)
    generator = "runs/pretrain/shapes3d-stylegan2/generator.safetensors"
    assert made == {"generator": generator, "steps": 3, "seconds": 1.5}
    wrong = bench("pretrain", "stylegan2", "--dataset", "shapes3d", "--set", "batchsize=3")
    assert wrong.exit_code == 2
    assert "did you mean batch_size" in wrong.stderr
    wrong = bench("pretrain", "stylegan2", "--dataset", "shapes3d", "--preset", "smal")
    assert wrong.exit_code == 2
    assert "did you mean small" in wrong.stderr
    wrong = bench("pretrain", "stylegan2", "--dataset", "shapes3d", "--set", "batch_size=6")
    assert wrong.exit_code == 2
    assert "multiple of minibatch_std_group" in wrong.stderr


def test_train_predictor(handed: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "p.safetensors"
    done = bench("train-predictor", "--dataset", "shapes3d", "--steps", "7", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "scale  R2 0.9900  MAE 0.0100  accuracy 0.9000" in done.stdout
    assert "sha256 ab12" in done.stdout
    assert handed["arguments"][1] == out
    assert (handed["steps"], handed["batch_size"]) == (7, 64)
    made = json.loads(bench("train-predictor", "--dataset", "shapes3d", "--json").stdout)
    assert (made["sha256"], made["scores"][0]["name"]) == ("ab12", "scale")


def test_convert_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html><html></html>")
    done = bench("convert", tmp_path / "page.pkl", tmp_path / "out.safetensors")
    assert done.exit_code == 2
    assert not (tmp_path / "out.safetensors").exists()


def test_convert_prints_what_it_found(tmp_path: Path) -> None:
    good = Path(__file__).parents[2] / "data" / "discovery" / "sg2_nv_pickle"
    pickle, out = good / "network-snapshot-000000.pkl", tmp_path / "out.safetensors"
    assert "found: G, D, G_ema" in bench("convert", pickle, out).stdout
    found = json.loads(bench("convert", pickle, out, "--json").stdout)
    assert (found["container"], found["target"]) == ("nvidia", str(out))


def test_train_predictor_says_what_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [
        {"name": "Bald", "r2": None, "mae": None, "accuracy": None, "balanced_accuracy": None},
        {"name": "Male", "r2": 0.5, "mae": 0.1, "accuracy": 0.9, "balanced_accuracy": 0.8},
    ]
    made = SimpleNamespace(report={"scores": scores}, sha256="ab12")
    monkeypatch.setattr("bench.predictor_training.train_predictor", lambda *_, **__: made)
    bald, male, _ = bench("train-predictor", "--dataset", "shapes3d").stdout.splitlines()
    assert bald == "Bald  one class only among the held-out images: not scored"
    assert male == "Male  R2 0.5000  MAE 0.1000  accuracy 0.9000  balanced 0.8000"


def test_data_check(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    done = bench("data", "check", tmp_path)
    assert done.exit_code == 0
    assert "1 usable image," in done.stdout
    assert "8 x 8 (1)" in done.stdout
    (tmp_path / "bad.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    done = bench("data", "check", tmp_path)
    assert done.exit_code == 2
    *_, fault, end = done.stdout.splitlines()
    assert fault == "bad      bad.jpg is empty"
    assert end.startswith("1 fault: mend or remove what is named, or leave them out")
    assert ".txt (1)" in done.stdout
    report = json.loads(bench("data", "check", tmp_path, "--json").stdout)
    assert report["bad"] == {"bad.jpg": "is empty"}
    assert bench("data", "check", tmp_path / "nowhere").exit_code == 2
