"""What tests of `bench score` share: the command, and files to give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner, Result
from PIL import Image

from bench.cli import main

TOY = ("--extractor", "tests.bench.extractors.toy:Quarters")


def score(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def pictures(folder: str, count: int, seed: int, size: int = 16) -> torch.Tensor:
    """Write images of noise; returns them in [-1, 1]."""
    Path(folder).mkdir()
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(f"{folder}/{index:03d}.png")
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1.0


def table(path: str, header: str, *rows: str) -> None:
    Path(path).write_text("\n".join([header, *rows]) + "\n")
