from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench import verify
from bench.errors import MissingFile, Refused
from bench.files import sha256_of
from bench.generators import digiface, load_generator
from bench.plan import plan
from bench.resolve import RunRequest, resolve
from bench.verify import run_case
from bench.verify.dcgan_face import generator as golden_images


def test_the_generator_comes_out_of_the_wheel(digiface_wheel: Path) -> None:
    network = load_generator("digiface-dcgan")
    assert (network.z_dim, network.img_resolution) == (100, 64)
    assert network.sha256 == digiface.WEIGHTS_SHA256
    assert not network.training
    images = network(torch.randn(2, 100))
    assert images.shape == (2, 3, 64, 64)
    assert not images.requires_grad
    assert images.std() > 0.05


def test_a_run_is_told_apart_by_the_wheel(digiface_wheel: Path) -> None:
    request = RunRequest("sefa", "digiface", generator="digiface-dcgan")
    before = resolve(request, 0)
    assert before.contents["generator file"] == sha256_of(digiface_wheel)
    assert before.dataset_options == {"n": 10_000}
    with zipfile.ZipFile(digiface_wheel, "a") as archive:
        archive.writestr("more", "bytes")
    assert resolve(request, 0).hash != before.hash


def test_the_measures_of_faces_are_for_the_track_that_they_are_made_for(
    digiface_wheel: Path,
) -> None:
    assert resolve(RunRequest("sefa", "digiface"), 0).predictor == "face-measures"
    inversion = resolve(RunRequest("crg", "digiface"), 0)
    assert inversion.predictor is None
    assert list(inversion.contents) == ["generator file"]


def test_missing_weights_say_how_to_get_them(digiface_wheel: Path) -> None:
    digiface_wheel.unlink()
    with pytest.raises(MissingFile, match="run `bench fetch digiface-dcgan`, or put the file"):
        load_generator("digiface-dcgan")


def test_a_damaged_wheel_is_refused(digiface_wheel: Path) -> None:
    whole = digiface_wheel.read_bytes()
    digiface_wheel.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match=r"is damaged .*delete it and run `bench fetch"):
        load_generator("digiface-dcgan")
    digiface_wheel.write_bytes(whole.replace(b"main.0.weight", b"main.1.weight"))
    with pytest.raises(Refused, match=r"is damaged .*CRC"):
        load_generator("digiface-dcgan")


@pytest.mark.parametrize(
    ("file", "fault"), [("other", "holds no gan_face"), (digiface.WEIGHTS_FILE, "its sha256 is")]
)
def test_a_wheel_of_something_else_is_refused(digiface_wheel: Path, file: str, fault: str) -> None:
    with zipfile.ZipFile(digiface_wheel, "w") as archive:
        archive.writestr(file, b"no weights")
    with pytest.raises(Refused, match=fault):
        load_generator("digiface-dcgan")


@pytest.fixture
def golden(tmp_path: Path, digiface_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> verify.Case:
    """A case made by the loaded network; levels at a rounding edge are one off."""
    monkeypatch.setattr(verify, "_REGISTRY", {})
    verify.case("dcgan_face.generator")(golden_images)
    folder = tmp_path / "case"
    folder.mkdir()
    z = torch.randn(3, 100, 1, 1)
    images = load_generator("digiface-dcgan")(z)
    levels = (images + 1) * 127.5
    edge = (levels % 1 - 0.5).abs() < 0.02
    assert edge.any()
    stored = torch.where(edge, levels.floor() + (levels % 1 < 0.5), levels.round())
    expected = {
        "image": images[:2].contiguous(),
        "image_mean": images.mean(dim=(1, 2, 3)),
        "image_std": images.std(dim=(1, 2, 3)),
        "image_uint8": stored.to(torch.uint8).contiguous(),
    }
    save_file({"z": z}, folder / "inputs.safetensors")
    save_file(expected, folder / "expected.safetensors")
    meta = {"kind": "dcgan_face.generator", "config": {"nz": 100}, "atol": 2e-4}
    (folder / "meta.json").write_text(json.dumps(meta))
    return verify.Case(folder)


def test_golden_cases_run_with_the_weights_on_this_machine(
    golden: verify.Case, digiface_wheel: Path
) -> None:
    assert run_case(golden).status == "passed"
    golden.config["weights_sha256"] = "0" * 64
    assert "weights_sha256 is 0000" in run_case(golden).message
    digiface_wheel.unlink()
    outcome = run_case(golden)
    assert outcome.status == "failed"
    assert outcome.message.startswith("digiface-dcgan is not on this machine: run `bench fetch")


def test_directions_are_looked_for_in_it(digiface_wheel: Path) -> None:
    found = plan(resolve(RunRequest("sefa", "digiface"), 0), digiface_wheel.parent / "runs")
    assert [need.name for need in found.needs] == ["digiface-dcgan"]
    assert found.obstacles == ()
    digiface_wheel.unlink()
    found = plan(resolve(RunRequest("sefa", "digiface"), 0), digiface_wheel.parent / "runs")
    assert "bench fetch digiface-dcgan" in " ".join(found.obstacles)
