"""What the conditional track shows of a method: samples by label, traversals, and a t-SNE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.base import LatentAxis
from bench.figures import PointCloud, save_image_grid, save_scatter, save_traversals
from bench.tracks.label_requests import LabelRequests
from bench.tracks.sampling import Sampler, Traversals
from metrics.arrays import FloatArray

_ROWS = 12  # of pictures on a page
_UNCONDITIONED = 64  # samples in the figure of a method that takes no labels
_NO_GROUP = -1  # of a point without a class


@dataclass(frozen=True)
class Embedded:
    """Points in the plane.

    Attributes:
        real: (P, 2), of test images.
        fake: (P, 2), of samples.
        real_labels: (P, A), those of the test images.
        fake_labels: (P, A), those that the samples were asked for by.
        whose: What was embedded, in words, such as ``features of efficientnet-lite0``.
    """

    real: FloatArray
    fake: FloatArray
    real_labels: Tensor
    fake_labels: Tensor
    whose: str


@dataclass(frozen=True)
class Subject:
    """What the figures show.

    Attributes:
        sampler: The method.
        requests: Gives labels.
        pictures: Samples of each label.
        reach: How far traversals go to either side.
        steps: Pictures of each traversal.
        embedded: Points of the t-SNE, or None where it is left out.
    """

    sampler: Sampler
    requests: LabelRequests
    pictures: int
    reach: float
    steps: int
    embedded: Embedded | None


def draw_figures(subject: Subject, folder: Path) -> list[str]:
    """Write all figures of a method; those of what it does not have are left out.

    Returns:
        Their paths relative to ``folder``.
    """
    draw = _draw_samples if subject.sampler.method.conditioned else _draw_unconditioned
    paths = list(draw(subject, folder))
    traversals = subject.sampler.traversals()
    if traversals is not None:
        for layer in traversals.layers:
            paths += _draw_layer(subject, traversals, layer, folder)
    if subject.embedded is not None:
        paths.append(_draw_embedded(subject, subject.embedded, folder))
    return [path.as_posix() for path in paths]


def _draw_samples(subject: Subject, folder: Path) -> Iterator[Path]:
    """A row for each class or attribute; what is drawn at random is the same down a column."""
    names = subject.requests.attributes.names
    what = "each class" if subject.requests.attributes.classes else "each attribute switched on"
    pages = _pages(len(names))
    for page, rows in enumerate(pages, start=1):
        path = _page_path("samples", page)
        images = [_row(subject, column) for column in rows]
        save_traversals(
            torch.stack(images),
            folder / path,
            [_spelled(names[column]) for column in rows],
            [str(number) for number in range(1, subject.pictures + 1)],
            _titled(f"samples of {what}", page, len(pages)),
            column_title="draw",
        )
        yield path


def _row(subject: Subject, column: int) -> Tensor:
    """Samples (P, C, H, W) of the label that a column stands for."""
    labels = subject.requests.present(column, subject.pictures)
    return torch.cat([images.cpu() for images in subject.sampler.samples(labels, "pictures")])


def _draw_unconditioned(subject: Subject, folder: Path) -> Iterator[Path]:
    path = _page_path("samples", 1)
    labels = subject.requests.rows(_UNCONDITIONED, "pictures")
    images = torch.cat([images.cpu() for images in subject.sampler.samples(labels, "pictures")])
    save_image_grid(images, folder / path, title="samples of a method that takes no labels")
    yield path


def _draw_layer(
    subject: Subject, traversals: Traversals, layer: int, folder: Path
) -> Iterator[Path]:
    """A row for each dimension, the one that changes most first; all start from one latent."""
    axes = traversals.layer(layer)
    values = torch.linspace(-subject.reach, subject.reach, subject.steps)
    label = subject.requests.rows(1, "traversals")
    images = _walk(subject, traversals, axes, values, label)
    changes = _changes(images)
    order = changes.argsort(descending=True, stable=True).tolist()
    layers = f"{min(traversals.layers)} to {max(traversals.layers)}"
    title = f"layer {layer} of layers {layers}, coarse to fine{_held(subject, label)}"
    pages = _pages(len(axes))
    for page, places in enumerate(pages, start=1):
        shown = [order[place] for place in places]
        path = _page_path(f"traversal-layer-{layer}", page)
        save_traversals(
            images[shown],
            folder / path,
            [_row_title(axes[row], float(changes[row])) for row in shown],
            [f"{value:.3g}" for value in values.tolist()],
            _titled(title, page, len(pages)),
            column_title="value of the latent",
        )
        yield path


def _changes(images: Tensor) -> Tensor:
    """How much each walk (R, T, C, H, W) changes, (R,), in units of [-1, 1].

    The mean absolute difference of its two ends from the picture in the middle, over pixels.
    """
    ends = images[:, [0, -1]]
    middle = images[:, images.shape[1] // 2, None]
    return (ends - middle).abs().flatten(1).mean(dim=1)


def _row_title(axis: LatentAxis, change: float) -> str:
    return f"dimension {axis.dimension} (change {change:.2g}, L {axis.importance:.3g})"


def _held(subject: Subject, label: Tensor) -> str:
    """What all pictures of a walk were asked to show; empty for a method that takes no labels."""
    if not subject.sampler.method.conditioned:
        return ""
    columns = zip(subject.requests.attributes.names, label[0].tolist(), strict=True)
    shown = [_spelled(name) for name, value in columns if value > 0]
    return f": {', '.join(shown) or 'no attribute'}"


def _walk(
    subject: Subject,
    traversals: Traversals,
    axes: list[LatentAxis],
    values: Tensor,
    label: Tensor,
) -> Tensor:
    """Images (axes, values, C, H, W) of a label (1, A) and of latents that differ in one column."""
    latents = traversals.base.repeat(len(axes) * len(values), 1)
    columns = torch.tensor([axis.column for axis in axes]).repeat_interleave(len(values))
    moved = values.repeat(len(axes)).to(latents)
    latents[torch.arange(len(latents)), columns] = moved
    images = subject.sampler.generate(label.repeat(len(latents), 1), latents)
    return images.unflatten(0, (len(axes), len(values)))


def _draw_embedded(subject: Subject, embedded: Embedded, folder: Path) -> Path:
    """Test images and samples side by side; coloured by class where there are classes."""
    path = Path("figures") / "tsne.png"
    attributes = subject.requests.attributes
    conditioned = subject.sampler.method.conditioned
    shown = _groups(embedded.real_labels, attributes.classes)
    asked = _groups(embedded.fake_labels, attributes.classes and conditioned)
    save_scatter(
        [
            PointCloud("test images", embedded.real, shown),
            PointCloud("samples", embedded.fake, asked),
        ],
        folder / path,
        [*map(_spelled, attributes.names)] if attributes.classes else (),
        f"t-SNE in two dimensions, to look at, not the one that is scored: {embedded.whose}",
    )
    return path


def _groups(labels: Tensor, classes: bool) -> NDArray[np.int64]:
    """The class of each point, int64 (P,); no group where there are no classes."""
    if classes:
        return labels.argmax(dim=1).numpy()
    return np.full(len(labels), _NO_GROUP, np.int64)


def _spelled(name: str) -> str:
    """An attribute's name as figures have it."""
    return name.replace("_", " ")


def _pages(rows: int) -> list[range]:
    """Which rows each page shows."""
    return [range(start, min(start + _ROWS, rows)) for start in range(0, rows, _ROWS)]


def _page_path(stem: str, page: int) -> Path:
    return Path("figures") / (f"{stem}.png" if page == 1 else f"{stem}-{page}.png")


def _titled(title: str, page: int, pages: int) -> str:
    return title if pages == 1 else f"{title} ({page} of {pages})"
