"""Track ``disentanglement``: does each number of a code stand for one factor of the images?

The evaluation of Locatello et al., "Challenging Common Assumptions in the Unsupervised Learning of
Disentangled Representations" (ICML 2019, arXiv 1811.12359), whose settings are the preset
``paper``; the table of 3D Shapes in ContraFeat (arXiv 2212.07277) has its ``fvm``, ``mig`` and
``dci``. Codes are those that ``Representer.represent`` gives; ``metrics.disentanglement`` has the
scores:

- ``fvm``, ``beta-vae``: is the factor that a batch of images shares told by the code that varies
  least, or by how little codes differ?
- ``mig``, ``sap``: how far is the best code of a factor ahead of the second best, in information
  and in prediction?
- ``dci.disentanglement``, ``.completeness``, ``.informativeness``: to how few factors each code
  matters, how few codes to each factor, and how well all codes predict. ``dci:lightgbm...`` is the
  same with faster trees, and another metric.
- ``modularity``: does each code tell of one factor only?

Images are encoded once. Scores are means over several draws of images, and intervals are Student's
over these draws: they say how scores would move with other images, not with another training. On a
dataset whose factors are unknown all scores are not applicable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt

from baselines.base import Method, Representer
from bench.data.subset import Subset, evenly_spread
from bench.errors import BenchError, Diverged
from bench.tracks import (
    AttributePredictor,
    Evaluation,
    EvaluationContext,
    Track,
    TrackOptions,
)
from bench.tracks.disentanglement_figures import Subject, draw_figures
from bench.tracks.factor_draws import Draw, FactorDraws, factor_names
from bench.tracks.representation import Representation
from leaderboard.schema import ConfidenceInterval, Measurement
from metrics.arrays import FloatArray
from metrics.disentanglement.beta_vae import beta_vae_metric
from metrics.disentanglement.dci import Booster, dci
from metrics.disentanglement.factor_vae import factor_vae_metric
from metrics.disentanglement.inputs import Codes
from metrics.disentanglement.mig import mig
from metrics.disentanglement.modularity import modularity_from_information
from metrics.disentanglement.sap import sap
from metrics.statistics import standard_error

_DCI_NAMES: dict[Booster, str] = {"gradient-boosting": "dci", "lightgbm": "dci:lightgbm"}
_DCI_PARTS = ("disentanglement", "completeness", "informativeness")
_LEVEL = 0.95
_WORTH_PROCESSES = 1000  # samples; trees of fewer are fitted before other processes have begun
_ENCODED_WITHOUT_FACTORS = 1000  # images, for figures


class DisentanglementOptions(TrackOptions):
    """Settings of the disentanglement track; the published ones are the defaults.

    Attributes:
        images: ``whole``: factors are drawn, and any image of the dataset can come, as published.
            ``test``: disjoint sets of test images, so that far fewer have to be encoded.
        samples: Images of a draw: two thirds to fit predictors to, one third to score them on.
        draws: How many times all is drawn anew; an interval needs two.
        bins: Of each code, for mutual information.
        boosters: What DCI predicts factors by: ``gradient-boosting`` is the published metric,
            ``lightgbm`` many times faster.
        votes: Batches that the classifiers of ``fvm`` and ``beta-vae`` are made from; half as many
            more score them.
        batch: Images of such a batch; pairs of images for ``beta-vae``.
        variance_samples: Images that the codes' variances over the dataset are taken from.
        prune_below: Codes with a smaller standard deviation have no vote in ``fvm``.
        traversal_reach: How far figures move a code from its mean, in its standard deviations.
        traversal_steps: Pictures of each code.
        batch_size: Images at a time.
    """

    images: Literal["whole", "test"] = "whole"
    samples: int = Field(15_000, ge=6)
    draws: int = Field(5, ge=1)
    bins: int = Field(20, ge=2)
    boosters: tuple[Booster, ...] = Field(("gradient-boosting", "lightgbm"), min_length=1)
    votes: int = Field(10_000, ge=2)
    batch: int = Field(64, ge=2)
    variance_samples: int = Field(10_000, ge=2)
    prune_below: float = Field(0.05, ge=0.0)
    traversal_reach: PositiveFloat = 2.0
    traversal_steps: int = Field(7, ge=2)
    batch_size: PositiveInt = 256


class DisentanglementTrack(Track):
    """Scores of codes against the factors of the images, and what each code changes."""

    name = "disentanglement"
    capability = Representer
    Options = DisentanglementOptions
    presets: ClassVar = {
        "smoke": {
            "images": "test",
            "samples": 40,
            "draws": 2,
            "boosters": ["lightgbm"],
            "votes": 50,
            "batch": 8,
            "variance_samples": 50,
            "traversal_steps": 3,
        },
        "small": {"images": "test", "samples": 7500, "draws": 3, "boosters": ["lightgbm"]},
    }

    def check(
        self, images: Subset, predictor: AttributePredictor | None, options: TrackOptions
    ) -> None:
        assert isinstance(options, DisentanglementOptions)
        if "lightgbm" in options.boosters:
            _require_lightgbm()
        if images.dataset.factor_sizes is not None:
            _draws(images, options, seed=0).require_enough()

    @torch.no_grad()
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        options = self.configure(context.preset, context.options)
        assert isinstance(options, DisentanglementOptions)
        if not isinstance(method, Representer):
            raise BenchError(
                f"{type(method).__name__} cannot run on the track disentanglement: it has to be a "
                "Representer, with represent."
            )
        images = context.dataset
        representation = Representation(
            method.eval(), images.dataset, batch_size=options.batch_size, device=context.device
        )
        if images.dataset.factor_sizes is None:
            places = images.indices[evenly_spread(_ENCODED_WITHOUT_FACTORS, len(images))]
            scores = _Scores(representation.codes(places, context.report))
        else:
            scores = _score(representation, context, options)
        subject = Subject(
            representation,
            images,
            scores.codes,
            factor_names(images.dataset),
            scores.information,
            scores.importance,
            options.traversal_reach,
            options.traversal_steps,
        )
        return Evaluation(
            _measurements(scores, options),
            _protocol(representation, scores, options),
            draw_figures(subject, context.folder),
        )


@dataclass
class _Scores:
    """What was found.

    Attributes:
        codes: (N, K), all that was encoded.
        by_draw: Each score, draw by draw.
        active: How many codes had a vote in ``fvm``, draw by draw.
        samples: Images of a draw; 0 where there was none.
        information: (K, F), mutual information as a share of the factor's entropy.
        importance: (K, F), of the first booster.
    """

    codes: Codes
    by_draw: dict[str, list[float]] = field(default_factory=dict)
    active: list[int] = field(default_factory=list)
    samples: int = 0
    information: FloatArray | None = None
    importance: FloatArray | None = None

    def add(self, name: str, value: float) -> None:
        self.by_draw.setdefault(name, []).append(value)


def _draws(images: Subset, options: DisentanglementOptions, seed: int) -> FactorDraws:
    return FactorDraws(images, options.images, options.samples, options.draws, seed)


def _require_lightgbm() -> None:
    try:
        import lightgbm  # noqa: F401
    except ImportError as error:
        raise BenchError(
            "dci:lightgbm needs LightGBM: pip install 'gan-attribute-bench[metrics]', or take the "
            "published trees, which are slow, by --set 'track.boosters=[\"gradient-boosting\"]'."
        ) from error


def _score(
    representation: Representation, context: EvaluationContext, options: DisentanglementOptions
) -> _Scores:
    draws = _draws(context.dataset, options, context.seed)
    codes = representation.codes(draws.places, context.report)
    scores = _Scores(codes, samples=draws.samples)
    try:
        for number, draw in enumerate(draws.of(codes), start=1):
            with np.errstate(over="ignore", invalid="ignore"):  # metrics refuse what overflowed
                _score_draw(scores, draw, options)
            context.report("scoring draws", number, options.draws)
    except ValueError as error:  # the factors were looked at before: it is of the codes
        raise Diverged(
            f"Codes by {representation.name} have no scores ({error}); train it again with a lower "
            "learning rate."
        ) from error
    return scores


def _score_draw(scores: _Scores, draw: Draw, options: DisentanglementOptions) -> None:
    counts = {"batch_size": options.batch, "seed": draw.seed}
    half = max(1, options.votes // 2)
    votes = factor_vae_metric(
        draw.sampler,
        train_votes=options.votes,
        eval_votes=half,
        variance_samples=options.variance_samples,
        prune_threshold=options.prune_below,
        **counts,
    )
    scores.add("fvm", votes.score)
    scores.active.append(int(votes.active.sum()))
    gap = mig(*draw.train, bins=options.bins)
    scores.add("mig", gap.score)
    scores.information = gap.information / gap.entropy
    for booster in reversed(options.boosters):  # the first one's importance is drawn
        jobs = -1 if scores.samples >= _WORTH_PROCESSES else 1
        found = dci(*draw.train, *draw.test, booster=booster, n_jobs=jobs, seed=draw.seed)
        scores.importance = found.importance
        values = found.disentanglement, found.completeness, found.informativeness_test
        for part, value in zip(_DCI_PARTS, values, strict=True):
            scores.add(f"{found.name}.{part}", value)
    scores.add("sap", sap(*draw.train, *draw.test).score)
    scores.add("modularity", modularity_from_information(gap.information).score)
    points = beta_vae_metric(draw.sampler, train_points=options.votes, eval_points=half, **counts)
    scores.add("beta-vae", points.score)


def _measurements(scores: _Scores, options: DisentanglementOptions) -> list[Measurement]:
    """All scores, the headline first; without factors, none of them applies."""
    drawn = {"images": options.images, "samples": scores.samples}
    batches = {"batch": options.batch, "votes": options.votes}
    own: dict[str, Mapping[str, str | int | float]] = {
        "fvm": {**batches, "prune_below": options.prune_below},
        "mig": {"bins": options.bins},
    }
    for booster in options.boosters:
        for part in _DCI_PARTS:
            # The number of codes is the base of completeness.
            codes = {"codes": scores.codes.shape[1]} if part == "completeness" else {}
            own[f"{_DCI_NAMES[booster]}.{part}"] = codes
    own |= {"sap": {}, "modularity": {"bins": options.bins}, "beta-vae": batches}
    return [
        _measurement(name, scores.by_draw.get(name, ()), {**drawn, **identity})
        for name, identity in own.items()
    ]


def _measurement(
    name: str, values: Sequence[float], identity: Mapping[str, str | int | float]
) -> Measurement:
    """The mean over draws with Student's interval; n/a where nothing was drawn."""
    from scipy.special import stdtrit

    several: dict[str, Any] = {}
    mean = float(np.mean(values)) if values else None
    if mean is not None and len(values) > 1:
        error = standard_error(values)
        reach = float(stdtrit(len(values) - 1, (1.0 + _LEVEL) / 2.0)) * error
        ends = max(0.0, mean - reach), min(1.0, mean + reach)  # all scores lie between
        several = {
            "interval": ConfidenceInterval(low=ends[0], high=ends[1], level=_LEVEL),
            "standard_error": error,
        }
    return Measurement(
        name=name, value=mean, higher_is_better=True, identity=dict(identity), **several
    )


def _protocol(
    representation: Representation, scores: _Scores, options: DisentanglementOptions
) -> dict[str, Any]:
    """The settings, and what was seen on the way."""
    dataset = representation.dataset
    names, sizes = factor_names(dataset), dataset.factor_sizes
    return {
        "options": options.model_dump(mode="json"),
        "resizing": dataset.resizing,
        "factors": None if sizes is None else dict(zip(names, sizes, strict=True)),
        "codes": scores.codes.shape[1],
        "encoded_images": len(scores.codes),
        "active_codes": scores.active,
        "intervals": f"Student's, over {len(scores.active)} draws of images",
        "scores_by_draw": scores.by_draw,
        "speed": {
            "encode_images_per_second": representation.pace.images_per_second,
            "device": str(representation.device),
        },
    }
