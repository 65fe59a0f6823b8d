"""3D Shapes with binary attributes, like those of faces, and exact counterfactuals.

Five attributes are read off the six factors of ``bench.data.shapes3d``; what they leave open is the
identity of a scene:

* ``Red_Object``, ``Green_Object``, ``Blue_Object``: the object's hue is one of two neighbours, a
  tenth of the circle apart: pink or red (index 9, 0), green or sea green (3, 4), azure or violet
  blue (6, 7). At most one is set; none is for orange and yellow (1, 2). Scenes with objects of the
  other two hues, cyan and purple, are left out.
* ``Large_Object``: the scale's index is 4 to 7, not 0 to 3.
* ``Round_Object``: a sphere or a capsule, not a cube or a cylinder.

An edit of colour keeps the place in the pair of hues, one of scale the index modulo 4; cubes become
spheres and cylinders capsules. So edits are bijections: each undoes its reverse, and the 16 images
of an identity show every allowed vector of attributes once. There are 24,000 identities: the floor,
the wall, the orientation and what edits keep of hue, scale and shape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from baselines.base import Attributes
from baselines.randomness import derive_seed, uniforms
from bench.data.base import TEST_SHARE, Dataset, Split
from bench.data.shapes3d import Shapes3D

COLOURS = ("Red_Object", "Green_Object", "Blue_Object")
_HUES = torch.tensor([9, 0, 3, 4, 6, 7, 1, 2])  # two of each colour, then those of none
_NO_COLOUR = len(COLOURS)
_RULES = "1"  # part of the fingerprint; to be raised by whoever changes what attributes mean

# A scene's index counts floor, wall, place in _HUES, scale, shape and orientation.
_SIZES = torch.tensor([10, 10, len(_HUES), 8, 4, 15])
_BASES = torch.tensor([38400, 3840, 480, 60, 15, 1])
_FLOOR, _WALL, _HUE, _SCALE, _SHAPE, _ORIENTATION = range(6)
_SCENES = 384_000
_IDENTITIES = _SCENES // 16


class Shapes3DAttributes(Dataset):
    """384,000 scenes of 3D Shapes with five binary attributes, rendered when asked for.

    Args:
        size: Height and width of the images in pixels.

    Raises:
        ValueError: ``size`` is below 1.
    """

    name = "shapes3d-attributes"
    attributes = Attributes((*COLOURS, "Large_Object", "Round_Object"), (COLOURS,))
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"size": 32},
        "small": {"size": 32},
    }

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self._scenes = Shapes3D(size)

    def __len__(self) -> int:
        return _SCENES

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._scenes.batch(self.scenes(indices))[0], self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        places = self._places(indices)
        colour = places[:, _HUE] // 2
        columns = [colour == number for number in range(len(COLOURS))]
        columns += [places[:, _SCALE] >= 4, places[:, _SHAPE] >= 2]
        return torch.stack(columns, dim=1).float()

    def identities(self, indices: Tensor) -> Tensor:
        places = self._places(indices)
        identity = places[:, _FLOOR] * 10 + places[:, _WALL]
        identity = identity * 2 + places[:, _HUE] % 2
        identity = identity * 4 + places[:, _SCALE] % 4
        identity = identity * 2 + places[:, _SHAPE] % 2
        return identity * 15 + places[:, _ORIENTATION]

    def counterfactuals(self, indices: Tensor, target: Tensor) -> Tensor:
        """The scenes of the same identities with other attributes.

        Args:
            indices: int64 (N,).
            target: (N, 5) of 0 and 1.

        Returns:
            float32 (N, 3, H, W) in [-1, 1].

        Raises:
            ValueError: A target has several colours.
        """
        return self._scenes.batch(self.scenes(self.edited(indices, target)))[0]

    def edited(self, indices: Tensor, target: Tensor) -> Tensor:
        """The indices, int64 (N,), of the counterfactuals; see there."""
        wanted = target.cpu() > 0.5
        colours = wanted[:, : len(COLOURS)]
        if (colours.sum(1) > 1).any():
            raise ValueError(f"At most one of {', '.join(COLOURS)} can be set in a target.")
        places = self._places(indices)
        colour = torch.where(colours.any(1), colours.long().argmax(1), _NO_COLOUR)
        places[:, _HUE] = places[:, _HUE] % 2 + 2 * colour
        places[:, _SCALE] = places[:, _SCALE] % 4 + 4 * wanted[:, 3]
        places[:, _SHAPE] = places[:, _SHAPE] % 2 + 2 * wanted[:, 4]
        return (places * _BASES).sum(1)

    def scenes(self, indices: Tensor) -> Tensor:
        """The indices of the same scenes in ``bench.data.shapes3d``, int64 (N,)."""
        factors = self._places(indices)
        factors[:, _HUE] = _HUES[factors[:, _HUE]]
        return self._scenes.index(factors)

    def split(self, name: Split) -> Tensor:
        """The indices of the training or of the test part, ascending; no identity is in both."""
        if name not in ("train", "test"):
            raise ValueError(f"A split is 'train' or 'test', not {name!r}.")
        order = uniforms(derive_seed(0, "dataset split"), 0, _IDENTITIES)[:, 0].argsort(stable=True)
        tested = torch.zeros(_IDENTITIES, dtype=torch.bool)
        tested[order[: round(_IDENTITIES * TEST_SHARE)]] = True
        chosen = tested[self.identities(torch.arange(len(self)))]
        return (chosen if name == "test" else ~chosen).nonzero()[:, 0]

    def fingerprint(self) -> str:
        settings = f"{self.name} {_RULES} {self._scenes.fingerprint()}"
        return hashlib.sha256(settings.encode()).hexdigest()

    def _places(self, indices: Tensor) -> Tensor:
        """Factors by ``_SIZES``, int64 (N, 6)."""
        return self._checked(indices)[:, None] // _BASES % _SIZES
