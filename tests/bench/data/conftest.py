from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.celeba_annotations import ATTRIBUTES, image_name, write_annotations


def face_labels(count: int) -> np.ndarray:
    """Labels (N, 40) of 0 and 1, none constant, at most one hair colour and form a row."""
    labels = np.random.default_rng(5).integers(0, 2, (count, len(ATTRIBUTES)))
    labels[0], labels[1] = 1, 0
    hair = [ATTRIBUTES.index(f"{colour}_Hair") for colour in ("Black", "Blond", "Brown", "Gray")]
    labels[:, hair] = 0
    labels[np.arange(count), np.array(hair)[np.arange(count) % 4]] = 1
    labels[:, ATTRIBUTES.index("Straight_Hair")] = np.arange(count) % 2
    labels[:, ATTRIBUTES.index("Wavy_Hair")] = np.arange(count) % 3 % 2 * (np.arange(count) + 1) % 2
    return labels


def face_pixels(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (218, 178, 3), dtype=np.uint8)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Twelve aligned images in the official layout: 7 to train on, 2 for validation, 3 to test."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for index in range(12):
        image = Image.fromarray(face_pixels(index))
        image.save(folder / "img_align_celeba" / image_name(index), quality=95)
    write_annotations(folder, face_labels(12), np.arange(12) // 2 + 5, [0] * 7 + [1] * 2 + [2] * 3)
    return folder
