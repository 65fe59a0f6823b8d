"""The calls that tracks make of a method's capability, on a few samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.base import (
    ConditionalGenerator,
    Discoverer,
    Editor,
    Inverter,
    Method,
    Representer,
)
from baselines.randomness import Draws, derive_seed, normals
from bench.parts import Parts

SAMPLES = 4
_SEED = derive_seed(0, "conformance")


@dataclass(frozen=True)
class Inputs:
    """What the calls are made with.

    Attributes:
        images: (N, C, H, W) of the dataset's test part.
        labels: (N, A), their attributes.
        ws: (N, L, D), codes of the generator; None without one.
    """

    images: Tensor
    labels: Tensor
    ws: Tensor | None

    @classmethod
    @torch.no_grad()
    def of(cls, parts: Parts) -> Inputs:
        """Those that the parts of a run give."""
        test = parts.images("test")
        images, labels = test.batch(torch.arange(SAMPLES) * len(test) // SAMPLES)
        ws = None
        if hasattr(parts.generator, "mapping"):
            ws = parts.generator.mapping(normals(_SEED, 0, SAMPLES, parts.generator.z_dim))
        return cls(images.clone(), labels.clone(), None if ws is None else ws.clone())

    def copy(self) -> Inputs:
        """The same numbers in memory of their own."""
        ws = None if self.ws is None else self.ws.clone()
        return Inputs(self.images.clone(), self.labels.clone(), ws)

    def equals(self, other: Inputs) -> bool:
        """Whether all numbers are the same."""
        same_ws = self.ws is None or other.ws is None or self.ws.equal(other.ws)
        return same_ws and self.images.equal(other.images) and self.labels.equal(other.labels)


@dataclass(frozen=True)
class Call:
    """One call of a capability.

    Attributes:
        name: The method's method, with what is special of the call.
        make: From the samples that are wanted to what returns; for all samples where the call is
            not ``by_row``.
        shape: What one row of it is like; None where any one-dimensional row will do.
        by_row: Whether a row depends on its own sample only.
    """

    name: str
    make: Callable[[slice], Tensor]
    shape: tuple[int, ...] | None = None
    by_row: bool = True


def calls(method: Method, inputs: Inputs) -> list[Call]:
    """The calls of a method's capability; none if it is of a track outside of the suite."""
    images, labels = inputs.images, inputs.labels
    shape = tuple(images.shape[1:])
    if isinstance(method, Discoverer) and inputs.ws is not None:
        return _calls_of_discoverer(method, inputs.ws)
    if isinstance(method, Editor):
        target = labels.roll(1, dims=0)
        return [Call("edit", lambda s: method.edit(images[s], labels[s], target[s]), shape)]
    if isinstance(method, Inverter):
        latents = method.sample_latents(SAMPLES, _draws())
        return [
            Call("encode", lambda s: method.encode(images[s])),
            Call("decode", lambda s: method.decode(latents[s]), shape),
            Call("sample_latents", lambda s: method.sample_latents(SAMPLES, _draws()), None, False),
            Call("sample", lambda s: method.sample(SAMPLES, _draws()), shape, False),
        ]
    if isinstance(method, ConditionalGenerator):
        return [Call("sample", lambda s: method.sample(labels, _draws()), shape, False)]
    if isinstance(method, Representer):
        return [Call("represent", lambda s: method.represent(images[s]))]
    return []


def _calls_of_discoverer(method: Discoverer, ws: Tensor) -> list[Call]:
    directions = torch.arange(SAMPLES) % method.num_directions
    steps = torch.tensor([1.0, -1.0, 0.5, 2.0])
    last = method.num_directions - 1
    shape = tuple(ws.shape[1:])
    return [
        Call("shift", lambda s: method.shift(ws[s], directions[s], steps[s]), shape),
        Call("shift (one direction for all)", lambda s: method.shift(ws[s], last, -1.0), shape),
    ]


def _draws() -> Draws:
    return Draws(_SEED, 0, 0, 1)
