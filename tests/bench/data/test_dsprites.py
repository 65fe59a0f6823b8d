from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from bench.data import dsprites
from bench.data.dsprites import FILE_NAME, DSprites
from bench.errors import BenchError, MissingFile

SIZES = (3, 2, 2, 2, 2)  # of the factors in these tests; the original has 737,280 images
COUNT = 48


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsprites, "FACTOR_SIZES", SIZES)
    monkeypatch.setattr(dsprites, "_COUNT", COUNT)
    monkeypatch.setattr(dsprites, "_ROWS_AT_ONCE", 20)


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2, (COUNT, 64, 64), dtype=np.uint8)


def classes() -> np.ndarray:
    return np.stack(np.unravel_index(np.arange(COUNT), (1, *SIZES)), axis=1).astype(np.int64)


def write(path: Path, **changes: np.ndarray) -> Path:
    """A file of the original's form, the pickle of its metadata included."""
    metadata = np.array({"title": "sprites"}, dtype=object)
    arrays = {"imgs": pixels(), "latents_classes": classes(), "metadata": metadata, **changes}
    np.savez_compressed(path, **arrays)
    return path


def test_images_and_factors(tmp_path: Path) -> None:
    write(tmp_path / FILE_NAME)
    dataset = DSprites(tmp_path)
    assert (len(dataset), dataset.channels) == (COUNT, 1)
    indices = torch.tensor([47, 0, 17])
    images, attributes = dataset.batch(indices)
    expected = torch.from_numpy(pixels()[indices.numpy()]).float()[:, None] * 2 - 1
    assert torch.equal(images, expected)
    assert torch.equal(dataset.factors(indices), torch.from_numpy(classes()[indices.numpy(), 1:]))
    assert attributes[0].tolist() == [1.0] * 5
    assert attributes[1].tolist() == [0.0] * 5
    with pytest.raises(IndexError, match="dsprites"):
        dataset.batch(torch.tensor([COUNT]))


def test_smaller_images_are_averages(tmp_path: Path) -> None:
    path = write(tmp_path / FILE_NAME)
    whole, half = DSprites(path), DSprites(path, size=32)
    images = whole.batch(torch.tensor([5]))[0]
    torch.testing.assert_close(half.batch(torch.tensor([5]))[0], functional.avg_pool2d(images, 2))
    assert whole.fingerprint() != half.fingerprint()
    with pytest.raises(ValueError, match="64 pixels"):
        DSprites(path, size=65)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="--data"):
        DSprites(tmp_path)
    text = tmp_path / "text.npz"
    text.write_text("<html>")
    with pytest.raises(BenchError, match=r"text\.npz cannot be read .* not the published"):
        DSprites(text)
    for change, said in (
        ({"imgs": pixels()[:, :32]}, r"holds images \(48, 32, 64\)"),
        ({"imgs": pixels().astype(float)}, "of type float64"),
        ({"latents_classes": classes()[:, 1:]}, r"holds factors \(48, 5\)"),
        ({"latents_classes": classes()[::-1]}, "factors of another order"),
        ({"latents_classes": np.array([{}], dtype=object)}, "holds factors"),
    ):
        with pytest.raises(BenchError, match=said):
            DSprites(write(tmp_path / "other.npz", **change))
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(BenchError, match="cannot be read"):
        DSprites(tmp_path / "empty.npz")


def test_damage_is_found_when_images_are_read(tmp_path: Path) -> None:
    dataset = DSprites(write(tmp_path / "grey.npz", imgs=pixels() * 255))
    with pytest.raises(BenchError, match="pixels other than 0 and 1"):
        dataset.batch(torch.tensor([0]))
    path = write(tmp_path / FILE_NAME)
    dataset = DSprites(path)
    with zipfile.ZipFile(path) as archive:
        middle = archive.getinfo("imgs.npy").header_offset + 5000
    whole = bytearray(path.read_bytes())
    whole[middle] ^= 255
    path.write_bytes(whole)
    with pytest.raises(BenchError, match=r"is damaged .* not the published"):
        dataset.batch(torch.tensor([0]))
