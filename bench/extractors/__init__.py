"""Feature networks by name, and features of whole datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import cast

import torch
from torch import Tensor

from baselines.base import ImageSet
from bench import catalog
from bench.errors import BenchError
from bench.extractors.base import Extractor, to_uint8
from metrics.moments import RunningMoments

__all__ = ["Extractor", "features_of", "load_extractor"]

_LARGEST_PLAUSIBLE = 64.0  # generators overshoot [-1, 1] somewhat; pixels of 0..255 pass this


def load_extractor(name: str, device: str = "cpu") -> Extractor:
    """The extractor of a catalog name, loaded once per process and device.

    Args:
        name: A name of ``bench list extractors`` or ``package.module:Class``.
        device: Where to put it.

    Raises:
        UnknownName: There is no such extractor.
        MissingFile: Its weights are not there; the message says what to do.
    """
    return _load(name, device)


@torch.no_grad()
def features_of(
    images: ImageSet | Iterable[Tensor],
    extractor: Extractor,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> RunningMoments:
    """Mean and covariance of the pooled features of many images, in constant memory.

    Images are rounded to 8 bits first, as they would be when saved, so that generated images are
    compared with stored ones on equal terms.

    Args:
        images: A dataset, or batches (N, C, H, W) in [-1, 1] of any size.
        extractor: Gives the features; its device is used.
        batch_size: Images at a time where a dataset is given.
        progress: Called with the number of images of each batch when it is done.

    Raises:
        BenchError: The images are far out of [-1, 1], or NaN.
    """
    moments = RunningMoments()
    device = next(extractor.parameters()).device
    for batch in _batches(images, batch_size):
        _check_range(batch)
        moments.update(extractor.pooled(_as_saved(batch.to(device))))
        if progress:
            progress(len(batch))
    return moments


@cache
def _load(name: str, device: str) -> Extractor:
    build = cast(Callable[[], Extractor], catalog.lookup("extractors", name).load())
    return build().to(device)


def _batches(images: ImageSet | Iterable[Tensor], batch_size: int) -> Iterator[Tensor]:
    if hasattr(images, "batch"):
        dataset = cast(ImageSet, images)
        for indices in torch.arange(len(dataset)).split(batch_size):
            yield dataset.batch(indices)[0]
    else:
        yield from images


def _as_saved(images: Tensor) -> Tensor:
    return to_uint8(images).to(images.dtype) / 127.5 - 1.0


def _check_range(images: Tensor) -> None:
    largest = images.abs().max().item()
    if not largest <= _LARGEST_PLAUSIBLE:  # so that NaN counts as too large
        raise BenchError(
            f"Images reach {largest:.0f} where [-1, 1] is asked for "
            "(8-bit images become such by x / 127.5 - 1)."
        )
