"""What the discovery track shows of a method: its directions, and what they change.

Traversals, a map of scores, plain samples of the generator, and, where a method has them, the
layers that its directions attend to and its prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from baselines.base import Discoverer, LatentGenerator
from bench.tracks.figures import draw_grid, draw_heat_map, draw_traversals
from metrics.arrays import FloatArray

_SAMPLES = 64


@dataclass(frozen=True)
class Traversal:
    """How a traversal walks along a direction.

    Attributes:
        scale: The edit scale s.
        reach: The furthest step, in multiples of s.
        steps: How many pictures, evenly spaced.
    """

    scale: float
    reach: float
    steps: int

    @property
    def positions(self) -> list[float]:
        """From ``-reach`` to ``reach``, in multiples of s."""
        return [float(x) for x in np.linspace(-self.reach, self.reach, self.steps)]


def draw_figures(
    folder: Path,
    method: Discoverer,
    generator: LatentGenerator,
    codes: Tensor,
    changes: FloatArray,
    attributes: Sequence[str],
    traversal: Traversal,
    batch_size: int,
) -> list[str]:
    """Write all figures of a method.

    Args:
        folder: The run's directory; the figures go to its folder ``figures``.
        method: Its directions are shown, and, if it has methods of these names, its
            ``attention()``, (K, L), and ``prototypes()``, (K, 3, H, W) in [-1, 1] or None.
        generator: Makes the images.
        codes: (N, L, D); the first is the one that the traversals edit.
        changes: (K, A), how much each direction changes each attribute, >= 0.
        attributes: A names.
        traversal: How to walk along the directions.
        batch_size: Images made at a time.

    Returns:
        The pictures' paths relative to ``folder``.
    """
    name = type(method).__name__
    directions = [f"dir {k}" for k in range(len(changes))]
    labels = _labels(changes, attributes)
    paths = {kind: Path("figures") / f"{kind}.png" for kind in ("traversals", "scores", "samples")}
    draw_traversals(
        folder / paths["traversals"],
        _traversal_images(method, generator, codes[:1], traversal, batch_size),
        labels,
        [_signed(position) for position in traversal.positions],
        f"{name}: one code moved along each direction (s = {traversal.scale:.3g})",
    )
    largest = changes.max(axis=1, keepdims=True)
    draw_heat_map(
        folder / paths["scores"],
        np.divide(changes, largest, out=np.zeros_like(changes), where=largest > 0),
        directions,
        attributes,
        f"{name}: what each direction changes",
        row_title="direction",
        column_title="attribute",
        value_title="change (largest = 1)",
    )
    draw_grid(
        folder / paths["samples"],
        _images(generator, codes[:_SAMPLES], batch_size),
        "Samples of the generator, unedited",
    )
    attention = _of(method, "attention")
    if attention is not None:
        paths["attention"] = Path("figures/attention.png")
        draw_heat_map(
            folder / paths["attention"],
            attention.double().cpu().numpy(),
            labels,
            [str(layer) for layer in range(attention.shape[1])],
            f"{name}: the generator layers that each direction moves",
            row_title="direction",
            column_title="layer of the code, from coarse to fine",
            value_title="attention",
        )
    prototypes = _of(method, "prototypes")
    if prototypes is not None:
        paths["prototypes"] = Path("figures/prototypes.png")
        draw_grid(
            folder / paths["prototypes"],
            prototypes,
            f"{name}: learned prototypes",
            [label.replace(": ", "\n") for label in labels],
            columns=6,
        )
    return [path.as_posix() for path in paths.values()]


def _labels(changes: FloatArray, attributes: Sequence[str]) -> list[str]:
    """For each direction, the attribute it changes most and that one's share of all change."""
    labels = []
    for k, row in enumerate(changes):
        top = int(row.argmax())
        share = f"{attributes[top]} {row[top] / row.sum():.0%}" if row[top] > 0 else "no change"
        labels.append(f"dir {k}: {share}")
    return labels


def _traversal_images(
    method: Discoverer,
    generator: LatentGenerator,
    code: Tensor,
    traversal: Traversal,
    batch_size: int,
) -> Tensor:
    """Images of one code moved along all directions, (K, T, C, H, W)."""
    steps = torch.tensor(traversal.positions, device=code.device) * traversal.scale
    rows = []
    for k in range(method.num_directions):
        moved = method.shift(code.expand(len(steps), -1, -1), k, steps)
        rows.append(_images(generator, moved, batch_size))
    return torch.stack(rows)


def _images(generator: LatentGenerator, codes: Tensor, batch_size: int) -> Tensor:
    parts = codes.split(batch_size)
    return torch.cat([generator.synthesis(part, noise_mode="const").cpu() for part in parts])


def _signed(position: float) -> str:
    return f"{position:+.3g} s" if position else "0"


def _of(method: Discoverer, name: str) -> Tensor | None:
    """What the discoverer's method of that name gives; None if it has no such method."""
    found = getattr(method, name, None)
    value = found() if callable(found) else None
    return value.detach() if isinstance(value, Tensor) else None
