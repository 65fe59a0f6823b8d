"""Scores of images and their counterparts: perceptual hashes, errors of pixels, LPIPS.

Images go in pixel by pixel as they are stored, upright and in RGB; nothing is cropped or resized.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from bench.data.check import DECODING_ERRORS, check_folder, explain
from bench.errors import BenchError, MissingFile, counted, listed
from bench.extractors.lpips import Net, load_lpips
from bench.processes import process_state
from bench.progress import Progress
from bench.score.report import Identity, Report, blamed_on, mean_score
from leaderboard.schema import Measurement
from metrics.arrays import FloatArray
from metrics.hashes import hash_similarities, hash_strings, perceptual_hashes
from metrics.images import to_unit_floats
from metrics.perceptual import SSIM_WINDOW, psnr, ssim
from metrics.pixels import mean_absolute_errors, mean_squared_errors

_HASHES = ("dhash", "phash", "whash")
_ERRORS = ("mae", "mse")  # the smaller, the better
_BATCH_SIZE = 32

_Hashes = dict[str, Tensor]  # bits by the hash's name


class Pairing(NamedTuple):
    """Images and their counterparts.

    Attributes:
        names: What to call the pairs.
        files: The two files of each.
        only_first: Images without a counterpart.
        only_second: Counterparts without an image.
    """

    names: list[str]
    files: list[tuple[Path, Path]]
    only_first: list[str]
    only_second: list[str]


class UnpairedWarning(UserWarning):
    """Some images have no counterpart."""


def score_hashes(first: Path, second: Path, *, hash_size: int = 8) -> Report:
    """Similarity of the hashes, and errors of the pixels, of images and their counterparts.

    PSNR and SSIM are added where torchmetrics is installed; SSIM is n/a where an image is smaller
    than its window.

    Args:
        first: An image, or a folder of images.
        second: Its counterpart; files of folders pair by their names, endings aside.
        hash_size: Rows and columns of a hash.

    Raises:
        BenchError: A file cannot be read, nothing pairs, or the images of a pair differ in size.
    """
    pairing = find_pairs(first, second)
    with_quality = importlib.util.find_spec("torchmetrics") is not None
    found, written = [], []
    for _, images, others in _batches(pairing):
        hashes = [perceptual_hashes(batch, _HASHES, hash_size) for batch in (images, others)]
        written += _written(*hashes)
        found.append(_similarities(*hashes) | _errors(images, others))
        if with_quality:
            found[-1] |= _quality(images, others)
    columns = _columns(found)
    pairs: Identity = {"pairs": len(pairing.files)}
    scores = []
    for name, values in columns.items():
        own = {**pairs, "hash_size": hash_size} if name.endswith("_similarity") else pairs
        better = name not in _ERRORS
        scores.append(mean_score(name, values, higher_is_better=better, identity=own))
    if with_quality and "ssim" not in columns:
        scores.append(
            Measurement(name="ssim", value=None, higher_is_better=True, identity=dict(pairs))
        )
    report = _report(scores, columns, pairing, first, second)
    for row, hashes_of_pair in zip(report.rows, written, strict=True):
        row["hashes"] = hashes_of_pair
    return report


def score_lpips(
    first: Path, second: Path, *, net: Net = "alex", device: str | None = None
) -> Report:
    """LPIPS of images and their counterparts.

    Args:
        first: An image, or a folder of images.
        second: Its counterpart; files of folders pair by their names, endings aside.
        net: Which of the published networks.
        device: ``cpu``, ``cuda``, or None for the best one present.

    Raises:
        BenchError: A file cannot be read, nothing pairs, the images of a pair differ in size or
            are too small, or the network's weights are missing.
    """
    where = process_state(device).device
    network = load_lpips(net, str(where))
    pairing = find_pairs(first, second)
    found = []
    for names, images, others in _batches(pairing):
        floats = to_unit_floats(images).to(where), to_unit_floats(others).to(where)
        with torch.inference_mode(), blamed_on(names[0], "give larger images"):
            found.append({network.name: network(*floats).double().cpu().numpy()})
    columns = _columns(found)
    identity: Identity = {"pairs": len(pairing.files), "weights": network.sha256}
    scores = [
        mean_score(name, values, higher_is_better=False, identity=identity)
        for name, values in columns.items()
    ]
    return _report(scores, columns, pairing, first, second)


def find_pairs(first: Path, second: Path) -> Pairing:
    """Two images as a pair, or the files of two folders that have the same names.

    Raises:
        BenchError: One is not there, nothing pairs, or a folder holds bad images or two of a name.

    Warns:
        UnpairedWarning: Some files have no counterpart.
    """
    for path in (first, second):
        if not path.exists():
            raise MissingFile(f"There is no {path}; give an image or a folder of images.")
    if first.is_dir() != second.is_dir():
        raise BenchError(
            f"Of {first} and {second} one is a folder and one is not: give two images, or two "
            "folders of images."
        )
    if not first.is_dir():
        return Pairing([first.name], [(first, second)], [], [])
    files, others = _by_name(first), _by_name(second)
    names = [name for name in files if name in others]
    if not names:
        raise BenchError(
            f"No image in {first} has the name of one in {second}: give counterparts the same "
            "names."
        )
    only_first = [files[name] for name in files if name not in others]
    only_second = [others[name] for name in others if name not in files]
    _warn_of_unpaired(first, only_first)
    _warn_of_unpaired(second, only_second)
    pairs = [(first / files[name], second / others[name]) for name in names]
    return Pairing([files[name] for name in names], pairs, only_first, only_second)


def _written(hashes: _Hashes, counterparts: _Hashes) -> list[dict[str, dict[str, str]]]:
    """The hashes of both images of each pair, as hexadecimal numbers."""
    sides = {
        side: {name: hash_strings(bits) for name, bits in found.items()}
        for side, found in (("first", hashes), ("second", counterparts))
    }
    return [
        {side: {name: texts[row] for name, texts in of.items()} for side, of in sides.items()}
        for row in range(len(hashes[_HASHES[0]]))
    ]


def _similarities(hashes: _Hashes, counterparts: _Hashes) -> dict[str, FloatArray]:
    return {
        f"{name}_similarity": hash_similarities(hashes[name], counterparts[name])
        for name in _HASHES
    }


def _errors(images: Tensor, others: Tensor) -> dict[str, FloatArray]:
    return {
        "mae": mean_absolute_errors(images, others),
        "mse": mean_squared_errors(images, others),
    }


def _quality(images: Tensor, others: Tensor) -> dict[str, FloatArray]:
    floats = to_unit_floats(images), to_unit_floats(others)
    found = {"psnr": psnr(*floats)}
    if min(images.shape[-2:]) >= SSIM_WINDOW:
        found["ssim"] = ssim(*floats)
    return found


def _columns(batches: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
    """The numbers that there are of every pair, by name."""
    names = [name for name in batches[0] if all(name in batch for batch in batches)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def _report(
    scores: list[Measurement],
    columns: dict[str, FloatArray],
    pairing: Pairing,
    first: Path,
    second: Path,
) -> Report:
    inputs = {
        "first": str(first),
        "second": str(second),
        "unpaired": {"first": pairing.only_first, "second": pairing.only_second},
    }
    rows = [
        {"pair": pair, **{name: float(values[row]) for name, values in columns.items()}}
        for row, pair in enumerate(pairing.names)
    ]
    return Report(scores, inputs, "pairs", rows)


def _by_name(folder: Path) -> dict[str, str]:
    """The images of a folder by their names without endings."""
    report = check_folder(folder, decode=False)
    if report.bad:
        raise BenchError(
            f"{counted(len(report.bad), 'image')} in {folder} cannot be used: "
            f"{listed(report.bad)}; mend or remove what is named."
        )
    if not report.pictures:
        raise BenchError(f"{folder} holds no image; give a folder of images.")
    files: dict[str, str] = {}
    for picture in report.pictures:
        name = Path(picture.path).with_suffix("").as_posix()
        if name in files:
            raise BenchError(
                f"{folder} holds {files[name]} and {picture.path}, which pair with the same image: "
                "remove one."
            )
        files[name] = picture.path
    return files


def _warn_of_unpaired(folder: Path, names: list[str]) -> None:
    if names:
        warnings.warn(
            f"{folder} holds {counted(len(names), 'image')} without a counterpart, left out: "
            f"{listed(names)}.",
            UnpairedWarning,
            stacklevel=3,
        )


def _batches(pairing: Pairing) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Names and uint8 images (N, 3, H, W) of neighbouring pairs of the same size."""
    names: list[str] = []
    images: list[tuple[Tensor, Tensor]] = []
    with Progress("images", len(pairing.files)) as progress:
        for done, (name, files) in enumerate(zip(pairing.names, pairing.files, strict=True)):
            pair = _read_pair(*files)
            if images and (len(images) == _BATCH_SIZE or pair[0].shape != images[0][0].shape):
                yield names, *_stacked(images)
                progress.update(done)
                names, images = [], []
            names.append(name)
            images.append(pair)
        yield names, *_stacked(images)


def _stacked(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    images, others = zip(*pairs, strict=True)
    return torch.stack(images), torch.stack(others)


def _read_pair(first: Path, second: Path) -> tuple[Tensor, Tensor]:
    image, other = _read(first), _read(second)
    if image.shape != other.shape:
        sizes = [f"{one.shape[2]} x {one.shape[1]}" for one in (image, other)]
        raise BenchError(
            f"{first} has {sizes[0]} pixels and {second} {sizes[1]}: bring them to one size."
        )
    return image, other


def _read(path: Path) -> Tensor:
    """One image, uint8 (3, H, W)."""
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":  # Pillow would cut off what exceeds 8 bits
                raise BenchError(f"{path} has pixels of mode {image.mode}: save it with 8 bits.")
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except DECODING_ERRORS as error:
        raise BenchError(f"{path} {explain(error)}: mend or remove it.") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
