"""Scores of folders of images by the features of a network: fd, kd, is, prdc and chamfer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.errors import BenchError, counted
from bench.extractors import FeatureStatistics
from bench.progress import counting
from bench.score.folders import FeatureOptions, SeenFolders
from bench.score.report import Identity, Report, blamed_on
from metrics.frechet import (
    frechet_distance,
    frechet_distance_from_features,
    warn_of_few_samples,
)
from metrics.inception_score import inception_score
from metrics.kernel_distance import kernel_distance
from metrics.precision_recall import precision_recall
from metrics.tsne import (
    OPENTSNE_ITERATIONS,
    PERPLEXITY,
    SKLEARN_ITERATIONS,
    TsneChamfer,
    opentsne_chamfer,
    tsne_chamfer,
)

Tsne = Literal["scikit-learn", "opentsne"]

# Up to so many images a side, the Fréchet distance is taken from the features themselves, which is
# exact for singular covariances too. With more of them memory must not grow.
_FEW = 4096
_NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}  # as is usual
_REMEDY = "give other images or another --extractor"


def score_fd(real: Path, fake: Path, options: FeatureOptions) -> Report:
    """Fréchet distance of two folders of images.

    Raises:
        BenchError: Images or weights are missing, of no use or too few.

    Warns:
        UserWarning: There are fewer images than features.
    """
    seen = SeenFolders(options, real=real, fake=fake)
    seen.require(2, "the smallest number with a covariance is", "add images")
    few = all(count <= _FEW for count in seen.counts.values())
    first, second = seen.statistics("pooled") if few else seen.statistics()
    with blamed_on(seen.inputs, _REMEDY):
        if few:
            distance = frechet_distance_from_features(first.pooled, second.pooled)
        else:
            warn_of_few_samples(min(first.count, second.count), len(first.mean))
            distance = frechet_distance(
                first.mean, first.covariance, second.mean, second.covariance
            )
    return seen.report(seen.measured("fd", distance, higher_is_better=False))


def score_kd(
    real: Path, fake: Path, options: FeatureOptions, *, subsets: int, subset_size: int, seed: int
) -> Report:
    """Kernel distance of two folders of images, and its spread over subsets.

    Raises:
        BenchError: Images or weights are missing, of no use or too few.
    """
    seen = SeenFolders(options, real=real, fake=fake)
    seen.require(subset_size, "--subset-size is", "add images or give a smaller --subset-size")
    first, second = seen.statistics("pooled")
    with blamed_on(seen.inputs, _REMEDY):
        found = kernel_distance(
            first.pooled, second.pooled, subsets=subsets, subset_size=subset_size, seed=seed
        )
    drawn: Identity = {"subsets": subsets, "subset_size": subset_size, "seed": seed}
    return seen.report(
        seen.measured("kd", found.mean, drawn, higher_is_better=False),
        seen.measured("kd", found.std, drawn, part="std"),
    )


def score_is(fake: Path, options: FeatureOptions, *, splits: int, seed: int) -> Report:
    """Inception score of a folder of images, and its spread over splits.

    Raises:
        BenchError: Images or weights are missing, of no use or too few.
    """
    seen = SeenFolders(options, fake=fake)
    seen.require(max(splits, 2), "the splits need at least", "add images or give fewer --splits")
    (statistics,) = seen.statistics("logits")
    with blamed_on(seen.inputs, _REMEDY):
        found = inception_score(statistics.logits, splits=splits, seed=seed)
    drawn: Identity = {"splits": splits, "seed": seed}
    return seen.report(
        seen.measured("is", found.mean, drawn, higher_is_better=True),
        seen.measured("is", found.std, drawn, part="std"),
    )


def score_prdc(
    real: Path, fake: Path, options: FeatureOptions, *, neighbours: int | None = None
) -> Report:
    """Precision, recall, density and coverage of two folders of images.

    Args:
        real: Folder of real images.
        fake: Folder of generated images.
        options: How they become features.
        neighbours: k; None for the usual 3 of precision and recall and 5 of density and coverage.

    Raises:
        BenchError: Images or weights are missing, of no use or too few.
    """
    wanted = {name: neighbours or usual for name, usual in _NEIGHBOURS.items()}
    seen = SeenFolders(options, real=real, fake=fake)
    reason = "an image with all its neighbours makes"
    seen.require(max(wanted.values()) + 1, reason, "add images or give fewer --neighbours")
    first, second = seen.statistics("pooled")
    with blamed_on(seen.inputs, _REMEDY):
        found = {
            k: precision_recall(second.pooled, first.pooled, neighbours=k)
            for k in set(wanted.values())
        }
    return seen.report(
        *(
            seen.measured(name, getattr(found[k], name), {"neighbours": k}, higher_is_better=True)
            for name, k in wanted.items()
        )
    )


def score_chamfer(
    real: Path, fake: Path, options: FeatureOptions, *, tsne: Tsne, seed: int
) -> Report:
    """Chamfer distances in a joint t-SNE embedding, in the released and in pytorch3d's definition.

    Raises:
        BenchError: Images or weights are missing, of no use or too few, or openTSNE is missing.
    """
    seen = SeenFolders(options, real=real, fake=fake)
    least, count = int(3 * PERPLEXITY) + 1, sum(seen.counts.values())
    if count < least:
        raise BenchError(
            f"{seen.inputs} give {counted(count, 'image')} together, but a t-SNE with a perplexity "
            f"of {PERPLEXITY:g} needs {least}: add images or give a larger --limit."
        )
    first, second = seen.statistics("pooled")
    with blamed_on(seen.inputs, _REMEDY):
        found = _embedded(first, second, tsne, seed)
    points: Identity = {
        "real_points": found.real_points,
        "fake_points": found.fake_points,
        "seed": seed,
    }
    return seen.report(
        *(
            seen.measured(found.name, value, points, part=part, higher_is_better=False)
            for part, value in (("infoscc", found.infoscc), ("pytorch3d", found.pytorch3d))
        )
    )


def _embedded(
    real: FeatureStatistics, fake: FeatureStatistics, tsne: Tsne, seed: int
) -> TsneChamfer:
    released = tsne == "scikit-learn"
    measure = tsne_chamfer if released else opentsne_chamfer
    iterations = SKLEARN_ITERATIONS if released else OPENTSNE_ITERATIONS
    with counting("t-SNE", iterations) as count_more:
        return measure(real.pooled, fake.pooled, seed=seed, progress=count_more)
