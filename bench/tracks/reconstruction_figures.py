"""What the reconstruction track shows of a method: reconstructions, interpolations, samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from baselines.interpolation import lerp, slerp
from bench.data.subset import Subset, evenly_spread
from bench.figures import save_image_grid, save_traversals
from bench.tracks.inversion import Inversion

_SAMPLES = 64
_CORNERS = 4


@dataclass(frozen=True)
class Subject:
    """What the figures show.

    Attributes:
        inversion: The method.
        dataset: The test images, some of which are shown.
        latents: (N, D) of the prior; the first of them are shown.
        pictures: How many images are reconstructed, and how many samples.
        steps: Rows and columns of the interpolation.
    """

    inversion: Inversion
    dataset: Subset
    latents: Tensor
    pictures: int
    steps: int


def draw_figures(subject: Subject, folder: Path) -> list[str]:
    """Write all figures of a method.

    Returns:
        Their paths relative to ``folder``.
    """
    names = ("reconstructions", "interpolation", "samples")
    paths = [Path("figures") / f"{name}.png" for name in names]
    inversion = subject.inversion
    places = evenly_spread(subject.pictures, len(subject.dataset))
    images = subject.dataset.batch(places)[0].to(inversion.device)
    latents = inversion.encode(images)
    samples = inversion.decode(subject.latents[:_SAMPLES])
    shown = samples[: len(images)]
    rows = [
        ("test images", images),
        ("reconstructed", inversion.decode(latents)),
        ("samples", shown),
        ("reconstructed", inversion.decode(inversion.encode(shown))),
    ]
    save_reconstructions(rows, folder / paths[0], f"{inversion.name}: decode(encode(image))")
    corners = latents[torch.arange(_CORNERS) % len(latents)]
    how = inversion.method.interpolation
    grid = interpolation_grid(corners, subject.steps, how)
    save_image_grid(
        torch.cat([inversion.decode(row) for row in grid]),
        folder / paths[1],
        columns=subject.steps,
        title=f"{inversion.name}: between four test images, {how}",
    )
    save_image_grid(samples, folder / paths[2], title=f"{inversion.name}: samples of the prior")
    return [path.as_posix() for path in paths]


def save_reconstructions(rows: Sequence[tuple[str, Tensor]], path: Path, title: str) -> None:
    """Rows of images below each other, such as inputs and what each method makes of them.

    Args:
        rows: A label and images (N, C, H, W) in [-1, 1] for each row; those of the shortest row
            set how many are shown.
        path: The PNG to write.
        title: What the picture shows.
    """
    count = min(len(images) for _, images in rows)
    save_traversals(
        torch.stack([images[:count].cpu() for _, images in rows]),
        path,
        [label for label, _ in rows],
        [str(number) for number in range(count)],
        title,
        column_title="image",
    )


def interpolation_grid(corners: Tensor, steps: int, how: str) -> Tensor:
    """Latents between four corners, row by row.

    Args:
        corners: (4, D): upper left and right, lower left and right.
        steps: Rows and columns.
        how: ``"linear"`` or ``"spherical"``, see ``Inverter.interpolation``.

    Returns:
        (steps, steps, D).
    """
    path = slerp if how == "spherical" else lerp
    shares = torch.linspace(0, 1, steps).tolist()
    upper_left, upper_right, lower_left, lower_right = corners
    rows = []
    for down in shares:
        left, right = path(upper_left, lower_left, down), path(upper_right, lower_right, down)
        rows.append(torch.stack([path(left, right, across) for across in shares]))
    return torch.stack(rows)
