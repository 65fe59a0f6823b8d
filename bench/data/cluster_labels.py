"""Labels that stand in for a dataset's classes: the clusters of its images, read from CSV files.

The layout is that of the clusterings that InfoSCC-GAN's authors published for AFHQ
(``{train,val}_{3..15}.csv``): a header, then ``img,cluster`` a line, where ``img`` is an image's
path in the folder of its part (``cat/flickr_cat_000002.jpg``) and clusters are numbered from 0.
``bench cluster`` writes the same.
"""

from __future__ import annotations

import csv
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.base import Dataset
from bench.data.celeba_annotations import read_lines
from bench.data.classes import require_every_class
from bench.errors import BenchError, MissingFile, listed

_COLUMNS = ("img", "cluster")


def reads_clusters(dataset: type[Dataset]) -> bool:
    """Whether a dataset takes clusters as classes, by its options ``labels`` and ``clusters``."""
    return {"labels", "clusters"} <= inspect.signature(dataset).parameters.keys()


def missing_labels_remedy(dataset: Dataset) -> str:
    """What to do where a dataset without labels is of no use, the end of a sentence."""
    if not reads_clusters(type(dataset)):
        return "take another --dataset"
    return (
        "give it some by --set dataset.labels=PATH, such as the clusters that bench cluster makes, "
        "or take another --dataset"
    )


def read_clusters(
    labels: str, parts: Mapping[tuple[str, ...], Sequence[str]], count: int | None = None
) -> tuple[tuple[str, ...], NDArray[np.int64]] | None:
    """The clusters of a dataset's images, which are to be its classes.

    Args:
        labels: A CSV file of all images, or a folder with one for each part of the dataset,
            ``PART.csv`` or ``PART_K.csv`` for K clusters; empty for none.
        parts: The images of each part, by the names that the part may have.
        count: The K of a folder's files; None where it holds one file for each part.

    Returns:
        The classes ``cluster_0``, ``cluster_1``, ..., and that of each image, int64 (N,), part
        after part; or None where no labels are given.

    Raises:
        MissingFile: A file is not there.
        BenchError: A file is malformed, misses images, names others, or leaves a cluster empty.
        ValueError: ``count`` is given without labels.
    """
    if not labels:
        if count is not None:
            raise ValueError("clusters chooses among the files of a folder: give it as labels too.")
        return None
    place = Path(labels).expanduser()
    if place.is_dir():
        read = [(_file(place, names, count), images) for names, images in parts.items()]
    elif place.is_file():
        read = [(place, [image for images in parts.values() for image in images])]
    else:
        raise MissingFile(
            f"There is no {place}: give a CSV file with the columns img and cluster, or a folder "
            "with one for each part, by --set dataset.labels=PATH."
        )
    total = sum(map(len, parts.values()))
    clusters = np.concatenate([_clusters(file, images, total) for file, images in read])
    names = tuple(f"cluster_{number}" for number in range(int(clusters.max()) + 1))
    require_every_class(names, clusters, f"{place} has", "number the clusters from 0 without a gap")
    return names, clusters


def _file(folder: Path, names: Sequence[str], count: int | None) -> Path:
    """The CSV file of a part."""
    end = "_*" if count is None else f"_{count}"
    found = {file for name in names for file in folder.glob(f"{name}{end}.csv")}
    if count is None:
        found |= {file for name in names if (file := folder / f"{name}.csv").is_file()}
    if not found:
        raise MissingFile(
            f"{folder} holds no {names[0]}{'' if count is None else end}.csv: put the clusters of "
            f"the {names[0]} images there, or say how many clusters its files have by --set "
            "dataset.clusters=K."
        )
    if len(found) > 1:
        shown = listed(sorted(file.name for file in found))
        raise BenchError(f"{folder} holds {shown}: choose one by --set dataset.clusters=K.")
    return found.pop()


def _clusters(file: Path, images: Sequence[str], total: int) -> NDArray[np.int64]:
    """The clusters of the images that a file has to name, and no others."""
    found = _read(file, total)
    missing = [image for image in images if image not in found]
    if missing:
        raise BenchError(
            f"{file} has no cluster for {len(missing):,} of {len(images):,} images, {missing[0]} "
            "for one: give every image a cluster (bench cluster --limit sets how many get one)."
        )
    unknown = sorted(found.keys() - set(images))
    if unknown:
        raise BenchError(
            f"{file} names {len(unknown):,} images that are not there, {unknown[0]} for one: "
            "remove these lines, or complete the images."
        )
    return np.array([found[image] for image in images], np.int64)


def _read(file: Path, total: int) -> dict[str, int]:
    """The cluster of each image that a file names, below the number of all images."""
    header, *rows = csv.reader(read_lines(file))
    if tuple(name.strip() for name in header) != _COLUMNS:
        raise _malformed(file, 1, "the columns are not img,cluster")
    found: dict[str, int] = {}
    for line, row in enumerate(rows, 2):
        if len(row) != 2 or not row[1].strip().isdecimal():
            raise _malformed(file, line, "stands something else than an image and a number")
        if row[0] in found:
            raise _malformed(file, line, f"{row[0]} stands a second time")
        number = row[1].strip().lstrip("0") or "0"
        # By its length first: Python reads no number of thousands of digits.
        if len(number) > len(str(total)) or int(number) >= total:
            raise _malformed(file, line, f"the cluster is not below {total:,}, the images' number")
        found[row[0]] = int(number)
    return found


def _malformed(file: Path, line: int, fault: str) -> BenchError:
    return BenchError(f"{file}, line {line}: {fault}; mend the file or make it anew.")
