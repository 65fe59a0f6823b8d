"""Images as users point at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.image_folder import ImageFolder
from bench.data.pointed import pointed_images
from bench.data.shapes3d import Shapes3D
from bench.data.subset import Subset
from bench.errors import BenchError


@pytest.fixture(scope="module")
def test_part() -> Subset:
    return Subset(Shapes3D(size=16), torch.tensor([5, 9, 400]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    for name, picture in zip("abc", pixels, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return tmp_path


def test_places_of_the_test_part(test_part: Subset) -> None:
    images, names = pointed_images(["test:2,0"], test_part)
    assert names == ["test:2", "test:0"]
    assert torch.equal(images, test_part.batch(torch.tensor([2, 0]))[0])


def test_files_and_folders_are_read_as_an_image_folder_reads_them(
    test_part: Subset, folder: Path
) -> None:
    expected, _ = ImageFolder(folder, 16).batch(torch.arange(3))
    images, names = pointed_images([str(folder)], test_part)
    assert names == ["a.png", "b.png", "c.png"]
    assert torch.equal(images, expected)
    alone, names = pointed_images([str(folder / "b.png"), "test:1"], test_part)
    assert names == ["b.png", "test:1"]
    assert torch.equal(alone[0], expected[1])


def test_nothing_is_pointed_at(test_part: Subset) -> None:
    assert pointed_images([], test_part)[1] == []


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("test:3", "has the places 0 to 2; 'test:3' asks for 3"),
        ("test:-1", "asks for -1"),
        ("test:a", "names no places"),
        ("nowhere.png", "There is no image nowhere.png"),
    ],
)
def test_pointers_that_lead_nowhere(test_part: Subset, pointer: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        pointed_images([pointer], test_part)


def test_images_of_no_use(test_part: Subset, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (40, 12)).save(tmp_path / "low.png")
    with pytest.raises(BenchError, match=r"text\.png .*: give another image"):
        pointed_images([str(tmp_path / "text.png")], test_part)
    with pytest.raises(BenchError, match="40 x 12 pixels and the method works on 16 x 16"):
        pointed_images([str(tmp_path / "low.png")], test_part)


def test_images_of_another_size_than_the_dataset(test_part: Subset, folder: Path) -> None:
    images, _ = pointed_images([str(folder)], test_part, 12)
    assert images.shape == (3, 3, 12, 12)
    with pytest.raises(BenchError, match="has images of 16 pixels and 12 are asked for"):
        pointed_images(["test:0"], test_part, 12)
