"""Folders of drawn faces in CelebA's own format."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bench.data.celeba_annotations import image_name, write_annotations
from bench.data.celeba_synth import CelebASynth
from bench.errors import BenchError
from bench.files import remove_partial_files, whole_file, write_json
from bench.progress import Progress

MARKER = "celeba-synth.json"  # says what the folder is made of, so that it can be continued
_IMAGES = "img_align_celeba"
_QUALITY = 95
_STEP = 16  # images that are painted at a time


def make_folder(folder: Path, n: int, seed: int = 0, quiet: bool = False) -> int:
    """Write drawn faces as CelebA comes: ``img_align_celeba/000001.jpg`` and on, and three texts.

    The images are 178 x 218 JPEGs; the texts are ``list_attr_celeba.txt``,
    ``list_eval_partition.txt`` and ``identity_CelebA.txt``. Of the people, the first four fifths
    are for training, the next tenth for validation and the last for testing. A folder that was
    left unfinished is continued.

    Args:
        folder: Made if it is not there.
        n: How many images.
        seed: Another seed gives other people.
        quiet: Show no progress.

    Returns:
        How many images were written now.

    Raises:
        BenchError: The folder holds something else.
        ValueError: ``n`` is too small.
    """
    dataset = CelebASynth(n, seed=seed)
    _claim(folder, {"images": n, "seed": seed, "content": dataset.fingerprint()})
    missing = [i for i in range(n) if not (folder / _IMAGES / image_name(i)).exists()]
    with Progress(f"drawing {folder}", n, n - len(missing), quiet=quiet) as progress:
        for start in range(0, len(missing), _STEP):
            some = missing[start : start + _STEP]
            for index, frame in zip(some, dataset.frames(torch.tensor(some)), strict=True):
                with whole_file(folder / _IMAGES / image_name(index)) as path:
                    Image.fromarray(frame.permute(1, 2, 0).numpy()).save(path, quality=_QUALITY)
            progress.update(n - len(missing) + start + len(some))
    everything = torch.arange(n)
    people = dataset.identities(everything)
    labels = dataset.all_labels(everything).numpy()
    write_annotations(folder, labels, (people + 1).numpy(), _partition(people).numpy())
    return len(missing)


def _partition(people: Tensor) -> Tensor:
    """0, 1 or 2 for images of people (N,) that are numbered from 0; no part is without people."""
    count = int(people.max()) + 1
    tested = max(round(count / 10), 1)
    trained = max(count - 2 * tested, 1)
    return (people >= trained).long() + (people >= count - tested)


def _claim(folder: Path, content: dict[str, int | str]) -> None:
    """Make the folder and mark it, or see that it is marked as the same.

    Raises:
        BenchError: The folder holds something else.
    """
    marker = folder / MARKER
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"{folder} is a file; name a new folder.")
    if marker.exists():
        if _read(marker) != content:
            raise BenchError(
                f"{folder} was made with another --n, --seed or version; name a new folder, or "
                "repeat them to continue."
            )
        remove_partial_files(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise BenchError(f"{folder} is not empty; name a new folder.")
    (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
    write_json(marker, content)


def _read(marker: Path) -> object:
    try:
        return json.loads(marker.read_text())
    except ValueError:
        return None
