"""`bench edit` with a discovery run: real images, their codes, and their edits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from baselines.projection import ProjectionSettings
from bench.cli import main
from bench.directions.edits import DirectionEditRequest, edit_along_directions
from bench.errors import BenchError
from bench.projections import Likeness, Projector, projection_settings
from bench.tracks.image_comparisons import feature_distance
from bench.trained import Trained, load_trained
from metrics.perceptual import lpips_distances
from tests.bench.tracks import toy

FEW = ("--set", "steps=2", "--set", "statistics_codes=8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    asked = ["run", "--method", "random-directions", "--dataset", "shapes3d", "--preset", "smoke"]
    few = ["--set", "track.samples=2", "--set", "track.calibration_codes=4"]
    done = CliRunner().invoke(main, [*asked, *few, "--device", "cpu", "--out", str(root)])
    assert done.exit_code == 0, done.output
    return next(root.rglob("result.json")).parent


def edit(run: Path, out: Path, *arguments: str) -> Result:
    options = ["edit", str(run), "--device", "cpu", "--out", str(out), *FEW, *arguments]
    return CliRunner().invoke(main, options)


def test_images_are_projected_once_and_edited(run: Path, tmp_path: Path) -> None:
    chosen = ("--direction", "3", "0", "--step", "-2", "-1", "1", "--json")
    done = edit(run, tmp_path, "--source", "test:0,7", *chosen)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["directions"], report["steps"]) == ([3, 0], [-2.0, -1.0, 1.0])
    assert report["projection"] == "small, 2 steps, 0 of 2 images reused"
    assert report["figures"] == [str(tmp_path / "edits.png")]
    assert Image.open(tmp_path / "edits.png").width > 0
    kept = load_file(report["codes"][0])
    assert kept["ws"].shape == (10, 64)
    assert kept["distances"].shape == (3,)
    assert kept["noise.8"].shape == (64, 64)
    assert report["distances"]["test:0"] == pytest.approx(float(kept["distances"][-1]), abs=1e-4)
    done = edit(run, tmp_path, "--source", "test:7,9")
    assert done.exit_code == 0, done.output
    assert "1 of 2 images reused" in done.output
    assert "0, 1, 2, 3" in done.output
    assert len(list((tmp_path / "codes").iterdir())) == 3


@pytest.fixture(scope="module")
def trained(run: Path) -> Trained:
    return load_trained(run, "cpu")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"directions": (0, 4)}, "no direction 4: the run has the directions 0 to 3"),
        ({"directions": (-1,)}, "no direction -1"),
        ({"settings": {"step": 3}}, "no setting of the projection 'step'; did you mean step"),
        ({"settings": {"learning_rate": 0}}, "learning_rate is a number above 0 and .*, not 0"),
        (
            {"settings": {"steps": 3, "learning_rate": 1e30}},
            "test:0: the projection of image 0 div",
        ),
        ({"source": ("nowhere.png",)}, "There is no image nowhere.png"),
        ({"source": ()}, "There is nothing to edit"),
    ],
)
def test_what_cannot_be_edited(
    trained: Trained, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    request = replace(DirectionEditRequest(source=("test:0",)), **wrong)
    with pytest.raises(BenchError, match=said):
        edit_along_directions(trained, request, tmp_path)
    assert not list(tmp_path.iterdir())


def test_options_and_runs_of_another_track(run: Path, trained: Trained, tmp_path: Path) -> None:
    done = edit(run, tmp_path, "--source", "test:0", "--without", "test:1", "--k", "1")
    assert done.exit_code == 2
    assert "--without, --k are for runs of the track reconstruction" in done.output
    inverter = replace(trained, method=torch.nn.Identity())
    with pytest.raises(BenchError, match="finds no directions; give a run of the track discovery"):
        edit_along_directions(inverter, DirectionEditRequest(source=("test:0",)), tmp_path)


def test_codes_belong_to_image_generator_and_settings(tmp_path: Path) -> None:
    generator: Any = toy.StripeGenerator()
    likeness = Likeness.by_extractor(toy.RandomFeatures())
    settings = ProjectionSettings(steps=1, statistics_codes=8)
    images = torch.rand(2, 3, toy.SIZE, toy.SIZE, generator=torch.Generator().manual_seed(0))

    def projector(settings: ProjectionSettings) -> Projector:
        return Projector(generator, torch.device("cpu"), likeness, settings, tmp_path)

    twice = images[[0, 1, 0]]
    first = projector(settings).project(twice, "abc")
    assert first.reused == 0
    assert first.paths[0] == first.paths[2] != first.paths[1]
    again = projector(settings).project(twice, "abc")
    assert again.reused == 3
    assert torch.equal(again.projection.ws, first.projection.ws)
    first.paths[1].write_bytes(b"damaged")
    assert projector(settings).project(images, "ab").reused == 1
    assert projector(settings.model_copy(update={"seed": 1})).project(images, "ab").reused == 0
    generator.sha256 = "d" * 64
    assert projector(settings).project(images, "ab").reused == 0
    with pytest.raises(BenchError, match=r"^a, b: the generator makes images of 8 x 8 pixels"):
        projector(settings).project(images[..., :4, :4], "ab")


def test_vectors_are_as_far_apart_as_their_images() -> None:
    first, second = torch.rand(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    features = toy.RandomFeatures()
    heads = [torch.linspace(0, 1, 8), torch.linspace(2, 0, 8)]
    lpips: Any = SimpleNamespace(
        name="lpips-toy", sha256="", heads=heads, activations=features.feature_maps
    )

    def apart(likeness: Likeness) -> Tensor:
        return (likeness.embed(first) - likeness.embed(second)).square().sum(dim=1)

    expected = feature_distance(features, first, second)
    torch.testing.assert_close(apart(Likeness.by_extractor(features)), expected)
    maps = features.feature_maps(first), features.feature_maps(second)
    torch.testing.assert_close(apart(Likeness.by_lpips(lpips)), lpips_distances(*maps, heads))


def test_presets() -> None:
    assert projection_settings("paper", {}) == ProjectionSettings()
    assert projection_settings("small", {"seed": 3}).steps < 1000
