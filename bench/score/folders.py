"""Folders of images as features, the same way for every score of distributions.

Features are computed once for each folder and kept in the cache of ``bench.extractors``, so that
the second score of the same images takes seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench.data.check import FolderReport
from bench.data.image_folder import ImageFolder
from bench.errors import BenchError, counted, listed
from bench.extractors import FeatureStatistics, load_extractor, metric_name
from bench.extractors.features import Kept
from bench.extractors.statistics_cache import cached_statistics
from bench.processes import process_state
from bench.progress import counting
from bench.score.report import Identity, Report
from leaderboard.schema import Measurement


@dataclass(frozen=True)
class FeatureOptions:
    """How images become features.

    Attributes:
        extractor: A name of ``bench list extractors``.
        size: Pixels that images are cropped and resized to; None where all have one size.
        on_bad_image: What to do with files that cannot be read.
        device: ``cpu``, ``cuda``, or None for the best one present.
        batch_size: Images at a time.
        limit: At most so many images of a folder, evenly spread; None for all.
        compiled: Compile the network first.
    """

    extractor: str = "efficientnet-lite0"
    size: int | None = None
    on_bad_image: Literal["skip", "fail"] = "fail"
    device: str | None = None
    batch_size: int = 32
    limit: int | None = None
    compiled: bool = False


class SeenFolders:
    """The folders of a score and the network that looks at them.

    Args:
        options: How images become features.
        folders: Each under the name of its option, such as ``real`` and ``fake``.

    Attributes:
        counts: How many images of each folder are looked at.
        inputs: The folders in words, for messages.

    Raises:
        BenchError: A folder, its images or the network's weights are missing or of no use, or the
            images differ in size and ``options.size`` is None.
    """

    def __init__(self, options: FeatureOptions, **folders: Path) -> None:
        device = str(process_state(options.device).device)
        self._extractor = load_extractor(options.extractor, device, options.compiled)
        self._options = options
        self._images = {
            name: open_folder(folder, options.size, options.on_bad_image)
            for name, folder in folders.items()
        }
        self._folders = folders
        self._size = self._common_size()
        self.counts = {
            name: min(len(images), options.limit or len(images))
            for name, images in self._images.items()
        }
        self.inputs = " and ".join(map(str, folders.values()))

    def require(self, least: int, reason: str, remedy: str) -> None:
        """Make sure that each folder gives so many images.

        Raises:
            BenchError: One gives fewer; ``reason`` and ``remedy`` complete the sentence.
        """
        for name, count in self.counts.items():
            if count < least:
                found = f"{self._folders[name]} gives {counted(count, 'image')}"
                raise BenchError(f"{found}, but {reason} {least}: {remedy}.")

    def statistics(self, *keep: Kept) -> list[FeatureStatistics]:
        """What the network saw in each folder; see ``bench.extractors.statistics_of``."""
        return [self._statistics(name, keep) for name in self._images]

    def measured(
        self,
        kind: str,
        value: float,
        own: Identity | None = None,
        *,
        part: str = "",
        higher_is_better: bool | None = None,
    ) -> Measurement:
        """One score, named after the network.

        Args:
            kind: See ``bench.extractors.metric_name``.
            value: The score.
            own: What it depends on beside the images and the network.
            part: Which number of several, to end the name with.
            higher_is_better: The direction of improvement.
        """
        name = metric_name(kind, self._extractor.name)
        return Measurement(
            name=f"{name}.{part}" if part else name,
            value=value,
            higher_is_better=higher_is_better,
            identity={
                "extractor": self._extractor.name,
                "weights": self._extractor.sha256,
                "resizer": self._extractor.resizer,
                "image_size": self._size,
                **{f"{folder}_images": count for folder, count in self.counts.items()},
                **(own or {}),
            },
        )

    def report(self, *scores: Measurement) -> Report:
        """The scores together with what was looked at."""
        inputs = {
            name: {"folder": str(folder), "images": self.counts[name]}
            for name, folder in self._folders.items()
        }
        return Report(list(scores), inputs)

    def _common_size(self) -> int:
        sizes = {images.size for images in self._images.values()}
        if len(sizes) > 1:
            each = (f"{self._folders[name]} of {one.size}" for name, one in self._images.items())
            raise BenchError(
                f"The images differ in size ({' and '.join(each)} pixels): give --size "
                f"{min(sizes)} or less, to which all are brought."
            )
        return sizes.pop()

    def _statistics(self, name: str, keep: Collection[Kept]) -> FeatureStatistics:
        images, count = self._images[name], self.counts[name]
        chosen = torch.arange(count) * len(images) // count
        with counting(f"features of --{name}", count) as count_more:
            return cached_statistics(
                images, self._extractor, chosen, keep, self._options.batch_size, count_more
            )


def open_folder(
    folder: Path, size: int | None, on_bad_image: Literal["skip", "fail"]
) -> ImageFolder:
    """The images of a folder; see ``FeatureOptions``.

    Raises:
        BenchError: The folder or an image is of no use, or sizes differ and none is given.
    """
    images = ImageFolder(folder, size or 1, on_bad_image)
    if size is None:
        # Left to itself, it would name an option of `bench run` where sizes differ.
        images.size = _own_size(images.report)
    return images


def _own_size(report: FolderReport) -> int:
    """The side of the images, which all have to be squares of one size."""
    (width, height), *others = report.sizes
    if others or width != height:
        first = {(one.width, one.height): one.path for one in reversed(report.pictures)}
        each = listed([f"{first[w, h]} has {w} x {h}" for w, h in report.sizes])
        smallest = min(min(size) for size in report.sizes)
        raise BenchError(
            f"The images in {report.folder} are not all of one square size ({each}): "
            f"give --size {smallest} or less, to which their middle squares are brought."
        )
    return width
