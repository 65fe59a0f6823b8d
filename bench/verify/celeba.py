"""Golden cases of CelebA: annotations, crops and resizes, StarGAN's split."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.data.annotated import normalised
from bench.data.celeba import CROPS, Crop, aligned, prepare
from bench.data.celeba_annotations import (
    ATTRIBUTE_FILE,
    ATTRIBUTE_SETS,
    ATTRIBUTES,
    IDENTITY_FILE,
    PARTITION_FILE,
    read_attributes,
)
from bench.data.celeba_splits import STARGAN_SEED, STARGAN_TEST, stargan_order
from bench.verify import Case, CaseFailure, case

Arrays = dict[str, Tensor | NDArray[Any] | float]

# The sets of attributes that a case may state -> ours.
_SETS = {
    "stargan_selected_attrs": "stargan",
    "attgan_attrs": "attgan",
    "icgan_attrs": "icgan",
    "all_attributes": "all",
}


@case("celeba.annotations")
def annotations_case(golden: Case) -> Arrays:
    """What each reference reads from the three text files."""
    config = golden.config
    table = read_attributes(golden.folder / ATTRIBUTE_FILE)
    if table.names != ATTRIBUTES:
        raise CaseFailure("the attribute file has not CelebA's names")
    chosen = {ours: config.get(key, ATTRIBUTE_SETS[ours]) for key, ours in _SETS.items()}
    order = stargan_order(len(table.files), config.get("stargan_seed", STARGAN_SEED))
    file_numbers = np.array([int(Path(file).stem) for file in table.files])
    numbers = {
        key: aligned(table, golden.folder / file)
        for key, file in (("identity", IDENTITY_FILE), ("partition", PARTITION_FILE))
    }
    return {
        **numbers,
        "attributes_pm1": 2 * table.columns(chosen["all"]) - 1,
        "attgan13_01": table.columns(chosen["attgan"]),
        "icgan18_pm1": 2 * table.columns(chosen["icgan"]) - 1,
        "stargan_order_file_numbers": file_numbers[order],
        "stargan_labels_in_order": table.columns(chosen["stargan"])[order],
        "stargan_n_test": float(len(order[:STARGAN_TEST])),
    }


@case("celeba.preprocessing")
def preprocessing_case(golden: Case) -> Arrays:
    """Each pipeline's picture of each image, and IcGAN's crop before any resize."""
    got: Arrays = {}
    for path in sorted(golden.folder.glob("image*.png")):
        number = path.stem.removeprefix("image")
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        for pipeline in golden.config["pipelines"]:
            pixels = prepare(image, Crop(pipeline["center_crop"]), pipeline["resize"])
            got[f"{pipeline['key']}.{number}"] = normalised(np.array(pixels)[None])[0]
        got[f"icgan_crop_u8.{number}"] = np.asarray(CROPS["icgan"].of(image))
    return got


@case("celeba.stargan_split")
def split_case(golden: Case) -> Arrays:
    """The file numbers of the test images and of the first training images."""
    count = int(golden.config["images"])
    numbers = stargan_order(count, golden.config.get("seed", STARGAN_SEED)) + 1
    test, train = numbers[:STARGAN_TEST], numbers[STARGAN_TEST:]
    stated = golden.config.get("sha256_of_test_numbers")
    if stated and hashlib.sha256("\n".join(map(str, test)).encode()).hexdigest() != stated:
        raise CaseFailure("the test images have another hash than the case states")
    shown = golden.expected["first_train_file_numbers"].numel()
    return {
        "counts": torch.tensor([len(test), len(train)]),
        "test_file_numbers": test,
        "first_train_file_numbers": train[:shown],
    }
