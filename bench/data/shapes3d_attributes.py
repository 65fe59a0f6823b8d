"""3D Shapes with binary attributes, like those of faces, and exact counterfactuals.

Five attributes are read off the six factors of ``bench.data.shapes3d``; what they leave open is the
identity of a scene:

* ``Red_Object``, ``Green_Object``, ``Blue_Object``: the object's hue is one of three neighbours, a
  tenth of the circle apart (index 9, 0, 1; 2, 3, 4; 5, 6, 7; from pink to orange, from yellow-green
  to sea green, from cyan to violet blue). At most one is set; for purple (8) none is.
* ``Large_Object``: the scale's index is 4 to 7, not 0 to 3.
* ``Round_Object``: a sphere or a capsule, not a cube or a cylinder.

An edit of colour keeps the place among the three neighbours, one of scale the index modulo 4; of
shape, cubes become spheres and cylinders capsules. So each edit undoes its reverse, but for hues that
lose their colour: all become purple, which takes the middle one of the three when it gets a colour.
Identity is the floor, the wall, the orientation and what edits keep of hue, scale and shape: 36,000
identities of 12 images, or of 16 where purple is one's hue.
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
from bench.data.shapes3d import FACTORS, Shapes3D

COLOURS = ("Red_Object", "Green_Object", "Blue_Object")
_RULES = "1"  # part of the fingerprint; to be raised by whoever changes what attributes mean

_FLOOR, _WALL, _HUE, _SCALE, _SHAPE, _ORIENTATION = range(len(FACTORS))
_NO_COLOUR = 3  # the colour of purple
_PURPLE = 8
_MIDDLE = 1  # of the three neighbouring hues of a colour
_IDENTITIES = 10 * 10 * 3 * 4 * 2 * 15


class Shapes3DAttributes(Dataset):
    """The 480,000 scenes of 3D Shapes with five binary attributes, rendered when asked for.

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
        return len(self._scenes)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._scenes.batch(self._checked(indices))[0], self.labels(indices)

    def labels(self, indices: Tensor) -> Tensor:
        factors = self._scenes.factors(self._checked(indices))
        colour = _colour(factors[:, _HUE])
        columns = [colour == number for number in range(len(COLOURS))]
        columns += [factors[:, _SCALE] >= 4, factors[:, _SHAPE] >= 2]
        return torch.stack(columns, dim=1).float()

    def identities(self, indices: Tensor) -> Tensor:
        factors = self._scenes.factors(self._checked(indices))
        identity = factors[:, _FLOOR] * 10 + factors[:, _WALL]
        identity = identity * 3 + _neighbour(factors[:, _HUE])
        identity = identity * 4 + factors[:, _SCALE] % 4
        identity = identity * 2 + factors[:, _SHAPE] % 2
        return identity * 15 + factors[:, _ORIENTATION]

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
        return self._scenes.batch(self.edited(indices, target))[0]

    def edited(self, indices: Tensor, target: Tensor) -> Tensor:
        """The indices, int64 (N,), of the counterfactuals; see there."""
        wanted = target.cpu() > 0.5
        colours = wanted[:, : len(COLOURS)]
        if (colours.sum(1) > 1).any():
            raise ValueError(f"At most one of {', '.join(COLOURS)} can be set in a target.")
        factors = self._scenes.factors(self._checked(indices))
        colour = torch.where(colours.any(1), colours.long().argmax(1), _NO_COLOUR)
        hue = (3 * colour + _neighbour(factors[:, _HUE]) - 1) % 10
        factors[:, _HUE] = torch.where(colour == _NO_COLOUR, _PURPLE, hue)
        factors[:, _SCALE] = factors[:, _SCALE] % 4 + 4 * wanted[:, 3]
        factors[:, _SHAPE] = factors[:, _SHAPE] % 2 + 2 * wanted[:, 4]
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


def _colour(hue: Tensor) -> Tensor:
    """0, 1, 2 for red, green and blue hues, 3 for purple."""
    return (hue + 1) % 10 // 3


def _neighbour(hue: Tensor) -> Tensor:
    """The place of a hue among the three of its colour; purple counts as the middle one."""
    return torch.where(hue == _PURPLE, _MIDDLE, (hue + 1) % 10 % 3)
