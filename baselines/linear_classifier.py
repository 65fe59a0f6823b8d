"""The linear classifier of attributes on a frozen encoder, the second stage of InfoSCC-GAN.

Kinakh et al., "Information-Theoretic Stochastic Contrastive Conditional GAN: InfoSCC-GAN" (2021;
vkinakh/InfoSCC-GAN, ``classification_trainer.py``). The encoder embeds each image once, as it is;
the layer then learns from features h, neither projected nor normalised: by cross entropy where
labels are classes (AFHQ), else by binary cross entropies (CelebA). The code gives the latter labels
as integers, which torch refuses; they are floats here. It shows the features in the order of the
files, in every epoch (``classifier_order``), and drops an incomplete last batch when it embeds, so
that some images are never seen (``classifier_drop_last``).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Artefact, Batch, ImageSet, Stage, TrainingData
from baselines.infoscc_losses import classification_loss
from baselines.simclr import EncoderConfig, SimCLREncoder, settings_of

# What the presets of a method that begins with these two stages change of their settings.
STAGE_PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "encoder_base": "resnet10",
        "encoder_width": 16,
        "encoder_stem": "strided",
        "projection_width": 64,
        "encoder_iterations": 500,
        "encoder_batch_size": 128,
        "encoder_share": 1.0,
        "encoder_rate": 3e-3,
        "encoder_schedule": "complete",
        "classifier_iterations": 3000,
        "classifier_images": 8192,
        "classifier_order": "random",
        "classifier_drop_last": False,
        "classifier_rate": 0.01,
    },
    "smoke": {
        "encoder_base": "resnet10",
        "encoder_width": 4,
        "encoder_stem": "strided",
        "projection_width": 8,
        "encoder_iterations": 4,
        "encoder_batch_size": 8,
        "encoder_share": 1.0,
        "classifier_iterations": 4,
        "classifier_batch_size": 8,
        "classifier_images": 64,
        "classifier_drop_last": False,
    },
}

_EMBEDDED_AT_ONCE = 256


class ClassifierConfig(EncoderConfig):
    """Settings of the classifier's stage; the defaults are the released ones for AFHQ.

    Those of the encoder are inherited, since what the classifier learns depends on them.

    Attributes:
        classifier_epochs: Training length; 100 for CelebA.
        classifier_iterations: Training length in place of ``classifier_epochs``.
        classifier_batch_size: Images of a step, over all processes.
        classifier_images: How many training images it learns from, evenly spread over all of them;
            None is all. The code takes all of AFHQ's and the first 80 % of CelebA's.
        classifier_order: ``files``, each epoch in the images' order as released, or ``random``,
            each batch drawn with replacement.
        classifier_drop_last: Leave out the images that fill no batch, as released.
        classifier_rate: Learning rate of Adam.
        classifier_weight_decay: Of Adam, added to the gradients.
    """

    classifier_epochs: int = Field(200, ge=1)
    classifier_iterations: int | None = Field(None, ge=1)
    classifier_batch_size: int = Field(256, ge=1)
    classifier_images: int | None = Field(None, ge=1)
    classifier_order: Literal["files", "random"] = "files"
    classifier_drop_last: bool = True
    classifier_rate: float = Field(3e-4, ge=0)
    classifier_weight_decay: float = Field(1e-6, ge=0)


class LinearClassifier(nn.Module):
    """One linear layer on features h; tensors are named as in the released code.

    Args:
        features: D, their width.
        outputs: A, one for each attribute or class.
    """

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.model = nn.Linear(features, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """h (N, D) -> logits (N, A)."""
        logits: Tensor = self.model(features)
        return logits


class ClassifierStage(Stage):
    """Trains the classifier on features that are computed once, when the stage begins.

    They are kept in memory, on the encoder's device: 8 kB an image for a ResNet-50. Each of several
    processes takes the whole batch in the images' order, or its share of one that is drawn.

    Args:
        encoder: Finished; the stage leaves it as it is.
        classifier: What is trained.
        config: How.
        data: Images and attributes.

    Attributes:
        places: int64 (N,), those of the images that it learns from.
        epoch_steps: How many batches an epoch has.

    Raises:
        ValueError: The images fill no batch.
    """

    name = "classifier"

    def __init__(
        self,
        encoder: SimCLREncoder,
        classifier: LinearClassifier,
        config: ClassifierConfig,
        data: TrainingData,
    ) -> None:
        super().__init__()
        self.encoder, self.classifier, self.config, self._data = encoder, classifier, config, data
        size = config.classifier_batch_size
        total = len(data.train)
        count = min(config.classifier_images or total, total)
        kept = count - count % size if config.classifier_drop_last else count
        self.places = torch.arange(count)[:kept] * total // count
        if not kept:
            raise ValueError(
                f"the {count} training images of the classifier fill no batch of {size}: choose "
                f"--set classifier_batch_size={count} or less, or --set classifier_drop_last=false"
            )
        self.epoch_steps = -(-kept // size)
        self.steps = config.classifier_iterations or config.classifier_epochs * self.epoch_steps
        optimizer = torch.optim.Adam(
            classifier.parameters(),
            lr=config.classifier_rate,
            weight_decay=config.classifier_weight_decay,
            fused=True,
        )
        self.optimizers = {"classifier": optimizer}
        self.artefact = Artefact(settings_of(config, ClassifierConfig), classifier)
        self._table: tuple[Tensor, Tensor] | None = None  # features (N, D), attributes (N, A)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        if self._table is None:
            self._table = embedded(self.encoder, self._data.train, self.places)
        features, labels = self._table
        rows = self._rows(batch).to(features.device)
        return self.update(features[rows], labels[rows])

    def update(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """One update by features (N, D) and labels (N, A) in {0, 1}."""
        classes, optimizer = self._data.attributes.classes, self.optimizers["classifier"]
        logits = self.classifier(features)
        loss = classification_loss(logits, labels, classes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            right = correct(logits, labels, classes)
        return {"classification": loss.detach(), "accuracy": right.float().mean()}

    def _rows(self, batch: Batch) -> Tensor:
        size = self.config.classifier_batch_size
        if self.config.classifier_order == "random":
            return batch.draws.integer("rows", batch.share(size), len(self.places))
        start = batch.step % self.epoch_steps * size
        return torch.arange(start, min(start + size, len(self.places)))


def embedded(encoder: SimCLREncoder, images: ImageSet, places: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, D) and attributes (N, A) of images, on the encoder's device.

    Args:
        encoder: It embeds in evaluation mode and is left in the mode that it is in.
        images: Images.
        places: int64 (N,), which of them.
    """
    device = next(encoder.parameters()).device
    training = encoder.training
    encoder.eval()
    features, attributes = [], []
    with torch.no_grad():
        for some_places in places.split(_EMBEDDED_AT_ONCE):
            some, labels = images.batch(some_places)
            features.append(encoder.features(some.to(device)).float())
            attributes.append(labels.to(device))
    encoder.train(training)
    return torch.cat(features), torch.cat(attributes)


def correct(logits: Tensor, labels: Tensor, classes: bool) -> Tensor:
    """Which predictions are right.

    Args:
        logits: (N, A).
        labels: (N, A) in {0, 1}.
        classes: Whether exactly one label is set: the largest logit is then the prediction.
            Otherwise an attribute counts as present above a probability of 0.5.

    Returns:
        bool (N,) for classes, else (N, A).
    """
    if classes:
        return logits.argmax(dim=1) == labels.argmax(dim=1)
    return (logits > 0) == labels.bool()
