"""Golden cases of resizers, and of whole comparisons of two sets of images."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import Tensor

from bench.extractors import FeatureStatistics, load_extractor, statistics_of
from bench.extractors.features import BATCH_SIZE
from bench.verify import Case, case
from metrics.frechet import frechet_distance_from_features
from metrics.inception_score import inception_score
from metrics.kernel_distance import kernel_distance
from metrics.precision_recall import precision_recall
from metrics.resize import resize_bilinear_tf1, resize_clean_fid, resize_legacy_pytorch

_CLEAN_FID: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "clean": resize_clean_fid,
    "legacy_pytorch": resize_legacy_pytorch,
}


@case("metrics.resize_bilinear_tf1")
def tensorflow_resize(golden: Case) -> dict[str, Tensor]:
    """Every image of the case in every size that is expected of it."""
    got = {}
    for key in golden.expected:
        name, _, size = key.rpartition(".to_")
        got[key] = resize_bilinear_tf1(golden.inputs[name], _size(size))
    return got


@case("metrics.resize_clean_fid")
def clean_fid_resize(golden: Case) -> dict[str, Tensor]:
    """Likewise, in the two modes; images are height x width x channels here."""
    got = {}
    for key in golden.expected:
        name, mode, size = key.rsplit(".", 2)
        image = golden.inputs[name].permute(2, 0, 1).unsqueeze(0)
        resized = _CLEAN_FID[mode](image, _size(size.removeprefix("to_")))
        got[key] = resized.squeeze(0).permute(1, 2, 0)
    return got


@case("metrics.calculate_metrics")
def whole_comparison(golden: Case) -> dict[str, float]:
    """From 8-bit images to scores, by the suite's own pass and functions."""
    generated, real = (_seen(golden.inputs[name]) for name in ("input1", "input2"))
    config = golden.config
    seed = config["rng_seed"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few images, as the case says
        distance = frechet_distance_from_features(generated.pooled, real.pooled)
    kernel = kernel_distance(
        generated.pooled,
        real.pooled,
        subsets=config["kid_subsets"],
        subset_size=config["kid_subset_size"],
        seed=seed,
    )
    score = inception_score(generated.logits, splits=config["isc_splits"], seed=seed)
    shares = precision_recall(generated.pooled, real.pooled, neighbours=config["prc_neighborhood"])
    return {
        "frechet_inception_distance": distance,
        "frechet_distance_float64": distance,
        "kernel_inception_distance_mean": kernel.mean,
        "kernel_inception_distance_std": kernel.std,
        "inception_score_mean": score.mean,
        "inception_score_std": score.std,
        "precision": shares.precision,
        "recall": shares.recall,
        "f_score": shares.f_score,
    }


def _seen(pixels: Tensor) -> FeatureStatistics:
    extractor = load_extractor("efficientnet-lite0")
    batches = (part.float() / 127.5 - 1.0 for part in pixels.split(BATCH_SIZE))
    return statistics_of(batches, extractor, ("pooled", "logits"))


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)
