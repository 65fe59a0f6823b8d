"""What the discovery track shows of a method: its directions, and what they change.

Traversals, a map of scores, plain samples of the generator, and, where a method has them, the
layers that its directions attend to and its prototypes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines.base import Discoverer, LatentGenerator
from bench.directions.names import attribute_names
from bench.figures import save_heat_map, save_image_grid, save_traversals
from metrics.arrays import FloatArray

_SAMPLES = 64


@dataclass(frozen=True)
class Subject:
    """What the figures show.

    Attributes:
        method: Its directions are drawn, and what it has to show (see ``Discoverer``).
        generator: Makes the images.
        codes: (N, L, D); the first is the one that the traversals edit.
        changes: (K, A), how much each direction changes each attribute, >= 0.
        attributes: A names.
        scale: The edit scale s.
        reach: The furthest step of a traversal, in multiples of s.
        steps: How many pictures a traversal has, evenly spaced.
        batch_size: Images made at a time.
    """

    method: Discoverer
    generator: LatentGenerator
    codes: Tensor
    changes: FloatArray
    attributes: Sequence[str]
    scale: float
    reach: float
    steps: int
    batch_size: int

    @property
    def name(self) -> str:
        return type(self.method).__name__

    @property
    def labels(self) -> list[str]:
        """For each direction, the attribute it changes most and that one's share of all change."""
        names = attribute_names(self.changes, self.attributes)
        return [f"dir {k}: {name or 'no change'}" for k, name in enumerate(names)]

    def images(self, codes: Tensor) -> Tensor:
        """Images (N, C, H, W) of codes (N, L, D), on the CPU."""
        parts = codes.split(self.batch_size)
        return torch.cat([self.generator.synthesis(x, noise_mode="const").cpu() for x in parts])


def draw_figures(subject: Subject, folder: Path) -> list[str]:
    """Write all figures of a method.

    Args:
        subject: What to show.
        folder: The run's directory; the figures go to its folder ``figures``.

    Returns:
        The pictures' paths relative to ``folder``.
    """
    drawings: dict[str, Callable[[Path], None]] = {
        "traversals": partial(_draw_traversals, subject),
        "scores": partial(_draw_scores, subject),
        "samples": partial(_draw_samples, subject),
    }
    attention, prototypes = (_of(subject.method, name) for name in ("attention", "prototypes"))
    if attention is not None:
        drawings["attention"] = partial(_draw_attention, subject, attention)
    if prototypes is not None:
        drawings["prototypes"] = partial(_draw_prototypes, subject, prototypes)
    paths = [Path("figures") / f"{name}.png" for name in drawings]
    for path, draw in zip(paths, drawings.values(), strict=True):
        draw(folder / path)
    return [path.as_posix() for path in paths]


def _draw_traversals(subject: Subject, path: Path) -> None:
    positions = torch.linspace(-subject.reach, subject.reach, subject.steps)
    steps = (positions * subject.scale).to(subject.codes.device)
    code = subject.codes[:1].expand(len(steps), -1, -1)
    rows = [
        subject.images(subject.method.shift(code, k, steps))
        for k in range(subject.method.num_directions)
    ]
    save_traversals(
        torch.stack(rows),
        path,
        subject.labels,
        [f"{position:+.3g} s" if position else "0" for position in positions.tolist()],
        f"{subject.name}: one code moved along each direction (s = {subject.scale:.3g})",
    )


def _draw_scores(subject: Subject, path: Path) -> None:
    largest = subject.changes.max(axis=1, keepdims=True)
    save_heat_map(
        subject.changes / np.where(largest > 0, largest, 1.0),
        path,
        [f"dir {k}" for k in range(len(largest))],
        subject.attributes,
        f"{subject.name}: what each direction changes",
        row_title="direction",
        column_title="attribute",
        value_title="change (largest = 1)",
    )


def _draw_samples(subject: Subject, path: Path) -> None:
    images = subject.images(subject.codes[:_SAMPLES])
    save_image_grid(images, path, title="Samples of the generator, unedited")


def _draw_attention(subject: Subject, attention: Tensor, path: Path) -> None:
    save_heat_map(
        attention.double().cpu().numpy(),
        path,
        subject.labels,
        [str(layer) for layer in range(attention.shape[1])],
        f"{subject.name}: the generator layers that each direction moves",
        row_title="direction",
        column_title="layer of the code, from coarse to fine",
        value_title="attention",
    )


def _draw_prototypes(subject: Subject, prototypes: Tensor, path: Path) -> None:
    labels = [label.replace(": ", "\n") for label in subject.labels]
    title = f"{subject.name}: learned prototypes"
    save_image_grid(prototypes, path, columns=6, title=title, labels=labels)


def _of(method: Discoverer, name: str) -> Tensor | None:
    """What the discoverer's method of that name gives; None if it has no such method."""
    found = getattr(method, name, None)
    # Not whatever can be called: a network of that name is the method's own affair.
    if not inspect.ismethod(found) or inspect.signature(found).parameters:
        return None
    value = found()
    return value.detach() if isinstance(value, Tensor) else None
