"""Golden cases of the distances and scores of whole distributions of features."""

from __future__ import annotations

import re
import warnings
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.verify import Case, CaseFailure, Got, case
from metrics.frechet import frechet_distance, frechet_distance_from_features
from metrics.inception_score import InceptionScore, inception_score, shuffled_rows
from metrics.kernel_distance import (
    GaussianKernel,
    Kernel,
    KernelDistance,
    PolynomialKernel,
    draw_subsets,
    kernel_distance,
    squared_mmd,
)
from metrics.moments import RunningMoments
from metrics.monge_inception import sliced_distance
from metrics.precision_recall import precision_recall

# Values of single packages stand beside the target, to show how they deviate.
_OTHER_PACKAGES = ("*.torch_fidelity", "*.pytorch_fid", "*.scipy_sqrtm_f64")
_SEED = 2020  # torch-fidelity's
_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"


@case("metrics.frechet_distance", skip=_OTHER_PACKAGES)
def frechet_case(golden: Case) -> Got:
    """The distance of two sets of features, and their moments."""
    x, y = golden.inputs["x"], golden.inputs["y"]
    distance = _quiet_distance(x, y)
    got: dict[str, Tensor | float] = {"fid": distance, "fid.nuclear_norm_f64": distance}
    for name, features in (("x", x), ("y", y)):
        moments = RunningMoments().update(features)
        got |= {f"mu_{name}": moments.mean, f"sigma_{name}": moments.covariance()}
    if "constant" in golden.inputs:
        got["fid.x_vs_constant"] = _quiet_distance(x, golden.inputs["constant"])
    return got


@case("metrics.frechet_distance_from_statistics", skip=_OTHER_PACKAGES)
def frechet_statistics_case(golden: Case) -> Got:
    """The distance of given moments."""
    given = golden.inputs
    mean1, mean2, cov1, cov2 = (given[key] for key in ("mu1", "mu2", "sigma1", "sigma2"))
    means, variances = given["mu_1d"].reshape(2, 1), given["var_1d"].reshape(2, 1, 1)
    return {
        "commuting": frechet_distance(mean1, cov1, mean2, cov2),
        "shift_only": frechet_distance(mean1, cov1, mean2, cov1),
        "scaled": frechet_distance(mean1, cov1, mean2, given["scale"] ** 2 * cov1),
        "full": frechet_distance(mean1, given["full1"], mean2, given["full2"]),
        "one_d": frechet_distance(means[0], variances[0], means[1], variances[1]),
    }


@case("metrics.inception_score", skip=_OTHER_PACKAGES)
def inception_score_case(golden: Case) -> Got:
    """The score by splits and seeds, or of one split in order where the inputs name the values."""
    return {
        key: _inception_value(golden, key)
        for key in golden.expected
        if not key.endswith(".torch_fidelity")
    }


@case("metrics.kernel_inception_distance")
def kernel_case(golden: Case) -> Got:
    """The distance by kernels and seeds; float32 and float64 values within one tolerance."""
    x, y = golden.inputs["x"], golden.inputs["y"]
    size = golden.config["subset_size"]
    got: dict[str, NDArray[Any] | float] = {}
    computed: dict[str, KernelDistance] = {}
    for key in golden.expected:
        if key.startswith("mmd_unbiased_unequal_size_"):
            name = key.removeprefix("mmd_unbiased_unequal_size_")
            got[key] = squared_mmd(x, y, _kernel_and_seed(name)[0])
        elif found := re.fullmatch(r"subset_([xy])_first(\d+)", key):
            draws = draw_subsets(len(x), len(y), size, _SEED)
            which = "xy".index(found[1])
            got[key] = np.array([pair[which] for pair in islice(draws, int(found[2]))])
        else:
            name, statistic = key.removesuffix("_f64").rsplit(".", 1)
            if name not in computed:
                computed[name] = _kernel_distance(golden, name)
            got[key] = getattr(computed[name], statistic)
    return got


@case("metrics.precision_recall_density_coverage")
def precision_recall_case(golden: Case) -> Got:
    """All four scores by the size of the neighbourhood, of equal sets and of sets far apart."""
    generated, real = golden.inputs["x"], golden.inputs["y"]
    neighbourhoods = golden.config["neighbourhoods"]
    scores = {f"k{k}": precision_recall(generated, real, neighbours=k) for k in neighbourhoods}
    scores["identical"] = precision_recall(real, real, neighbours=neighbourhoods[0])
    scores["far"] = precision_recall(golden.inputs["far"], real, neighbours=neighbourhoods[0])
    return {key: getattr(scores[key.split(".")[0]], key.split(".")[1]) for key in golden.expected}


@case("metrics.monge_inception_distance")
def monge_case(golden: Case) -> Got:
    """The sliced distance along given directions."""
    given = golden.inputs
    x, y = given["x"], given["y"]
    return {
        "equal_size": sliced_distance(x[: len(y)], y, given["directions_equal"]),
        "unequal_size": sliced_distance(x[given["subset_x"]], y, given["directions_unequal"]),
    }


def _quiet_distance(x: Tensor, y: Tensor) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some cases have few samples on purpose
        return frechet_distance_from_features(x, y)


def _inception_value(golden: Case, key: str) -> NDArray[Any] | float:
    if key in golden.inputs:  # the edge cases: one split, in order
        return inception_score(golden.inputs[key], splits=1, seed=None).mean
    if found := re.fullmatch(r"permutation_seed(\d+)", key):
        return shuffled_rows(len(golden.inputs["logits"]), int(found[1]))
    pattern = r"(odd_)?(?:ordered|shuffled)_s(\d+)(?:_seed(\d+))?\.(mean|std)"
    found = re.fullmatch(pattern, key)
    if found is None:
        raise CaseFailure(f"{key}: no such value of an inception score")
    odd, splits, seed, statistic = found.groups()
    logits = golden.inputs["logits_odd" if odd else "logits"]
    score: InceptionScore = inception_score(
        logits, splits=int(splits), seed=None if seed is None else int(seed)
    )
    return float(getattr(score, statistic))


def _kernel_distance(golden: Case, name: str) -> KernelDistance:
    """``name`` says the kernel and the seed, or that all rows are one subset."""
    x, y = golden.inputs["x"], golden.inputs["y"]
    if name.startswith("full_equal_size_"):
        fewest = min(len(x), len(y))
        kernel, _ = _kernel_and_seed(name.removeprefix("full_equal_size_"))
        return KernelDistance(squared_mmd(x[:fewest], y[:fewest], kernel), 0.0)
    if name.startswith("identical_"):
        kernel, _ = _kernel_and_seed(name.removeprefix("identical_"))
        return KernelDistance(squared_mmd(x, x, kernel), 0.0)
    kernel, seed = _kernel_and_seed(name)
    subsets, size = golden.config["subsets"], golden.config["subset_size"]
    return kernel_distance(x, y, subsets=subsets, subset_size=size, kernel=kernel, seed=seed)


def _kernel_and_seed(name: str) -> tuple[Kernel, int]:
    """What ``poly2_gamma0.05_coef0.5``, ``poly3_seed11`` or ``rbf_sigma3`` stand for."""
    pattern = (
        rf"(?:poly(?P<degree>\d+)(?:_gamma(?P<scale>{_NUMBER}))?(?:_coef(?P<offset>{_NUMBER}))?"
        rf"|rbf_sigma(?P<sigma>{_NUMBER}))(?:_seed(?P<seed>\d+))?"
    )
    found = re.fullmatch(pattern, name)
    if found is None:
        raise CaseFailure(f"{name}: no such kernel")
    seed = int(found["seed"] or _SEED)
    if found["sigma"] is not None:
        return GaussianKernel(float(found["sigma"])), seed
    scale = None if found["scale"] is None else float(found["scale"])
    offset = 1.0 if found["offset"] is None else float(found["offset"])
    return PolynomialKernel(int(found["degree"]), scale, offset), seed
