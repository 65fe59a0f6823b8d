"""What a run works with, opened and loaded: the dataset, the networks, and their hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from baselines.base import DirectionPairSet, TrainingData
from baselines.nets.single_layer import layered
from bench.allowed import wrong_settings_explained
from bench.catalog import lookup
from bench.data.base import Dataset, Split
from bench.data.factor_pairs import FactorPairs
from bench.data.pairs import AttributePairs
from bench.data.subset import Subset
from bench.downloads import data_folder, downloads, locate
from bench.errors import BenchError, MissingFile
from bench.extractors import load_extractor
from bench.generators import load_generator
from bench.predictors import load_predictor
from bench.settings import options_model
from bench.spec import RunSpec


@dataclass
class Parts:
    """The loaded parts of a run.

    Attributes:
        dataset: The dataset.
        device: Where the networks are.
        limit: At most so many images of each part of the dataset.
        generator: The pretrained generator, or None.
        predictor: The attribute predictor, or None.
        direction_pairs: Pairs of images made of a discovery run's directions, or None.
        weights: sha256 of all weights loaded so far, by what they are for.
    """

    dataset: Dataset
    device: torch.device
    limit: int | None = None
    generator: Any = None
    predictor: Any = None
    direction_pairs: DirectionPairSet | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def extractor(self, name: str) -> Any:
        """A feature network by its catalog name; its hash is noted."""
        loaded = load_extractor(name, str(self.device))
        self.weights[f"extractor {name}"] = loaded.sha256
        return loaded

    @cached_property
    def fingerprint(self) -> str:
        """The dataset's fingerprint."""
        return self.dataset.fingerprint()

    def images(self, split: Split) -> Subset:
        """The training or test images; of those, ``limit`` evenly spread ones."""
        indices = self.dataset.split(split)
        if self.limit is not None and self.limit < len(indices):
            indices = indices[torch.arange(self.limit) * len(indices) // self.limit]
        return Subset(self.dataset, indices)

    def training_data(self) -> TrainingData:
        """What the method may see."""
        train = self.images("train")
        return TrainingData(
            train=train,
            attributes=self.dataset.attributes,
            size=self.dataset.size,
            channels=self.dataset.channels,
            generator=self.generator,
            pairs=AttributePairs.of(train),
            extractor=self.extractor,
            direction_pairs=self.direction_pairs,
            factor_pairs=FactorPairs.of(self.dataset),
        )


def load_parts(spec: RunSpec, device: torch.device) -> Parts:
    """Open the dataset of a run and load its networks.

    Raises:
        BenchError: Something is missing or not what its name says.
    """
    path = Path(spec.data) if spec.data else None
    parts = Parts(open_dataset(spec.dataset, path, spec.dataset_options), device, spec.limit)
    if spec.generator:
        generator = load_generator(spec.generator, device)
        track = lookup("tracks", spec.track).load()
        parts.generator = layered(generator) if track.layered else generator
        parts.weights["generator"] = generator.sha256
    if spec.predictor:
        parts.predictor = load_predictor(spec.predictor, str(device))
        parts.weights["predictor"] = parts.predictor.sha256
    if spec.directions:
        # Its run is loaded as this one is, by this module.
        from bench.directions.pairs import open_direction_pairs

        parts.direction_pairs = open_direction_pairs(spec, parts.dataset, device)
        parts.weights["directions"] = parts.direction_pairs.sha256
    return parts


def open_dataset(name: str, path: Path | None, options: Mapping[str, Any]) -> Dataset:
    """Open a dataset.

    Args:
        name: Catalog name.
        path: Where it lies; None for ``$BENCH_DATA/<name>``, the cache, or where a package of
            the system puts it.
        options: Keyword arguments of its class.

    Raises:
        BenchError: The data is not there, it needs no path and got one, or an option is wrong.
    """
    dataset: type[Dataset] = lookup("datasets", name).load()
    arguments = dict(options)
    model = options_model(dataset)
    with wrong_settings_explained(model, arguments, f"option of the dataset {name}"):
        model.model_validate(arguments)
    if dataset.needs_path:
        arguments["path"] = path or _default_place(name, dataset.installed)
    elif path is not None:
        raise BenchError(f"The dataset {name} reads no files; leave --data {path} out.")
    try:
        return dataset(**arguments)
    except (TypeError, ValueError) as error:
        raise BenchError(f"The dataset {name} cannot be opened: {error}") from error


def _default_place(name: str, installed: Path | None) -> Path:
    if any(entry.name == name for entry in downloads()):
        return locate(name)
    folder = data_folder() / name
    if folder.exists():
        return folder
    if installed is not None and installed.exists():
        return installed
    raise MissingFile(
        f"The dataset {name} is not in {folder}: put its folder there, or say where it is by "
        f"--data (it needs {lookup('datasets', name).needs})."
    )
