"""Evaluation protocols: a track measures whatever method has the one capability it asks for.

A track knows metrics and never another track; it sees a method only through its capability (for
example ``Discoverer.shift``), so that any method that has it can be measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from pydantic import BaseModel, ConfigDict

from baselines.base import FeatureExtractor, LatentGenerator, Method
from bench.data.subset import Subset
from leaderboard.schema import Measurement


class ProgressCallback(Protocol):
    """Called with what is being done, how far it is, and how far it goes."""

    def __call__(self, task: str, done: int, total: int) -> None: ...


class AttributePredictor(Protocol):
    """A frozen network from images to attribute scores; ``bench.predictors`` holds the suite's.

    Attributes:
        names: One name for each score.
        sha256: Of the weights, in hex.
    """

    names: tuple[str, ...]
    sha256: str

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) in [-1, 1] -> scores (N, A), in [0, 1] if they judge attributes."""
        ...


class TrackOptions(BaseModel):
    """Base of every track's options: frozen, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class EvaluationContext:
    """What a track may use to evaluate a method.

    Attributes:
        dataset: The test part of the run's dataset.
        generator: The pretrained generator that the method works on, or None.
        extractor: The feature network of the track's distances, or None.
        predictor: The attribute predictor of the dataset, or None.
        seed: The run's root seed; all draws of the evaluation derive from it.
        preset: ``smoke``, ``small`` or ``paper``; chooses the track's options.
        folder: The run's directory; figures go to ``folder / "figures"``.
        device: Where the method and the networks live.
        options: Overrides of the track's options.
        progress: Called now and then, or None.
    """

    dataset: Subset
    generator: LatentGenerator | None
    extractor: FeatureExtractor | None
    predictor: AttributePredictor | None
    seed: int
    preset: str
    folder: Path
    device: torch.device
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: ProgressCallback | None = None

    def report(self, task: str, done: int, total: int) -> None:
        """Tell the caller how far ``task`` is, if it wants to know."""
        if self.progress is not None:
            self.progress(task, done, total)


@dataclass(frozen=True)
class Evaluation:
    """What a track found.

    Attributes:
        metrics: The measurements, with intervals and with what they depend on.
        protocol: The settings of the evaluation and what it observed, ready for JSON.
        figures: Paths of the pictures, relative to the run's folder.
    """

    metrics: list[Measurement]
    protocol: dict[str, Any]
    figures: list[str]


class Track(ABC):
    """One evaluation protocol.

    Attributes:
        name: The track's name, which a method states as its ``track``.
        capability: The base class of the methods that can be evaluated.
        extractor: Name of the feature network that the track uses by default, or None.
        needs: Which of ``generator``, ``extractor`` and ``predictor`` a run has to have; checked
            before anything is trained.
        layered: Whether its methods move codes of a generator's layers; a generator without W is
            then given as one of a single layer.
        Options: The settings of the protocol; the defaults are the paper's.
        presets: What the presets ``smoke`` and ``small`` change.
    """

    name: ClassVar[str]
    capability: ClassVar[type[Method]]
    extractor: ClassVar[str | None] = None
    needs: ClassVar[tuple[str, ...]] = ()
    layered: ClassVar[bool] = False
    Options: ClassVar[type[TrackOptions]] = TrackOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @classmethod
    def configure(cls, preset: str, overrides: Mapping[str, Any] | None = None) -> TrackOptions:
        """The options of a preset with overrides on top; ``paper`` changes nothing.

        Raises:
            pydantic.ValidationError: An override is unknown or out of range.
        """
        return cls.Options.model_validate({**cls.presets.get(preset, {}), **(overrides or {})})

    def check(  # noqa: B027  # a track without demands keeps it
        self, images: Subset, predictor: AttributePredictor | None, options: TrackOptions
    ) -> None:
        """Refuse what the protocol cannot be run on, before anything is trained.

        Args:
            images: The test part of the run's dataset.
            predictor: The attribute predictor of the dataset, or None.
            options: The track's.

        Raises:
            bench.errors.BenchError: They do not go together; the message says what to change.
        """

    @abstractmethod
    def evaluate(self, method: Method, context: EvaluationContext) -> Evaluation:
        """Measure a method.

        Raises:
            bench.errors.BenchError: The method lacks the capability, or the context what it needs.
            bench.errors.Diverged: The method's output is NaN or infinite.
        """
