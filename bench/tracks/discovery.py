"""Track ``discovery``: what directions in a generator's W+ space change, and how cleanly.

A generator without W is searched in Z, as one with codes of a single layer.

The evaluation of ContraFeat (Zhu, Xu and Tao, AAAI 2023, arXiv 2212.07277, section 4) as its
notebooks run it: codes without truncation, constant noise, a step both ways along each direction,
attribute scores of both images, and S_disen and N_discov of their changes (``metrics.discovery``;
``_abs`` marks the reading that the paper prints). All directions, and all methods of one seed,
move the same codes.

The scores depend on how far codes are moved. The protocol ``matched``, the default, calibrates the
step of each method until its edits are equally large for a feature network
(``bench.tracks.calibration``); ``released`` takes a fixed step, as the authors did by hand. A
measurement's identity keeps the two apart, and also the ``unmatched`` scores of a method whose
edits cannot be made as large as asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from baselines.base import Discoverer, FeatureExtractor, LatentGenerator, Method
from baselines.randomness import derive_seed, normals
from bench.directions.names import attribute_names
from bench.errors import BenchError, Diverged
from bench.tracks import AttributePredictor, Evaluation, EvaluationContext, Track, TrackOptions
from bench.tracks.calibration import (
    Calibration,
    calibrate,
    edit_pairs,
    mean_distance,
)
from bench.tracks.discovery_figures import Subject, draw_figures
from leaderboard.schema import ConfidenceInterval, Measurement
from metrics.arrays import FloatArray
from metrics.discovery import Reading, discovery_intervals, discovery_scores

_READINGS: dict[str, Reading] = {"": "signed-mean", "_abs": "mean-absolute"}
_PIXELS_AT_ONCE = 64 * 128 * 128  # one code at a time at 1024 px, 64 up to 128 px


class DiscoveryOptions(TrackOptions):
    """Settings of the discovery track.

    Attributes:
        protocol: ``matched`` calibrates the edit scale s of each method; ``released`` fixes it.
        samples: Codes that every direction moves; 500 in the authors' notebooks.
        calibration_codes: Held-out codes that calibrate s.
        edit_distance: The mean feature distance of ``matched`` edits. On 3D Shapes 0.15 is about
            one step of the wall's hue or three of scale; unrelated images are 0.87 apart. Much
            less drowns in the predictor's errors, much more cannot be had from a single factor.
        edit_scale: The s of ``released``, in the method's own units; 0.1 in the notebooks of
            tables 2 and 7, for 512 px faces and directions of length sqrt(512).
        traversal_range: How far figures walk along a direction, in multiples of s.
        traversal_steps: Pictures of each direction; with an odd number, one of them is unedited.
        batch_size: Codes at a time; by default as many as the resolution allows.
    """

    protocol: Literal["matched", "released"] = "matched"
    samples: int = Field(500, ge=2)
    calibration_codes: int = Field(256, ge=2)
    edit_distance: float = Field(0.15, gt=0.0, lt=4.0)
    edit_scale: PositiveFloat = 0.1
    traversal_range: PositiveFloat = 3.0
    traversal_steps: int = Field(7, ge=2)
    batch_size: PositiveInt | None = None


class DiscoveryTrack(Track):
    """S_disen and N_discov of a method's directions, with intervals and figures."""

    name = "discovery"
    capability = Discoverer
    extractor = "efficientnet-lite0"
    needs = ("generator", "extractor", "predictor")
    layered = True
    Options = DiscoveryOptions
    presets: ClassVar = {
        "smoke": {"samples": 4, "calibration_codes": 8, "traversal_steps": 3},
        "small": {"samples": 100},
    }

    @torch.no_grad()
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        bench = _workbench(method, context)
        bench.method.eval()
        sizes = _edit_sizes(bench)
        codes = bench.codes("samples", bench.options.samples)
        before, after = _attribute_scores(bench, codes, sizes.scale)
        changes = np.abs((after - before).mean(axis=1))  # directions x attributes
        subject = Subject(
            method=bench.method,
            generator=bench.generator,
            codes=codes,
            changes=changes,
            attributes=bench.predictor.names,
            scale=sizes.scale,
            reach=bench.options.traversal_range,
            steps=bench.options.traversal_steps,
            batch_size=bench.batch_size,
        )
        return Evaluation(
            metrics=_measurements(bench, sizes, before, after),
            protocol=_protocol(bench, sizes, changes),
            figures=draw_figures(subject, context.folder),
        )


@torch.no_grad()
def moved_codes(
    generator: LatentGenerator,
    seed: int,
    purpose: str,
    count: int,
    device: torch.device,
    batch_size: int = 64,
) -> Tensor:
    """The codes that an evaluation moves.

    Args:
        generator: On ``device``.
        seed: The run's.
        purpose: ``samples``, which are scored, or ``calibration``.
        count: How many; code i depends on seed, purpose and i only.
        device: Where they go.
        batch_size: How many are mapped at a time.

    Returns:
        Layer codes (count, L, D).
    """
    seed = derive_seed(seed, "discovery", purpose)
    draws = (
        normals(seed, batch.start, batch.stop - batch.start, generator.z_dim)
        for batch in _batches(count, batch_size)
    )
    return torch.cat([generator.mapping(z.to(device)) for z in draws])


@dataclass(frozen=True)
class _Workbench:
    """A method with all that the protocol asks for, checked."""

    method: Discoverer
    generator: LatentGenerator
    extractor: FeatureExtractor
    predictor: AttributePredictor
    options: DiscoveryOptions
    context: EvaluationContext

    @property
    def batch_size(self) -> int:
        pixels = self.generator.img_resolution**2
        return self.options.batch_size or min(64, max(1, _PIXELS_AT_ONCE // pixels))

    def codes(self, purpose: str, count: int) -> Tensor:
        """Layer codes (count, L, D) of the run's seed; see ``moved_codes``."""
        context = self.context
        return moved_codes(
            self.generator, context.seed, purpose, count, context.device, self.batch_size
        )


def _workbench(method: Method, context: EvaluationContext) -> _Workbench:
    if not isinstance(method, Discoverer):
        raise BenchError(
            f"{type(method).__name__} cannot run on the track discovery: it has to be a "
            "Discoverer, with shift and num_directions."
        )
    if method.num_directions < 1:
        raise BenchError(f"{type(method).__name__} has no directions; ask for at least one.")
    if context.generator is None:
        raise BenchError("The track discovery needs a generator; name one with --generator.")
    if context.extractor is None:
        raise BenchError("The track discovery needs a feature extractor to compare edits by.")
    if context.predictor is None:
        raise BenchError(
            "The track discovery needs an attribute predictor of the dataset; "
            "make one with bench train-predictor."
        )
    options = DiscoveryTrack.configure(context.preset, context.options)
    assert isinstance(options, DiscoveryOptions)
    return _Workbench(
        method, context.generator, context.extractor, context.predictor, options, context
    )


@dataclass(frozen=True)
class _EditSizes:
    """How far codes are moved.

    Attributes:
        scale: The edit scale s.
        distance: The mean feature distance of edits by s.
        between_samples: The mean feature distance between unrelated images, for comparison.
        calibration: How s was found, or None where it was given.
    """

    scale: float
    distance: float
    between_samples: float
    calibration: Calibration | None

    @property
    def protocol(self) -> str:
        if self.calibration is None:
            return "released"
        return "matched" if self.calibration.reached else "unmatched"


def _edit_sizes(bench: _Workbench) -> _EditSizes:
    options = bench.options
    codes = bench.codes("calibration", options.calibration_codes)
    tries = count(1)

    def distance(scale: float) -> float:
        task = f"edit scale, try {next(tries)}"
        found = mean_distance(
            bench.generator,
            bench.extractor,
            edit_pairs(bench.method, codes, scale, bench.batch_size),
            lambda done: bench.context.report(task, done, len(codes)),
        )
        if not np.isfinite(found):
            raise Diverged(
                f"Edits by {type(bench.method).__name__} at scale {scale:g} are NaN or infinite; "
                "train it again with a lower learning rate."
            )
        return found

    neighbours = (part.split(bench.batch_size) for part in (codes, codes.roll(1, 0)))
    between = mean_distance(bench.generator, bench.extractor, zip(*neighbours, strict=True))
    if options.protocol == "released":
        return _EditSizes(options.edit_scale, distance(options.edit_scale), between, None)
    found = calibrate(distance, options.edit_distance)
    return _EditSizes(found.scale, found.distance, between, found)


def _attribute_scores(
    bench: _Workbench, codes: Tensor, scale: float
) -> tuple[FloatArray, FloatArray]:
    """Scores after steps of ``-scale`` and ``+scale``: directions x samples x attributes each."""
    count = bench.method.num_directions
    shape = (count, len(codes), len(bench.predictor.names))
    before, after = np.empty(shape), np.empty(shape)
    for k in range(count):
        for batch in _batches(len(codes), bench.batch_size):
            for scores, step in ((before, -scale), (after, scale)):
                moved = bench.method.shift(codes[batch], k, step)
                images = bench.generator.synthesis(moved, noise_mode="const")
                scores[k, batch] = bench.predictor(images).double().cpu().numpy()
        bench.context.report("scoring directions", k + 1, count)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise Diverged(
            f"Images edited by {type(bench.method).__name__} at scale {scale:g} have NaN or "
            "infinite attribute scores; train it again with a lower learning rate."
        )
    return before, after


def _measurements(
    bench: _Workbench, sizes: _EditSizes, before: FloatArray, after: FloatArray
) -> list[Measurement]:
    identity = _identity(bench, sizes)
    seed = derive_seed(bench.context.seed, "discovery", "bootstrap")
    found = []
    for suffix, reading in _READINGS.items():
        scores = discovery_scores(after, before, reading)
        intervals = discovery_intervals(after, before, reading, seed=seed)
        for name in ("s_disen", "n_discov"):
            interval = getattr(intervals, name)
            measurement = Measurement(
                name=name + suffix,
                value=getattr(scores, name),
                interval=ConfidenceInterval(
                    low=interval.low, high=interval.high, level=interval.level
                ),
                standard_error=interval.standard_error,
                higher_is_better=True,
                identity=identity,
            )
            found.append(measurement)
    for name, value in (("edit_scale", sizes.scale), ("edit_distance", sizes.distance)):
        found.append(Measurement(name=name, value=value, identity=identity))
    return found


def _identity(bench: _Workbench, sizes: _EditSizes) -> dict[str, str | int | float]:
    """What two methods must share for their scores to be compared."""
    options = bench.options
    size: dict[str, str | int | float] = (
        {"edit_scale": options.edit_scale}
        if options.protocol == "released"
        else {"edit_distance": options.edit_distance}
    )
    return {
        "protocol": sizes.protocol,
        **size,
        "samples": options.samples,
        "directions": bench.method.num_directions,
        "generator": bench.generator.sha256[:12],
        "predictor": bench.predictor.sha256[:12],
        "extractor": f"{bench.extractor.name}:{bench.extractor.sha256[:12]}",
    }


def _protocol(bench: _Workbench, sizes: _EditSizes, changes: FloatArray) -> dict[str, Any]:
    """The settings, and what was seen on the way."""
    names = bench.predictor.names
    tops = attribute_names(changes, names)
    observed: dict[str, Any] = {
        "protocol": sizes.protocol,
        "options": bench.options.model_dump(exclude={"batch_size"}),
        "edit_scale": sizes.scale,
        "edit_distance": sizes.distance,
        "distance_between_samples": sizes.between_samples,
        "attributes": list(names),
        "names": [
            top and {"attribute": top.attribute, "share": round(top.share, 6)} for top in tops
        ],
        "changes": changes.round(6).tolist(),
    }
    if sizes.calibration is not None:
        observed["distance_is_monotone"] = sizes.calibration.monotone
        observed["distances_by_scale"] = [list(point) for point in sizes.calibration.tried]
    return observed


def _batches(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
