"""Track ``conditional``: are samples like real images, and do they obey their labels?

The evaluation of InfoSCC-GAN (Kinakh, Drozdova, Quétant, Golling and Voloshynovskiy,
"Information-theoretic stochastic contrastive conditional GAN: InfoSCC-GAN", 2021), with the
conventions of its released program named and the honest figures beside them:

- ``fd:EXTRACTOR``, ``is:EXTRACTOR`` and ``kd:EXTRACTOR``: samples against held-out images, which
  give their labels too (``labels=released``: uniform classes, or fair coins).
- ``tsne_chamfer:FEATURES.infoscc``: a joint t-SNE of real and generated features in three
  dimensions by scikit-learn's settings of version 0.24; squared distances from real points to the
  nearest generated one, summed. ``.real_to_fake`` and ``.fake_to_real`` are the means of either
  direction, ``.pytorch3d`` their sum. ``tsne_chamfer:opentsne:FEATURES`` is faster and another
  metric. FEATURES are the extractor's for all methods, and ``own``, of the method's own encoder, in
  addition where it has one.
- ``control_accuracy``: how often a predictor that no method has seen finds the class, or the
  attribute, that was asked for; each equally often. ``control_accuracy_absent``: the same for
  attributes that were to be absent. ``own_control_accuracy`` is by the method's own classifier and
  the released rule. ``...:NAME`` are of single attributes.
- ``diversity:EXTRACTOR``, ``diversity:lpips``: how far apart two samples of the same label are;
  the protocol has how far two real images of it are, so more is not always better.

Images are clipped to [-1, 1], as they would be saved. Intervals are over samples. What asks whether
labels are obeyed is not applicable to methods that take none (``conditioned = False``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.base import ConditionalGenerator, Method
from bench.data.subset import Subset, evenly_spread
from bench.extractors.features import FeatureStatistics, Kept, statistics_of
from bench.tracks import AttributePredictor, Evaluation, EvaluationContext, Track, TrackOptions
from bench.tracks.conditional_figures import Embedded, Subject, draw_figures
from bench.tracks.conditional_workbench import (
    ConditionalOptions,
    Identity,
    Workbench,
    open_workbench,
    require_measurable,
)
from bench.tracks.control import recognised
from bench.tracks.image_comparisons import lpips_if_present
from bench.tracks.measured import measured
from bench.tracks.sample_quality import features_of_real_images, sample_quality
from leaderboard.schema import Measurement
from metrics.editing import EditScore

_KEPT: tuple[Kept, ...] = ("pooled", "logits")
_OWN = "own"  # stands for an extractor's name where features are of the method's own encoder
_SHOWN_POINTS = 500  # of either side, in the picture of the t-SNE


class ConditionalTrack(Track):
    """Quality of samples, control of attributes, diversity within labels, and traversals."""

    name = "conditional"
    capability = ConditionalGenerator
    extractor = "efficientnet-lite0"
    needs = ("extractor", "predictor")
    Options = ConditionalOptions
    presets: ClassVar = {
        "smoke": {
            "distribution_samples": 16,
            "inception_splits": 1,
            "kernel_subsets": 2,
            "tsne": "opentsne",
            "perplexity": 5.0,
            "control_samples": 2,
            "diversity_pairs": 2,
            "pictures": 2,
            "traversal_steps": 3,
        },
        "small": {
            "distribution_samples": 2000,
            "kernel_subsets": 20,
            "tsne": "opentsne",
            "tsne_points": 1000,
            "control_samples": 100,
            "diversity_pairs": 200,
        },
    }

    def check(
        self, images: Subset, predictor: AttributePredictor | None, options: TrackOptions
    ) -> None:
        assert isinstance(options, ConditionalOptions)
        require_measurable(images, predictor, options)

    @torch.no_grad()
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        options = self.configure(context.preset, context.options)
        assert isinstance(options, ConditionalOptions)
        bench = open_workbench(method, context, options)
        labels = bench.requests.rows(bench.count, "samples")
        fake, own = _look_at_samples(bench, labels)
        real = features_of_real_images(bench.dataset, bench.extractor, fake.count, context.report)
        points = _points(bench, real, fake, own)
        diversity = bench.diversity()
        conditioned = bench.sampler.method.conditioned
        apart = diversity.of_samples() if conditioned else {}
        metrics = [
            *sample_quality(fake, real, bench.identity, bench.subsets),
            *(score for one in points for score in _chamfer_scores(bench, one)),
            *_control_scores(bench, bench.control().scores()),
            *_diversity_scores(bench, diversity.names, apart),
        ]
        protocol = _protocol(bench, labels, points)
        protocol["diversity"] = {"real": diversity.of_real_images()}
        subject = Subject(
            bench.sampler,
            bench.requests,
            bench.options.pictures,
            bench.options.traversal_reach,
            bench.options.traversal_steps,
            _embedded(bench, points[-1], labels),
        )
        return Evaluation(metrics, protocol, draw_figures(subject, context.folder))


@dataclass(frozen=True)
class _Points:
    """Features (P, D) of test images and of samples, for t-SNE.

    Attributes:
        whose: ``own``, or the extractor's name.
        real: Of test images.
        fake: Of samples.
    """

    whose: str
    real: Tensor
    fake: Tensor


def _look_at_samples(bench: Workbench, labels: Tensor) -> tuple[FeatureStatistics, Tensor | None]:
    """What the extractor sees of samples, and (P, D), what the method's own encoder sees of some.

    The latter is None where there is no such encoder, or no t-SNE that asks for it.
    """
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[bench.embedded] = bench.sampler.encodes and bench.options.tsne != "none"
    own: list[Tensor] = []

    def watched() -> Iterator[Tensor]:
        done = 0
        for images in bench.sampler.samples(labels, "samples"):
            wanted = chosen[done : done + len(images)]
            if wanted.any():
                own.append(bench.sampler.features(images[wanted.to(images.device)]))
            yield images
            done += len(images)
            bench.context.report("sampling", done, len(labels))

    statistics = statistics_of(watched(), bench.extractor, _KEPT)
    return statistics, torch.cat(own) if own else None


def _points(
    bench: Workbench, real: FeatureStatistics, fake: FeatureStatistics, own: Tensor | None
) -> list[_Points]:
    """Those of the extractor, and last those of the method's own encoder where it has one."""
    assert real.pooled is not None
    assert fake.pooled is not None
    rows = bench.embedded
    points = [_Points(bench.extractor.name, real.pooled[rows], fake.pooled[rows])]
    if own is not None:
        points.append(_Points(_OWN, _own_features_of_real_images(bench), own))
    return points


def _own_features_of_real_images(bench: Workbench) -> Tensor:
    """(P, D), of the test images that stand beside the samples chosen."""
    places = bench.embedded_images
    found: list[Tensor] = []
    done = 0
    for part in places.split(bench.options.batch_size):
        found.append(bench.sampler.features(bench.dataset.batch(part)[0]))
        done += len(part)
        bench.context.report("encoding real images", done, len(places))
    return torch.cat(found)


def _chamfer_scores(bench: Workbench, points: _Points) -> Iterator[Measurement]:
    """The distances in three dimensions, the released one first."""
    tsne = bench.tsne()
    if tsne is None:
        return
    found = tsne.chamfer(points.real, points.fake)
    identity: Identity = {
        "features": _features_identity(bench, points),
        "real_points": found.real_points,
        "fake_points": found.fake_points,
        "perplexity": bench.options.perplexity,
        **bench.identity,
    }
    for part in ("infoscc", "real_to_fake", "fake_to_real", "pytorch3d"):
        name = f"{found.name}:{points.whose}.{part}"
        yield Measurement(
            name=name, value=getattr(found, part), higher_is_better=False, identity=identity
        )


def _features_identity(bench: Workbench, points: _Points) -> str:
    if points.whose == _OWN:
        return "the method's own encoder"
    return f"{bench.extractor.name}:{bench.extractor.sha256[:12]}"


def _embedded(bench: Workbench, points: _Points, labels: Tensor) -> Embedded | None:
    """Some of the points in two dimensions, for the picture; ``labels`` (N, A) are the samples'."""
    tsne = bench.tsne()
    if tsne is None:
        return None
    some = evenly_spread(_SHOWN_POINTS, len(points.fake))
    real, fake = tsne.planar(points.real[some], points.fake[some])
    whose = "the method's own features" if points.whose == _OWN else f"features of {points.whose}"
    of_real = bench.requests.of_images[bench.embedded_images][some]
    return Embedded(real, fake, of_real, labels[bench.embedded][some], whose)


def _control_scores(
    bench: Workbench, scores: Mapping[str, EditScore | None]
) -> Iterator[Measurement]:
    """Accuracies of control, whose judge their identity names."""
    attributes = bench.dataset.dataset.attributes
    for name, score in scores.items():
        identity: Identity = {**bench.identity, "attributes": ", ".join(attributes.names)}
        if not name.startswith("own_"):
            identity["predictor"] = bench.predictor.sha256[:12]
        elif not attributes.classes:
            identity["threshold"] = bench.options.threshold
        yield measured(name, score, True, identity)


def _diversity_scores(
    bench: Workbench, names: Sequence[str], scores: Mapping[str, EditScore]
) -> Iterator[Measurement]:
    for name in names:
        extractor = f"{bench.extractor.name}:{bench.extractor.sha256[:12]}"
        identity: Identity = {} if name == "lpips" else {"extractor": extractor}
        identity["size"] = bench.dataset.dataset.size
        yield measured(f"diversity:{name}", scores.get(name), None, identity)


def _protocol(bench: Workbench, labels: Tensor, points: Sequence[_Points]) -> dict[str, Any]:
    """The settings, and what was seen on the way."""
    dataset, options = bench.dataset.dataset, bench.options
    names = dataset.attributes.names
    tsne = bench.tsne()
    return {
        "options": options.model_dump(),
        "resizing": dataset.resizing,
        "conditioned": bench.sampler.method.conditioned,
        "labels": {
            "source": options.labels,
            "samples": _counts(names, labels),
            "test_images": _counts(names, bench.requests.of_images),
            "control": dict.fromkeys(names, options.control_samples),
        },
        "tsne": tsne
        and {
            "package": tsne.package,
            "features": [_features_identity(bench, one) for one in points],
            "points": len(bench.embedded),
            "perplexity": tsne.perplexity,
            "seed": tsne.seed,
            "threads": tsne.threads,
        },
        "predictor_on_real": _predictor_on_real(bench),
        "speed": {
            "sample_images_per_second": bench.sampler.pace.images_per_second,
            "device": str(bench.context.device),
        },
        "lpips": lpips_if_present(bench.context.device)[1],
    }


def _counts(names: Sequence[str], labels: Tensor) -> dict[str, int]:
    """How many labels have each attribute."""
    return dict(zip(names, labels.sum(dim=0).round().long().tolist(), strict=True))


def _predictor_on_real(bench: Workbench) -> dict[str, dict[str, float]]:
    """What the accuracies of control are compared with: those of real images."""
    attributes = bench.dataset.dataset.attributes
    places = evenly_spread(bench.count, len(bench.dataset))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for part in places.split(bench.options.batch_size):
            images, labels = bench.dataset.batch(part)
            yield images.to(bench.context.device), labels

    return recognised(batches(), bench.judge, attributes)
