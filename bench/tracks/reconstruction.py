"""Track ``reconstruction``: is what a method encodes and decodes again still the same image?

The evaluation of CRG (Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative
Adversarial Networks", Neurocomputing 2020, section 4.1 and tables 1 and 2), with every convention
stated and with the floors that a reader needs beside it:

- ``dhash``, ``phash``, ``whash``: similarities of the hashes of held-out images and decode(encode)
  of them, 8 x 8 bits (``metrics.hashes``). ``mae``, ``mse``, ``psnr``, ``ssim`` and ``lpips:alex``
  compare pixels; MAE and MSE are means over all elements in [-1, 1]. ``feature_distance:EXTRACTOR``
  compares the feature maps of the track's extractor.
- ``generated_...`` are the same for the method's own samples, which its decoder can make exactly.
- ``latent_error``: of those, the squared error of encode(decode(z)) against z, relative to the
  variance of these z, so that priors of any scale compare: 1 is what their mean has.
  ``latent_mse`` is the same error as it is. ``dataset_latent_...`` are of held-out images whose
  latents the dataset knows, for methods whose own decoder makes those images of them.
- ``fd:EXTRACTOR``, ``kd:EXTRACTOR`` and ``is:EXTRACTOR`` are of samples, against held-out images.

Images are clipped to [-1, 1], as they would be saved. Intervals are over images. The protocol holds
what random pairs of the same held-out images and the mean training image score, and how fast the
method encodes and decodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from baselines.base import Inverter, Method
from baselines.randomness import derive_seed, uniforms
from bench.data.subset import Subset, evenly_spread
from bench.errors import BenchError, counted
from bench.extractors.base import Extractor
from bench.extractors.features import FeatureStatistics, Kept, statistics_of
from bench.tracks import (
    AttributePredictor,
    Evaluation,
    EvaluationContext,
    Track,
    TrackOptions,
)
from bench.tracks.image_comparisons import lpips_if_present
from bench.tracks.inversion import Inversion
from bench.tracks.likeness import TABLE_2, Identity, LatentPairs, Likeness, Scores, measurements
from bench.tracks.reconstruction_figures import Subject, draw_figures
from bench.tracks.sample_quality import Subsets, features_of_real_images, sample_quality
from leaderboard.schema import Measurement
from metrics.editing import Bootstrap

_KEPT: tuple[Kept, ...] = ("pooled", "logits")
_PROBES = 8  # images that tell whether the dataset's latents are the method's
_PIXELS = "MAE and MSE are means over all elements of an image in [-1, 1], then over images"

Space = Literal["unknown", "own", "other"]


class ReconstructionOptions(TrackOptions):
    """Settings of the reconstruction track.

    Attributes:
        samples: Test images, and as many samples, that are reconstructed; None for all test
            images. Methods that say so (``Inverter.most_images``) get fewer.
        distribution_samples: Samples, and as many test images, that the scores of distributions
            compare; None for as many as there are test images.
        inception_splits: Parts whose inception scores are averaged.
        kernel_subsets: Subsets whose kernel distances are averaged.
        kernel_subset_size: Images in each of them; all if there are fewer.
        batch_size: Images at a time.
        pictures: Images in the figure of reconstructions.
        interpolation_steps: Rows and columns of the figure of interpolations.
    """

    samples: int | None = Field(None, ge=2)
    distribution_samples: int | None = Field(None, ge=2)
    inception_splits: PositiveInt = 10
    kernel_subsets: PositiveInt = 100
    kernel_subset_size: int = Field(1000, ge=2)
    batch_size: PositiveInt = 64
    pictures: PositiveInt = 8
    interpolation_steps: int = Field(8, ge=2)


class ReconstructionTrack(Track):
    """Likeness of reconstructions, error of latents, quality of samples, and speed."""

    name = "reconstruction"
    capability = Inverter
    extractor = "efficientnet-lite0"
    needs = ("extractor",)
    Options = ReconstructionOptions
    presets: ClassVar = {
        "smoke": {
            "samples": 8,
            "distribution_samples": 16,
            "inception_splits": 1,
            "kernel_subsets": 2,
            "pictures": 4,
            "interpolation_steps": 3,
        },
        "small": {"samples": 512, "distribution_samples": 2000, "kernel_subsets": 20},
    }

    def check(
        self, images: Subset, predictor: AttributePredictor | None, options: TrackOptions
    ) -> None:
        assert isinstance(options, ReconstructionOptions)
        count = min(options.distribution_samples or len(images), len(images))
        if count < max(2, options.inception_splits):
            raise BenchError(
                f"The track reconstruction has {counted(count, 'test image')}, and takes at least "
                f"2, and one for each of track.inception_splits={options.inception_splits}: raise "
                "--limit, take more data, or lower the splits with --set."
            )

    @torch.no_grad()
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        bench = _workbench(method, context)
        latents = bench.latents()
        space = _space_of_dataset(bench)
        likeness, pairs = _reconstruct_test_images(bench, space)
        own_likeness, own_pairs, statistics = _reconstruct_samples(bench, latents)
        images, latent = likeness.scores(bench.bootstrap), own_pairs.scores(bench.bootstrap)
        metrics = [
            *bench.measurements({name: images.pop(name) for name in TABLE_2}),
            *bench.measurements({"latent_error": latent.pop("latent_error")}),
            *_sample_scores(bench, statistics),
            *bench.measurements({**images, **latent}),
            *bench.measurements(_dataset_latent_scores(bench, space, pairs), "dataset_"),
            *bench.measurements(own_likeness.scores(bench.bootstrap), "generated_"),
        ]
        protocol = _protocol(bench, space, own_pairs)
        subject = Subject(
            bench.inversion,
            bench.dataset,
            latents,
            bench.options.pictures,
            bench.options.interpolation_steps,
        )
        return Evaluation(metrics, protocol, draw_figures(subject, context.folder))


@dataclass(frozen=True)
class _Workbench:
    """A method with all that the protocol asks for, checked."""

    inversion: Inversion
    dataset: Subset
    extractor: Extractor
    options: ReconstructionOptions
    context: EvaluationContext

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(seed=self.seed("bootstrap"))

    @property
    def places(self) -> Tensor:
        """The test images that are reconstructed, the same for all methods but slow ones."""
        bounds = (self.options.samples, getattr(self.inversion.method, "most_images", None))
        count = min(bound for bound in (*bounds, len(self.dataset)) if bound is not None)
        return evenly_spread(count, len(self.dataset))

    @property
    def identity(self) -> Identity:
        """What two methods must share for their scores to be compared.

        Not the number of images: a mean over fewer of them has the same expectation, and its
        interval says how sure it is.
        """
        dataset = self.dataset.dataset
        resizing = {} if dataset.resizing is None else {"resizing": dataset.resizing}
        return {"size": dataset.size, **resizing}

    def seed(self, purpose: str) -> int:
        return derive_seed(self.context.seed, "reconstruction", purpose)

    def latents(self) -> Tensor:
        """All latents (N, D) of the prior that the track looks at."""
        count = min(self.options.distribution_samples or len(self.dataset), len(self.dataset))
        return self.inversion.prior(count, self.seed("prior"))

    def images(self, places: Tensor) -> Tensor:
        return self.dataset.batch(places)[0].to(self.context.device)

    def batches(self, places: Tensor, task: str) -> Iterator[Tensor]:
        """Places batch by batch, with progress."""
        done = 0
        for part in places.split(self.options.batch_size):
            yield part
            done += len(part)
            self.context.report(task, done, len(places))

    def likeness(self) -> Likeness:
        assert self.context.extractor is not None
        return Likeness(self.context.extractor, lpips_if_present(self.context.device)[0])

    def measurements(self, scores: Scores, prefix: str = "") -> list[Measurement]:
        assert self.context.extractor is not None
        return measurements(scores, self.identity, self.context.extractor, prefix)


def _workbench(method: Method, context: EvaluationContext) -> _Workbench:
    if not isinstance(method, Inverter):
        raise BenchError(
            f"{type(method).__name__} cannot run on the track reconstruction: it has to be an "
            "Inverter, with encode, decode and sample_latents."
        )
    if context.extractor is None:
        raise BenchError(
            "The track reconstruction needs a feature extractor; name one by --extractor."
        )
    options = ReconstructionTrack.configure(context.preset, context.options)
    ReconstructionTrack().check(context.dataset, context.predictor, options)
    assert isinstance(options, ReconstructionOptions)
    dataset = context.dataset.dataset
    shape = (dataset.channels, dataset.size, dataset.size)
    method.eval()
    return _Workbench(
        Inversion(method, shape, context.device),
        context.dataset,
        cast(Extractor, context.extractor),
        options,
        context,
    )


def _space_of_dataset(bench: _Workbench) -> Space:
    """Whose latents the dataset knows: of some generator, which may be the method's decoder."""
    places = evenly_spread(_PROBES, len(bench.dataset))
    latents = bench.dataset.latents(places)
    if latents is None:
        return "unknown"
    return "own" if bench.inversion.shares_space(latents, bench.images(places)) else "other"


def _reconstruct_test_images(bench: _Workbench, space: Space) -> tuple[Likeness, LatentPairs]:
    """The images against their reconstructions; the latents where the dataset knows them."""
    likeness, pairs = bench.likeness(), LatentPairs()
    for places in bench.batches(bench.places, "reconstructing test images"):
        images = bench.images(places)
        latents = bench.inversion.encode(images)
        likeness.add(places, bench.inversion.decode(latents), images)
        true = bench.dataset.latents(places)
        if space == "own" and true is not None:
            pairs.add(latents, true)
    return likeness, pairs


def _reconstruct_samples(
    bench: _Workbench, latents: Tensor
) -> tuple[Likeness, LatentPairs, FeatureStatistics]:
    """The first samples are reconstructed; the extractor sees all of them."""
    likeness, pairs = bench.likeness(), LatentPairs()

    def watched() -> Iterator[Tensor]:
        for places in bench.batches(torch.arange(len(latents)), "generating"):
            images = bench.inversion.decode(latents[places])
            first = places[places < len(bench.places)]
            if len(first):
                shown = images[: len(first)]
                found = bench.inversion.encode(shown)
                likeness.add(first, bench.inversion.decode(found), shown)
                pairs.add(found, latents[first])
            yield images

    return likeness, pairs, statistics_of(watched(), bench.extractor, _KEPT)


def _dataset_latent_scores(bench: _Workbench, space: Space, pairs: LatentPairs) -> Scores:
    if space == "unknown":
        return {}
    if space == "other":
        return {"latent_error": None, "latent_mse": None}
    return pairs.scores(bench.bootstrap)


def _sample_scores(bench: _Workbench, fake: FeatureStatistics) -> list[Measurement]:
    options = bench.options
    real = features_of_real_images(bench.dataset, bench.extractor, fake.count, bench.context.report)
    subsets = Subsets(options.inception_splits, options.kernel_subsets, options.kernel_subset_size)
    return sample_quality(fake, real, bench.identity, subsets)


def _floors(bench: _Workbench) -> dict[str, dict[str, float]]:
    """What scores without any method: another test image, and the mean training image."""
    count = len(bench.places)
    order = uniforms(bench.seed("pairs"), 0, count)[:, 0].argsort(stable=True)
    partners = torch.empty_like(order)
    partners[order] = order.roll(1)  # one cycle through all: no image is its own partner
    pairs, mean = bench.likeness(), bench.likeness()
    average = _mean_training_image(bench)
    for rows in bench.batches(torch.arange(count), "finding floors"):
        images = bench.images(bench.places[rows])
        pairs.add(rows, bench.images(bench.places[partners[rows]]), images)
        mean.add(rows, average.expand_as(images), images)
    return {"random_pairs": pairs.averages(), "mean_image": mean.averages()}


def _mean_training_image(bench: _Workbench) -> Tensor:
    """The mean (1, C, H, W) of as many training images as test images are reconstructed."""
    dataset = bench.dataset.dataset
    train = dataset.split("train")
    chosen = train[evenly_spread(len(bench.places), len(train))]
    batches = bench.batches(chosen, "averaging training images")
    sums = [dataset.batch(part)[0].double().sum(dim=0) for part in batches]
    return (torch.stack(sums).sum(dim=0) / len(chosen)).float()[None].to(bench.context.device)


def _protocol(bench: _Workbench, space: Space, own: LatentPairs) -> dict[str, Any]:
    """The settings, and what was seen on the way."""
    inversion = bench.inversion
    return {
        "options": bench.options.model_dump(),
        "pixels": _PIXELS,
        "resizing": bench.dataset.dataset.resizing,
        "images": {"test": len(bench.places), "generated": len(own)},
        "latents": {
            "dim": inversion.dim,
            "prior_spread": own.spread,
            "interpolation": inversion.method.interpolation,
            "of_dataset": space,
        },
        "floors": _floors(bench),
        "speed": {
            "encode_images_per_second": inversion.encoding.images_per_second,
            "decode_images_per_second": inversion.decoding.images_per_second,
            "steps_per_image": getattr(inversion.method, "steps_per_image", None),
            "device": str(bench.context.device),
        },
        "lpips": lpips_if_present(bench.context.device)[1],
    }
