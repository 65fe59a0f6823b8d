"""What a predictor reads off images in a folder: the table that scores of attributes start from."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Literal

import torch

from baselines.base import Attributes
from bench.errors import BenchError
from bench.predictors import load_predictor
from bench.processes import process_state
from bench.progress import counting
from bench.score.folders import open_folder
from bench.tracks.judge import Judge

_NAME = "image"  # the column of the images' paths


@torch.no_grad()
def read_attributes(
    folder: Path,
    predictor: str,
    *,
    classes: bool = False,
    size: int | None = None,
    on_bad_image: Literal["skip", "fail"] = "fail",
    device: str | None = None,
    batch_size: int = 32,
) -> str:
    """A table of labels 0 and 1 as .csv, judged as the tracks editing and conditional do.

    Args:
        folder: The images; the column ``image`` has their paths in it.
        predictor: A name of ``bench list predictors``, or a file of one.
        classes: The attributes are classes: exactly one is set, the most likely one.
        size: Pixels that images are cropped and resized to; None where all have one size.
        on_bad_image: What to do with files that cannot be read.
        device: ``cpu``, ``cuda``, or None for the best one present.
        batch_size: Images at a time.

    Raises:
        BenchError: The images or the predictor are missing or of no use.
    """
    where = process_state(device).device
    network = load_predictor(predictor, str(where))
    if any(levels != 2 for levels in network.levels):
        raise BenchError(
            f"The predictor {predictor} reads factors of many levels, not attributes; name one of "
            "attributes by --predictor."
        )
    images = open_folder(folder, size, on_bad_image)
    judge = Judge(network, Attributes(network.names, classes=classes))
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow([_NAME, *network.names])
    with counting("attributes of images", len(images)) as count_more:
        for batch in torch.arange(len(images)).split(batch_size):
            labels = judge(images.batch(batch)[0].to(where)).int().tolist()
            paths = (images.report.pictures[index].path for index in batch.tolist())
            table.writerows([path, *row] for path, row in zip(paths, labels, strict=True))
            count_more(len(batch))
    return written.getvalue()
