"""Attribute predictors: the shipped one is good, and training makes one that can be read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from baselines.base import Attributes
from baselines.randomness import Draws
from bench.data.base import Dataset
from bench.data.shapes3d import Shapes3D
from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.predictor_training import disturbed, score_predictor, train_predictor
from bench.predictors import AttributeClassifier, Predictor, load_predictor

HELD_OUT = 200
VIEW_STRIDE = 11  # 44 of the 480 views: all scales, shapes and orientations, quickly rendered


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return load_predictor("shapes3d")


@pytest.fixture(scope="module")
def scenes() -> tuple[Shapes3D, Tensor]:
    """The dataset and some held-out indices."""
    dataset = Shapes3D()
    test = dataset.split("test")
    test = test[test % 480 % VIEW_STRIDE == 0]
    return dataset, test[:: len(test) // HELD_OUT][:HELD_OUT]


def test_the_shipped_predictor_reads_held_out_scenes(
    shipped: Predictor, scenes: tuple[Shapes3D, Tensor]
) -> None:
    scores = {score.name: score for score in score_predictor(shipped, *scenes)}
    assert tuple(scores) == shipped.names == scenes[0].attributes.names
    assert min(score.r2 or 0 for score in scores.values()) > 0.98
    for name in ("floor_hue", "wall_hue", "object_hue", "shape"):
        assert (scores[name].accuracy or 0) > 0.98


def test_it_was_trained_on_the_pictures_of_today(
    shipped: Predictor, scenes: tuple[Shapes3D, Tensor]
) -> None:
    assert shipped.report["fingerprint"] == scenes[0].fingerprint()
    assert shipped.report["scores"][0].keys() == {"name", "r2", "mae", "accuracy"}


def test_it_is_small_and_stands_disturbance(
    shipped: Predictor, scenes: tuple[Shapes3D, Tensor]
) -> None:
    assert sum(parameter.numel() for parameter in shipped.parameters()) < 350_000
    images, truth = scenes[0].batch(scenes[1])
    torch.manual_seed(0)
    worse = shipped(disturbed(images, Draws(0, 0, 0, 1)))
    assert ((worse - truth).abs() > 0.1).float().mean() < 0.03


@pytest.mark.parametrize("size", [32, 128])
def test_other_sizes_and_values_beyond_the_range_give_scores(shipped: Predictor, size: int) -> None:
    scores = shipped(torch.linspace(-2, 2, 3 * size * size).view(1, 3, size, size))
    assert scores.shape == (1, 6)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert not scores.requires_grad


class _Shades(Dataset):
    """Flat images whose red is one attribute and whose blue is another."""

    name = "shades"
    size = 16
    attributes = Attributes(("red", "blue"))
    factor_sizes = (5, 2)

    def __len__(self) -> int:
        return 200

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        factors = torch.stack([indices % 5 / 4, indices // 5 % 2], dim=1).float()
        colours = torch.stack([factors[:, 0], torch.zeros(len(indices)), factors[:, 1]], dim=1)
        images = (2 * colours - 1)[:, :, None, None]
        return images.expand(-1, 3, self.size, self.size), factors

    def fingerprint(self) -> str:
        return "0" * 64


def test_training_learns_writes_and_repeats_itself(tmp_path: Path) -> None:
    made = [
        train_predictor(
            _Shades(),
            tmp_path / f"{name}.safetensors",
            steps=80,
            batch_size=8,
            quiet=True,
            device="cpu",
        )
        for name in ("first", "second")
    ]
    assert made[0].sha256 == made[1].sha256
    assert min(score["r2"] for score in made[0].report["scores"]) > 0.8
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first.safetensors",
        "second.safetensors",
    ]
    again = load_predictor(str(tmp_path / "first.safetensors"))
    images, _ = _Shades().batch(torch.arange(10))
    torch.testing.assert_close(again(images), made[0](images), rtol=0, atol=0)
    assert (again.names, again.levels) == (("red", "blue"), (5, 2))


class _Switches(_Shades):
    """Two binary attributes, and one that no image has."""

    name = "switches"
    size = 40
    attributes = Attributes(("red", "blue", "never"))
    factor_sizes = None

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        bits = torch.stack([indices % 2, indices // 2 % 2, indices * 0], dim=1).float()
        return (2 * bits - 1)[:, [0, 2, 1], None, None].expand(-1, -1, 40, 40), bits


def test_binary_attributes_get_a_classifier(tmp_path: Path) -> None:
    out = tmp_path / "switches.safetensors"
    made = train_predictor(
        _Switches(), out, steps=120, batch_size=8, width=4, quiet=True, device="cpu"
    )
    again = load_predictor(out)
    assert isinstance(again, AttributeClassifier)
    assert (again.names, again.image_size, again.width) == (("red", "blue", "never"), 32, 4)
    images, bits = _Switches().batch(torch.arange(4))
    assert torch.equal(again(images) > 0.5, bits > 0.5)
    torch.testing.assert_close(again(images), made(images), rtol=0, atol=0)
    red, _, never = again.report["scores"]
    assert red["r2"] > 0.5
    assert (red["accuracy"], red["balanced_accuracy"]) == (1.0, 1.0)
    assert set(never.values()) == {"never", None}  # it does not vary
    json.dumps(again.report, allow_nan=False)
    with pytest.raises(ValueError, match="halves images five times; 48"):
        AttributeClassifier(("red",), 48)


def test_a_dataset_without_attributes_is_refused(tmp_path: Path) -> None:
    dataset = _Shades()
    dataset.attributes = Attributes(())
    with pytest.raises(BenchError, match="no attributes"):
        train_predictor(dataset, tmp_path / "out.safetensors", device="cpu")


def test_what_is_no_predictor_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"<html>")
    for path in (other, garbage):
        with pytest.raises(Refused, match=path.name):
            load_predictor(path)
    with pytest.raises(MissingFile, match="bench train-predictor"):
        load_predictor(tmp_path / "absent.safetensors")
    with pytest.raises(UnknownName, match="did you mean shapes3d"):
        load_predictor("shapes3")
