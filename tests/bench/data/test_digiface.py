from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from bench.data.digiface import DigiFace
from bench.data.subset import Subset
from bench.errors import BenchError, MissingFile
from bench.generators import load_generator
from bench.parts import open_dataset

pytestmark = pytest.mark.usefixtures("digiface_wheel")
ROUNDING = 1 / 255 + 1e-6


def test_images_are_those_of_their_latents_whatever_the_batch() -> None:
    dataset = DigiFace(n=200)
    indices = torch.tensor([150, 3, 7, 3])
    images, attributes = dataset.batch(indices)
    assert images.shape == (4, 3, 64, 64)
    assert attributes.shape == (4, 0)
    latents = dataset.latents(indices)
    assert latents.shape == (4, 100)
    generated = load_generator("digiface-dcgan")(latents)
    torch.testing.assert_close(images, generated, atol=ROUNDING, rtol=0.0)
    again = DigiFace(n=4000)
    again.batch(torch.arange(100, 180))
    assert torch.equal(images, again.batch(indices)[0])
    assert torch.equal(images, dataset.batch(indices)[0])
    assert torch.equal(latents, again.latents(indices))
    assert not torch.equal(images[0], images[1])


def test_latents_are_standard_normal_and_the_parts_share_none() -> None:
    dataset = DigiFace(n=1000)
    train, test = (Subset(dataset, dataset.split(name)) for name in ("train", "test"))
    assert (len(train), len(test)) == (800, 200)
    everything = torch.cat([part.latents(torch.arange(len(part))) for part in (train, test)])
    assert len(everything.unique(dim=0)) == 1000
    torch.testing.assert_close(everything.std(), torch.tensor(1.0), atol=0.01, rtol=0.0)
    smaller = DigiFace(n=500).split("test")
    assert torch.equal(smaller, dataset.split("test")[:100])
    with pytest.raises(ValueError, match="'train' or 'test'"):
        dataset.split("validation")  # type: ignore[arg-type]


def test_too_many_to_keep_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = DigiFace(n=50).batch(torch.arange(4, 9))[0]
    monkeypatch.setattr("bench.data.digiface._KEPT", 0)
    assert torch.equal(DigiFace(n=50).batch(torch.arange(4, 9))[0], kept)


@pytest.mark.parametrize("size", [32, 96])
def test_other_sizes_are_resized(size: int) -> None:
    indices = torch.arange(3)
    assert DigiFace(n=10, size=size).resizing == "bilinear filter with antialiasing"
    assert DigiFace(n=10).resizing is None
    resized, full = (DigiFace(n=10, size=side).batch(indices)[0] for side in (size, 64))
    assert resized.shape == (3, 3, size, size)
    expected = functional.interpolate(full, size, mode="bilinear", antialias=True)
    torch.testing.assert_close(resized, expected, atol=0.02, rtol=0.0)


def test_the_fingerprint_is_of_the_weights_and_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prints = {
        DigiFace().fingerprint(),
        DigiFace(n=10).fingerprint(),
        DigiFace(10, 32).fingerprint(),
    }
    assert len(prints) == 3
    dataset = DigiFace()
    assert dataset.fingerprint() in prints
    dataset._generator.sha256 = "0" * 64
    assert dataset.fingerprint() not in prints


def test_bad_input(digiface_wheel: Path) -> None:
    with pytest.raises(BenchError, match="n is at least 5"):
        open_dataset("digiface", None, {"n": 4})
    with pytest.raises(BenchError, match="at least 1 pixel"):
        open_dataset("digiface", None, {"size": 0})
    with pytest.raises(BenchError, match="reads no files"):
        open_dataset("digiface", Path("faces"), {})
    with pytest.raises(IndexError, match=r"\[0, 10\)"):
        DigiFace(n=10).latents(torch.tensor([10]))
    digiface_wheel.unlink()
    with pytest.raises(MissingFile, match="bench fetch digiface-dcgan"):
        open_dataset("digiface", None, {})
