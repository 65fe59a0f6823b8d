"""Pictures for people: grids of images, traversals, heat maps and points, as PNG.

Images are float tensors in [-1, 1], N x C x H x W. Matplotlib draws without a display and is
imported only here, when a picture is made. The last functions are parts that figures are made of.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_PER_LETTER = 0.085  # of titles; keeps them inside narrow figures
_LABEL = 0.42  # room for two lines below a picture, as a share of its height
_GAP = 0.06  # white space between pictures, as a share of their width
_MOST_ANNOTATED = 600  # cells; more of them would be too small to read
_CAPTION_INCHES = 0.2

_caption: ContextVar[str] = ContextVar("caption", default="")


@contextmanager
def captioned(text: str) -> Iterator[None]:
    """Put a line below the title of every figure that is drawn meanwhile, such as its run."""
    token = _caption.set(text)
    try:
        yield
    finally:
        _caption.reset(token)


def save_traversals(
    images: Tensor,
    path: Path,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    column_title: str = "step along the direction, in edit scales s",
) -> None:
    """One row of pictures for each direction or image and one column for each step or edit.

    Args:
        images: (R, T, C, H, W) in [-1, 1].
        path: The PNG to write.
        rows: R labels.
        columns: T labels.
        title: What the picture shows.
        column_title: What the columns are.
    """
    canvas, stride = mosaic(images.flatten(0, 1), len(columns))
    figure, axes = new_figure(
        width=1.1 * len(columns) + 2.5, height=1.1 * len(rows) + 1.0, title=title
    )
    axes.imshow(canvas, interpolation="nearest")
    hide_frame(axes)
    height, width = images.shape[-2:]
    axes.set_xticks([i * stride[1] + width / 2 for i in range(len(columns))], columns)
    axes.set_yticks([i * stride[0] + height / 2 for i in range(len(rows))], rows)
    axes.xaxis.tick_top()
    axes.set_xlabel(column_title)
    save_figure(figure, path)


def save_image_grid(
    images: Tensor,
    path: Path,
    columns: int = 8,
    title: str = "",
    labels: Sequence[str] | None = None,
) -> None:
    """Pictures side by side, with a label below each where labels are given.

    Args:
        images: (N, C, H, W) in [-1, 1].
        path: The PNG to write.
        columns: Pictures in a row.
        title: What the picture shows.
        labels: N labels, or None.
    """
    columns = min(columns, images.shape[0])
    spacing = _LABEL if labels else _GAP
    canvas, stride = mosaic(images, columns, row_gap=spacing)
    inches = 1.1 * columns, 1.1 * columns * canvas.shape[0] / canvas.shape[1]
    figure, axes = new_figure(inches[0], inches[1] + (0.4 if title else 0.0), title)
    axes.imshow(canvas, interpolation="nearest")
    hide_frame(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    height, width = images.shape[-2:]
    for i, label in enumerate(labels or ()):
        row, column = divmod(i, columns)
        x, y = column * stride[1] + width / 2, row * stride[0] + height * 1.03
        axes.text(x, y, label, ha="center", va="top", fontsize=8)
    save_figure(figure, path)


def save_heat_map(
    values: NDArray[np.floating],
    path: Path,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    *,
    row_title: str,
    column_title: str,
    value_title: str,
) -> None:
    """A matrix as colours, with the numbers in its cells; the scale begins at 0 or below.

    Args:
        values: (R, C); NaN is left blank.
        path: The PNG to write.
        rows: R labels.
        columns: C labels.
        title: What the picture shows.
        row_title: What the rows are.
        column_title: What the columns are.
        value_title: What the values are; stands beside the colour scale.
    """
    figure, axes = new_figure(
        width=0.62 * len(columns) + 3.4, height=0.32 * len(rows) + 2.2, title=title
    )
    top = float(np.nanmax(values, initial=0.0)) or 1.0
    bottom = float(np.nanmin(values, initial=0.0))
    drawn = axes.imshow(values, cmap="magma", vmin=bottom, vmax=top, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    if max(map(len, columns)) > 3:
        axes.tick_params(axis="x", labelrotation=40)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xlabel(column_title)
    axes.set_ylabel(row_title)
    if values.size <= _MOST_ANNOTATED:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "black" if value > bottom + 0.6 * (top - bottom) else "white"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    figure.colorbar(drawn, ax=axes, label=value_title)
    save_figure(figure, path)


def save_distributions(
    samples: Mapping[str, NDArray[np.floating]], path: Path, title: str, value_title: str
) -> None:
    """Histograms of several groups of numbers, each with the normal distribution fitted to it.

    Args:
        samples: The numbers (N,) of each group, by its name.
        path: The PNG to write.
        title: What the picture shows.
        value_title: What the numbers are.
    """
    figure, axes = new_figure(width=6.0, height=3.6, title=title)
    everything = np.concatenate(list(samples.values()))
    edges = np.histogram_bin_edges(everything, bins="auto")
    for number, (name, values) in enumerate(samples.items()):
        mean, deviation = float(values.mean()), float(values.std())
        label = f"{name}: {mean:.2f} ± {deviation:.2f} (n = {len(values)})"
        colour = f"C{number}"
        axes.hist(values, edges.tolist(), density=True, alpha=0.4, color=colour, label=label)
        if deviation > 0:
            at = np.linspace(mean - 4 * deviation, mean + 4 * deviation, 200)
            height = np.exp(-0.5 * ((at - mean) / deviation) ** 2) / (
                deviation * np.sqrt(2 * np.pi)
            )
            axes.plot(at, height, color=colour)
    axes.set_xlabel(value_title)
    axes.set_ylabel("density")
    axes.legend(fontsize=8)
    save_figure(figure, path)


@dataclass(frozen=True)
class PointCloud:
    """Points of one panel.

    Attributes:
        title: What they are.
        points: (N, 2).
        groups: int (N,), the group of each point; -1 for none.
    """

    title: str
    points: NDArray[np.floating]
    groups: NDArray[np.integer]


def save_scatter(
    clouds: Sequence[PointCloud], path: Path, groups: Sequence[str], title: str
) -> None:
    """Panels side by side with the same axes, a colour for each group; points of none are grey.

    Args:
        clouds: One for each panel.
        path: The PNG to write.
        groups: Names of the groups, in the order of their numbers; may be empty.
        title: What the picture shows.
    """
    figure, first = new_figure(width=4.2 * len(clouds) + 1.6, height=4.4, title=title)
    grid = figure.add_gridspec(1, len(clouds))
    first.set_subplotspec(grid[0])
    others = range(1, len(clouds))
    panels = [first, *(figure.add_subplot(grid[i], sharex=first, sharey=first) for i in others)]
    colours = group_colours(len(groups))
    for axes, cloud in zip(panels, clouds, strict=True):
        axes.set_title(f"{cloud.title} (n = {len(cloud.points)})", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        for number in range(-1, len(groups)):
            points = cloud.points[cloud.groups == number]
            colour = "0.4" if number < 0 else colours[number]
            axes.scatter(points[:, 0], points[:, 1], s=9, color=colour, linewidths=0)
    if groups:
        marks = [panels[0].scatter([], [], s=30, color=colour) for colour in colours]
        figure.legend(marks, groups, loc="outside right center", fontsize=8, frameon=False)
    save_figure(figure, path)


def group_colours(count: int) -> list[tuple[float, float, float, float]]:
    """As many colours, which can be told apart if there are up to twenty."""
    from matplotlib import colormaps

    if count <= 20:
        palette = colormaps["tab10" if count <= 10 else "tab20"]
        return [palette(number) for number in range(count)]
    return [colormaps["turbo"](number / (count - 1)) for number in range(count)]


def mosaic(
    images: Tensor, columns: int, row_gap: float = _GAP
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Images side by side on white.

    Args:
        images: (N, C, H, W) in [-1, 1].
        columns: Pictures in a row.
        row_gap: White space between rows, as a share of an image's height.

    Returns:
        The canvas (H', W', 3), and how far apart, down and across, the images' corners are.
    """
    pixels = ((images.detach().cpu().float().clamp(-1, 1) + 1) * 127.5).round().byte()
    tiles = pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()  # N x H x W x 3
    count, height, width, _ = tiles.shape
    step = (height + max(1, round(row_gap * height)), width + max(1, round(_GAP * width)))
    canvas = np.full((-(-count // columns) * step[0], columns * step[1], 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * step[0], (i % columns) * step[1]
        canvas[y : y + height, x : x + width] = tile
    return canvas, step


def new_figure(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """A figure with one panel, outside pyplot's global state; Agg needs no display.

    Args:
        width: In inches; long titles widen it.
        height: In inches.
        title: May be empty; below it stands what ``captioned`` says.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = [line for line in (title, _caption.get()) if line]
    width = max(width, _INCHES_PER_LETTER * max(map(len, lines), default=0))
    height += _CAPTION_INCHES * (len(lines) > 1)
    figure = Figure(
        figsize=(width, height), dpi=110, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    )
    FigureCanvasAgg(figure)
    if lines:
        figure.suptitle("\n".join(lines), fontsize=11)
    axes = figure.add_subplot()
    axes.tick_params(length=0, labelsize=9)
    return figure, axes


def hide_frame(axes: Axes) -> None:
    """Draw a panel without the lines around it."""
    for spine in axes.spines.values():
        spine.set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; its folder is made."""
    buffer = io.BytesIO()
    # Without the version of the drawing library, so that equal numbers give equal files longer.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
