"""Attributes by clustering: images without labels get the clusters of their embeddings as classes.

Kinakh, Drozdova, Quétant, Golling and Voloshynovskiy, "Information-theoretic stochastic contrastive
conditional GAN: InfoSCC-GAN" (2021) cluster the embeddings of their contrastive encoder. What they
released is the result alone, files ``{train,val}_{3..15}.csv`` with the columns ``img`` and
``cluster``; neither code nor paper says how they were made. This module is our own choice: k-means
on embeddings of length 1, with files of the same form.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.clustering_figures import Layout, Subject, draw_figures
from bench.data.base import Dataset, Split
from bench.data.subset import Subset
from bench.embeddings import Encoder, kept_embeddings
from bench.errors import BenchError, counted
from bench.files import write_bytes, write_json
from bench.kmeans import (
    FITS,
    SILHOUETTE_IMAGES,
    STARTS,
    Clustering,
    Floats,
    Places,
    agreement,
    fit,
    separation,
)
from bench.parts import Parts
from bench.progress import counting

_SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class ClusterRequest:
    """How a dataset is clustered.

    Attributes:
        clusters: How many clusters to make, several numbers for several clusterings.
        seed: Seeds k-means and the figures' layout.
        layout: How images are laid out in the figures.
        batch_size: Images at a time.
    """

    clusters: Sequence[int]
    seed: int = 0
    layout: Layout = "tsne"
    batch_size: int = 32


def cluster_dataset(
    parts: Parts, encoder: Encoder, request: ClusterRequest, folder: Path
) -> dict[str, Any]:
    """Cluster a dataset's images and write labels, figures and a report.

    Args:
        parts: The dataset, and how many images of each part to take.
        encoder: Embeds the images.
        request: How.
        folder: Gets ``<split>_<k>.csv``, ``embeddings-<split>.safetensors``, figures and
            ``report.json``. Embeddings that are there are not computed again.

    Returns:
        The report as JSON values.

    Raises:
        BenchError: There are fewer than two clusters, more than images, or more than the encoder
            tells apart; the encoder does not fit; or the folder holds other embeddings.
    """
    wanted = sorted(set(request.clusters))
    images = {split: parts.images(split) for split in _SPLITS}
    _check_numbers(wanted, len(images["train"]), parts.dataset)
    encoder.check(parts.dataset)
    embedded = {
        split: _embedded(used, split, parts.fingerprint, encoder, request.batch_size, folder)
        for split, used in images.items()
        if len(used)
    }
    clusterings = []
    with counting("clusterings", len(wanted)) as count_more:
        for k in wanted:
            clusterings.append(fit(embedded, k, request.seed))
            _check_sizes(clusterings[-1], encoder)
            count_more(1)
    scores = [_scores(one, embedded["train"], images) for one in clusterings]
    for clustering in clusterings:
        _write_labels(clustering, images, folder)
    title = f"{parts.dataset.name} by {encoder.name}"
    subject = Subject(images["train"], embedded["train"], clusterings, scores, title)
    report = {
        "dataset": parts.dataset.name,
        "fingerprint": parts.fingerprint,
        "encoder": {"name": encoder.name, "sha256": encoder.sha256},
        "images": {
            split: {"used": len(used), "of": len(parts.dataset.split(split))}
            for split, used in images.items()
        },
        "protocol": _protocol(embedded["train"], request.seed),
        "clusterings": scores,
        "figures": draw_figures(subject, folder, request.layout, request.seed),
    }
    write_json(folder / "report.json", report)
    return report


def image_names(dataset: Dataset, indices: Tensor) -> list[str]:
    """What images are called in a file of labels.

    Args:
        dataset: One with a method ``image_names(indices) -> list[str]`` is asked.
        indices: int64 (N,), places in the dataset.

    Returns:
        N names; the places themselves where images have none.
    """
    if hasattr(dataset, "image_names"):
        return list(dataset.image_names(indices))
    return [str(index) for index in indices.tolist()]


def _check_numbers(wanted: Sequence[int], count: int, dataset: Dataset) -> None:
    if wanted[0] < 2:
        raise BenchError(f"--clusters {wanted[0]}: ask for at least 2 clusters.")
    if wanted[-1] <= count:
        return
    enough = wanted[-1] <= len(dataset.split("train"))
    remedy = "raise --limit" if enough else "ask for fewer, or give more images"
    raise BenchError(
        f"--clusters {wanted[-1]} are more than the {counted(count, 'training image')} of "
        f"{dataset.name}: {remedy}."
    )


def _check_sizes(clustering: Clustering, encoder: Encoder) -> None:
    found = int((clustering.sizes("train") > 0).sum())
    if found < clustering.k:
        raise BenchError(
            f"--clusters {clustering.k}: {encoder.name} tells the training images apart into "
            f"{counted(found, 'cluster')} only; ask for fewer, or give another encoder."
        )


def _embedded(
    images: Subset,
    split: Split,
    fingerprint: str,
    encoder: Encoder,
    batch_size: int,
    folder: Path,
) -> Floats:
    """Embeddings of length 1, (N, D)."""
    path = folder / f"embeddings-{split}.safetensors"
    embeddings = kept_embeddings(images, encoder, fingerprint, path, batch_size)
    return functional.normalize(embeddings, dim=1).numpy()


def _protocol(embedded: Floats, seed: int) -> dict[str, Any]:
    return {
        "algorithm": f"k-means, the best of {STARTS} starts by k-means++",
        "embeddings": f"{embedded.shape[1]} numbers, scaled to length 1",
        "seed": seed,
        "stability": f"adjusted Rand index, mean over all pairs of {FITS} seeds",
        "silhouette": f"{min(SILHOUETTE_IMAGES, len(embedded))} training images",
    }


def _scores(
    clustering: Clustering, train: Floats, images: Mapping[Split, Subset]
) -> dict[str, Any]:
    """All numbers of a clustering, as JSON values."""
    scores: dict[str, Any] = {
        "k": clustering.k,
        "sizes": {split: clustering.sizes(split).tolist() for split in clustering.assigned},
        **separation(train, clustering.assigned["train"]),
        "stability": clustering.stability,
        "labels": {split: _labels_file(split, clustering.k) for split in clustering.assigned},
    }
    attributes = images["train"].dataset.attributes
    if attributes.classes:
        classes = {split: _classes(images[split]) for split in clustering.assigned}
        scores["classes"] = {
            split: agreement(clusters, classes[split])
            for split, clusters in clustering.assigned.items()
        }
        scores["commonest"] = [
            _commonest(classes["train"][clustering.assigned["train"] == number], attributes.names)
            for number in range(clustering.k)
        ]
    return scores


def _commonest(classes: Places, names: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(classes, minlength=len(names))
    return {"class": names[int(counts.argmax())], "share": float(counts.max() / counts.sum())}


def _classes(images: Subset) -> Places:
    return cast(Places, images.labels(torch.arange(len(images))).argmax(dim=1).numpy())


def _labels_file(split: Split, k: int) -> str:
    return f"{split}_{k}.csv"


def _write_labels(clustering: Clustering, images: Mapping[Split, Subset], folder: Path) -> None:
    for split, clusters in clustering.assigned.items():
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("img", "cluster"))
        names = image_names(images[split].dataset, images[split].indices)
        rows.writerows(zip(names, clusters.tolist(), strict=True))
        write_bytes(folder / _labels_file(split, clustering.k), text.getvalue().encode())
