from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.check import check_folder
from bench.data.image_folder import BadImageWarning, ImageFolder
from bench.errors import BenchError, MissingFile


def _pixels(seed: int, height: int = 40, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    _save(folder / "b.png", _pixels(1))
    _save(folder / "sub" / "a.jpg", _pixels(2), quality=95)
    _save(folder / "a.PNG", _pixels(3))
    (folder / "notes.txt").write_text("no image")
    _save(folder / ".hidden" / "c.png", _pixels(4))
    return folder


@pytest.fixture
def mixed(good: Path) -> Path:
    """The good images and, beside them, one of each kind of bad ones."""
    (good / "empty.png").touch()
    (good / "page.jpg").write_text("<html>not found</html>")
    for name in ("b.png", "sub/a.jpg"):
        whole = (good / name).read_bytes()
        cut = good / f"cut{Path(name).suffix}"
        cut.write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(good / "deep.png")
    _save(good / "small.png", _pixels(5, 40, 20))
    return good


BAD = {
    "empty.png": "is empty",
    "page.jpg": "is no image",
    "cut.png": "is truncated",
    "cut.jpg": "is truncated",
    "deep.png": "not 8-bit",
    "small.png": "20 x 40 pixels",
}


def test_images_are_read_in_the_order_of_their_paths(good: Path) -> None:
    dataset = ImageFolder(good)
    assert [one.path for one in dataset.report.pictures] == ["a.PNG", "b.png", "sub/a.jpg"]
    images, attributes = dataset.batch(torch.tensor([1, 0, 1]))
    assert images.shape == (3, 3, 40, 40)
    assert attributes.shape == (3, 0)
    expected = np.stack([_pixels(1), _pixels(3), _pixels(1)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(((images + 1) * 127.5).round().numpy(), expected)
    assert torch.equal(dataset[1][0], images[0])


def test_images_are_cropped_to_their_middle_and_resized(tmp_path: Path) -> None:
    wide = np.zeros((30, 50, 3), np.uint8)
    wide[:, 10:40] = 200
    _save(tmp_path / "wide.png", wide)
    _save(tmp_path / "tall.png", wide.transpose(1, 0, 2))
    Image.fromarray(wide[..., 0]).save(tmp_path / "grey.png")
    dataset = ImageFolder(tmp_path, size=16)
    assert dataset.resizing == "square in the middle, Lanczos filter"
    images, _ = dataset.batch(torch.arange(3))
    assert images.shape == (3, 3, 16, 16)
    assert torch.allclose(images, torch.tensor(200 / 127.5 - 1))
    with pytest.raises(BenchError, match=r"one square size \(.*png has .*dataset\.size=64"):
        ImageFolder(tmp_path)


def test_images_are_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(_pixels(6))
    exif = image.getexif()
    exif[0x0112] = 3  # stored upside down
    image.save(tmp_path / "turned.png", exif=exif)
    images, _ = ImageFolder(tmp_path).batch(torch.tensor([0]))
    upright = ((images[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(upright, _pixels(6)[::-1, ::-1])


@pytest.mark.parametrize("decode", [True, False])
def test_every_bad_file_is_named_with_its_reason(mixed: Path, decode: bool) -> None:
    report = check_folder(mixed, smallest=32, decode=decode)
    assert {one.path for one in report.bad} == set(BAD)
    for one in report.bad:
        assert BAD[one.path] in one.reason
    assert [one.path for one in report.pictures] == ["a.PNG", "b.png", "sub/a.jpg"]
    assert report.sizes == {(40, 40): 3}
    assert report.modes == {"RGB": 3}
    assert report.ignored == {".txt": 1}
    assert json.loads(json.dumps(report.as_json()))["bad"]["empty.png"] == "is empty"


def test_bad_images_fail_or_are_left_out(mixed: Path) -> None:
    with pytest.raises(BenchError, match=r"6 of .*cut\.jpg is truncated.* and 1 more") as error:
        ImageFolder(mixed, size=32)
    assert "--on-bad-image skip" in str(error.value)
    with pytest.warns(BadImageWarning, match=r"6 of 9 images .*cut\.jpg is truncated"):
        dataset = ImageFolder(mixed, size=32, on_bad_image="skip")
    assert len(dataset) == 3
    assert dataset.batch(torch.arange(3))[0].isfinite().all()


def test_damage_in_the_middle_is_named_when_it_is_read(good: Path) -> None:
    path = good / "b.png"
    damaged = bytearray(path.read_bytes())
    damaged[200:260] = bytes(60)
    path.write_bytes(damaged)
    assert [one.path for one in check_folder(good).bad] == ["b.png"]
    dataset = ImageFolder(good)
    with pytest.raises(BenchError, match=r"b\.png .*mend or remove it"):
        dataset.batch(torch.tensor([1]))
    with pytest.warns(BadImageWarning, match=r"b\.png"):
        assert len(ImageFolder(good, on_bad_image="skip")) == 2


def test_the_fingerprint_follows_content_names_and_size(good: Path) -> None:
    before = ImageFolder(good).fingerprint()
    assert ImageFolder(good).fingerprint() == before
    assert ImageFolder(good, size=32).fingerprint() != before
    (good / "b.png").rename(good / "c.png")
    renamed = ImageFolder(good).fingerprint()
    assert renamed != before
    _save(good / "c.png", _pixels(7))
    assert ImageFolder(good).fingerprint() not in (before, renamed)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(BenchError, match="holds no image; give a folder of images"):
        ImageFolder(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(BenchError, match="is a file"):
        ImageFolder(tmp_path / "empty.png")
    with pytest.raises(BenchError, match=r"no image that can be used \(empty\.png is empty\)"):
        ImageFolder(tmp_path, on_bad_image="skip")
    with pytest.raises(ValueError, match="'skip' or 'fail'"):
        ImageFolder(tmp_path, on_bad_image="ignore")  # type: ignore[arg-type]


def test_a_tiny_folder_still_has_a_test_part(good: Path) -> None:
    dataset = ImageFolder(good)
    assert len(dataset.split("test")) == 1
    assert len(dataset.split("train")) == 2
