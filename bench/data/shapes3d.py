"""3D Shapes, rendered on the spot: every image is a function of its index.

The six factors, their value ranges and the order of the images are those of Burgess and Kim,
3D Shapes Dataset (2018), https://github.com/google-deepmind/3d-shapes. Geometry and light are
fitted to published pictures (``bench.data.shapes3d_scene``), so that the images look like the
original's without being equal to them.

Scale, shape and orientation make 480 views; the hues only colour them. The channels of the ten
hues take six values, so each view is kept as brightness maps, one for each material and channel
value, clipped ray by ray. An image is the sum of the maps that its hues choose.
"""

from __future__ import annotations

import colorsys
import hashlib

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from bench.data.base import Dataset
from bench.data.shapes3d_scene import trace

FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
FACTOR_SIZES = (10, 10, 10, 8, 4, 15)
SCALES = tuple(0.75 + 0.5 * step / 7 for step in range(8))
ORIENTATIONS = tuple(-30 + 60 * step / 14 for step in range(15))  # degrees
SKY = (153 / 255, 226 / 255, 249 / 255)

_INDEX_BASES = torch.tensor([48000, 4800, 480, 60, 15, 1])
_VIEWS = 480
_RAYS_PER_SIDE = 4  # of a pixel
_PICTURES = "1"  # part of the fingerprint; to be raised by whoever changes how images look

# A view's maps: six channel levels for each of three materials, then the sky's three channels.
_CHANNEL_LEVELS = torch.arange(6) / 5
_MAPS = 3 * len(_CHANNEL_LEVELS) + 3


class FactorGrid(Dataset):
    """Indices and factors of 3D Shapes, whether rendered or read from the original file.

    Attributes are the six factors, each scaled to [0, 1]: hue as index / 9, scale and orientation
    linearly, shape as index / 3.
    """

    attributes = Attributes(FACTORS)
    factor_sizes = FACTOR_SIZES

    def __len__(self) -> int:
        return 480_000

    def factors(self, indices: Tensor) -> Tensor:
        """Factor indices, int64 (N, 6), of image indices (N,).

        Raises:
            IndexError: An index is out of range.
        """
        return self._checked(indices)[:, None] // _INDEX_BASES % torch.tensor(FACTOR_SIZES)

    def index(self, factors: Tensor) -> Tensor:
        """Image indices, int64 (N,), of factor indices (N, 6).

        Raises:
            IndexError: A factor is out of range.
        """
        factors = torch.as_tensor(factors, dtype=torch.int64, device="cpu")
        if ((factors < 0) | (factors >= torch.tensor(FACTOR_SIZES))).any():
            raise IndexError(f"The factors {FACTORS} take {FACTOR_SIZES} values each.")
        return (factors * _INDEX_BASES).sum(-1)

    def counterfactual(self, indices: Tensor, factor: str, value: int | Tensor) -> Tensor:
        """The same scenes with one factor changed.

        Args:
            indices: int64 (N,).
            factor: One of ``FACTORS``.
            value: The factor's new index, one for all or (N,).

        Returns:
            int64 (N,), the indices of the changed scenes.

        Raises:
            ValueError: There is no such factor.
            IndexError: An index or the value is out of range.
        """
        if factor not in FACTORS:
            raise ValueError(f"3D Shapes has the factors {', '.join(FACTORS)}, not {factor!r}.")
        factors = self.factors(indices)
        factors[:, FACTORS.index(factor)] = torch.as_tensor(value, dtype=torch.int64, device="cpu")
        return self.index(factors)

    def normalised(self, indices: Tensor) -> Tensor:
        """The attributes, float32 (N, 6) in [0, 1], of image indices (N,)."""
        return self.factors(indices) / (torch.tensor(FACTOR_SIZES) - 1)


class Shapes3D(FactorGrid):
    """The 480,000 scenes of 3D Shapes, rendered when they are asked for.

    A view is rendered at its first use and kept: 0.17 MB at 64 pixels (83 MB for all 480 views),
    in proportion to the number of pixels.

    Args:
        size: Height and width of the images in pixels.
        device: Where the images are coloured; both results of ``batch`` lie there.

    Raises:
        ValueError: ``size`` is below 1.
    """

    name = "shapes3d"

    def __init__(self, size: int = 64, device: torch.device | str = "cpu") -> None:
        if size < 1:
            raise ValueError(f"The size of an image is at least 1 pixel, not {size}.")
        self.size = size
        self._device = torch.device(device)
        # On the CPU, memory is taken up by the views that have been rendered only.
        self._maps = torch.empty(
            _VIEWS, _MAPS, size, size, dtype=torch.float16, device=self._device
        )
        self._rendered = torch.zeros(_VIEWS, dtype=torch.bool)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        factors = self.factors(indices)
        views = self._checked(indices) % _VIEWS
        for view in views[~self._rendered[views]].unique().tolist():
            self._maps[view] = render_maps(view, self.size)
            self._rendered[view] = True
        return self._coloured(views, factors), self.normalised(indices).to(self._device)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.name} {_PICTURES} {self.size}".encode()).hexdigest()

    def _coloured(self, views: Tensor, factors: Tensor) -> Tensor:
        rows = (views[:, None, None] * _MAPS + map_rows(factors)).to(self._device)  # N, 4, 3
        maps = self._maps.flatten(0, 1)
        images = torch.zeros(*views.shape, 3, self.size, self.size, device=self._device)
        for material in range(4):
            images += maps[rows[:, material]]
        return images.mul_(2).sub_(1).clamp_(-1, 1)


def map_rows(factors: Tensor) -> Tensor:
    """Which of a view's maps add up to an image: int64 (N, 4 materials, 3 channels)."""
    levels = len(_CHANNEL_LEVELS)
    colours = torch.tensor([colorsys.hsv_to_rgb(hue / 10, 1, 1) for hue in range(10)])
    level = (colours * (levels - 1)).round().long()[factors[:, :3]]  # N, 3 materials, 3 channels
    first = torch.arange(3)[:, None] * levels
    sky = (3 * levels + torch.arange(3)).expand(len(factors), 1, 3)
    return torch.cat([first + level, sky], dim=1)


def render_maps(view: int, size: int) -> Tensor:
    """Render one view's brightness maps.

    Args:
        view: (scale index * 4 + shape index) * 15 + orientation index.
        size: Height and width in pixels.

    Returns:
        float32 (21, size, size) in [0, 1]: floor, wall and object, each for the channel values
        0, 0.2, ..., 1, then the sky's red, green and blue.
    """
    scale, shape, orientation = view // 60, view // 15 % 4, view % 15
    rays = trace(shape, SCALES[scale], ORIENTATIONS[orientation], size * _RAYS_PER_SIDE)
    level = _CHANNEL_LEVELS[:, None, None]
    maps = [
        (rays.floor * level).clamp(max=1),
        (rays.wall * level).clamp(max=1),
        (rays.object * level + rays.highlight).clamp(max=1),
        rays.sky * torch.tensor(SKY)[:, None, None],
    ]
    return functional.avg_pool2d(torch.cat(maps), _RAYS_PER_SIDE)
