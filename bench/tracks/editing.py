"""Track ``editing``: do edits change the attributes asked for, and nothing else?

Every test image is edited once in each attribute, as AttGAN (He et al., TIP 2019) and STGAN (Liu et
al., CVPR 2019) do, though by the rule of ``bench.tracks.edits``: theirs switches a present hair
colour off, which asks for no colour, and clears bangs for a bald head. It is also edited once into
the attributes of another test image, as in training. An attribute predictor that no method has seen
reads the attributes of the edited images:

- ``accuracy`` is the share of single edits after which all attributes are as asked for, and
  ``f1_macro`` the F1 score with its mean over attributes: the readings that fit Table 1 of
  "Contrastive Representation Learning For Image Attribute Manipulation". ``..._combined`` are the
  same for the edits into other images' attributes.
- ``editing_accuracy``: is the edited attribute inverted? ``preservation_error``: how many of the
  others differ from the true ones before the edit? Others of an exclusive group, which an edit has
  to change, count as errors there, as in the reference.
- ``fd:EXTRACTOR`` and ``is:EXTRACTOR`` are of the combined edits, against real test images.
- ``reconstruction_...`` compare an edit that asks for nothing with the image.
- ``counterfactual_...`` compare single edits with the true image of the edit, where the dataset can
  make one, and ``..._background_psnr`` only those pixels that the true edit leaves alone.
- ``next_class_accuracy``, for classes: IcGAN's "digit + 1" with a classifier in place of eyes.

The true attributes of an image are the dataset's, so the predictor's own errors count against every
method alike; ``predictor_on_real`` in the protocol has its scores on the unedited images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from baselines.base import Attributes, Editor, Method
from baselines.randomness import derive_seed, uniforms
from bench.data.subset import Subset, evenly_spread
from bench.errors import BenchError
from bench.extractors.base import Extractor
from bench.extractors.features import FeatureStatistics, Kept, statistics_of
from bench.extractors.names import metric_name
from bench.extractors.statistics_cache import cached_statistics
from bench.tracks import (
    AttributePredictor,
    Evaluation,
    EvaluationContext,
    Track,
    TrackOptions,
)
from bench.tracks.editing_figures import Subject, draw_figures
from bench.tracks.edits import Judgements, combined_edits, edit, require_editable, single_edits
from bench.tracks.image_comparisons import Comparisons, lpips_if_present
from bench.tracks.judge import Judge
from leaderboard.schema import ConfidenceInterval, Measurement
from metrics.attribute_control import editing_accuracy, preservation_error
from metrics.classification import multilabel_scores
from metrics.editing import Bootstrap, EditScore, classification_of_edits, mean_over_edits
from metrics.frechet import frechet_distance
from metrics.inception_score import inception_score

Identity = dict[str, str | int | float]

_SMALLER_IS_BETTER = ("preservation_error", "mae", "lpips:alex")


class EditingOptions(TrackOptions):
    """Settings of the editing track.

    Attributes:
        samples: Test images that are edited once in each attribute, and reconstructed; None for
            all.
        distribution_samples: Test images that are edited into other images' attributes, for the
            scores of combined edits and of distributions; None for all.
        inception_splits: Parts whose inception scores are averaged.
        batch_size: Images at a time.
        pictures: Test images in the figures.
        intensities: Steps of the figure that goes from the source to the target.
        pairs: Pairs in the figure of InfoNCE's similarities; fewer where fewer can be drawn.
    """

    samples: int | None = Field(None, ge=2)
    distribution_samples: int | None = Field(None, ge=2)
    inception_splits: PositiveInt = 10
    batch_size: PositiveInt = 64
    pictures: PositiveInt = 6
    intensities: int = Field(5, ge=2)
    pairs: PositiveInt = 8


class EditingTrack(Track):
    """Accuracy, F1, preservation, quality and reconstruction of attribute edits."""

    name = "editing"
    capability = Editor
    extractor = "efficientnet-lite0"
    needs = ("extractor", "predictor")
    Options = EditingOptions
    presets: ClassVar = {
        "smoke": {
            "samples": 4,
            "distribution_samples": 8,
            "inception_splits": 1,
            "pictures": 2,
            "intensities": 2,
            "pairs": 2,
        },
        "small": {"samples": 500, "distribution_samples": 2000},
    }

    def check(
        self, images: Subset, predictor: AttributePredictor | None, options: TrackOptions
    ) -> None:
        assert isinstance(options, EditingOptions)
        require_editable(images, predictor, options.distribution_samples, options.inception_splits)

    @torch.no_grad()
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        bench = _workbench(method, context)
        bench.method.eval()
        single, truth = _edit_singly(bench)
        combined, statistics = _edit_combined(bench)
        metrics = [
            *_label_scores(bench, single),
            *_distribution_scores(bench, statistics),
            *_label_scores(bench, combined, "_combined"),
            *_next_class(bench),
            *_reconstruction(bench),
            *bench.measurements("counterfactual_", truth.means(bench.bootstrap)),
        ]
        subject = Subject(
            bench.method,
            bench.dataset,
            bench.attributes,
            context.device,
            pictures=bench.options.pictures,
            intensities=bench.options.intensities,
            pairs=bench.options.pairs,
            seed=context.seed,
        )
        return Evaluation(metrics, _protocol(bench, single), draw_figures(subject, context.folder))


@dataclass(frozen=True)
class _Workbench:
    """A method with all that the protocol asks for, checked."""

    method: Editor
    dataset: Subset
    attributes: Attributes
    extractor: Extractor
    judge: Judge
    options: EditingOptions
    context: EvaluationContext

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(seed=derive_seed(self.context.seed, "editing", "bootstrap"))

    @property
    def identity(self) -> Identity:
        """What two methods must share for their scores to be compared."""
        assert self.context.predictor is not None
        return {
            "predictor": self.context.predictor.sha256[:12],
            "attributes": ", ".join(self.attributes.names),
            "images": min(self.options.samples or len(self.dataset), len(self.dataset)),
            "size": self.dataset.dataset.size,
        }

    def places(self, count: int | None) -> Tensor:
        """Places of ``count`` test images, the same for all methods; see ``evenly_spread``."""
        return evenly_spread(count or len(self.dataset), len(self.dataset))

    def batches(self, places: Tensor, task: str) -> Iterator[Tensor]:
        """Places batch by batch, with progress."""
        done = 0
        for part in places.split(self.options.batch_size):
            yield part
            done += len(part)
            self.context.report(task, done, len(places))

    def measurements(
        self, prefix: str, scores: Mapping[str, EditScore], suffix: str = ""
    ) -> list[Measurement]:
        return [
            Measurement(
                name=f"{prefix}{name}{suffix}",
                value=score.value,
                interval=ConfidenceInterval(
                    low=score.interval.low, high=score.interval.high, level=score.interval.level
                ),
                standard_error=score.interval.standard_error,
                higher_is_better=name not in _SMALLER_IS_BETTER,
                identity=self.identity,
            )
            for name, score in scores.items()
        ]


def _workbench(method: Method, context: EvaluationContext) -> _Workbench:
    if not isinstance(method, Editor):
        raise BenchError(
            f"{type(method).__name__} cannot run on the track editing: it has to be an Editor, "
            "with edit."
        )
    if context.extractor is None:
        raise BenchError("The track editing needs a feature extractor; name one by --extractor.")
    options = EditingTrack.configure(context.preset, context.options)
    EditingTrack().check(context.dataset, context.predictor, options)
    assert isinstance(options, EditingOptions)
    assert context.predictor is not None
    attributes = context.dataset.dataset.attributes
    judge = Judge(context.predictor, attributes)
    extractor = cast(Extractor, context.extractor)
    return _Workbench(method, context.dataset, attributes, extractor, judge, options, context)


def _edit_singly(bench: _Workbench) -> tuple[Judgements, Comparisons]:
    """Every image edited once in each attribute, read by the judge and held against the truth."""
    labels = Judgements()
    truth = Comparisons(lpips_if_present(bench.context.device)[0])
    batches = bench.batches(bench.places(bench.options.samples), "editing attributes")
    for batch in single_edits(
        bench.method, bench.dataset, bench.attributes, batches, bench.context.device
    ):
        labels.add(batch, bench.judge)
        true = bench.dataset.counterfactuals(batch.places, batch.target)
        if true is not None:
            true = true.to(batch.edited.device)
            truth.add_pictures(batch.places, batch.edited, true)
            truth.add_background(batch.places, batch.edited, batch.images, true)
    return labels, truth


def _edit_combined(bench: _Workbench) -> tuple[Judgements, FeatureStatistics]:
    """Every image edited into the attributes of another one, read by judge and extractor."""
    places = bench.places(bench.options.distribution_samples)
    seed = derive_seed(bench.context.seed, "editing", "targets")
    order = uniforms(seed, 0, len(places))[:, 0].argsort(stable=True)
    targets = bench.dataset.labels(places)[order]
    labels = Judgements()
    batches = combined_edits(
        bench.method,
        bench.dataset,
        bench.batches(places, "editing into other images' attributes"),
        targets,
        bench.context.device,
    )

    def watched() -> Iterator[Tensor]:
        for batch in batches:
            labels.add(batch, bench.judge)
            yield batch.edited

    kept: tuple[Kept, ...] = ("logits",)
    return labels, statistics_of(watched(), bench.extractor, kept)


def _label_scores(bench: _Workbench, labels: Judgements, suffix: str = "") -> list[Measurement]:
    predicted, target, source, attribute, places = labels.arrays()
    scores = classification_of_edits(predicted, target, places, bench.bootstrap)
    if suffix:
        scores = {name: scores[name] for name in ("accuracy", "f1_macro")}
    else:
        success = editing_accuracy(predicted, source, attribute)
        scores["editing_accuracy"] = mean_over_edits(success.each, places, bench.bootstrap)
        if predicted.shape[1] > 1:
            errors = preservation_error(predicted, source, attribute)
            scores["preservation_error"] = mean_over_edits(errors.each, places, bench.bootstrap)
    return bench.measurements("", scores, suffix)


def _distribution_scores(bench: _Workbench, fake: FeatureStatistics) -> list[Measurement]:
    """Fréchet distance to real test images, and inception score, of the combined edits."""
    chosen = bench.dataset.indices[bench.places(fake.count)]
    total = len(chosen)
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        bench.context.report("looking at real images", done, total)

    real = cached_statistics(bench.dataset.dataset, bench.extractor, chosen, progress=advance)
    distance = frechet_distance(real.mean, real.covariance, fake.mean, fake.covariance)
    splits = bench.options.inception_splits
    score = inception_score(fake.logits, splits=splits)
    identity: Identity = {
        "extractor": f"{bench.extractor.name}:{bench.extractor.sha256[:12]}",
        "images": fake.count,
        "size": bench.dataset.dataset.size,
    }
    return [
        Measurement(
            name=metric_name("fd", bench.extractor.name),
            value=distance,
            higher_is_better=False,
            identity=identity,
        ),
        Measurement(
            name=metric_name("is", bench.extractor.name),
            value=score.mean,
            higher_is_better=True,
            identity={**identity, "splits": splits},
        ),
    ]


def _next_class(bench: _Workbench) -> list[Measurement]:
    """How often an edit into the next class (the last one's next is the first) is recognised."""
    if not bench.attributes.classes:
        return []
    hits, seen = [], []
    asked = bench.places(bench.options.samples)
    for places in bench.batches(asked, "editing into the next class"):
        images, source = bench.dataset.batch(places)
        target = source.cpu().roll(1, dims=1)
        edited = edit(bench.method, images.to(bench.context.device), source, target)
        hits.append((bench.judge(edited) == (target > 0.5)).all(dim=1))
        seen.append(places)
    rate = mean_over_edits(
        torch.cat(hits).double().numpy(), torch.cat(seen).numpy(), bench.bootstrap
    )
    return bench.measurements("", {"next_class_accuracy": rate})


def _reconstruction(bench: _Workbench) -> list[Measurement]:
    """Edits that ask for nothing, and the images themselves."""
    comparisons = Comparisons(lpips_if_present(bench.context.device)[0])
    for places in bench.batches(bench.places(bench.options.samples), "reconstructing"):
        images, source = bench.dataset.batch(places)
        images = images.to(bench.context.device)
        same = edit(bench.method, images, source, source)
        comparisons.add_pictures(places, same, images)
        comparisons.add_hashes(places, same, images)
    return bench.measurements("reconstruction_", comparisons.means(bench.bootstrap))


def _protocol(bench: _Workbench, single: Judgements) -> dict[str, Any]:
    """The settings, and what was seen on the way."""
    predicted, target, source, attribute, _ = single.arrays()
    edits = multilabel_scores(target, predicted)
    success = editing_accuracy(predicted, source, attribute)
    names = bench.attributes.names
    return {
        "options": bench.options.model_dump(),
        "attributes": list(names),
        "edits": {name: int((attribute == i).sum()) for i, name in enumerate(names)},
        "editing_accuracy": {names[i]: rate for i, rate in success.by_attribute.items()},
        "accuracy_by_attribute": _by_name(names, edits.accuracy_per_attribute),
        "f1_by_attribute": _by_name(names, edits.f1.per_attribute),
        "zero_division": 0,
        "predictor_on_real": _on_real(bench),
        "lpips": lpips_if_present(bench.context.device)[1],
    }


def _on_real(bench: _Workbench) -> dict[str, Any]:
    """What the predictor says of the test images as they are."""
    found, true = [], []
    asked = bench.places(bench.options.samples)
    for places in bench.batches(asked, "reading unedited images"):
        images, labels = bench.dataset.batch(places)
        found.append(bench.judge(images.to(bench.context.device)))
        true.append(labels.cpu() > 0.5)
    scores = multilabel_scores(torch.cat(true), torch.cat(found))
    return {
        "accuracy": scores.subset_accuracy,
        "f1_macro": scores.f1.macro,
        "accuracy_by_attribute": _by_name(bench.attributes.names, scores.accuracy_per_attribute),
    }


def _by_name(names: Iterable[str], values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(names, values.round(6).tolist(), strict=True))
