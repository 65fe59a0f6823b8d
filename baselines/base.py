"""The contract of a method: what the suite gives to it, and what it must be able to do.

A method is an ``nn.Module`` with a pydantic ``Config``, a list of training ``Stage``s and the one
capability that its track asks for (``Editor``, ``Inverter``, ``Discoverer``,
``ConditionalGenerator`` or ``Representer``). Everything else - loop, device, precision, moving
averages, checkpoints, resume, guards, progress and logs - belongs to the suite. What a method is
given stands in ``baselines/inputs.py`` and is imported from here.

Images are float32 tensors in [-1, 1], N x C x H x W; attributes are float32, N x A.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from baselines.inputs import (
    Attributes,
    DirectionPairs,
    DirectionPairSet,
    FeatureExtractor,
    ImageSet,
    LatentGenerator,
    Pairs,
    PairSet,
    TrainingData,
)
from baselines.randomness import Draws

__all__ = [
    "Artefact",
    "Attributes",
    "Average",
    "Batch",
    "ConditionalGenerator",
    "DirectionPairSet",
    "DirectionPairs",
    "Discoverer",
    "Editor",
    "FeatureExtractor",
    "ImageSet",
    "Inverter",
    "LatentAxis",
    "LatentGenerator",
    "Method",
    "MethodConfig",
    "PairSet",
    "Pairs",
    "Representer",
    "Stage",
    "TrainingData",
]


class MethodConfig(BaseModel):
    """Base of every method's configuration: frozen, and unknown fields are an error.

    The defaults are the paper's own settings (or those of the released code, where they differ).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass
class Batch:
    """What one training step may use.

    Attributes:
        step: The step's number within its stage, from 0.
        draws: Random numbers that are a function of (seed, stage, step).
        images: (N, C, H, W), or None where the stage asks for no images (``batch_size`` 0).
        attributes: (N, A), or None likewise.
        indices: int64 (N,), the images' places in the training set, or None likewise.
        pairs: What ``pair_count`` asks for, or None.
        processes: How many processes share the step; their gradients are averaged.
        direction_pairs: What ``direction_pair_count`` asks for, or None.
        factor_pairs: What ``factor_pair_count`` asks for, or None.
    """

    step: int
    draws: Draws
    images: Tensor | None = None
    attributes: Tensor | None = None
    indices: Tensor | None = None
    pairs: Pairs | None = None
    processes: int = 1
    direction_pairs: DirectionPairs | None = None
    factor_pairs: DirectionPairs | None = None

    def share(self, total: int) -> int:
        """This process's part of ``total`` samples.

        Raises:
            ValueError: ``total`` cannot be split evenly.
        """
        if total % self.processes:
            raise ValueError(
                f"a batch of {total} cannot be split over {self.processes} processes: choose a "
                "batch size that is a multiple of their number"
            )
        return total // self.processes


@dataclass(frozen=True)
class Artefact:
    """What a finished stage leaves to later runs, so that it is trained once.

    Attributes:
        settings: Every setting that the trained weights depend on, as JSON values; the dataset, its
            attributes, the seed and the precision are added by the trainer.
        module: The weights, parameters and buffers alike.
    """

    settings: Mapping[str, Any]
    module: nn.Module


@dataclass
class Average:
    """An exponential moving average that the trainer keeps: ``target`` follows ``source``.

    Attributes:
        source: The trained module.
        target: A module of the same shape, part of the method, so that it is saved with it.
        decay: From the number of the step just done to the decay in [0, 1].
    """

    source: nn.Module
    target: nn.Module
    decay: Callable[[int], float]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the target's parameters towards the source's; buffers are copied."""
        decay = self.decay(step)
        followed: list[Tensor] = list(self.target.parameters())
        torch._foreach_lerp_(followed, list(self.source.parameters()), 1.0 - decay)
        for old, new in zip(self.target.buffers(), self.source.buffers(), strict=True):
            old.copy_(new)


class Stage(ABC):
    """One training stage: a name, a number of steps, its optimisers, and one step.

    All state that must survive an interruption stands in the method's parameters and buffers and
    in the optimisers; whatever else a stage keeps has to be a function of those and of the step.

    Attributes:
        name: Short, unique within the method; part of the seed of the stage's draws.
        steps: How many steps the stage takes.
        batch_size: How many training images a step gets, over all processes; 0 for none.
        images: The first so many training images are the ones that steps get; None for all.
        pair_count: How many pairs (``TrainingData.pairs``) a step gets, over all processes.
        direction_pair_count: Likewise of ``TrainingData.direction_pairs``.
        factor_pair_count: Likewise of ``TrainingData.factor_pairs``.
        optimizers: By name; saved and restored by the trainer.
        averages: Moving averages that the trainer updates after each step.
        artefact: What later runs may take over instead of running the stage again, or None.
    """

    name: str
    steps: int
    batch_size: int = 0
    images: int | None = None
    pair_count: int = 0
    direction_pair_count: int = 0
    factor_pair_count: int = 0

    def __init__(self) -> None:
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {}
        self.averages: Sequence[Average] = ()
        self.artefact: Artefact | None = None

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step and return its losses by name (scalar tensors)."""

    def shown(self, step: int) -> range:
        """Which places of an endless shuffled reading of the training images a step gets.

        A stage whose batches grow or shrink says so here; ``batch_size`` is then its largest.
        """
        return range(step * self.batch_size, (step + 1) * self.batch_size)

    def wants_pairs(self, step: int) -> bool:
        """Whether a step uses its pairs; those of other steps are not read."""
        return self.pair_count > 0

    def collapsed(self) -> str | None:
        """Why training cannot recover (all samples equal, say), or None; asked at checkpoints."""
        return None


class Method(nn.Module):
    """Base of every method under test.

    Attributes:
        Config: The method's configuration; its defaults are the paper's.
        presets: What the presets ``smoke`` and ``small`` change.
        track: The name of the track that evaluates it.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    track: ClassVar[str]

    def __init__(self, config: MethodConfig, data: TrainingData) -> None:
        super().__init__()

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """The training stages in order; none by default (closed-form methods)."""
        return iter(())

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over weights that the method's reference implementation has trained.

        ``stages`` then leaves out the training that they stand for.

        Args:
            states: The reference's state dicts by network, such as ``{"G": ..., "D": ...}``.

        Raises:
            ValueError: The weights do not fit; the message names the setting to change.
        """
        raise ValueError(f"{type(self).__name__} takes no checkpoint of another program.")

    @classmethod
    def extractors_of(cls, config: MethodConfig) -> tuple[str, ...]:
        """Names of the extractors that such settings have training ask for (``extractor``)."""
        name = getattr(config, "extractor", None)
        return () if name is None else (name,)

    @classmethod
    def ignores_generator(cls, config: MethodConfig) -> str | None:
        """Why such settings leave aside a generator that was asked for, and the remedy; or None."""
        return None

    @classmethod
    def configure(cls, preset: str, overrides: Mapping[str, Any] | None = None) -> MethodConfig:
        """The configuration of a preset with overrides on top; ``paper`` changes nothing.

        Raises:
            pydantic.ValidationError: An override is unknown or out of range.
        """
        return cls.Config.model_validate({**cls.presets.get(preset, {}), **(overrides or {})})


class Discoverer(Method):
    """Finds directions in a generator's W+ space (track ``discovery``).

    Two methods without arguments are drawn where a class has them: ``attention()``, (K, L), how
    much of each direction each layer gets, and ``prototypes()``, (K, 3, H, W) in [-1, 1] or None.

    Attributes:
        num_directions: How many directions K there are.
    """

    track: ClassVar[str] = "discovery"
    num_directions: int

    @abstractmethod
    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        """Move codes along a direction.

        Args:
            ws: (N, L, D) codes of the generator.
            direction: One index for all codes, or int64 (N,).
            step: One step for all codes, or float (N,); may be negative.

        Returns:
            (N, L, D), the moved codes.
        """


class Editor(Method):
    """Changes binary attributes of given images (track ``editing``)."""

    track: ClassVar[str] = "editing"

    @abstractmethod
    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Images (N, C, H, W) with attributes ``source`` (N, A) -> images with ``target``."""


class Inverter(Method):
    """Encodes images into a generator's latent space (track ``reconstruction``).

    Two numbers are read where a class has them: ``steps_per_image``, how many optimiser steps it
    takes to encode an image, and ``most_images``, how many test images an encoder that takes that
    long is tried on at most, and how many samples.

    Attributes:
        interpolation: How paths between two latents keep to the prior: ``"linear"``, or
            ``"spherical"`` where latents lie on a sphere or are drawn from N(0, I).
    """

    track: ClassVar[str] = "reconstruction"
    interpolation: ClassVar[Literal["linear", "spherical"]] = "spherical"

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> latents (N, D); the same latents for the same images."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Latents (N, D) -> images (N, C, H, W)."""

    @abstractmethod
    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        """``count`` latents (N, D) of the prior, on the method's device."""

    def sample(self, count: int, draws: Draws) -> Tensor:
        """``count`` generated images (N, C, H, W)."""
        return self.decode(self.sample_latents(count, draws))


@dataclass(frozen=True)
class LatentAxis:
    """One dimension of a generator's latents that can be traversed by itself.

    Attributes:
        layer: The layer it acts on, from 0, coarse to fine.
        dimension: Its place among the dimensions of that layer, from 0.
        column: Its place in the latents.
        importance: How strong it is; larger is stronger within a layer.
    """

    layer: int
    dimension: int
    column: int
    importance: float


class ConditionalGenerator(Method):
    """Generates images for given labels (track ``conditional``).

    Two groups of methods are used where a class has them. Traversals: ``axes()``, a sequence of
    ``LatentAxis``; ``sample_latents(count, draws)``, latents (N, D) of the prior; and
    ``generate(labels, latents)``, their images (N, C, H, W). The method's own judgement:
    ``classify(images)``, probabilities (N, A) of the attributes, and ``features(images)``, vectors
    (N, F) of its encoder.

    Attributes:
        conditioned: Whether images follow their labels at all; False for unconditional baselines,
            whose control of attributes is then not applicable.
    """

    track: ClassVar[str] = "conditional"
    conditioned: ClassVar[bool] = True

    @abstractmethod
    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        """Labels (N, A) -> images (N, C, H, W), stochastic through ``draws``."""


class Representer(Method):
    """Maps images to codes that should separate the factors (track ``disentanglement``).

    One method is used where a class has it: ``decode(codes)``, the images (N, C, H, W) of codes
    (N, K), for traversals.
    """

    track: ClassVar[str] = "disentanglement"

    @abstractmethod
    def represent(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> codes (N, K)."""
