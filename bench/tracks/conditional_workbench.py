"""What the conditional track works with: its settings, and a method with all that it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from baselines.base import ConditionalGenerator, Method
from baselines.randomness import derive_seed
from bench.data.classes import require_every_class
from bench.data.cluster_labels import missing_labels_remedy
from bench.data.subset import Subset, evenly_spread
from bench.errors import BenchError, counted
from bench.extractors.base import Extractor
from bench.tracks import AttributePredictor, EvaluationContext, TrackOptions
from bench.tracks.control import ControlTest
from bench.tracks.diversity import Diversity
from bench.tracks.image_comparisons import lpips_if_present
from bench.tracks.judge import Judge
from bench.tracks.label_requests import LabelRequests, Source
from bench.tracks.sample_quality import Subsets
from bench.tracks.sampling import Sampler
from bench.tracks.tsne import Package, Tsne, require_embeddable
from metrics.editing import Bootstrap

Identity = dict[str, str | int | float]


class ConditionalOptions(TrackOptions):
    """Settings of the conditional track.

    Attributes:
        labels: Those that samples are drawn for: ``dataset``, the labels of test images; or
            ``released``, uniform classes or a fair coin for each attribute.
        distribution_samples: Samples, and as many test images, that the scores of distributions
            compare; None for as many as there are test images.
        inception_splits: Parts whose inception scores are averaged.
        kernel_subsets: Subsets whose kernel distances are averaged.
        kernel_subset_size: Images in each of them; all if there are fewer.
        tsne: Whose t-SNE the Chamfer distances are taken in; the released numbers are by
            scikit-learn's. ``none`` leaves them out.
        tsne_points: Of each side, at most as many as there are samples; 200 batches of 32 in the
            released program.
        perplexity: Of t-SNE.
        control_samples: Samples of each class, or for each attribute with and without it.
        threshold: Probability above which the method's own classifier is taken to see an
            attribute; 0.2 in the released program.
        diversity_pairs: Pairs of samples with the same label.
        batch_size: Images at a time.
        pictures: Columns in the figure of samples.
        traversal_reach: How far figures walk along an axis, in standard deviations.
        traversal_steps: Pictures of each axis.
    """

    labels: Source = "dataset"
    distribution_samples: int | None = Field(None, ge=2)
    inception_splits: PositiveInt = 10
    kernel_subsets: PositiveInt = 100
    kernel_subset_size: int = Field(1000, ge=2)
    tsne: Package = "scikit-learn"
    tsne_points: PositiveInt = 6400
    perplexity: PositiveFloat = 30.0
    control_samples: int = Field(6400, ge=2)
    threshold: float = Field(0.2, gt=0.0, lt=1.0)
    diversity_pairs: int = Field(1000, ge=2)
    batch_size: PositiveInt = 64
    pictures: PositiveInt = 8
    traversal_reach: PositiveFloat = 4.0
    traversal_steps: int = Field(9, ge=2)


@dataclass(frozen=True)
class Workbench:
    """A method with all that the protocol asks for, checked.

    Attributes:
        sampler: The method.
        requests: Gives labels.
        extractor: Of the track's distances.
        options: The track's.
        context: What else there is.
    """

    sampler: Sampler
    requests: LabelRequests
    extractor: Extractor
    options: ConditionalOptions
    context: EvaluationContext

    @property
    def dataset(self) -> Subset:
        return self.context.dataset

    @property
    def predictor(self) -> AttributePredictor:
        assert self.context.predictor is not None
        return self.context.predictor

    @property
    def judge(self) -> Judge:
        return Judge(self.predictor, self.dataset.dataset.attributes)

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(seed=self.seed("bootstrap"))

    @property
    def subsets(self) -> Subsets:
        options = self.options
        return Subsets(options.inception_splits, options.kernel_subsets, options.kernel_subset_size)

    @property
    def identity(self) -> Identity:
        """What two methods must share for their scores to be compared.

        Not how many samples a mean is over: its interval says how sure it is.
        """
        dataset = self.dataset.dataset
        resizing = {} if dataset.resizing is None else {"resizing": dataset.resizing}
        return {"size": dataset.size, **resizing, "labels": self.options.labels}

    @property
    def count(self) -> int:
        """Samples, and test images, whose distributions are compared."""
        return _distribution_count(self.dataset, self.options)

    @property
    def embedded(self) -> Tensor:
        """Which of the samples t-SNE gets, int64 (P,)."""
        return evenly_spread(self.options.tsne_points, self.count)

    @property
    def embedded_images(self) -> Tensor:
        """Places of the test images that stand beside these samples, int64 (P,)."""
        return evenly_spread(self.count, len(self.dataset))[self.embedded]

    def seed(self, purpose: str) -> int:
        return derive_seed(self.context.seed, "conditional", purpose)

    def tsne(self) -> Tsne | None:
        if self.options.tsne == "none":
            return None
        return Tsne(
            self.options.tsne,
            self.options.perplexity,
            seed=self.seed("t-SNE") % 2**31,
            threads=torch.get_num_threads(),
            report=self.context.report,
        )

    def control(self) -> ControlTest:
        return ControlTest(
            self.sampler,
            self.requests,
            self.judge,
            self.options.control_samples,
            self.options.threshold,
            self.bootstrap,
            partial(self.context.report, "asking for attributes"),
        )

    def diversity(self) -> Diversity:
        assert self.context.extractor is not None
        return Diversity(
            self.sampler,
            self.requests,
            self.context.extractor,
            lpips_if_present(self.context.device)[0],
            self.options.diversity_pairs,
            self.options.batch_size,
            self.seed("pairs"),
            self.bootstrap,
            partial(self.context.report, "comparing pairs"),
        )


def open_workbench(
    method: Method, context: EvaluationContext, options: ConditionalOptions
) -> Workbench:
    """A method with all that the protocol asks for, in evaluation mode.

    Raises:
        BenchError: The method is no conditional generator, or something is missing.
    """
    if not isinstance(method, ConditionalGenerator):
        raise BenchError(
            f"{type(method).__name__} cannot run on the track conditional: it has to be a "
            "ConditionalGenerator, with sample."
        )
    if context.extractor is None:
        raise BenchError(
            "The track conditional needs a feature extractor; name one by --extractor."
        )
    require_measurable(context.dataset, context.predictor, options)
    dataset = context.dataset.dataset
    method.eval()
    sampler = Sampler(
        method,
        (dataset.channels, dataset.size, dataset.size),
        len(dataset.attributes.names),
        seed=context.seed,
        batch_size=options.batch_size,
        device=context.device,
    )
    requests = LabelRequests(options.labels, context.dataset, context.seed)
    return Workbench(sampler, requests, cast(Extractor, context.extractor), options, context)


def require_measurable(
    images: Subset, predictor: AttributePredictor | None, options: ConditionalOptions
) -> None:
    """Refuse what the protocol cannot be run on.

    Args:
        images: The test images.
        predictor: The judge of the dataset, or None.
        options: The track's.

    Raises:
        BenchError: There are no labels, no judge of all of them, a class without images, too few
            images, or too few of them for the perplexity.
    """
    _require_labels(images, predictor)
    count = _distribution_count(images, options)
    if count < max(2, options.inception_splits):
        raise BenchError(
            f"The track conditional has {counted(count, 'test image')}, and takes at least 2, and "
            f"one for each of track.inception_splits={options.inception_splits}: raise --limit, "
            "take more data, or lower the splits with --set."
        )
    require_embeddable(options.tsne, min(options.tsne_points, count), options.perplexity)


def _distribution_count(images: Subset, options: ConditionalOptions) -> int:
    """How many samples, and test images, the scores of distributions compare."""
    return min(options.distribution_samples or len(images), len(images))


def _require_labels(images: Subset, predictor: AttributePredictor | None) -> None:
    dataset = images.dataset
    attributes = dataset.attributes
    if not attributes.names or max(dataset.factor_sizes or (2,)) > 2:
        raise BenchError(
            f"The track conditional needs classes or binary attributes, and {dataset.name} has "
            f"none; {missing_labels_remedy(dataset)}."
        )
    if predictor is None:
        raise BenchError(
            "The track conditional needs an attribute predictor of the dataset, and "
            f"{dataset.name} implies none: make one by bench train-predictor and name it with "
            "--predictor."
        )
    Judge(predictor, attributes, selectable="attributes" in dataset.everything)
    if attributes.classes:
        classes = images.labels(torch.arange(len(images))).argmax(dim=1).cpu().numpy()
        require_every_class(
            attributes.names,
            classes,
            f"The test part of {dataset.name} has",
            "raise --limit, or take data that has all classes",
        )
