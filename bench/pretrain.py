"""Train a generator on a dataset, for the methods that need a pretrained one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.base import Method, TrainingData
from baselines.randomness import derive_seed, normals
from baselines.stylegan2 import StyleGAN2
from bench.checkpoints.generator_file import write_generator_file
from bench.data.base import Dataset
from bench.figures import save_image_grid
from bench.trainer import DEFAULTS, TrainingOptions, TrainingSummary, train

_GRID = (8, 12)  # rows and columns of the sample grid


def pretrain(
    dataset: Dataset,
    out: Path,
    *,
    preset: str = "small",
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    options: TrainingOptions = DEFAULTS,
) -> TrainingSummary:
    """Train StyleGAN2 on a dataset; an interrupted training continues.

    Args:
        dataset: What to train on; all of its images.
        out: Folder for ``generator.safetensors``, ``samples.png``, the log and the checkpoints.
        preset: ``smoke``, ``small`` or ``paper``.
        overrides: Fields of ``StyleGAN2Config`` that differ from the preset.
        seed: Root seed of initialisation, latents and data order.
        options: Device, precision, checkpoints, trackers.

    Returns:
        Steps and seconds of training, in all sessions.

    Raises:
        Diverged: The losses are not finite or all samples are the same.
    """
    data = TrainingData(dataset, dataset.attributes, dataset.size, dataset.channels)
    torch.manual_seed(derive_seed(seed, "initialisation"))
    method = StyleGAN2(StyleGAN2.configure(preset, overrides), data)

    def look(trained: Method) -> None:
        assert isinstance(trained, StyleGAN2)
        write_generator_file(out / "generator.safetensors", trained.generator_ema)
        rows, columns = _GRID
        save_image_grid(samples(trained, rows * columns), out / "samples.png", columns)

    options = replace(options, on_checkpoint=look)
    return train(method, data, seed=seed, folder=out, options=options)


def samples(method: StyleGAN2, count: int) -> Tensor:
    """``count`` images of the averaged generator, the same latents at every call."""
    generator = method.generator_ema
    device = method.path_length_mean.device
    with torch.no_grad():
        return generator(normals(0, 0, count, generator.z_dim).to(device))
