from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import verify
from bench.data import annotated
from bench.data.annotated import LabelWarning
from bench.data.celeba import CROPS, CelebA
from bench.data.celeba_annotations import ATTRIBUTE_SETS, image_name, read_attributes
from bench.data.celeba_hq import MASK_HQ_FILE, CelebAHQ
from bench.data.image_folder import BadImageWarning
from bench.errors import BenchError, MissingFile
from bench.parts import open_dataset

GOLDEN = Path(__file__).parents[2] / "data" / "editing"
EVERY = torch.arange(12)


@pytest.mark.parametrize("name", ["annotations", "preprocess", "stargan_split"])
def test_golden_cases(name: str) -> None:
    outcome = verify.verify(GOLDEN / f"celeba_{name}").cases[0]
    assert outcome.status == "passed", outcome.message


def test_images_and_labels_by_index(faces: Path) -> None:
    dataset = CelebA(faces, size=64)
    images, labels = dataset.batch(torch.tensor([4, 0, 4]))
    assert (images.shape, images.dtype, images.is_contiguous()) == (
        (3, 3, 64, 64),
        torch.float32,
        True,
    )
    assert torch.equal(images[0], images[2])
    assert dataset.resizing == "crop stargan, bilinear filter with antialiasing"
    with Image.open(faces / "img_align_celeba" / "000005.jpg") as image:
        square = image.crop((0, 20, 178, 198)).resize((64, 64), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(images[0], expected, atol=1e-6)
    table = read_attributes(faces / "list_attr_celeba.txt")
    expected = torch.from_numpy(table.columns(ATTRIBUTE_SETS["stargan"])).float()
    assert torch.equal(dataset.labels(EVERY), expected)
    assert torch.equal(labels, expected[[4, 0, 4]])
    assert dataset.attributes.names == ATTRIBUTE_SETS["stargan"]
    assert dataset.attributes.exclusive == (("Black_Hair", "Blond_Hair", "Brown_Hair"),)
    assert dataset.identities(torch.tensor([0, 1, 2])).tolist() == [5, 5, 6]  # type: ignore[union-attr]
    assert dataset.split("train").tolist() == list(range(7))
    assert dataset.split("test").tolist() == [9, 10, 11]
    assert dataset.batch(EVERY[:0])[0].shape == (0, 3, 64, 64)
    with pytest.raises(IndexError):
        dataset.batch(torch.tensor([12]))
    with pytest.raises(ValueError, match="'train' or 'test'"):
        dataset.split("valid")  # type: ignore[arg-type]


def test_labels_need_no_images(faces: Path) -> None:
    dataset = CelebA(faces, size=32)
    for path in (faces / "img_align_celeba").iterdir():
        path.unlink()
    assert dataset.labels(EVERY).shape == (12, 5)


def test_pixels_of_small_sets_are_kept_and_of_large_ones_read_again(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = CelebA(faces, size=32)
    monkeypatch.setattr(annotated, "_KEPT", 100)
    large = CelebA(faces, size=32)
    assert torch.equal(small.batch(EVERY)[0], large.batch(EVERY)[0])
    (faces / "img_align_celeba" / "000002.jpg").unlink()
    small.batch(EVERY)
    with pytest.raises(BenchError, match=r"000002\.jpg"):
        large.batch(EVERY)


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        ("stargan", (0, 20, 178)),
        ("attgan", (4, 24, 170)),
        ("stgan", (3, 26, 170)),
        ("vae-gan", (15, 40, 148)),
        ("alpha-gan", (19, 39, 140)),
        ("icgan", (30, 40, 138)),
        ("dcgan", (35, 55, 108)),
    ],
)
def test_crops_are_those_of_the_programs(crop: str, box: tuple[int, int, int]) -> None:
    where = np.zeros((218, 178, 3), np.uint8)
    where[..., 0], where[..., 1] = np.arange(178), np.arange(218)[:, None]
    cut = np.asarray(CROPS[crop].of(Image.fromarray(where)))
    left, top, side = box
    assert cut.shape[:2] == (side, side)
    assert tuple(cut[0, 0, :2]) == (left, top)


def test_infoscc_squeezes_the_whole_image(faces: Path) -> None:
    dataset = CelebA(faces, size=32, attributes="infoscc-5", crop="infoscc")
    assert dataset.attributes.names == ATTRIBUTE_SETS["infoscc-5"]
    assert dataset.resizing == "whole image squeezed, bilinear filter with antialiasing"
    with Image.open(faces / "img_align_celeba" / "000003.jpg") as image:
        squeezed = image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(squeezed)).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(dataset[2][0], expected)
    cut = CelebA(faces, size=32, attributes="infoscc-5")
    assert cut.fingerprint() != dataset.fingerprint()
    with pytest.raises(ValueError, match="dcgan, infoscc, not 'none'"):
        CelebA(faces, crop="none")


def _as_torchvision(folder: Path) -> Path:
    (folder.parent / "root").mkdir()
    shutil.move(folder, folder.parent / "root" / "celeba")
    return folder.parent / "root"


def _as_published(folder: Path) -> Path:
    for place, names in {
        "Anno": ("list_attr_celeba.txt", "identity_CelebA.txt"),
        "Eval": ("list_eval_partition.txt",),
        "Img": ("img_align_celeba",),
    }.items():
        (folder / place).mkdir()
        for name in names:
            shutil.move(folder / name, folder / place / name)
    return folder


def _as_kaggle(folder: Path) -> Path:
    (folder / "img_align_celeba").rename(folder / "inner")
    (folder / "img_align_celeba").mkdir()
    (folder / "inner").rename(folder / "img_align_celeba" / "img_align_celeba")
    for name, header in (
        ("list_attr_celeba", None),
        ("list_eval_partition", "image_id partition"),
    ):
        lines = (folder / f"{name}.txt").read_text().splitlines()
        lines = [header, *lines] if header else ["image_id " + lines[1], *lines[2:]]
        text = "\n".join(",".join(line.split()) for line in lines)
        (folder / f"{name}.csv").write_text(text)
        (folder / f"{name}.txt").unlink()
    return folder


def _as_stargan(folder: Path) -> Path:
    (folder / "img_align_celeba").rename(folder / "images")
    return folder


@pytest.mark.parametrize("move", [_as_torchvision, _as_published, _as_kaggle, _as_stargan])
def test_copies_in_other_layouts_are_the_same(faces: Path, move: Callable[[Path], Path]) -> None:
    before = CelebA(faces, size=32).fingerprint()
    assert CelebA(move(faces), size=32).fingerprint() == before


def test_the_fingerprint_follows_options_labels_and_files(faces: Path) -> None:
    changed = [
        {},
        {"size": 16},
        {"crop": "attgan"},
        {"attributes": ["Male", "Young"]},
        {"attributes": ["Young", "Male"]},
    ]
    prints = [CelebA(faces, **{"size": 32, **options}).fingerprint() for options in changed]  # type: ignore[arg-type]
    (faces / "identity_CelebA.txt").unlink()
    prints.append(CelebA(faces, size=32).fingerprint())
    path = faces / "img_align_celeba" / "000003.jpg"
    Image.new("RGB", (178, 218)).save(path)
    prints.append(CelebA(faces, size=32).fingerprint())
    assert len(set(prints)) == len(prints)
    assert CelebA(faces, size=32).fingerprint() == prints[-1]


def test_without_its_file_identities_are_unknown(faces: Path) -> None:
    (faces / "identity_CelebA.txt").unlink()
    assert CelebA(faces, size=32).identities(EVERY) is None


def test_grey_and_palette_images_become_rgb(faces: Path) -> None:
    images = faces / "img_align_celeba"
    with Image.open(images / "000001.jpg") as image:
        grey, palette = image.convert("L"), image.convert("P")
    grey.save(images / "000002.jpg")
    (images / "000003.jpg").unlink()
    palette.save(images / "000003.png")  # another ending than the attribute file states
    read = CelebA(faces, size=32).batch(EVERY)[0]
    assert torch.equal(read[1, 0], read[1, 2])
    assert (read[2] - read[0]).abs().mean() < 0.2


def test_rows_without_images_are_refused_or_left_out(faces: Path) -> None:
    (faces / "img_align_celeba" / "000003.jpg").unlink()
    with pytest.raises(BenchError, match=r"1 of 12 label rows have no image .*--on-bad-image skip"):
        CelebA(faces)
    with pytest.warns(BadImageWarning, match="1 of 12 label rows are left out, 1 of them without"):
        dataset = CelebA(faces, size=32, on_bad_image="skip")
    assert len(dataset) == 11
    assert dataset.split("train").tolist() == list(range(6))
    assert dataset.identities(torch.tensor([2])).tolist() == [6]  # type: ignore[union-attr]


def test_images_without_rows_are_warned_of(faces: Path) -> None:
    shutil.copy(faces / "img_align_celeba" / "000001.jpg", faces / "img_align_celeba" / "x.jpg")
    with pytest.warns(LabelWarning, match=r"1 images in .* have no labels, x\.jpg for one"):
        assert len(CelebA(faces, size=32)) == 12


def test_bad_images_are_named_or_left_out(faces: Path) -> None:
    images = faces / "img_align_celeba"
    Image.new("RGB", (128, 128)).save(images / "000002.jpg")
    (images / "000004.jpg").write_bytes((images / "000004.jpg").read_bytes()[:2000])
    Image.fromarray(np.full((218, 178), 40_000, np.uint16)).save(images / "000007.png")
    (images / "000007.jpg").unlink()
    dataset = CelebA(faces, size=32)
    for index, fault in (
        (1, "128 x 128 pixels in place of the 178 x 218"),
        (3, "is truncated"),
        (6, "which is not 8-bit"),
    ):
        with pytest.raises(BenchError, match=fault):
            dataset.batch(torch.tensor([index]))
    with pytest.warns(BadImageWarning, match="3 of 12 label rows are left out, 0 of them"):
        left = CelebA(faces, size=32, on_bad_image="skip")
    assert left.batch(torch.arange(9))[0].isfinite().all()


def test_a_folder_of_other_images_is_refused_at_once(faces: Path) -> None:
    for index in range(12):
        Image.new("RGB", (178, 178)).save(faces / "img_align_celeba" / image_name(index))
    with pytest.raises(BenchError, match=r"000001\.jpg has 178 x 178 pixels"):
        CelebA(faces)


def test_constant_attributes_are_warned_of(faces: Path) -> None:
    text = (faces / "list_attr_celeba.txt").read_text().splitlines()
    kept = [row.rsplit(maxsplit=1)[0] + " -1" for row in text[2:9]] + text[9:]
    (faces / "list_attr_celeba.txt").write_text("\n".join(text[:2] + kept))
    with pytest.warns(LabelWarning, match="same label for Young: nothing can be learnt"):
        CelebA(faces, size=32)


def test_missing_parts_are_named(faces: Path) -> None:
    with pytest.raises(MissingFile, match=r"no folder .*nowhere"):
        CelebA(faces / "nowhere")
    (faces / "list_eval_partition.txt").rename(faces / "elsewhere.txt")
    with pytest.raises(MissingFile, match=r"no list_eval_partition\.txt.*split=stargan"):
        CelebA(faces)
    (faces / "elsewhere.txt").rename(faces / "list_eval_partition.txt")
    (faces / "img_align_celeba").rename(faces / "hidden")
    with pytest.raises(MissingFile, match=r"no folder img_align_celeba: put"):
        CelebA(faces)
    (faces / "img_align_celeba.zip").touch()
    with pytest.raises(MissingFile, match=r"no folder img_align_celeba: unpack .*\.zip"):
        CelebA(faces)
    (faces / "img_align_celeba").mkdir()
    with pytest.raises(BenchError, match=r"none of the images of .*000001\.jpg"):
        CelebA(faces)
    (faces / "list_attr_celeba.txt").unlink()
    with pytest.raises(MissingFile, match=r"no list_attr_celeba\.txt"):
        CelebA(faces)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["000001.jpg 0"], r"no line for 11 rows of .*, 000002\.jpg in row 2 for one: remove"),
        (
            [f"{image_name(index)} 0" for index in range(11)],
            r"no line for 000012\.jpg, row 12 of .*attr_celeba.txt: remove that row, or add",
        ),
        ([f"{image_name(index)} {index % 4}" for index in range(12)], "part 3"),
        ([f"{image_name(index)} 0" for index in range(12)], "leaves none to test on"),
    ],
)
def test_partitions_that_do_not_fit_are_refused(faces: Path, lines: list[str], fault: str) -> None:
    (faces / "list_eval_partition.txt").write_text("\n".join(lines))
    with pytest.raises(BenchError, match=fault):
        CelebA(faces)


def test_wrong_options_are_refused_in_a_sentence(faces: Path) -> None:
    for options, fault in (
        ({"attributes": ["Blond"]}, "did you mean Blond_Hair"),
        ({"attributes": "Yuong"}, "did you mean Young"),
        ({"attributes": "Male,Yuong"}, "did you mean Young"),
        ({"attributes": "everything"}, "one of stargan, attgan"),
        ({"crop": "middle"}, "crop is one of stargan"),
        ({"split": "half"}, "split is official, stargan"),
        ({"split": "stargan"}, r"dataset\.split=official"),
        ({"size": 0}, "at least 1 pixel"),
        ({"on_bad_image": "ignore"}, "on_bad_image is skip or fail"),
        ({"atributes": "all"}, "did you mean attributes"),
    ):
        with pytest.raises(BenchError, match=fault):
            open_dataset("celeba", faces, options)


@pytest.fixture
def high_quality(faces: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve squares with a mapping to CelebA's rows, counted down, as if they were the 30,000."""
    for name, number in (("COUNT", 12), ("TRAIN", 8), ("TEST", 2)):
        monkeypatch.setattr(f"bench.data.celeba_hq.{name}", number)
    folder = faces / "CelebA-HQ-img"
    folder.mkdir()
    for index in range(12):
        Image.new("RGB", (64, 64), (index * 20,) * 3).save(folder / f"{index}.jpg")
    rows = [f"{index} {11 - index} {image_name(11 - index)}" for index in range(12)]
    (faces / "image_list.txt").write_text("\n".join(["idx orig_idx orig_file", *rows]))
    return faces


def test_celeba_hq_follows_its_mapping(high_quality: Path) -> None:
    original = CelebA(high_quality, size=32)
    dataset = CelebAHQ(high_quality, size=32)
    assert torch.equal(dataset.labels(EVERY), original.labels(EVERY).flip(0))
    assert torch.equal(dataset.identities(EVERY), original.identities(EVERY).flip(0))  # type: ignore[arg-type, union-attr]
    brightness = dataset.batch(EVERY)[0].mean((1, 2, 3))
    assert torch.allclose(brightness, EVERY * 20 / 127.5 - 1, atol=0.02)
    assert [len(dataset.split(part)) for part in ("train", "test")] == [8, 2]  # type: ignore[arg-type]
    shutil.copy(
        high_quality / "img_align_celeba" / "000001.jpg", high_quality / "CelebA-HQ-img" / "0.jpg"
    )
    with pytest.raises(BenchError, match="178 x 218 pixels, which is no square"):
        CelebAHQ(high_quality)


def test_celeba_hq_reads_the_annotations_of_celebamask_hq(high_quality: Path) -> None:
    before = CelebAHQ(high_quality, size=32)
    lines = (high_quality / "list_attr_celeba.txt").read_text().splitlines()
    rows = [f"{11 - index}.jpg  {row.split(maxsplit=1)[1]}" for index, row in enumerate(lines[2:])]
    (high_quality / "list_attr_celeba.txt").unlink()
    (high_quality / MASK_HQ_FILE).write_text("\n".join([*lines[:2], *rows]))
    assert CelebAHQ(high_quality, size=32).fingerprint() == before.fingerprint()
    (high_quality / "image_list.txt").unlink()
    assert CelebAHQ(high_quality, size=32).identities(EVERY) is None
    (high_quality / MASK_HQ_FILE).write_text("\n".join([*lines[:2], *rows[1:], "99" + rows[0][2:]]))
    with pytest.raises(BenchError, match="one row for each image"):
        CelebAHQ(high_quality)


def test_celeba_hq_names_what_is_wrong(high_quality: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = high_quality / "image_list.txt"
    text = mapping.read_text()
    for wrong, fault in (
        (text.replace("3 8 ", "3 x "), "line 5: stands '3 x"),
        (text.replace("3 8 ", "4 8 "), "line 5: stands image 4 where 3 is due"),
        (text.replace("3 8 ", "3 88 "), "needs row 88"),
        ("\n".join(text.splitlines()[:-1]), "has labels of 11"),
    ):
        mapping.write_text(wrong)
        with pytest.raises(BenchError, match=fault):
            CelebAHQ(high_quality)
    mapping.unlink()
    with pytest.raises(MissingFile, match="no labels of CelebA-HQ"):
        CelebAHQ(high_quality)
    shutil.rmtree(high_quality / "CelebA-HQ-img")
    with pytest.raises(MissingFile, match="no folder CelebA-HQ-img"):
        CelebAHQ(high_quality)
    with pytest.raises(MissingFile, match="no folder"):
        CelebAHQ(high_quality / "nowhere")
