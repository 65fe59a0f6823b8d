"""Measurements of aligned faces by formula: a predictor for generators whose images have no labels.

Means, differences and deviations of the light in fixed regions of a 64 px face, as DigiFace's DCGAN
makes them. They are measurements of regions, not semantic attributes that people have judged:
``eye_darkness`` may be sunglasses, a shadow or hair, ``asymmetry`` a turned head or a hand,
``mouth_contrast`` teeth, a beard or a mask. Nor are they independent: over the generator's faces,
``contrast`` correlates with ``asymmetry`` by 0.71 and with ``background_light`` by 0.46.
Scores built on them say how differently directions change the parts of a picture, and not what
people would see in these changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from bench.extractors.base import as_rgb, resize
from bench.predictors import PredictorNetwork

SIZE = 64
VERSION = 1  # of the formulas; to be raised with any change of their values

# Standard deviations over 2,000 faces of DigiFace's DCGAN, by this command:
#   python -c 'import torch; from bench.data.digiface import DigiFace
#   from bench.face_measures import measured
#   faces, _ = DigiFace(2000).batch(torch.arange(2000))
#   print({name: round(value.std().item(), 4) for name, value in measured(faces).items()})'
DEVIATIONS: Mapping[str, float] = {
    "background_light": 0.3793,
    "hair_light": 0.3593,
    "skin_light": 0.2828,
    "skin_warmth": 0.1882,
    "side_light": 0.2565,
    "asymmetry": 0.0958,
    "eye_darkness": 0.1161,
    "mouth_contrast": 0.0973,
    "contrast": 0.1087,
}


class FaceMeasures(PredictorNetwork):
    """Scores of faces: what ``measured`` finds, in units of its deviation between faces.

    Nothing is trained; scores have no bounds. ``sha256`` stands for the formulas' version and the
    deviations.
    """

    deviations: Tensor

    def __init__(self) -> None:
        super().__init__(tuple(DEVIATIONS), (), sha256=face_measures_sha256())
        self.register_buffer("deviations", torch.tensor(list(DEVIATIONS.values())))

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1], an upright face that fills them; what lies beyond
                is clipped, and other sizes than 64 pixels are resized.

        Returns:
            float32 (N, A).
        """
        faces = resize(as_rgb(images).float().clamp(-1.0, 1.0), SIZE)
        return torch.stack(list(measured(faces).values()), dim=1) / self.deviations


def measured(faces: Tensor) -> dict[str, Tensor]:
    """What the regions of faces (N, 3, 64, 64) in [-1, 1] look like: (N,) by name.

    Light is the mean of the three colours. ``side_light`` is how much brighter the picture's left
    is, and ``asymmetry`` how much its sides differ besides.
    """
    light = faces.mean(dim=1)  # (N, 64, 64)
    skin, eyes, mouth = light[:, 34:48, 20:44], light[:, 24:33, 15:50], light[:, 48:60, 20:44]
    left, right = light[:, 12:60, 10:32], light[:, 12:60, 32:54]
    across = left - right.flip(2)
    side = across.mean(dim=(1, 2))
    corners = torch.cat([light[:, :12, :10], light[:, :12, 54:]], dim=2)
    return {
        "background_light": corners.mean(dim=(1, 2)),
        "hair_light": light[:, :8, 22:42].mean(dim=(1, 2)),
        "skin_light": skin.mean(dim=(1, 2)),
        "skin_warmth": (faces[:, 0] - faces[:, 2])[:, 34:48, 20:44].mean(dim=(1, 2)),
        "side_light": side,
        "asymmetry": (across - side[:, None, None]).abs().mean(dim=(1, 2)),
        "eye_darkness": skin.mean(dim=(1, 2)) - eyes.mean(dim=(1, 2)),
        "mouth_contrast": mouth.flatten(1).std(dim=1),
        "contrast": light.flatten(1).std(dim=1),
    }


def load_face_measures(device: str = "cpu") -> FaceMeasures:
    """The measures, frozen."""
    return FaceMeasures().requires_grad_(False).eval().to(device)


def face_measures_sha256() -> str:
    """Stands for what decides the scores of ``load_face_measures``."""
    return hashlib.sha256(repr((VERSION, SIZE, sorted(DEVIATIONS.items()))).encode()).hexdigest()
