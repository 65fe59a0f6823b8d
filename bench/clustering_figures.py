"""What a clustering looks like: images laid out by likeness, typical ones, scores against k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.subset import Subset, evenly_spread
from bench.errors import counted
from bench.figures import group_colours, hide_frame, mosaic, new_figure, save_figure
from bench.kmeans import Clustering, Floats, Places
from bench.progress import counting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Layout = Literal["tsne", "pca"]

_POINTS = 2000  # so many images are laid out at most
_TYPICAL = 8  # images that are shown of each cluster
_LAYOUTS: Mapping[Layout, str] = {"tsne": "t-SNE", "pca": "the first two principal components"}


@dataclass(frozen=True, eq=False)
class Subject:
    """What the figures show.

    Attributes:
        images: The training images.
        embedded: (N, D), their embeddings.
        clusterings: The clusterings, by ascending k.
        scores: Their entries in the report.
        title: What is clustered, by what.
    """

    images: Subset
    embedded: Floats
    clusterings: Sequence[Clustering]
    scores: Sequence[Mapping[str, Any]]
    title: str


def draw_figures(subject: Subject, folder: Path, kind: Layout, seed: int) -> list[str]:
    """One figure for each clustering and, where there are several, one of scores against k.

    Args:
        subject: What they show.
        folder: Where they go.
        kind: How images are laid out.
        seed: Seeds that.

    Returns:
        The figures' paths relative to ``folder``.
    """
    shown = evenly_spread(_POINTS, len(subject.embedded)).numpy()
    points = lay_out(subject.embedded[shown], kind, seed)
    names = []
    for clustering, scores in zip(subject.clusterings, subject.scores, strict=True):
        k = clustering.k
        names.append(f"clusters_{k}.png")
        figure, axes = new_figure(13.0, max(4.5, 0.62 * k + 1.0), f"{subject.title}: {k} clusters")
        grid = figure.add_gridspec(1, 2)
        axes.set_subplotspec(grid[0])
        _scatter(axes, points, clustering.assigned["train"][shown], scores)
        axes.set_title(f"{len(shown):,} training images by {_LAYOUTS[kind]}", fontsize=9)
        _show_typical(figure.add_subplot(grid[1]), _typical_images(subject, clustering), k)
        save_figure(figure, folder / names[-1])
    if len(names) > 1:
        names.append("scores.png")
        _save_scores(subject, folder / names[-1])
    return names


def lay_out(embedded: Floats, kind: Layout, seed: int) -> NDArray[np.floating]:
    """Embeddings (N, D) in the plane, (N, 2).

    t-SNE runs with the settings that ``metrics.tsne`` states. Fewer than four different embeddings
    have no neighbours, and are laid out by their principal components in any case.
    """
    if kind == "pca" or len(np.unique(embedded, axis=0)) < 4:
        return _principal_components(embedded)
    from metrics.tsne import PERPLEXITY, SKLEARN_ITERATIONS, joint_tsne, largest_perplexity

    with counting("t-SNE", SKLEARN_ITERATIONS) as count_more:
        layout = joint_tsne(
            embedded[:1],  # it embeds two sets together; this is one
            embedded[1:],
            dimensions=2,
            perplexity=min(PERPLEXITY, largest_perplexity(len(embedded))),
            seed=seed,
            progress=count_more,
        )
    return np.concatenate(layout)


def _principal_components(embedded: Floats) -> NDArray[np.floating]:
    left, strengths, _ = np.linalg.svd(embedded - embedded.mean(axis=0), full_matrices=False)
    components = (left * strengths)[:, :2]
    return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))


def _typical_images(subject: Subject, clustering: Clustering) -> Tensor:
    """The images nearest to each centre, (k * 8, C, H, W); white where a cluster has fewer."""
    rows = []
    for number, centre in enumerate(clustering.centres):
        members = np.flatnonzero(clustering.assigned["train"] == number)
        distances = np.square(subject.embedded[members] - centre).sum(axis=1)
        nearest = members[np.argsort(distances, kind="stable")[:_TYPICAL]]
        pictures = subject.images.batch(torch.from_numpy(nearest))[0]
        missing = pictures.new_ones(_TYPICAL - len(pictures), *pictures.shape[1:])
        rows.append(torch.cat([pictures, missing]))
    return torch.cat(rows)


def _scatter(
    axes: Axes,
    points: NDArray[np.floating],
    clusters: Places,
    scores: Mapping[str, Any],
) -> None:
    for number, colour in enumerate(group_colours(scores["k"])):
        own = points[clusters == number]
        axes.scatter(own[:, 0], own[:, 1], s=6, color=colour, label=_said(scores, number))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=8, markerscale=2, loc="upper right", bbox_to_anchor=(-0.02, 1.0))


def _show_typical(axes: Axes, typical: Tensor, k: int) -> None:
    canvas, stride = mosaic(typical, _TYPICAL)
    axes.imshow(canvas, interpolation="nearest")
    hide_frame(axes)
    axes.set_xticks([])
    middle = typical.shape[-2] / 2
    axes.set_yticks([number * stride[0] + middle for number in range(k)], map(str, range(k)))
    axes.tick_params(length=0, labelsize=9)
    axes.set_title("the images nearest to each centre", fontsize=9)


def _save_scores(subject: Subject, path: Path) -> None:
    figure, axes = new_figure(width=6.0, height=3.6, title=subject.title)
    ks = [scores["k"] for scores in subject.scores]
    for name, title in (("silhouette", "silhouette"), ("stability", "stability over seeds")):
        values = [np.nan if entry[name] is None else entry[name] for entry in subject.scores]
        axes.plot(ks, values, marker="o", label=title)
    axes.set_xticks(ks, map(str, ks))
    axes.set_xlabel("clusters k")
    axes.set_ylabel("score, higher is better")
    axes.legend(fontsize=8)
    save_figure(figure, path)


def _said(scores: Mapping[str, Any], number: int) -> str:
    """A cluster in the legend: its number and size, and its commonest class where it is known."""
    text = f"{number}: {counted(scores['sizes']['train'][number], 'image')}"
    if "commonest" not in scores:
        return text
    most = scores["commonest"][number]
    return f"{text} ({most['share']:.0%} {most['class']})"
