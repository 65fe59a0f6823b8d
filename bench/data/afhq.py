"""AFHQ: faces of cats, dogs and wild animals, 512 px, in folders of their domains.

Choi et al., StarGAN v2 (2020), arXiv 1912.01865. Version 1 has 14,630 training images (5,153 cats,
4,739 dogs, 4,738 wild animals) and 500 validation images of each domain, JPEG files in
``{train,val}/{cat,dog,wild}``; version 2 has 15,803 images cut anew, PNG files in
``{train,test}/{cat,dog,wild}``. Both come as a folder ``afhq`` (CC BY-NC 4.0). InfoSCC-GAN takes
version 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from baselines.base import Attributes
from bench.data.annotated import OnBadImage, Rows, SquareImages
from bench.data.check import IMAGE_SUFFIXES
from bench.data.classes import require_every_class
from bench.data.cluster_labels import read_clusters
from bench.errors import BenchError, MissingFile

DOMAINS = ("cat", "dog", "wild")
_ROOTS = ("", "afhq", "afhq_v2")
_TEST_NAMES = ("val", "test")  # the test part's folder, by the version; files of labels take both


class AFHQ(SquareImages):
    """AFHQ, version 1: the training images by their paths, then the validation images to test on.

    The domain is the class; or the cluster, where ``labels`` are given.

    Args:
        path: The folder that holds ``train`` and ``val``, or the one around it.
        size: Height and width in pixels; Pillow's bilinear filter with antialiasing.
        labels: Clusters to take as classes (``cluster_0``, ...) in place of the domains: a CSV file
            of all images, or a folder with one for each part (``bench.data.cluster_labels``);
            empty for none.
        clusters: Which of a folder's clusterings, by its number of clusters; None if it has one.
        on_bad_image: ``"fail"`` refuses a bad image when it is read; ``"skip"`` decodes every image
            first and leaves out what is bad.

    Raises:
        MissingFile: A folder or a file is not there.
        BenchError: A class has no image, or the labels do not go together with the images.
        ValueError: An option is out of its range.
    """

    name = "afhq"
    resizing = "bilinear filter with antialiasing"
    everything: ClassVar[Mapping[str, Any]] = {}
    paths: ClassVar[tuple[str, ...]] = ("labels",)
    version: ClassVar[int] = 1

    def __init__(
        self,
        path: Path,
        size: int = 256,
        labels: str = "",
        clusters: int | None = None,
        on_bad_image: OnBadImage = "fail",
    ) -> None:
        test_name = _TEST_NAMES[self.version - 1]
        folder = _find(path, self.name, test_name)
        train, test = (_images(folder / part) for part in ("train", test_name))
        names, classes = read_clusters(
            labels, {("train",): train, _TEST_NAMES: test}, clusters
        ) or (DOMAINS, np.array([_domain(image) for image in (*train, *test)]))
        trained = np.arange(len(classes)) < len(train)
        files = [f"train/{image}" for image in train] + [f"{test_name}/{image}" for image in test]
        one_hot = np.eye(len(names), dtype=np.int8)[classes]
        rows = Rows(np.array(files), one_hot, trained, ~trained)
        super().__init__(folder, rows, names, size, on_bad_image)
        self.attributes = Attributes(names, (names,), classes=True)

    def image_names(self, indices: Tensor) -> list[str]:
        """The paths of images in the folder of their part, ``cat/flickr_cat_000002.jpg``."""
        files = self._rows.files[self._checked(indices).numpy()].tolist()
        return [file.partition("/")[2] for file in files]

    def _check_labels(self) -> None:
        """Refuse a class of which no training image is used."""
        classes = self._rows.labels[self._rows.train].argmax(1)
        where = f"The training part of {self._folder} has"
        require_every_class(
            self.attributes.names, classes, where, "give the class images, or mend its bad ones"
        )


class AFHQv2(AFHQ):
    """AFHQ, version 2, which has a folder ``test`` where version 1 has ``val``; see ``AFHQ``."""

    name = "afhq-v2"
    version = 2


def _find(path: Path, name: str, test_name: str) -> Path:
    """The folder of the parts."""
    if not path.is_dir():
        raise MissingFile(f"There is no folder {path}; give the one that holds AFHQ by --data.")
    for folder in (path / root for root in _ROOTS):
        if not (folder / "train").is_dir():
            continue
        if (folder / test_name).is_dir():
            return folder
        if any((folder / other).is_dir() for other in _TEST_NAMES):
            other = "afhq-v2" if name == AFHQ.name else AFHQ.name
            raise BenchError(f"{folder} has the parts of {other}: open it by --dataset {other}.")
    raise MissingFile(
        f"{path} holds no folders train and {test_name}: put AFHQ's there, each with the folders "
        f"{', '.join(DOMAINS)}."
    )


def _images(folder: Path) -> Sequence[str]:
    """The images of a part, such as ``cat/flickr_cat_000002.jpg``, by domain and name.

    Raises:
        BenchError: A domain has none.
    """
    images: list[str] = []
    for domain in DOMAINS:
        if (folder / domain).is_dir():
            with os.scandir(folder / domain) as entries:
                names = sorted(entry.name for entry in entries if _is_image(entry.name))
            images += [f"{domain}/{name}" for name in names]
    classes = np.array([_domain(image) for image in images], np.int64)
    require_every_class(DOMAINS, classes, f"{folder} has", "complete AFHQ's folders")
    return images


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and name[0] != "."


def _domain(image: str) -> int:
    return DOMAINS.index(image.partition("/")[0])
