"""Embeddings of a dataset's images, computed once and kept in a folder of the user's.

An encoder is a feature extractor of the catalog, or the method of a finished run that has a method
``features(images) -> (N, D)``, as contrastive encoders do. A file of embeddings carries the
identity of the encoder and of the dataset: it is read again where both are the same, refused where
one is another, and computed anew where it is damaged or holds other images of the dataset.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.data.base import Dataset
from bench.data.subset import Subset
from bench.errors import BenchError
from bench.extractors import Extractor
from bench.extractors.features import read_batches
from bench.extractors.statistics_cache import CacheWarning
from bench.files import whole_file
from bench.progress import counting
from bench.trained import Trained


@dataclass(frozen=True)
class Encoder:
    """What turns images into vectors.

    Attributes:
        name: For people and for folders.
        sha256: Hash of its weights.
        device: Where it computes.
        embed: Images (N, C, H, W) in [-1, 1] -> float vectors (N, D).
        images: Channels and size in pixels of the images that it was trained on; None where it
            takes any.
    """

    name: str
    sha256: str
    device: torch.device
    embed: Callable[[Tensor], Tensor]
    images: tuple[int, int] | None = None

    def check(self, dataset: Dataset) -> None:
        """Refuse images of another kind than the encoder was trained on.

        Raises:
            BenchError: They differ in channels or size.
        """
        if self.images is None or self.images == (dataset.channels, dataset.size):
            return
        channels, size = self.images
        remedy = (
            f"give the images that size by --set dataset.size={size}"
            if channels == dataset.channels
            else "give the run of a method trained on images like these"
        )
        raise BenchError(
            f"The encoder of {self.name} was trained on images of {channels} x {size} x {size}, "
            f"but those of {dataset.name} have {dataset.channels} x {dataset.size} x "
            f"{dataset.size}: {remedy}."
        )


def extractor_encoder(extractor: Extractor) -> Encoder:
    """The pooled vectors of a feature extractor."""
    device = next(extractor.parameters()).device
    return Encoder(extractor.name, extractor.sha256, device, extractor.pooled)


def run_encoder(trained: Trained) -> Encoder:
    """The method ``features`` of a finished run's method.

    Raises:
        BenchError: It has none.
    """
    method, spec = trained.method, trained.spec
    # Of the class: a network that an instance keeps under this name is no such method.
    features = getattr(type(method), "features", None)
    if not callable(features):
        raise BenchError(
            f"{spec.method}, the method of {trained.folder}, has no encoder: give the run of a "
            "method with features(images), such as infoscc, or name a feature network by "
            "--extractor."
        )
    dataset = trained.parts.dataset
    return Encoder(
        name=f"{spec.method}-{spec.hash}",
        sha256=_hash_of_weights(method),
        device=trained.parts.device,
        embed=partial(features, method),
        images=(dataset.channels, dataset.size),
    )


def kept_embeddings(
    images: Subset, encoder: Encoder, fingerprint: str, path: Path, batch_size: int
) -> Tensor:
    """The embeddings of images: read from a file where it holds them, else computed and written.

    Args:
        images: Some images of a dataset.
        encoder: Embeds them.
        fingerprint: Of the dataset.
        path: The file.
        batch_size: Images at a time.

    Returns:
        float32 (N, D), in the order of the images.

    Raises:
        BenchError: The file holds embeddings of another dataset or by another encoder, or some
            embeddings are not finite.

    Warns:
        CacheWarning: The file is damaged, and its embeddings were computed anew.
    """
    identity = {
        "dataset": images.dataset.name,
        "fingerprint": fingerprint,
        "encoder": encoder.name,
        "weights": encoder.sha256,
    }
    found = _read(path, identity, images.indices)
    if found is None:
        found = _compute(images, encoder, path.stem, batch_size)
        tensors = {"embeddings": found, "indices": images.indices}
        hashes = {name: _sha256(tensor) for name, tensor in tensors.items()}
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata={"identity": json.dumps(identity), **hashes})
    return found


def _compute(images: Subset, encoder: Encoder, title: str, batch_size: int) -> Tensor:
    embedded = []
    with counting(title, len(images)) as count_more, torch.inference_mode():
        for batch in read_batches(images, batch_size=batch_size):
            vectors = encoder.embed(batch.to(encoder.device)).float().cpu()
            if not vectors.isfinite().all():
                raise BenchError(
                    f"{encoder.name} gives embeddings of {images.dataset.name} that are not "
                    "finite; give another encoder."
                )
            embedded.append(vectors)
            count_more(len(batch))
    return torch.cat(embedded)


def _read(path: Path, identity: dict[str, Any], indices: Tensor) -> Tensor | None:
    """The embeddings in a file; None if it is absent, damaged, or of other images."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            held = json.loads(notes.get("identity", "{}"))
            tensors = {name: file.get_tensor(name) for name in ("embeddings", "indices")}
        damaged = any(notes.get(name) != _sha256(tensor) for name, tensor in tensors.items())
    except (OSError, SafetensorError, ValueError) as error:
        held, tensors, damaged = {}, {}, True
        reason = f" ({error})"
    else:
        reason = ""
    if damaged:
        message = f"{path} is damaged{reason}; its embeddings are computed anew."
        warnings.warn(message, CacheWarning, stacklevel=3)
        return None
    _require_same(path, held, identity)
    return tensors["embeddings"] if torch.equal(tensors["indices"], indices) else None


def _require_same(path: Path, held: dict[str, Any], asked: dict[str, Any]) -> None:
    kinds = (("dataset", "fingerprint"), ("encoder", "weights"))
    for name, sha256 in kinds:
        if (held.get(name), held.get(sha256)) != (asked[name], asked[sha256]):
            raise BenchError(
                f"{path} holds embeddings of the {name} {held.get(name)} ({sha256} "
                f"{held.get(sha256)}), but asked for is {asked[name]} ({sha256} "
                f"{asked[sha256]}): give another folder by --out, or remove that file."
            )


def _hash_of_weights(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _sha256(tensor: Tensor) -> str:
    return hashlib.sha256(_bytes(tensor)).hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
