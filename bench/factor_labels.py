"""Predictors of labels that stand for the values of factors, made of a predictor of the factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.data.shapes3d_classes import LABELS
from bench.predictors import Predictor, PredictorNetwork, load_predictor, predictor_path

_SHAPES3D = "shapes3d"


class FactorLabels(PredictorNetwork):
    """Reads labels, one for each value of a factor, off a predictor's scores of factors.

    A score s in [0, 1] of a factor with L values gives the label of value k the score
    max(0, 1 - |(L - 1) s - k|): 1 where the factor is at k, 0.5 half-way to a neighbour. So the
    nearest value has the largest score of its factor, and no other one is above 0.5.

    A value between two others is seen where the predictor cannot decide between these, for the
    scores of factors are numbers and know no "either or".

    Args:
        factors: The predictor of the factors, frozen; it resizes images to 64 pixels.
        labels: The names of the labels of a factor's values, in their order, by the factor.
    """

    def __init__(self, factors: Predictor, labels: Mapping[str, Sequence[str]]) -> None:
        names = [name for group in labels.values() for name in group]
        super().__init__(names, (2,) * len(names), factors.report, factors.sha256)
        self.factors = factors
        self._columns = [factors.names.index(factor) for factor in labels]
        self._values = [len(group) for group in labels.values()]

    def forward(self, images: Tensor) -> Tensor:
        """Score images.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1]; what lies beyond is clipped.

        Returns:
            float32 (N, A) in [0, 1].
        """
        scores = self.factors(images)
        at = scores.device
        groups = [
            1 - (scores[:, column, None] * (values - 1) - torch.arange(values, device=at)).abs()
            for column, values in zip(self._columns, self._values, strict=True)
        ]
        return torch.cat(groups, dim=1).clamp_min(0)


def load_shapes3d_labels(device: str = "cpu") -> FactorLabels:
    """Shape and hues of 3D Shapes, read off the shipped predictor of the six factors."""
    factors = load_predictor(_SHAPES3D, device)
    assert isinstance(factors, Predictor)
    return FactorLabels(factors, LABELS).requires_grad_(False).eval().to(device)


def shapes3d_labels_path(_name: str) -> Path:
    """The file of weights behind ``load_shapes3d_labels``, by the predictor's name."""
    return predictor_path(_SHAPES3D)
