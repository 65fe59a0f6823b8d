from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.digits import MNIST, Digits, FashionMNIST
from bench.errors import BenchError, MissingFile
from bench.parts import open_dataset

PARTS = {"train": 20, "t10k": 10}


def _idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def _arrays(part: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(PARTS[part])
    return random.integers(0, 256, (PARTS[part], 28, 28)), np.arange(PARTS[part]) % 10


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "MNIST" / "raw"  # where torchvision puts them
    folder.mkdir(parents=True)
    for part in PARTS:
        images, labels = _arrays(part)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(_idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(_idx(labels))
    return tmp_path


def test_training_images_come_first(files: Path) -> None:
    dataset = MNIST(files, size=28)
    assert dataset.split("train").tolist() == list(range(20))
    assert dataset.split("test").tolist() == list(range(20, 30))
    images, labels = dataset.batch(torch.tensor([21, 3]))
    assert (images.shape, dataset.channels) == ((2, 1, 28, 28), 1)
    expected = np.stack([_arrays("t10k")[0][1], _arrays("train")[0][3]])
    np.testing.assert_array_equal(((images[:, 0] + 1) * 127.5).round(), expected)
    assert labels.argmax(1).tolist() == [1, 3]
    assert labels.sum(1).tolist() == [1, 1]
    assert dataset.attributes.exclusive == (tuple("0123456789"),)
    assert dataset.identities(torch.arange(3)) is None
    with pytest.raises(ValueError, match="'train' or 'test'"):
        dataset.split("valid")  # type: ignore[arg-type]


def test_the_files_are_read_as_torchvision_reads_them(files: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = datasets.MNIST(files, train=True)
    ours = MNIST(files, size=28)
    pixels = ((ours.batch(torch.arange(20))[0][:, 0] + 1) * 127.5).round().byte()
    assert torch.equal(pixels, theirs.data)
    assert torch.equal(ours.labels(torch.arange(20)).argmax(1), theirs.targets)


def test_compressed_and_renamed_files_are_the_same(files: Path, tmp_path: Path) -> None:
    before = MNIST(files).fingerprint()
    other = tmp_path / "plain"
    other.mkdir()
    for path in (files / "MNIST" / "raw").iterdir():
        if "images" in path.name:
            (other / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        else:
            (other / path.name.replace("-idx", ".idx")).write_bytes(path.read_bytes())
    assert MNIST(other).fingerprint() == before
    assert MNIST(other, size=32).fingerprint() != before
    assert FashionMNIST(other).fingerprint() != before


def test_images_are_resized(files: Path) -> None:
    images = MNIST(files).batch(torch.arange(5))[0]
    assert images.shape == (5, 1, 64, 64)
    assert images.min() >= -1
    assert images.max() <= 1
    small = MNIST(files, size=14).batch(torch.arange(5))[0]
    assert torch.allclose(images.mean((1, 2, 3)), small.mean((1, 2, 3)), atol=0.1)
    assert MNIST(files, size=14).resizing == "bilinear filter with antialiasing"
    assert MNIST(files, size=28).resizing is None


def test_a_class_without_images_is_refused(files: Path) -> None:
    for part in PARTS:
        labels = files / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte"
        labels.write_bytes(_idx(np.arange(PARTS[part]) % 8))
    with pytest.raises(BenchError, match=r"The dataset mnist has no image of 8, 9: complete"):
        MNIST(files)


def test_missing_and_damaged_files_are_named(files: Path) -> None:
    with pytest.raises(MissingFile, match=r"no train-images-idx3-ubyte .*FashionMNIST.*download"):
        FashionMNIST(files / "nowhere")
    folder = files / "MNIST" / "raw"
    images, labels = folder / "t10k-images-idx3-ubyte", folder / "t10k-labels-idx1-ubyte"
    whole = images.read_bytes()
    for content, fault in (
        (whole[:-1], r"holds 7,839 values where its header says \(10, 28, 28\)"),
        (b"<html>not here</html>", "is no IDX file"),
        (b"", "is no IDX file"),
        (whole[:9], "ends within its header"),
        (_idx(np.zeros((10, 8, 8))), "no images of 28 x 28"),
    ):
        images.write_bytes(content)
        with pytest.raises(BenchError, match=fault):
            MNIST(files)
    images.write_bytes(whole)
    for wrong in (np.arange(9), np.full(10, 10)):
        labels.write_bytes(_idx(wrong))
        with pytest.raises(BenchError, match="no class for each of 10 images"):
            MNIST(files)
    labels.unlink()
    (folder / f"{labels.name}.gz").write_bytes(gzip.compress(_idx(np.arange(10)))[:-9])
    with pytest.raises(BenchError, match="cannot be read"):
        MNIST(files)


def test_digits_come_with_scikit_learn() -> None:
    dataset = open_dataset("digits", None, {})
    assert isinstance(dataset, Digits)
    images, labels = dataset.batch(torch.arange(10))
    assert images.shape == (10, 1, 32, 32)
    assert (images.min(), images.max()) == (-1, 1)
    assert labels.argmax(1).tolist() == list(range(10))
    assert len(dataset.split("train")) + len(dataset.split("test")) == len(dataset) == 1797
    with pytest.raises(BenchError, match="at least 1 pixel"):
        open_dataset("digits", None, {"size": 0})
    with pytest.raises(BenchError, match="reads no files"):
        open_dataset("digits", Path(), {})


def test_fashion_mnist_is_found_where_the_system_has_it(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(FashionMNIST, "installed", tmp_path / "absent")
    with pytest.raises(MissingFile, match="needs Debian's package dataset-fashion-mnist"):
        open_dataset("fashion-mnist", None, {})
    monkeypatch.setattr(FashionMNIST, "installed", files / "MNIST" / "raw")
    dataset = open_dataset("fashion-mnist", None, {"size": 32})
    assert dataset.attributes.names[-1] == "Ankle_boot"
    (tmp_path / "data" / "fashion-mnist").mkdir(parents=True)
    with pytest.raises(MissingFile, match="holds no train-images"):
        open_dataset("fashion-mnist", None, {})
