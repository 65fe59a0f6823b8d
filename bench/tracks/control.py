"""Do samples show what they were asked for? Attribute control accuracy, by two judges.

InfoSCC-GAN (Kinakh et al., 2021) asks the classifier that its generator was trained against, by
the rule of its released code: the largest output for classes; for attributes a low threshold, and
only those that were switched on. A generator can learn to please that classifier, and the rule does
not notice an attribute that every image has. The honest figures ask a predictor that no method has
seen, at one half, and for attributes also those that were to be absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from baselines.base import Attributes
from bench.tracks.judge import Judge
from bench.tracks.label_requests import LabelRequests
from bench.tracks.sampling import Sampler
from metrics.arrays import FloatArray
from metrics.attribute_control import (
    AttributeRates,
    attribute_control_accuracy,
    class_control_accuracy,
)
from metrics.editing import Bootstrap, EditScore, mean_over_edits

_CERTAIN = 1e-12  # probabilities are kept so far from 0 and 1, whose logits are infinite
_HALF = 0.5

Scores = dict[str, EditScore | None]
Read = Callable[[Tensor], Tensor]


@dataclass
class _Outputs:
    """What one judge says of samples, batch by batch."""

    judge: Read
    batches: list[Tensor] = field(default_factory=list)

    def add(self, images: Tensor) -> None:
        self.batches.append(self.judge(images))

    def by_request(self, attributes: int) -> Tensor:
        """Probabilities (A asked for, samples, A)."""
        return torch.cat(self.batches).unflatten(0, (attributes, -1))


@dataclass(frozen=True)
class ControlTest:
    """Asks for each attribute equally often, and reads what comes.

    Attributes:
        sampler: The method.
        requests: Gives labels.
        judge: The predictor as a judge of the dataset.
        samples: For each attribute, and each direction.
        threshold: Of the method's own classifier, for attributes.
        bootstrap: How intervals are made.
        report: Told how many samples are judged, and of how many.
    """

    sampler: Sampler
    requests: LabelRequests
    judge: Judge
    samples: int
    threshold: float
    bootstrap: Bootstrap
    report: Callable[[int, int], None]

    @property
    def attributes(self) -> Attributes:
        return self.requests.attributes

    def scores(self) -> Scores:
        """All accuracies by name; None where one does not apply to the method.

        ``control_accuracy`` is the predictor's, ``own_control_accuracy`` the method's own, and
        ``control_accuracy_absent`` the predictor's of attributes that were to be absent (not for
        classes). Those of single attributes follow as ``...:NAME``.
        """
        names = ["control_accuracy", "own_control_accuracy"]
        names += [] if self.attributes.classes else ["control_accuracy_absent"]
        scores: Scores = dict.fromkeys(names)
        if not self.sampler.method.conditioned:
            return scores
        own = _Outputs(self.sampler.classify) if self.sampler.classifies else None
        judged = _Outputs(self._predicted)
        self._read(self.requests.present, "control", judged, own)
        found = {"control_accuracy": self._rates(judged, _HALF)}
        if own is not None:
            found["own_control_accuracy"] = self._rates(own, self.threshold)
        if not self.attributes.classes:
            missing = _Outputs(lambda images: 1.0 - self._predicted(images))
            self._read(self.requests.absent, "control of absence", missing)
            found["control_accuracy_absent"] = self._rates(missing, _HALF)
        scores |= {name: self._score(rates.each.ravel()) for name, rates in found.items()}
        for name, rates in found.items():
            each = rates.each.reshape(len(self.attributes.names), -1)
            scores |= {
                f"{name}:{attribute}": self._score(hits)
                for attribute, hits in zip(self.attributes.names, each, strict=True)
            }
        return scores

    def _read(
        self, ask: Callable[[int, int], Tensor], purpose: str, *judges: _Outputs | None
    ) -> None:
        count = len(self.attributes.names)
        labels = torch.cat([ask(column, self.samples) for column in range(count)])
        done = 0
        for images in self.sampler.samples(labels, purpose):
            for judge in judges:
                if judge is not None:
                    judge.add(images)
            done += len(images)
            self.report(done, len(labels))

    def _predicted(self, images: Tensor) -> Tensor:
        return self.judge.scores(images).double()

    def _rates(self, outputs: _Outputs, threshold: float) -> AttributeRates:
        probabilities = outputs.by_request(len(self.attributes.names))
        if self.attributes.classes:
            return class_control_accuracy(probabilities)
        return attribute_control_accuracy(torch.logit(probabilities, _CERTAIN), threshold)

    def _score(self, hits: FloatArray) -> EditScore:
        return mean_over_edits(hits, np.arange(len(hits)), self.bootstrap)


def recognised(
    images: Iterable[tuple[Tensor, Tensor]], judge: Judge, attributes: Attributes
) -> dict[str, dict[str, float]]:
    """How often the judge finds in real images what they have; samples may be plainer.

    Args:
        images: Batches of images and their attributes (N, A).
        judge: The predictor as a judge.
        attributes: Names.

    Returns:
        The shares under the names of the scores that are compared with them, by attribute.
    """
    pairs = [(judge(batch), labels.cpu() > 0.5) for batch, labels in images]
    found, true = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    shares = {"control_accuracy": _shares(found, true, attributes)}
    if not attributes.classes:
        shares["control_accuracy_absent"] = _shares(~found, ~true, attributes)
    return shares


def _shares(found: Tensor, true: Tensor, attributes: Attributes) -> dict[str, float]:
    columns = zip(attributes.names, found.T, true.T, strict=True)
    return {
        name: float(hits[asked].double().mean()) for name, hits, asked in columns if asked.any()
    }
