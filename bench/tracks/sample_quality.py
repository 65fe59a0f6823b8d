"""How near generated images are to real ones as sets: Fréchet and kernel distance, inception score.

None of them is a mean over images, so none has an interval over images here: resampled sets repeat
images, which alone moves both distances upwards. Their spread over seeds says how sure they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.data.subset import Subset, evenly_spread
from bench.extractors.base import Extractor
from bench.extractors.features import FeatureStatistics, Kept
from bench.extractors.names import metric_name
from bench.extractors.statistics_cache import cached_statistics
from leaderboard.schema import Measurement
from metrics.frechet import frechet_distance_from_features
from metrics.inception_score import inception_score
from metrics.kernel_distance import kernel_distance


@dataclass(frozen=True)
class Subsets:
    """What kernel distance and inception score are averaged over.

    Attributes:
        splits: Parts of the images for the inception score.
        kernel: Pairs of subsets for the kernel distance.
        kernel_size: Images in each of those, or all if there are fewer.
    """

    splits: int
    kernel: int
    kernel_size: int


def features_of_real_images(
    dataset: Subset, extractor: Extractor, count: int, report: Callable[[str, int, int], None]
) -> FeatureStatistics:
    """The features of ``count`` test images, evenly spread; seen once, then read from the cache.

    Args:
        dataset: The test images, at least as many.
        extractor: Sees them.
        count: How many.
        report: Is told what is being done, how far it is and how far it goes.
    """
    chosen = dataset.indices[evenly_spread(count, len(dataset))]
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        report("looking at real images", done, len(chosen))

    keep: tuple[Kept, ...] = ("pooled",)
    return cached_statistics(dataset.dataset, extractor, chosen, keep, progress=advance)


def sample_quality(
    fake: FeatureStatistics,
    real: FeatureStatistics,
    identity: dict[str, str | int | float],
    subsets: Subsets,
) -> list[Measurement]:
    """The three scores of generated images.

    Args:
        fake: Of the generated images, with ``pooled`` and ``logits``.
        real: Of as many real ones, with ``pooled``.
        identity: What a score depends on besides the features: the images' size and the like.
        subsets: What is averaged.
    """
    shared = {
        "extractor": f"{fake.extractor}:{fake.weights[:12]}",
        "images": fake.count,
        **identity,
    }
    kernel_size = min(subsets.kernel_size, fake.count, real.count)
    distance = kernel_distance(
        fake.pooled, real.pooled, subsets=subsets.kernel, subset_size=kernel_size
    )
    score = inception_score(fake.logits, splits=subsets.splits)
    return [
        Measurement(
            name=metric_name("fd", fake.extractor),
            value=frechet_distance_from_features(real.pooled, fake.pooled),
            higher_is_better=False,
            identity=shared,
        ),
        Measurement(
            name=metric_name("kd", fake.extractor),
            value=distance.mean,
            higher_is_better=False,
            identity={**shared, "subsets": subsets.kernel, "subset_size": kernel_size},
        ),
        Measurement(
            name=metric_name("is", fake.extractor),
            value=score.mean,
            higher_is_better=True,
            identity={**shared, "splits": subsets.splits},
        ),
    ]
