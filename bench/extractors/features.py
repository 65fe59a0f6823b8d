"""Features of many images in one pass, as metrics of distributions take them in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor

from baselines.base import ImageSet
from bench.errors import BenchError
from bench.extractors.base import Extractor, as_rgb
from bench.reading import reading_thread
from metrics.images import check_range, to_bytes, to_unit_floats
from metrics.moments import RunningMoments

Kept = Literal["pooled", "logits"]
Progress = Callable[[int], None]
BATCH_SIZE = 32

_ROWS_AT_ONCE = 1024  # vectors that enter mean and covariance together
_AHEAD = 2  # batches that are read while the network is busy
_Item = TypeVar("_Item")
_Read = TypeVar("_Read")


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """What an extractor saw in a set of images.

    Attributes:
        extractor: The extractor's catalog name.
        weights: sha256 of its weights.
        count: Images seen, N.
        mean: float64 (D,) of the pooled vectors.
        covariance: float64 (D, D), divided by N - 1.
        pooled: float32 (N, D) in the order of the images, or None where it was not kept.
        logits: float32 (N, classes), likewise.
    """

    extractor: str
    weights: str
    count: int
    mean: Tensor
    covariance: Tensor
    pooled: Tensor | None = None
    logits: Tensor | None = None


def features_of(
    images: ImageSet | Iterable[Tensor],
    extractor: Extractor,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> RunningMoments:
    """Mean and covariance of the pooled vectors of many images, in constant memory.

    Images are rounded to 8 bits first, as they would be when saved, so that generated images are
    compared with stored ones on equal terms. Moments of parts, seen by other processes, merge.

    Args:
        images: A dataset, which is read ahead in another thread, or batches (N, C, H, W) in
            [-1, 1] of any size.
        extractor: Gives the features; its device is used.
        batch_size: Images at a time where a dataset is given.
        progress: Called with the number of images of each batch when it is done.

    Raises:
        BenchError: The images are far out of [-1, 1], or NaN.
    """
    moments = RunningMoments()
    for (pooled,) in _joined(_vectors(images, extractor, ("pooled",), batch_size, progress)):
        moments.update(pooled)
    return moments


def statistics_of(
    images: ImageSet | Iterable[Tensor],
    extractor: Extractor,
    keep: Collection[Kept] = (),
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> FeatureStatistics:
    """As ``features_of``, and the vectors and logits themselves where they are asked for.

    Args:
        images: See ``features_of``.
        extractor: Likewise.
        keep: ``"pooled"`` for the kernel distance and for precision and recall, ``"logits"`` for
            the inception score. Four bytes for each number of each image.
        batch_size: See ``features_of``.
        progress: Likewise.

    Raises:
        BenchError: The images are far out of [-1, 1], or NaN.
        ValueError: There are fewer than two images.
    """
    names: tuple[Kept, ...] = ("pooled", "logits") if "logits" in keep else ("pooled",)
    moments = RunningMoments()
    kept: dict[Kept, list[Tensor]] = {name: [] for name in keep}
    for vectors in _joined(_vectors(images, extractor, names, batch_size, progress)):
        moments.update(vectors[0])
        for name, vector in zip(names, vectors, strict=True):
            if name in kept:
                kept[name].append(vector.cpu())
    return FeatureStatistics(
        extractor=extractor.name,
        weights=extractor.sha256,
        count=moments.count,
        mean=moments.mean,
        covariance=moments.covariance(),
        **{name: torch.cat(blocks) for name, blocks in kept.items()},
    )


def read_batches(
    dataset: ImageSet, indices: Tensor | None = None, batch_size: int = BATCH_SIZE
) -> Iterator[Tensor]:
    """Images of a dataset, batch by batch; another thread reads a few batches ahead.

    Args:
        dataset: The images.
        indices: int64 (N,), which ones, in which order; all by default.
        batch_size: Images at a time.
    """
    chosen = torch.arange(len(dataset)) if indices is None else indices
    if len(chosen):
        yield from _read_ahead(lambda part: dataset.batch(part)[0], chosen.split(batch_size))


def _vectors(
    images: ImageSet | Iterable[Tensor],
    extractor: Extractor,
    names: Sequence[Kept],
    batch_size: int,
    progress: Progress | None,
) -> Iterator[list[Tensor]]:
    own_names = dict(zip(("pooled", "logits"), extractor.vector_names, strict=False))
    device = next(extractor.parameters()).device
    # Batches of a generator are not made ahead: that would contend for the same cores.
    batches = (
        read_batches(cast(ImageSet, images), batch_size=batch_size)
        if hasattr(images, "batch")
        else images
    )
    for batch in batches:
        _check_range(as_rgb(batch))
        with torch.inference_mode():
            saved = to_unit_floats(to_bytes(batch.to(device, torch.float32)))
            vectors = extractor.vectors(saved, [own_names[name] for name in names])
        yield vectors
        if progress:
            progress(len(batch))


def _joined(batches: Iterable[list[Tensor]]) -> Iterator[list[Tensor]]:
    """The vectors of many batches at a time: a covariance takes large blocks in much faster."""
    waiting: list[list[Tensor]] = []
    rows = 0
    for vectors in batches:
        waiting.append(vectors)
        rows += len(vectors[0])
        if rows >= _ROWS_AT_ONCE:
            yield [torch.cat(blocks) for blocks in zip(*waiting, strict=True)]
            waiting, rows = [], 0
    if waiting:
        yield [torch.cat(blocks) for blocks in zip(*waiting, strict=True)]


def _read_ahead(read: Callable[[_Item], _Read], items: Iterable[_Item]) -> Iterator[_Read]:
    """What ``read`` gives for each item, in order; another thread is a few items ahead."""
    waiting: deque[Future[_Read]] = deque()
    with reading_thread("images") as thread:
        for item in items:
            waiting.append(thread.submit(read, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check_range(images: Tensor) -> None:
    try:
        check_range(images, "Images")
    except ValueError as error:
        raise BenchError(str(error)) from error
