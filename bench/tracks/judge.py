"""The judge of the tracks editing and conditional: what does an image show?"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.base import Attributes
from bench.errors import BenchError
from bench.tracks import AttributePredictor


class Judge:
    """An attribute predictor as the judge of a dataset's attributes.

    Args:
        predictor: Scores of attributes in [0, 1].
        attributes: Those of the dataset; the predictor has to know all of them.
        selectable: Whether the dataset has an option ``attributes`` that selects them.

    Raises:
        BenchError: It does not.
    """

    def __init__(
        self, predictor: AttributePredictor, attributes: Attributes, *, selectable: bool = False
    ) -> None:
        unknown = [name for name in attributes.names if name not in predictor.names]
        if unknown:
            select = (
                "select attributes by --set dataset.attributes=[...], or " if selectable else ""
            )
            raise BenchError(
                f"The predictor knows {', '.join(predictor.names)}, but not {', '.join(unknown)}: "
                f"{select}make a predictor of the dataset, with the same --set dataset.KEY=VALUE, "
                "by bench train-predictor and name it with --predictor."
            )
        self._predictor = predictor
        self._columns = [predictor.names.index(name) for name in attributes.names]
        self._classes = attributes.classes

    def scores(self, images: Tensor) -> Tensor:
        """Scores (N, A) in [0, 1] on the CPU, in the order of the dataset's attributes."""
        return self._predictor(images)[:, self._columns].cpu()

    def __call__(self, images: Tensor) -> Tensor:
        """Attributes, bool (N, A) on the CPU, of images: scores above 0.5, or the best class."""
        scores = self.scores(images)
        if self._classes:
            return torch.nn.functional.one_hot(scores.argmax(dim=1), scores.shape[1]).bool()
        return scores > 0.5
