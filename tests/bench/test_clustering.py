"""`bench cluster`: labels from embeddings, figures, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.cli import main
from bench.clustering_figures import lay_out
from bench.errors import BenchError
from bench.kmeans import agreement, fit, separation
from bench.parts import open_dataset

pytestmark = pytest.mark.usefixtures("toys")

PIXELS = ("--extractor", "toy_encoders:PixelExtractor")
DIGITS = ("--dataset", "digits", "--set", "dataset.size=8", *PIXELS)
COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30), "wild": (30, 30, 200)}


def cluster(out: Path, *arguments: str) -> Result:
    options = ("cluster", "--device", "cpu", "--layout", "pca", "--out", str(out))
    return CliRunner().invoke(main, [*options, *arguments])


def report_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def save_picture(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-20, 20, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(path)


@pytest.fixture
def afhq(tmp_path: Path) -> Path:
    """Six training and two test pictures of each domain, each domain of its own colour."""
    for part, count in (("train", 6), ("val", 2)):
        for domain, colour in COLOURS.items():
            for number in range(count):
                name = f"flickr_{domain}_{number:06}.png"
                save_picture(tmp_path / "afhq" / part / domain / name, colour, number)
    return tmp_path / "afhq"


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A finished run of a toy on digits of 8 pixels."""
    method = getattr(request, "param", "toy_encoders:PixelEncoder")
    asked = ["run", "--method", method, "--dataset", "digits", "--set", "dataset.size=8"]
    more = ["--preset", "smoke", "--limit", "120", "--out", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, [*asked, *more, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    return next((tmp_path / "runs").rglob("result.json")).parent


def blobs(counts: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    classes = draw.permutation(np.repeat(np.arange(len(counts)), counts))
    centres = 4.0 * np.eye(len(counts), 8)
    return (centres[classes] + 0.1 * draw.normal(size=(len(classes), 8))).astype("f4"), classes


def test_clusters_that_are_there_are_found() -> None:
    train, classes = blobs((10, 40, 25), seed=0)
    test, test_classes = blobs((5, 6, 7), seed=1)
    found = fit({"train": train, "test": test}, 3, seed=5)
    assert found.sizes("train").tolist() == [40, 25, 10]  # by size
    assert np.array([2, 0, 1])[classes].tolist() == found.assigned["train"].tolist()
    assert np.array([2, 0, 1])[test_classes].tolist() == found.assigned["test"].tolist()
    assert found.stability == 1
    apart = separation(train, found.assigned["train"])
    assert apart["silhouette"] is not None
    assert apart["silhouette"] > 0.9
    assert agreement(found.assigned["test"], test_classes) == {"purity": 1, "nmi": 1, "ari": 1}
    more = fit({"train": train}, 6, seed=5)  # there are no six: fits disagree
    assert more.stability < 0.9
    assert separation(train[:4], np.arange(4)) == {"silhouette": None, "davies_bouldin": None}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=30),
    st.permutations(range(4)),
)
def test_agreement_does_not_depend_on_the_numbers_of_clusters(
    pairs: list[tuple[int, int]], names: list[int]
) -> None:
    clusters, classes = np.array(pairs).T
    scores = agreement(clusters, classes)
    assert agreement(np.array(names)[clusters], classes) == pytest.approx(scores, abs=1e-12)
    commonest = sum(np.bincount(classes[clusters == one]).max() for one in set(clusters.tolist()))
    assert scores["purity"] == pytest.approx(commonest / len(pairs))
    assert agreement(classes, classes)["ari"] == 1


def test_the_clusters_of_afhq_become_its_labels(afhq: Path, tmp_path: Path) -> None:
    out = tmp_path / "clusters"
    asked = ("--dataset", "afhq", "--data", str(afhq), "--set", "dataset.size=8", *PIXELS)
    report = report_of(cluster(out, *asked, "--clusters", "3", "4", "--json"))
    assert report["clusterings"][0]["sizes"] == {"train": [6, 6, 6], "test": [2, 2, 2]}
    assert report["clusterings"][0]["classes"]["test"]["ari"] == 1
    header, first, *_ = rows_of(out / "train_3.csv")
    assert (header, first[0]) == (["img", "cluster"], "cat/flickr_cat_000000.png")
    options = {"size": 8, "labels": str(out), "clusters": 3}
    labelled = open_dataset("afhq", afhq, options)
    plain = open_dataset("afhq", afhq, {"size": 8})
    everything = torch.arange(len(plain))
    assert labelled.attributes.names == ("cluster_0", "cluster_1", "cluster_2")
    names = [labelled.labels(everything), plain.labels(everything)]
    table = names[0].T @ names[1]
    assert sorted(table.flatten().tolist()) == [0] * 6 + [8] * 3  # a cluster for each domain


def test_the_clusters_of_a_folder_become_its_labels(afhq: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", ("--dataset", "image-folder", "--data", str(afhq))
    asked = (*folder, *PIXELS, "--clusters", "2")
    few = cluster(tmp_path / "few", *asked, "--limit", "9")
    assert "9 of 22 training images" in few.stderr
    assert "labels to train with need --limit 22." in few.stderr
    report = report_of(cluster(out, *asked, "--json"))
    assert "classes" not in report["clusterings"][0]
    rows = [row for part in ("train", "test") for row in rows_of(out / f"{part}_2.csv")[1:]]
    plain = open_dataset("image-folder", afhq, {})
    labelled = open_dataset("image-folder", afhq, {"labels": str(out)})
    assert labelled.attributes.names == ("cluster_0", "cluster_1")
    assert labelled.attributes.classes
    places = torch.arange(len(labelled))
    found = labelled.batch(places)[1].argmax(dim=1).tolist()
    paths = sorted(path.relative_to(afhq).as_posix() for path in afhq.rglob("*.png"))
    assert dict(zip(paths, found, strict=True)) == {path: int(one) for path, one in rows}
    assert labelled.fingerprint() != plain.fingerprint()
    with pytest.raises(BenchError, match="has no cluster for 13 of 22 images"):
        open_dataset("image-folder", afhq, {"labels": str(tmp_path / "few")})
    alone = tmp_path / "alone.csv"
    tested = set(labelled.image_names(labelled.split("test")))  # type: ignore[attr-defined]
    alone.write_text("img,cluster\n" + "".join(f"{path},{int(path in tested)}\n" for path in paths))
    with pytest.raises(BenchError, match=r"training part of .* no image of cluster_1"):
        open_dataset("image-folder", afhq, {"labels": str(alone)})
    run = ["run", "--method", "infoscc", *folder]
    unlabelled = CliRunner().invoke(main, run)
    assert "image-folder has none; give it some by --set dataset.labels=PATH" in unlabelled.stderr
    run += ["--set", f"dataset.labels={out}", "--predictor", "fashion-mnist"]
    misjudged = CliRunner().invoke(main, run)
    assert "but not cluster_0, cluster_1: make a predictor of the dataset" in misjudged.stderr


def test_a_run_lends_its_encoder_and_dataset(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("--encoder", str(run), "--clusters", "2", "--clusters", "10", "--limit", "300")
    done = cluster(out, *asked)
    assert done.exit_code == 0, done.output
    assert "300 of 1,617 training images" in done.stderr
    assert "labels to train with" not in done.stderr  # digits have labels of their own
    assert re.search(r"clusters +silhouette +Davies-Bouldin +stability +purity", done.stdout)
    report = json.loads((out / "report.json").read_text())
    assert report["encoder"]["name"].startswith("toy_encoders:PixelEncoder-")
    two, ten = report["clusterings"]
    assert two["sizes"]["train"] == sorted(two["sizes"]["train"], reverse=True)
    assert sum(ten["sizes"]["train"]) == 300
    assert ten["classes"]["train"]["nmi"] > 0.5  # digits are apart even in 4 x 4 pixels
    places = [int(row[0]) for row in rows_of(out / "train_10.csv")[1:]]
    own = open_dataset("digits", None, {"size": 8}).split("train")
    assert places == own[torch.arange(300) * len(own) // 300].tolist()
    assert report["figures"] == ["clusters_2.png", "clusters_10.png", "scores.png"]
    assert all(Image.open(out / name).width > 300 for name in report["figures"])


def test_embeddings_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (*DIGITS, "--clusters", "3", "--limit", "60", "--json")
    first = report_of(cluster(tmp_path, *asked))
    labels = (tmp_path / "train_3.csv").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("bench.embeddings.read_batches", None)
        assert report_of(cluster(tmp_path, *asked)) == first
    assert (tmp_path / "train_3.csv").read_bytes() == labels
    stored = tmp_path / "embeddings-train.safetensors"
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    mended = cluster(tmp_path, *asked)
    assert re.search(r"Warning: .*embeddings-train.safetensors is damaged", mended.stderr)
    assert report_of(mended) == first
    fewer = report_of(cluster(tmp_path, *asked, "--limit", "40"))
    assert fewer["images"]["train"]["used"] == 40


def test_few_images_can_be_laid_out() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 5)).astype("f4")
    assert all(lay_out(rows[:count], "tsne", 0).shape == (count, 2) for count in (2, 3, 4, 12))
    assert lay_out(rows[:3, :1], "pca", 0).shape == (3, 2)
    assert lay_out(np.ones((9, 3), "f4"), "tsne", 0).shape == (9, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*DIGITS, "--clusters", "3", "1"), "--clusters 1: ask for at least 2"),
        ((*DIGITS, "--clusters", "70", "--limit", "50"), "50 training images.* raise --limit"),
        ((*DIGITS, "--clusters", "2000"), "1617 training images of digits: ask for fewer"),
        ((*DIGITS, "--encoder", "ab12"), "exclude each other"),
        (PIXELS, "--dataset is missing"),
        ((*DIGITS, "--set", "size=8"), "no setting of a clustering 'size'"),
        (
            (*DIGITS, "--extractor", "toy_encoders:BlindExtractor", "--clusters", "3"),
            "--clusters 3: blind tells the training images apart into 1 cluster only",
        ),
        (
            (*DIGITS, "--extractor", "toy_encoders:BrokenExtractor", "--limit", "90"),
            "broken gives embeddings of digits that are not finite",
        ),
        (("--dataset", "digits", "--extractor", "toy_parts:ToyMethod"), "is no extractor"),
        (("--encoder", "nowhere", "--clusters", "3"), "is no run"),
    ],
    ids=str,
)
def test_what_cannot_be_clustered_is_refused(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    refused = cluster(tmp_path, *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert re.search(words, refused.stderr)
    assert "Traceback" not in refused.stderr


def test_one_image_is_no_dataset_to_cluster(tmp_path: Path) -> None:
    save_picture(tmp_path / "one" / "a.png", (9, 99, 199), seed=0)
    asked = ("--dataset", "image-folder", "--data", str(tmp_path / "one"), *PIXELS)
    refused = cluster(tmp_path / "out", *asked, "--clusters", "2")
    assert refused.exit_code == 2
    assert "--clusters 2 are more than the 1 training image of image-folder" in refused.stderr


@pytest.mark.parametrize("run", ["toy_parts:ToyMethod"], indirect=True)
def test_a_method_without_an_encoder_is_refused(run: Path, tmp_path: Path) -> None:
    refused = cluster(tmp_path / "out", "--encoder", str(run))
    assert refused.exit_code == 2
    assert re.search("ToyMethod.* has no encoder: .*--extractor", refused.stderr)


def test_a_run_takes_images_like_its_own_only(run: Path, tmp_path: Path) -> None:
    refused = cluster(tmp_path / "out", "--encoder", str(run), "--set", "dataset.size=9")
    assert refused.exit_code == 2
    assert "--set dataset.size=8" in refused.stderr


def test_a_folder_keeps_to_one_dataset_and_one_encoder(tmp_path: Path) -> None:
    asked = (*DIGITS, "--clusters", "2", "--limit", "20")
    before = report_of(cluster(tmp_path, *asked, "--json"))["fingerprint"]
    larger = [option.replace("=8", "=9") for option in asked]
    other = cluster(tmp_path, *larger)
    now = open_dataset("digits", None, {"size": 9}).fingerprint()
    assert other.exit_code == 2
    assert before in other.stderr
    assert now in other.stderr
    assert "--out" in other.stderr
    other = cluster(tmp_path, *asked, "--extractor", "toy_encoders:BlindExtractor")
    assert re.search(r"encoder pixels \(weights 0+\).* blind \(weights 1+\)", other.stderr)
