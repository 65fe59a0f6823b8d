"""Editing images of one's own along the directions of a finished discovery run.

ContraFeat (Zhu, Xu and Tao, AAAI 2023, arXiv 2212.07277) edits real images so: they are projected
to a code for each layer (``baselines.projection``), and the code is moved along a direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.base import Discoverer
from baselines.projection import Projection, render
from bench.data.pointed import pointed_images
from bench.directions.runs import DirectionRun
from bench.errors import BenchError, counted
from bench.figures import save_traversals
from bench.projections import Likeness, Projector, projection_settings
from bench.trained import Trained, discoverer_of

_DEFAULT_STEPS = (-2.0, -1.0, 1.0, 2.0)
_AT_ONCE = 16


@dataclass(frozen=True)
class DirectionEditRequest:
    """What to edit, and how.

    Attributes:
        source: The images to edit, given as ``pointed_images`` takes them.
        directions: Numbers of the directions, from 0; empty for all.
        steps: How far to go, in edit scales of the run; empty for -2, -1, 1 and 2.
        preset: Settings of the projection: ``small`` or ``paper``.
        settings: Changes of those.
    """

    source: Sequence[str]
    directions: Sequence[int] = ()
    steps: Sequence[float] = ()
    preset: str = "small"
    settings: Mapping[str, Any] = field(default_factory=dict)


def edit_along_directions(
    trained: Trained, request: DirectionEditRequest, folder: Path
) -> dict[str, Any]:
    """Project images, move their codes along directions, and draw what comes of it.

    Args:
        trained: A run of a ``Discoverer``.
        request: What to edit.
        folder: ``edits.png`` is written there, and the codes into its folder ``codes``.

    Returns:
        What was found, ready for JSON.

    Raises:
        BenchError: The run's method is no ``Discoverer``, a direction or setting is unknown, an
            image is not like the generator's, or its projection came to NaN.
    """
    method = discoverer_of(trained)
    settings = projection_settings(request.preset, request.settings)
    directions = tuple(request.directions) or tuple(range(method.num_directions))
    _require_directions(directions, method.num_directions)
    steps = tuple(request.steps) or _DEFAULT_STEPS
    generator, device = trained.parts.generator, trained.parts.device
    images, names = pointed_images(
        request.source, trained.parts.images("test"), generator.img_resolution
    )
    if not names:
        raise BenchError("There is nothing to edit: give an image by --source.")
    scale = DirectionRun.read(trained.folder).scale
    likeness = Likeness.best(trained)
    projector = Projector(generator, device, likeness, settings, folder / "codes")
    kept = projector.project(images, names)
    edits = _Edits(trained, method, kept.projection, [step * scale for step in steps])
    path = folder / "edits.png"
    save_traversals(
        torch.cat([_row(image, edits, place, directions) for place, image in enumerate(images)]),
        path,
        rows=[f"{name}, dir {k}" for name in names for k in directions],
        columns=["input", "projection", *(f"{step:+g} s" for step in steps)],
        title=f"Edits along directions of {trained.spec.method} (s = {scale:.3g})",
        column_title="step along the direction, in edit scales s",
    )
    last = kept.projection.distances[:, -1].tolist()
    return {
        "method": trained.spec.method,
        "directions": list(directions),
        "steps": list(steps),
        "edit scale": round(scale, 4),
        "projection": f"{request.preset}, {settings.steps} steps, {kept.reused} of "
        f"{counted(len(names), 'image')} reused",
        "distance": likeness.name,
        "distances": dict(zip(names, (round(value, 4) for value in last), strict=True)),
        "codes": [str(path) for path in kept.paths],
        "figures": [str(path)],
    }


@dataclass(frozen=True)
class _Edits:
    """Makes the images of projected codes that are moved."""

    trained: Trained
    method: Discoverer
    projection: Projection
    shifts: Sequence[float]  # in the method's own units

    @torch.no_grad()
    def images(self, place: int, direction: int) -> Tensor:
        """The image of a code, and its edits: (1 + steps, C, R, R) on the CPU."""
        device = self.trained.parts.device
        count = 1 + len(self.shifts)
        code = self.projection.ws[place : place + 1].to(device).expand(count, -1, -1)
        shifts = torch.tensor([0.0, *self.shifts], device=device)
        moved = self.method.shift(code, direction, shifts)
        noises = [noise[place : place + 1].to(device) for noise in self.projection.noises]
        made = [
            render(
                self.trained.parts.generator,
                part,
                [x.expand(len(part), -1, -1, -1) for x in noises],
            ).cpu()
            for part in moved.split(_AT_ONCE)
        ]
        return torch.cat(made)


def _row(image: Tensor, edits: _Edits, place: int, directions: Sequence[int]) -> Tensor:
    """An image (C, R, R), its projection and its edits, one row for each direction."""
    return torch.stack([torch.cat([image[None], edits.images(place, k)]) for k in directions])


def _require_directions(directions: Sequence[int], count: int) -> None:
    unknown = [k for k in directions if not 0 <= k < count]
    if unknown:
        raise BenchError(
            f"There is no direction {unknown[0]}: the run has the directions 0 to {count - 1}."
        )
