from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.base import Attributes, Batch, TrainingData
from baselines.linear_classifier import (
    ClassifierConfig,
    ClassifierStage,
    LinearClassifier,
    correct,
    embedded,
)
from baselines.randomness import Draws, uniforms
from bench import verify

GOLDEN = Path(__file__).parents[1] / "data" / "conditional"
TINY: dict[str, Any] = {
    "encoder_base": "resnet10",
    "encoder_width": 8,
    "encoder_stem": "strided",
    "classifier_batch_size": 32,
    "classifier_rate": 3e-2,
    "classifier_iterations": 120,
}
NAMES = ("left", "middle", "right")


class Bars:
    """Bright bars at three places; as labels that are no classes, a bar at each place or none."""

    def __init__(self, classes: bool) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 250

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        labels = (uniforms(3, 0, len(self), 3)[indices] < 0.5).float()
        if self.classes:
            labels = F.one_hot(indices % 3, 3).float()
        images = torch.full((len(indices), 1, 16, 16), -0.8)
        for place in range(3):
            images[:, :, 1 + 5 * place : 5 + 5 * place, 3 * place :: 3] += labels[
                :, place, None, None, None
            ]
        return images, labels


def make(classes: bool = True, **changes: Any) -> ClassifierStage:
    torch.manual_seed(2)
    config = ClassifierConfig(**{**TINY, **changes})
    data = TrainingData(Bars(classes), Attributes(NAMES, (), classes), 16, 1)
    encoder = config.make_encoder(1)
    return ClassifierStage(encoder, LinearClassifier(encoder.feature_width, 3), config, data)


def take(stage: ClassifierStage, steps: range) -> list[dict[str, Tensor]]:
    return [stage.step(Batch(step, Draws(7, step, 0, 1))) for step in steps]


def test_golden_case_passes() -> None:
    verify.load_case_modules()
    outcome = verify.run_case(verify.Case(GOLDEN / "infoscc_linear_classifier"))
    assert (outcome.status, outcome.message) == ("passed", "")


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("order", ["files", "random"])
def test_training_learns_the_labels(classes: bool, order: str) -> None:
    stage = make(classes, classifier_order=order)
    reports = take(stage, range(stage.steps))
    assert reports[0]["accuracy"] < 0.8
    assert torch.stack([report["accuracy"] for report in reports[-8:]]).mean() > 0.95
    assert reports[-1]["classification"] < 0.7 * reports[0]["classification"]


def test_the_encoder_is_left_as_it_is() -> None:
    stage = make()
    stage.encoder.train()
    before = {name: value.clone() for name, value in stage.encoder.state_dict().items()}
    take(stage, range(3))
    assert stage.encoder.training
    for name, value in stage.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_features_do_not_depend_on_their_batch() -> None:
    stage = make()
    together, labels = embedded(stage.encoder, Bars(True), torch.arange(10))
    alone, label = embedded(stage.encoder, Bars(True), torch.tensor([4]))
    torch.testing.assert_close(alone, together[4:5])
    assert torch.equal(label, labels[4:5])


def test_a_stage_continues_with_the_same_bits() -> None:
    whole, before, after = make(), make(), make()
    take(whole, range(6))
    take(before, range(3))
    after.classifier.load_state_dict(before.classifier.state_dict())
    after.optimizers["classifier"].load_state_dict(before.optimizers["classifier"].state_dict())
    take(after, range(3, 6))
    assert torch.equal(whole.classifier.model.weight, after.classifier.model.weight)


def test_settings_say_which_images_are_seen() -> None:
    released = make(classifier_iterations=None, classifier_epochs=2)
    assert (len(released.places), released.steps) == (224, 14)  # 26 of 250 fill no batch
    seen = [released._rows(Batch(step, Draws(7, step, 0, 1))) for step in range(8)]
    assert torch.equal(torch.cat(seen[:7]), torch.arange(224))
    assert torch.equal(seen[7], seen[0])
    whole = make(classifier_drop_last=False, classifier_iterations=None, classifier_epochs=1)
    assert (len(whole.places), whole.steps) == (250, 8)
    assert len(whole._rows(Batch(7, Draws(7, 7, 0, 1)))) == 26
    few = make(classifier_images=100, classifier_drop_last=False)
    assert few.places[:3].tolist() == [0, 2, 5]
    assert few.places[-1] == 247


def test_the_artefact_depends_on_the_encoders_settings_too() -> None:
    stage = make()
    assert stage.artefact is not None
    assert stage.artefact.module is stage.classifier
    assert stage.artefact.settings["encoder_width"] == 8
    assert stage.artefact.settings["classifier_rate"] == 3e-2


def test_attributes_are_judged_one_by_one_and_classes_by_the_largest() -> None:
    logits = torch.tensor([[0.0, 0.0], [-1.0, 2.0]])
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert correct(logits, labels, classes=False).tolist() == [[False, True], [False, False]]
    assert correct(logits, labels, classes=True).tolist() == [True, False]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"250 training images.*classifier_batch_size=250"):
        make(classifier_batch_size=256)
    with pytest.raises(ValueError, match=r"20 training images"):
        make(classifier_images=20)
    assert len(make(classifier_batch_size=256, classifier_drop_last=False).places) == 250
