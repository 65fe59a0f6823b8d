"""Train a generator on a dataset, for the methods that need a pretrained one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor

from baselines.base import Method, TrainingData
from baselines.randomness import derive_seed, normals
from baselines.stylegan2 import StyleGAN2, StyleGAN2Config
from bench.checkpoints import write_generator_file
from bench.data.base import Dataset
from bench.data.subset import Subset
from bench.errors import BenchError
from bench.extractors import features_of, load_extractor
from bench.figures import save_image_grid
from bench.files import sha256_of, write_bytes, write_json
from bench.processes import process_state
from bench.progress import Progress
from bench.rundir import owned
from bench.trainer import DEFAULTS, TrainingOptions, TrainingSummary, train
from metrics.frechet import frechet_distance

WEIGHTS, GRID, CARD = "generator.safetensors", "samples.png", "README.md"
SETTINGS = "settings.json"
_GRID = (8, 12)  # rows and columns
_EXTRACTOR = "efficientnet-lite0"
_BATCH = 50


def pretrain(
    dataset: Dataset,
    out: Path,
    *,
    preset: str = "small",
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    fd_samples: int = 2000,
    options: TrainingOptions = DEFAULTS,
) -> TrainingSummary:
    """Train StyleGAN2 on a dataset and write its model card; an interrupted training continues.

    Args:
        dataset: What to train on; all of its images.
        out: Folder for the weights, a grid of samples, the model card, log and checkpoints.
        preset: ``smoke``, ``small`` or ``paper``.
        overrides: Fields of ``StyleGAN2Config`` that differ from the preset.
        seed: Root seed of initialisation, latents and data order.
        fd_samples: Images a side for the Fréchet distance on the card.
        options: Device, precision, checkpoints, trackers.

    Returns:
        Steps and seconds of training, interrupted calls included.

    Raises:
        Diverged: The losses are not finite or all samples are the same.
        BenchError: Another process works in the folder, it is of another training, or the
            images have a size that StyleGAN2 does not make.
    """
    state = process_state(options.device)
    with owned(out) if state.is_main_process else nullcontext():
        return _pretrain(dataset, out, preset, overrides or {}, seed, fd_samples, options)


def _pretrain(
    dataset: Dataset,
    out: Path,
    preset: str,
    overrides: Mapping[str, Any],
    seed: int,
    fd_samples: int,
    options: TrainingOptions,
) -> TrainingSummary:
    data = TrainingData(dataset, dataset.attributes, dataset.size, dataset.channels)
    config = StyleGAN2.configure(preset, overrides)
    assert isinstance(config, StyleGAN2Config)
    torch.manual_seed(derive_seed(seed, "initialisation"))
    try:
        method = StyleGAN2(config, data)
    except ValueError as error:
        raise BenchError(f"{dataset.name} cannot be learned: {error}.") from error
    _claim(
        out,
        {
            "dataset": dataset.fingerprint(),
            "config": config.model_dump(mode="json"),
            "seed": seed,
            "precision": options.precision,
        },
    )

    def look(trained: Method) -> None:
        write_generator_file(out / WEIGHTS, method.generator_ema)
        rows, columns = _GRID
        save_image_grid(next(_samples(method, rows * columns, rows * columns)), out / GRID, columns)

    summary = train(
        method, data, seed=seed, folder=out, options=replace(options, on_checkpoint=look)
    )
    if not PartialState().is_main_process:
        return summary
    look(method)  # a kill after the last checkpoint may have left the weights of the one before
    distance = frechet_distance_to(dataset, method, fd_samples, seed)
    asked = [f"--dataset {dataset.name} --preset {preset} --seed {seed}"]
    asked += [f"--set {key}={value}" for key, value in overrides.items()]
    if options.precision != DEFAULTS.precision:
        asked.append(f"--precision {options.precision}")
    card = _card(dataset, method, out, summary, " ".join(asked))
    write_bytes(out / CARD, (card + _quality(distance, fd_samples)).encode())
    return summary


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Note what is trained in a folder, so that nothing else goes on from its checkpoints."""
    path = out / SETTINGS
    if path.exists() and json.loads(path.read_bytes()) != settings:
        raise BenchError(
            f"{out} holds a training with other settings ({SETTINGS}): give another folder by "
            "--out, or remove this one."
        )
    if PartialState().is_main_process:
        write_json(path, settings)


def frechet_distance_to(dataset: Dataset, method: StyleGAN2, count: int, seed: int) -> float:
    """Fréchet distance between ``count`` images of the dataset and as many generated ones.

    The features are the pooled ones of EfficientNet-Lite0, so this is no FID.
    """
    device = method.path_length_mean.device
    extractor = load_extractor(_EXTRACTOR, str(device))
    chosen = normals(derive_seed(seed, "real images"), 0, len(dataset), 1)[:, 0].argsort()[:count]
    with Progress("comparing with real images", 2 * len(chosen)) as progress:
        done = 0

        def advance(images: int) -> None:
            nonlocal done
            done += images
            progress.update(done)

        real = features_of(Subset(dataset, chosen), extractor, _BATCH, advance)
        fake = features_of(_samples(method, len(chosen), _BATCH), extractor, progress=advance)
    return frechet_distance(real.mean, real.covariance(), fake.mean, fake.covariance())


@torch.no_grad()
def _samples(method: StyleGAN2, count: int, batch_size: int) -> Iterator[Tensor]:
    """Images of the averaged generator, without truncation: the same latents at every call."""
    generator = method.generator_ema.eval()
    device = method.path_length_mean.device
    for start in range(0, count, batch_size):
        z = normals(0, start, min(batch_size, count - start), generator.z_dim)
        yield generator(z.to(device))


def _card(
    dataset: Dataset,
    method: StyleGAN2,
    out: Path,
    summary: TrainingSummary,
    asked: str,
) -> str:
    config, size = method.config, dataset.size
    processes = PartialState().num_processes
    launcher = f"torchrun --nproc_per_node {processes} --no-python " if processes > 1 else ""
    parameters = sum(p.numel() for p in method.generator_ema.parameters())
    shown, hours = summary.steps * config.batch_size, summary.seconds / 3600
    return f"""# StyleGAN2 on {dataset.name}

An unconditional StyleGAN2 generator of {size} x {size} images with {parameters:,} parameters
(z {config.z_dim}, w {config.w_dim}, {config.mapping_layers} mapping layers): the moving average
that its training kept.

- Made by `{launcher}bench pretrain stylegan2 {asked}`:
  {shown:,} images shown in {summary.steps:,} steps, {hours:.1f} hours.
- Dataset fingerprint: {dataset.fingerprint()}
- sha256 of `{WEIGHTS}`: {sha256_of(out / WEIGHTS)}
- `{GRID}`: {_GRID[0] * _GRID[1]} samples without truncation or selection.
"""


def _quality(distance: float, samples: int) -> str:
    return (
        f"- Fréchet distance on {_EXTRACTOR} features (no FID), {samples:,} real and as many\n"
        f"  generated images, psi 1: {distance:.2f}\n"
    )
