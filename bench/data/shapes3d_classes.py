"""3D Shapes with labels to generate images by: the shape alone, or the shape and the three hues.

``shapes3d-shape`` has the four shapes as classes. ``shapes3d-labels`` has 34 labels in four
exclusive groups, and every image has exactly one of each: its shape, and the hues of floor, wall
and object, ten each (``Floor_Azure`` is the floor of hue 0.6). What the labels leave open, scale
and orientation, and the hues where the shape alone is given, a generator has to vary by itself.

The images are those of ``bench.data.shapes3d`` at the same size: every pixel is the mean of 16 rays
at any size, so that small pictures are antialiased without being resized.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import Attributes
from bench.data.base import Dataset
from bench.data.shapes3d import FACTOR_SIZES, FACTORS, Shapes3D

SHAPES = ("Cube", "Cylinder", "Sphere", "Capsule")
HUES = (
    "Red",
    "Orange",
    "Yellow",
    "Green",
    "Sea_Green",
    "Cyan",
    "Azure",
    "Violet_Blue",
    "Purple",
    "Pink",
)
# The labels of a factor's values, in their order, by the factor.
LABELS: Mapping[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "floor_hue": tuple(f"Floor_{hue}" for hue in HUES),
    "wall_hue": tuple(f"Wall_{hue}" for hue in HUES),
    "object_hue": tuple(f"Object_{hue}" for hue in HUES),
}


class _LabelledShapes(Dataset):
    """The scenes of 3D Shapes with the values of some factors as one-hot labels.

    Args:
        size: Height and width of the images in pixels.

    Raises:
        ValueError: ``size`` is below 1.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 32},
        "small": {"size": 32},
    }
    labelled: ClassVar[tuple[str, ...]]

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self._scenes = Shapes3D(size)
        groups = tuple(LABELS[factor] for factor in self.labelled)
        self.attributes = Attributes(tuple(chain(*groups)), groups, classes=len(groups) == 1)

    def __len__(self) -> int:
        return len(self._scenes)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._scenes.batch(indices)[0], self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        factors = self._scenes.factors(self._checked(indices))
        columns = [FACTORS.index(factor) for factor in self.labelled]
        groups = [functional.one_hot(factors[:, c], FACTOR_SIZES[c]) for c in columns]
        return torch.cat(groups, dim=1).float()

    def fingerprint(self) -> str:
        settings = f"{self.name} {self.attributes.names} {self._scenes.fingerprint()}"
        return hashlib.sha256(settings.encode()).hexdigest()


class Shapes3DShape(_LabelledShapes):
    """480,000 scenes of 3D Shapes in four classes, their shapes; see ``_LabelledShapes``."""

    name = "shapes3d-shape"
    labelled = ("shape",)


class Shapes3DLabels(_LabelledShapes):
    """480,000 scenes of 3D Shapes with shape and hues as 34 labels; see ``_LabelledShapes``."""

    name = "shapes3d-labels"
    labelled = ("shape", "floor_hue", "wall_hue", "object_hue")
