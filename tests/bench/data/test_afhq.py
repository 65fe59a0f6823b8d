from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.afhq import AFHQ, DOMAINS, AFHQv2
from bench.data.image_folder import BadImageWarning
from bench.errors import BenchError, MissingFile
from bench.parts import open_dataset
from bench.resolve import RunRequest, resolve

TRAIN, TEST = {"cat": 4, "dog": 3, "wild": 2}, {"cat": 1, "dog": 2, "wild": 1}
CATS = [f"cat/flickr_cat_{number:06d}.jpg" for number in range(4)]


def _colour(part: str, domain: str, number: int) -> tuple[int, int, int]:
    return (60 * number, 80 * DOMAINS.index(domain), 200 if part == "train" else 20)


def _write(folder: Path, test: str = "val", suffix: str = "jpg") -> Path:
    """Flat pictures in AFHQ's layout, each of another colour."""
    for part, counts in (("train", TRAIN), (test, TEST)):
        for domain, count in counts.items():
            (folder / part / domain).mkdir(parents=True)
            for number in range(count):
                name = f"flickr_{domain}_{number + 50 * (part != 'train'):06d}.{suffix}"
                image = Image.new("RGB", (64, 64), _colour(part, domain, number))
                image.save(folder / part / domain / name)
    return folder


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return _write(tmp_path / "data" / "afhq")


def _names(dataset: AFHQ, part: str) -> list[str]:
    return dataset.image_names(dataset.split(part))  # type: ignore[arg-type]


def _csv(path: Path, clusters: Mapping[str, int | str], header: str = "img,cluster") -> Path:
    rows = [header, *(f"{image},{cluster}" for image, cluster in clusters.items())]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_domains_are_classes_and_folders_the_split(animals: Path) -> None:
    dataset = AFHQ(animals.parent, size=16)  # the folder around it does too
    assert dataset.attributes.names == DOMAINS
    assert dataset.attributes.classes
    assert dataset.attributes.exclusive == (DOMAINS,)
    train, test = dataset.split("train"), dataset.split("test")
    assert (train.tolist(), test.tolist()) == (list(range(9)), list(range(9, 13)))
    images, labels = dataset.batch(torch.tensor([1, 8, 11]))
    assert (images.shape, labels.argmax(1).tolist()) == ((3, 3, 16, 16), [0, 2, 1])
    colours = [_colour("train", "cat", 1), _colour("train", "wild", 1), _colour("val", "dog", 1)]
    np.testing.assert_allclose((images.mean((2, 3)) + 1) * 127.5, colours, atol=4)  # JPEG
    assert labels.sum(1).tolist() == [1, 1, 1]
    assert _names(dataset, "train")[:4] == CATS
    assert "antialiasing" in (dataset.resizing or "")


def test_the_second_version_has_another_folder_to_test_on(tmp_path: Path) -> None:
    second = _write(tmp_path / "afhq", "test", "png")
    assert len(AFHQv2(tmp_path, size=8)) == 13
    with pytest.raises(BenchError, match=r"parts of afhq-v2: open it by --dataset afhq-v2\.$"):
        AFHQ(second)
    first = _write(tmp_path / "first")
    with pytest.raises(BenchError, match=r"parts of afhq: open it by --dataset afhq\.$"):
        AFHQv2(first)


def test_the_fingerprint_names_files_labels_and_size(animals: Path, tmp_path: Path) -> None:
    plain = AFHQ(animals, size=8)
    names = _names(plain, "train") + _names(plain, "test")
    clusters = _csv(tmp_path / "all.csv", {name: row % 2 for row, name in enumerate(names)})
    prints = {
        plain.fingerprint(),
        AFHQ(animals, size=16).fingerprint(),
        AFHQ(animals, size=8, labels=str(clusters)).fingerprint(),
    }
    Image.new("RGB", (96, 96)).save(animals / "train" / "dog" / "flickr_dog_000001.jpg")
    prints.add(AFHQ(animals, size=8).fingerprint())
    assert len(prints) == 4


def test_clusters_replace_the_domains(animals: Path, tmp_path: Path) -> None:
    plain = AFHQ(animals, size=8)
    wanted = {part: {name: (row + 1) % 4 for row, name in enumerate(_names(plain, part))}
              for part in ("train", "test")}  # fmt: skip
    one = _csv(tmp_path / "all.csv", wanted["train"] | wanted["test"])
    folder = tmp_path / "clustering"
    folder.mkdir()
    _csv(folder / "train_4.csv", dict(reversed(wanted["train"].items())))  # in any order
    _csv(folder / "val_4.csv", wanted["test"])
    options: tuple[dict[str, object], ...] = (
        {"labels": str(one)},
        {"labels": str(folder)},
        {"labels": str(folder), "clusters": 4},
    )
    for chosen in options:
        dataset = open_dataset("afhq", animals, {"size": 8, **chosen})
        assert dataset.attributes.names == tuple(f"cluster_{number}" for number in range(4))
        assert dataset.attributes.classes
        found = dataset.labels(torch.arange(13)).argmax(1).tolist()
        assert found == [*wanted["train"].values(), *wanted["test"].values()]
    (folder / "val_4.csv").rename(folder / "test_4.csv")  # as bench cluster calls it
    _csv(folder / "train_3.csv", wanted["train"])
    assert len(AFHQ(animals, size=8, labels=str(folder), clusters=4)) == 13
    with pytest.raises(BenchError, match=r"holds train_3\.csv, train_4\.csv: choose one by --set"):
        AFHQ(animals, size=8, labels=str(folder))
    with pytest.raises(MissingFile, match=r"holds no train_7\.csv: put the clusters"):
        AFHQ(animals, size=8, labels=str(folder), clusters=7)
    with pytest.raises(BenchError, match=r"cannot be opened: clusters chooses .* as labels too\.$"):
        open_dataset("afhq", animals, {"clusters": 3})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({CATS[1]: None}, r"no cluster for 1 of 13 images, cat/flickr_cat_000001\.jpg for one: "),
        ({"cat/other.jpg": 0}, r"names 1 images that are not there, cat/other\.jpg for one: "),
        ({CATS[0]: 5}, r"has no image of cluster_2, cluster_3, cluster_4: number the clusters"),
        ({CATS[0]: "x"}, r"line 2: stands something else than an image and a number; "),
        ({CATS[0]: "0,1"}, r"line 2: stands something else than an image and a number; "),
        ({CATS[0]: -1}, r"line 2: stands something else than an image and a number; "),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    animals: Path, tmp_path: Path, changes: dict[str, int | str | None], fault: str
) -> None:
    plain = AFHQ(animals, size=8)
    names = _names(plain, "train") + _names(plain, "test")
    clusters: dict[str, int | str | None] = {name: row % 2 for row, name in enumerate(names)}
    kept = {name: one for name, one in (clusters | changes).items() if one is not None}
    with pytest.raises(BenchError, match=fault) as caught:
        AFHQ(animals, size=8, labels=str(_csv(tmp_path / "all.csv", kept)))
    assert str(caught.value).endswith(".")


def test_broken_files_of_labels_are_refused(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"There is no .*nothing\.csv: give a CSV file"):
        AFHQ(animals, size=8, labels=str(tmp_path / "nothing.csv"))
    with pytest.raises(BenchError, match="line 1: the columns are not img,cluster"):
        AFHQ(animals, size=8, labels=str(_csv(tmp_path / "all.csv", {}, "file,label")))
    for number in ("13", "5000000000", "9" * 23, "9" * 5000):
        clusters = {CATS[0]: "00", CATS[1]: number}
        with pytest.raises(BenchError, match="line 3: the cluster is not below 13, the") as far:
            AFHQ(animals, size=8, labels=str(_csv(tmp_path / "all.csv", clusters)))
        assert len(str(far.value)) < 300
    twice = tmp_path / "twice.csv"
    twice.write_text(f"img,cluster\n{CATS[0]},0\n{CATS[0]},1\n")
    with pytest.raises(BenchError, match=r"line 3: .* stands a second time"):
        AFHQ(animals, size=8, labels=str(twice))


def test_a_run_finds_its_labels_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for labels, place in (("clusters", str(tmp_path / "clusters")), ("", "")):
        request = RunRequest("infoscc", "afhq", settings={"dataset": {"labels": labels}})
        assert resolve(request, 0, allow_absent=True).dataset_options["labels"] == place


def test_clusters_of_test_images_alone_cannot_be_learnt(animals: Path, tmp_path: Path) -> None:
    plain = AFHQ(animals, size=8)
    clusters = dict.fromkeys(_names(plain, "train"), 0) | dict.fromkeys(_names(plain, "test"), 1)
    with pytest.raises(BenchError, match=r"The training part of .* has no image of cluster_1: "):
        AFHQ(animals, size=8, labels=str(_csv(tmp_path / "all.csv", clusters)))


def test_a_domain_without_images_is_refused(animals: Path) -> None:
    for file in (animals / "val" / "dog").iterdir():
        file.unlink()
    with pytest.raises(BenchError, match=r"val has no image of dog: complete AFHQ's folders\.$"):
        AFHQ(animals)
    (animals / "val" / "dog").rmdir()
    with pytest.raises(BenchError, match="val has no image of dog"):
        AFHQ(animals)


def test_what_is_not_there_is_said(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"There is no folder .*nowhere; give the one"):
        AFHQ(tmp_path / "nowhere")
    with pytest.raises(MissingFile, match="holds no folders train and val: put AFHQ's there"):
        AFHQ(animals / "train")


def test_bad_images_are_refused_or_left_out(animals: Path) -> None:
    for name in ("000000", "000001"):
        Image.new("RGB", (64, 32)).save(animals / "train" / "wild" / f"flickr_wild_{name}.jpg")
    dataset = AFHQ(animals, size=8)
    with pytest.raises(BenchError, match="has 64 x 32 pixels, which is no square"):
        dataset.batch(torch.tensor([8]))
    with (
        pytest.warns(BadImageWarning, match="2 of 13"),
        pytest.raises(BenchError, match=r"has no image of wild: .* mend its bad ones"),
    ):
        AFHQ(animals, size=8, on_bad_image="skip")
    Image.new("RGB", (64, 64)).save(animals / "train" / "wild" / "flickr_wild_000000.jpg")
    with pytest.warns(BadImageWarning, match="1 of 13"):
        dataset = AFHQ(animals, size=8, on_bad_image="skip")
    assert _names(dataset, "train")[-1] == "wild/flickr_wild_000000.jpg"
    assert dataset.split("test").tolist() == [8, 9, 10, 11]
