"""A canvas for pictures made of antialiased shapes, many pictures at once.

Coordinates are those of the drawing, y downwards; each picture sees them through a window of its
own (shifted, turned, scaled). Shapes are given by signed distances, negative inside, and their
edges are one pixel wide. What is narrower than a pixel covers as much of it as it should, so that a
picture shows the same drawing at any number of pixels.

Only additions, products, quotients, roots and comparisons touch the pixels: these are rounded alike
wherever they run, so that a picture has the same bits whatever other pictures are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

_TINY = 1e-6


@dataclass(frozen=True)
class Pose:
    """Where the drawing lies in the frame: first scaled, then turned, then shifted.

    Attributes:
        scale: Frame units for a unit of the drawing, (N, 1, 1).
        cosine: Of the angle, clockwise, (N, 1, 1).
        sine: Likewise.
        left: Column of the drawing's origin in frame units, (N, 1, 1).
        top: Its row.
    """

    scale: Tensor
    cosine: Tensor
    sine: Tensor
    left: Tensor
    top: Tensor


@dataclass(frozen=True)
class Frame:
    """The mean pose, and how far poses may lie from it.

    Attributes:
        left: Column of the drawing's origin.
        top: Its row.
        unit: Frame units for a unit of the drawing.
        shift: No picture's origin lies farther off along an axis, in units of the drawing.
        stretch: No picture's scale is larger by a larger share.
        sine: No picture's angle has a larger sine.
    """

    left: float
    top: float
    unit: float
    shift: float
    stretch: float
    sine: float


@dataclass(frozen=True)
class Window:
    """The part of the frame that pictures show, in frame units, and their size in square pixels."""

    left: float
    top: float
    side: float  # of one pixel
    height: int
    width: int


class Canvas:
    """N pictures that are drawn at the same time, shape after shape.

    Args:
        pose: Of each picture.
        window: Of all pictures.
        frame: Bounds of all poses; they, not the pictures, decide which pixels a shape can reach.

    Attributes:
        image: float32 (N, 3, H, W), black at first.
    """

    def __init__(self, pose: Pose, window: Window, frame: Frame) -> None:
        self._pose, self._window, self._frame = pose, window, frame
        self.image = torch.zeros(len(pose.left), 3, window.height, window.width)

    def some(self, rows: Tensor) -> Canvas:
        """A copy of some pictures, int64 (M,)."""
        pose = Pose(*(getattr(self._pose, field.name)[rows] for field in fields(Pose)))
        canvas = Canvas(pose, self._window, self._frame)
        canvas.image = self.image[rows]
        return canvas

    def patch(self, left: float, top: float, right: float, bottom: float) -> Patch:
        """The pixels that may show a box of the drawing, for shapes that lie within the box."""
        window, pose, frame = self._window, self._pose, self._frame
        reach_x, reach_y = max(-left, right), max(-top, bottom, 0)
        margin_x = frame.shift + frame.stretch * reach_x + frame.sine * reach_y
        margin_y = frame.shift + frame.stretch * reach_y + frame.sine * reach_x
        columns = _range(
            (frame.left + frame.unit * (left - margin_x) - window.left) / window.side,
            (frame.left + frame.unit * (right + margin_x) - window.left) / window.side,
            window.width,
        )
        rows = _range(
            (frame.top + frame.unit * (top - margin_y) - window.top) / window.side,
            (frame.top + frame.unit * (bottom + margin_y) - window.top) / window.side,
            window.height,
        )
        x = (torch.arange(columns.start, columns.stop) + 0.5) * window.side + window.left
        y = (torch.arange(rows.start, rows.stop) + 0.5) * window.side + window.top
        x, y = x - pose.left, y[:, None] - pose.top
        return Patch(
            (x * pose.cosine + y * pose.sine) / pose.scale,
            (y * pose.cosine - x * pose.sine) / pose.scale,
            window.side / pose.scale,
            self.image[:, :, rows, columns],
        )

    def whole(self) -> Patch:
        """All pixels."""
        return self.patch(-99, -99, 99, 99)


@dataclass(frozen=True)
class Patch:
    """Some pixels of all pictures, with their places in the drawing.

    Attributes:
        x: Columns in units of the drawing, (N, H, W).
        y: Rows likewise.
        pixel: Side of a pixel in units of the drawing, (N, 1, 1).
        image: The pixels, (N, 3, H, W), a view of the canvas.
    """

    x: Tensor
    y: Tensor
    pixel: Tensor
    image: Tensor

    def moved(self, x: Tensor, y: Tensor) -> Patch:
        """The same pixels in other coordinates (N, H, W) of the same scale."""
        return Patch(x, y, self.pixel, self.image)

    def fill(self, coverage: Tensor, colour: Tensor) -> None:
        """Paint a colour, (N, 3, 1, 1) or (N, 3, H, W), over coverage (N, H, W) in [0, 1]."""
        self.image.add_((colour - self.image).mul_(coverage[:, None]))

    def inside(self, distance: Tensor) -> Tensor:
        """The coverage of a shape that is wide compared with a pixel, from signed distances."""
        return (0.5 - distance / self.pixel).clamp_(0, 1)

    def band(self, value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
        """The coverage of the points with ``low < value < high``, however narrow the band.

        ``value`` grows by about one for each unit of the drawing.
        """
        above = ((value - low) / self.pixel).add_(0.5).clamp_(0, 1)
        below = ((high - value) / self.pixel).add_(0.5).clamp_(0, 1)
        return above.add_(below).sub_(1).clamp_(min=0)

    def ellipse(
        self, x: Tensor | float, y: Tensor | float, a: Tensor | float, b: Tensor | float
    ) -> Tensor:
        """The coverage of an ellipse with half axes ``a`` and ``b``, however small."""
        half = self.pixel / 2
        width, height = torch.maximum(half, _tensor(a)), torch.maximum(half, _tensor(b))
        share = (a / width) * (b / height)
        return self.inside(ellipse_distance(self.x - x, self.y - y, width, height)) * share

    def glow(
        self, x: Tensor | float, y: Tensor | float, a: Tensor | float, b: Tensor | float
    ) -> Tensor:
        """A soft spot: 1 in its centre, 0 outside an ellipse."""
        falloff = (1 - ((self.x - x) / a) ** 2 - ((self.y - y) / b) ** 2).clamp_(min=0)
        return falloff * falloff


def ellipse_distance(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """The distance from an ellipse around the origin, exact to first order at its edge."""
    u, v = x / a, y / b
    radius = (u * u + v * v).sqrt_()
    slope = ((u / a) ** 2 + (v / b) ** 2).sqrt_().add_(_TINY)
    return radius * (radius - 1) / slope


def squircle_distance(
    x: Tensor, y: Tensor, u: Tensor, v: Tensor, squareness: Tensor | float
) -> Tensor:
    """The distance, along rays, from a shape between ellipse and rectangle around the origin.

    The outline is where ``u + v - squareness * u * v`` is 1 (Fernandez-Guasti's squircle).

    Args:
        x: Columns from the centre.
        y: Rows from the centre.
        u: The square of ``x`` in half widths.
        v: The square of ``y`` in half heights.
        squareness: From 0, an ellipse, to 1, a rectangle.
    """
    # Beyond the corners the sum falls again; it is no longer the shape there.
    level = torch.maximum(u + v - squareness * u * v, torch.maximum(u, v))
    return (x * x + y * y).sqrt_() * (1 - 1 / level.clamp_(min=1e-4).sqrt_())


def wave(phase: Tensor) -> Tensor:
    """A rounded wave between -1 and 1 with period 1."""
    part = 2 * (phase - phase.floor()) - 1
    return 4 * part * (1 - part.abs())


def mix(first: Tensor | float, second: Tensor | float, share: Tensor | float) -> Tensor:
    """``first`` at share 0, ``second`` at share 1."""
    return _tensor(first + (second - first) * share)


def rgb(colour: Sequence[float]) -> Tensor:
    """A colour as (3, 1, 1)."""
    return torch.tensor(colour)[:, None, None]


def ramp(place: Tensor, colours: Sequence[Sequence[float]]) -> Tensor:
    """The colours at places (N, 1, 1) in [0, 1] of a ramp, (N, 3, 1, 1)."""
    place = place[:, None] * (len(colours) - 1)
    result = rgb(colours[0]).expand(len(place), 3, 1, 1)
    for step, colour in enumerate(colours[1:]):
        result = mix(result, rgb(colour), (place - step).clamp(0, 1))
    return result


def pick(place: Tensor, colours: Sequence[Sequence[float]]) -> Tensor:
    """One of some colours for each of the places (N, 1, 1) in [0, 1), (N, 3, 1, 1)."""
    return torch.tensor(colours)[(place.flatten() * len(colours)).long()][:, :, None, None]


def _tensor(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32)


def _range(low: float, high: float, size: int) -> slice:
    """The pixels from ``low`` to ``high``, one more on either side, within a picture."""
    start = min(max(int(low) - 1, 0), size)
    return slice(start, min(max(int(high) + 2, start), size))
