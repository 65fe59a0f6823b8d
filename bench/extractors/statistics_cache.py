"""What extractors saw in datasets, kept on disk so that no dataset is seen twice.

An entry is one safetensors file in the suite's cache folder, written whole. Its key holds all that
its numbers depend on: the dataset's fingerprint, the extractor with the hash of its weights and its
resizer, which images, and how many. The key stands in the file and has to match, so a file cannot
answer for another one; every tensor stands there with its hash, so damage is found. An entry that
is damaged is recomputed with a warning. ``bench cache`` shows and removes entries.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.data.base import Dataset
from bench.downloads import features_folder
from bench.errors import BenchError
from bench.extractors.base import Extractor
from bench.extractors.features import (
    BATCH_SIZE,
    FeatureStatistics,
    Kept,
    Progress,
    read_batches,
    statistics_of,
)
from bench.files import whole_file

_FORMAT = 1  # raise it when the same key would give other numbers than before
_MOMENTS = ("mean", "covariance")
_KEPT: tuple[Kept, ...] = ("pooled", "logits")


class CacheWarning(UserWarning):
    """An entry of the cache is damaged, or could not be written."""


class _Damaged(Exception):
    """An entry is not what was written."""


def cached_statistics(
    dataset: Dataset,
    extractor: Extractor,
    indices: Tensor | None = None,
    keep: Collection[Kept] = (),
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> FeatureStatistics:
    """The statistics of a dataset's features: read if they were computed before, else computed.

    Args:
        dataset: Its ``fingerprint`` says what it holds.
        extractor: Gives the features.
        indices: int64 (N,), which images, in which order; all by default.
        keep: See ``statistics_of``. An entry that lacks something is computed anew, and then
            holds that too.
        batch_size: Images at a time.
        progress: Called with the number of images of each batch; not at all for what is read.

    Raises:
        BenchError: The images are far out of [-1, 1], or NaN.
        ValueError: There are fewer than two images.

    Warns:
        CacheWarning: An entry is damaged and was recomputed, or the cache cannot be written.
    """
    key = _key(dataset, extractor, indices)
    path = features_folder() / _file_name(key)
    found, held = _read(path, key, keep)
    if found is None:
        batches = read_batches(dataset, indices, batch_size)
        found = statistics_of(batches, extractor, {*keep, *held}, progress=progress)
        _write(path, key, found)
    return found


def _key(dataset: Dataset, extractor: Extractor, indices: Tensor | None) -> dict[str, Any]:
    """All that the numbers of an entry depend on."""
    selection = "all"
    if indices is not None and not torch.equal(indices, torch.arange(len(dataset))):
        selection = _sha256(indices)
    return {
        "format": _FORMAT,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "extractor": extractor.name,
        "weights": extractor.sha256,
        "resizer": extractor.resizer,
        "images": len(dataset) if indices is None else len(indices),
        "selection": selection,
    }


def _file_name(key: dict[str, Any]) -> str:
    digest = hashlib.sha256(_text(key).encode()).hexdigest()
    readable = f"{key['dataset']}-{key['extractor']}-{key['images']}"
    return f"{re.sub('[^A-Za-z0-9.-]+', '_', readable)}-{digest[:16]}.safetensors"


def _read(
    path: Path, key: dict[str, Any], keep: Collection[Kept]
) -> tuple[FeatureStatistics | None, set[Kept]]:
    """The entry, None if it is absent, damaged or lacks something; and what it holds to keep."""
    if not path.exists():
        return None, set()
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if notes.get("key") != _text(key):
                raise _Damaged("its key is not the one that it was written for")
            held: set[Kept] = {name for name in _KEPT if name in notes}
            if not held >= set(keep):
                return None, held
            found = {name: file.get_tensor(name) for name in (*_MOMENTS, *keep)}
        for name, tensor in found.items():
            if notes.get(name) != _sha256(tensor):
                raise _Damaged(f"the hash of its tensor {name} is wrong")
    except (OSError, SafetensorError, _Damaged) as error:
        message = f"{path} cannot be used ({error}); its features are computed anew."
        warnings.warn(message, CacheWarning, stacklevel=3)
        return None, set()
    return FeatureStatistics(key["extractor"], key["weights"], key["images"], **found), held


def _write(path: Path, key: dict[str, Any], found: FeatureStatistics) -> None:
    tensors = {name: getattr(found, name) for name in (*_MOMENTS, *_KEPT)}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    notes = {"key": _text(key)} | {name: _sha256(tensor) for name, tensor in tensors.items()}
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata=notes)
    except (BenchError, OSError) as error:  # a full disk takes nothing from what was computed
        message = f"Features were not kept for later: {error}"
        warnings.warn(message, CacheWarning, stacklevel=3)


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def _sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().data).hexdigest()
