"""Training of an attribute predictor on a dataset's ground truth, and its scores.

The predictor is applied to generated images and to edits of them, which are never as clean as the
dataset, so training images get some noise, blur and changes of brightness.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Batch, Method, MethodConfig, Stage, TrainingData
from baselines.randomness import Draws, derive_seed
from bench.data.base import Dataset
from bench.data.cluster_labels import missing_labels_remedy
from bench.data.subset import Subset
from bench.errors import BenchError
from bench.predictors import (
    AttributeClassifier,
    Predictor,
    PredictorNetwork,
    load_predictor,
    save_predictor,
)
from bench.processes import process_state
from bench.rundir import owned
from bench.trainer import TrainingOptions, train
from metrics.classification import multilabel_scores

HELD_OUT_IMAGES = 2000
_LEARNING_RATE = 3e-3
_WARM_UP = 0.05  # share of the steps
_WEIGHT_DECAY = 1e-4
_NOISE = 0.15  # largest standard deviation, where images span 2
_BRIGHTNESS = 0.1  # largest change, as a factor and as an offset


@dataclass(frozen=True)
class AttributeScore:
    """How well one attribute is predicted on held-out images.

    All scores are None for an attribute of which these images have one class only.

    Attributes:
        name: The attribute.
        r2: Coefficient of determination.
        mae: Mean absolute error, where the attribute spans [0, 1].
        accuracy: Share of the images whose score is nearest to the true level.
        balanced_accuracy: Of a binary attribute, the mean of the shares among images with it and
            without; None for others.
    """

    name: str
    r2: float | None
    mae: float | None
    accuracy: float | None
    balanced_accuracy: float | None = None


def train_predictor(
    dataset: Dataset,
    out: Path,
    *,
    steps: int = 1500,
    batch_size: int = 64,
    width: int = 16,
    seed: int = 0,
    device: str | None = None,
    quiet: bool = False,
) -> PredictorNetwork:
    """Train a predictor on the dataset's training part and write it.

    An interrupted call goes on where it stopped, from checkpoints in a folder beside ``out``.

    Args:
        dataset: Its attributes, in [0, 1], are what is predicted.
        out: The safetensors file to write; scores on the test part go into it.
        steps: Optimiser steps.
        batch_size: Images a step.
        width: Channels of the first layers of a classifier of binary attributes.
        seed: Of the initial weights, the order of the images and their disturbances.
        device: ``cpu``, ``cuda``, or None for the best one present.
        quiet: Show no progress.

    Returns:
        The predictor as it was written, frozen.

    Raises:
        Diverged: Training ended in NaN or infinity.
        BenchError: The dataset has no attributes, or another process trains the same predictor.
    """
    names = dataset.attributes.names
    if not names:
        remedy = missing_labels_remedy(dataset)
        raise BenchError(f"The dataset {dataset.name} has no attributes to predict; {remedy}.")
    state = process_state(device)
    torch.manual_seed(derive_seed(seed, "weights"))
    predictor = _network(dataset, width)
    data = TrainingData(
        train=Subset(dataset, dataset.split("train")),
        attributes=dataset.attributes,
        size=dataset.size,
        channels=dataset.channels,
    )
    spec = f"{dataset.fingerprint()[:8]}-{steps}x{batch_size}-w{width}-s{seed}"
    folder = out.with_name(f"{out.stem}-{spec}.training")
    training = _Training(predictor, steps, batch_size, data)
    options = TrainingOptions(device=device, quiet=quiet)
    with owned(folder) if state.is_main_process else nullcontext():
        train(training, data, seed=seed, folder=folder, options=options)
        if state.is_main_process:
            settings = {"steps": steps, "batch_size": batch_size, "seed": seed}
            predictor.report = _report(predictor, dataset, settings)
            save_predictor(predictor, out)
            shutil.rmtree(folder)
    state.wait_for_everyone()
    return load_predictor(out)


def _network(dataset: Dataset, width: int) -> PredictorNetwork:
    """A residual network for factors; for binary attributes AttGAN's, as large as the images."""
    names = dataset.attributes.names
    if dataset.factor_sizes is not None:
        return Predictor(names, dataset.factor_sizes)
    image_size = max(32, min(128, dataset.size // 32 * 32))
    return AttributeClassifier(names, image_size, width)


def _report(
    predictor: PredictorNetwork, dataset: Dataset, settings: Mapping[str, int]
) -> dict[str, Any]:
    """How the predictor was trained, and its scores on images that training never saw."""
    held_out = dataset.split("test")
    chosen = torch.linspace(0, len(held_out) - 1, min(HELD_OUT_IMAGES, len(held_out))).long()
    scores = score_predictor(predictor, dataset, held_out[chosen])
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint(),
        **settings,
        "held_out_images": len(chosen),
        "scores": [asdict(score) for score in scores],
    }


@torch.no_grad()
def score_predictor(
    predictor: PredictorNetwork, dataset: Dataset, indices: Tensor, batch_size: int = 250
) -> list[AttributeScore]:
    """Compare predictions with the truth.

    Args:
        predictor: In evaluation mode, on any device.
        dataset: Has the predictor's attributes.
        indices: int64 (N,), the images to use.
        batch_size: Images at a time.

    Returns:
        One score for each attribute.
    """
    device = next(predictor.parameters()).device
    truths, predictions = [], []
    for part in indices.split(batch_size):
        images, attributes = dataset.batch(part)
        truths.append(attributes.double().cpu())
        predictions.append(predictor(images.to(device)).double().cpu())
    truth, predicted = torch.cat(truths), torch.cat(predictions)  # N x A
    top = torch.tensor(predictor.levels, dtype=torch.float64) - 1
    hits = (predicted * top).round() == (truth * top).round()
    error = predicted - truth
    spread = truth.var(0, correction=0)
    r2 = 1 - error.square().mean(0) / spread
    columns = (r2, error.abs().mean(0), hits.double().mean(0))
    rows = torch.stack(columns, dim=1).tolist()
    varies = (truth != truth[0]).any(0).tolist()
    balanced: list[float | None] = [None] * len(rows)
    if set(predictor.levels) == {2}:
        scores = multilabel_scores(truth > 0.5, predicted > 0.5)
        balanced = scores.balanced_accuracy_per_attribute.tolist()
    return [
        AttributeScore(name, r_squared, distance, share, balanced_share)
        if known
        else AttributeScore(name, None, None, None)
        for name, (r_squared, distance, share), known, balanced_share in zip(
            predictor.names, rows, varies, balanced, strict=True
        )
    ]


class _Training(Method):
    """A predictor as the trainer sees it."""

    track: ClassVar[str] = ""

    def __init__(
        self, predictor: PredictorNetwork, steps: int, batch_size: int, data: TrainingData
    ) -> None:
        super().__init__(MethodConfig(), data)
        self.predictor, self._steps, self._batch_size = predictor, steps, batch_size

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield _Fitting(self.predictor, self._steps, self._batch_size)


class _Fitting(Stage):
    """The network's loss on disturbed images; the learning rate falls along a cosine."""

    name = "predictor"

    def __init__(self, predictor: PredictorNetwork, steps: int, batch_size: int) -> None:
        super().__init__()
        self.predictor, self.steps, self.batch_size = predictor, steps, batch_size
        self._adam = torch.optim.AdamW(predictor.parameters(), weight_decay=_WEIGHT_DECAY)
        self.optimizers = {"predictor": self._adam}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        assert batch.attributes is not None
        for group in self._adam.param_groups:
            group["lr"] = self._learning_rate(batch.step)
        scores = self.predictor(disturbed(batch.images, batch.draws))
        loss = self.predictor.loss(scores.float(), batch.attributes)
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        return {"loss": loss.detach()}

    def _learning_rate(self, step: int) -> float:
        done = (step + 1) / self.steps
        if done < _WARM_UP:
            return _LEARNING_RATE * done / _WARM_UP
        return _LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))


def disturbed(images: Tensor, draws: Draws) -> Tensor:
    """Images in [-1, 1] with noise, blur and a change of brightness, each of random strength.

    Half of the images stay without noise, half (independently) without blur.
    """
    noise, blur, factor, offset = (
        draws.uniform(purpose, len(images))[:, :, None, None].mul(2).sub(1)  # N x 1 x 1 x 1
        for purpose in ("noise", "blur", "factor", "offset")
    )
    images = images + blur.clamp(min=0) * (_blurred(images) - images)
    images = images * (1 + _BRIGHTNESS * factor) + _BRIGHTNESS * offset
    # The trainer seeds torch for every step; a table of draws for single pixels would be slow.
    images = images + _NOISE * noise.clamp(min=0) * torch.randn_like(images)
    return images.clamp(-1, 1)


def _blurred(images: Tensor) -> Tensor:
    """The mean of 3 x 3 pixels."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(padded, 3, stride=1)
