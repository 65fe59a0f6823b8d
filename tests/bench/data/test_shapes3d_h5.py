from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.shapes3d import ORIENTATIONS, SCALES, Shapes3D
from bench.data.shapes3d_h5 import Shapes3DFile
from bench.errors import BenchError, MissingFile

h5py = pytest.importorskip("h5py")

WRITTEN = (0, 77_777, 479_999)


def _write(path: Path, count: int = 480_000, shift: int = 0) -> Path:
    """A file of the original's form; chunks that are not written take no room."""
    factors = Shapes3D(1).factors((torch.arange(count) + shift) % 480_000).numpy()
    labels = factors.astype(np.float64)
    labels[:, :3] /= 10
    labels[:, 3] = np.asarray(SCALES)[factors[:, 3]]
    labels[:, 5] = np.asarray(ORIENTATIONS)[factors[:, 5]]
    with h5py.File(path, "w") as file:
        images = file.create_dataset(
            "images", (count, 64, 64, 3), np.uint8, chunks=(1, 64, 64, 3), compression="gzip"
        )
        file.create_dataset("labels", data=labels)
        for place in WRITTEN:
            if place < count:
                images[place] = _pixels(place)
    return path


def _pixels(place: int) -> np.ndarray:
    return np.random.default_rng(place).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("3dshapes") / "3dshapes.h5")


def test_images_come_in_the_order_asked_for(original: Path) -> None:
    dataset = Shapes3DFile(original.parent)
    indices = torch.tensor([479_999, 0, 77_777, 0])
    images, attributes = dataset.batch(indices)
    assert images.dtype == torch.float32
    expected = np.stack([_pixels(int(index)) for index in indices]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(((images + 1) * 127.5).round().numpy(), expected)
    assert torch.equal(attributes, Shapes3D(1).batch(indices)[1])
    assert dataset.fingerprint() != Shapes3DFile(original, size=32).fingerprint()


def test_smaller_images_are_averages(original: Path) -> None:
    images, _ = Shapes3DFile(original).batch(torch.tensor([77_777]))
    halves, _ = Shapes3DFile(original, size=32).batch(torch.tensor([77_777]))
    torch.testing.assert_close(halves, torch.nn.functional.avg_pool2d(images, 2))
    with pytest.raises(ValueError, match="64 pixels"):
        Shapes3DFile(original, size=128)


def test_what_is_no_original_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="bench fetch 3dshapes"):
        Shapes3DFile(tmp_path)
    (tmp_path / "text.h5").write_text("<html>")
    with pytest.raises(BenchError, match=r"text\.h5 cannot be read"):
        Shapes3DFile(tmp_path / "text.h5")
    with pytest.raises(BenchError, match=r"holds images \(10, 64, 64, 3\)"):
        Shapes3DFile(_write(tmp_path / "short.h5", count=10))
    with pytest.raises(BenchError, match="labels of another order"):
        Shapes3DFile(_write(tmp_path / "shifted.h5", shift=1))


def test_a_truncated_file_is_named(original: Path, tmp_path: Path) -> None:
    whole = original.read_bytes()
    cut = tmp_path / "3dshapes.h5"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match=r"3dshapes\.h5 cannot be read .*bench fetch 3dshapes"):
        Shapes3DFile(cut)


def test_without_h5py_the_package_is_named(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(BenchError, match="pip install h5py"):
        Shapes3DFile(original)
