"""SimCLR: an encoder trained by contrast, the first stage of InfoSCC-GAN.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020), as
the code of InfoSCC-GAN has it (Kinakh et al. 2021; vkinakh/InfoSCC-GAN, ``simclr_trainer.py``).
Where the code has slips of its own, the defaults follow it: its learning rate would fall along a
cosine whose half period counts the batches of an epoch, but moves one step an epoch, so that it
hardly falls (``encoder_schedule``); and it trains on the first 80 % of the images in the order of
their files (``encoder_share``), which for AFHQ leaves out animals of the last folder only. It
counts AFHQ's validation images too: of the training images alone, as many are 88.2 %. What is not
copied: the code cannot embed a single image, and two encoders of one process share weights. No
published weights of the residual network are used, there or here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Artefact, Batch, ImageSet, MethodConfig, Stage
from baselines.nets.resnet import BaseModel, Stem, feature_width, residual_network
from baselines.simclr_views import view

Similarity = Literal["cosine", "dot"]

_CONSTANT_EPOCHS = 9  # before the released schedule begins to fall
_SMALLEST_NORM = 1e-8  # of torch's cosine similarity
_LOOKED_AT = 16  # images, to see whether the encoder has collapsed
_SAME = 1e-6  # deviation of projections, as a share of their length, that counts as none


class EncoderConfig(MethodConfig):
    """Settings of the contrastive stage; the defaults are the released ones for AFHQ.

    Attributes:
        encoder_base: Residual network: ``resnet50``, ``resnet18``, or ``resnet10`` for short runs.
        encoder_width: Channels of its first layer.
        encoder_stem: Its beginning: ``imagenet`` as released, ``strided`` or ``dense`` for small
            images (see ``baselines.nets.resnet``).
        projection_width: Numbers of the projections that are contrasted.
        encoder_epochs: Training length.
        encoder_iterations: Training length in place of ``encoder_epochs``.
        encoder_batch_size: Images of a step, over all processes; each is contrasted with those of
            its own process.
        encoder_share: Share of the training images that the encoder sees, the first in their order.
        encoder_rate: Learning rate of Adam.
        encoder_weight_decay: Of Adam, added to the gradients.
        encoder_schedule: ``released`` (see above), or ``complete``, a cosine that ends at zero.
        temperature: That similarities are divided by.
    """

    encoder_base: BaseModel = "resnet50"
    encoder_width: int = Field(64, ge=1)
    encoder_stem: Stem = "imagenet"
    projection_width: int = Field(128, ge=1)
    encoder_epochs: int = Field(200, ge=1)
    encoder_iterations: int | None = Field(None, ge=1)
    encoder_batch_size: int = Field(32, ge=2)
    encoder_share: float = Field(0.8, gt=0, le=1)
    encoder_rate: float = Field(3e-4, ge=0)
    encoder_weight_decay: float = Field(1e-4, ge=0)
    encoder_schedule: Literal["released", "complete"] = "released"
    temperature: float = Field(0.5, gt=0)

    def make_encoder(self, channels: int) -> SimCLREncoder:
        """The encoder for images of so many channels."""
        return SimCLREncoder(
            channels,
            self.encoder_base,
            self.projection_width,
            self.encoder_width,
            self.encoder_stem,
        )

    def encoder_rate_factor(self, step: int, epoch_steps: int, steps: int) -> float:
        """What the learning rate is multiplied by in a step.

        Args:
            step: Its number, from 0.
            epoch_steps: Steps of an epoch.
            steps: Of the whole stage.
        """
        if self.encoder_schedule == "complete":
            return (1 + math.cos(math.pi * step / steps)) / 2
        fallen = max(step // epoch_steps - _CONSTANT_EPOCHS, 0)
        return (1 + math.cos(math.pi * fallen / epoch_steps)) / 2


class SimCLREncoder(nn.Module):
    """A residual network and a projection head; tensors are named as in the released code.

    Args:
        channels: Of the images.
        base_model: See ``baselines.nets.resnet``.
        out_dim: Width of the projections z.
        width: Channels of the residual network's first layer.
        stem: See ``baselines.nets.resnet``.

    Attributes:
        feature_width: D, the width of the features h.
    """

    def __init__(
        self,
        channels: int,
        base_model: BaseModel = "resnet50",
        out_dim: int = 128,
        width: int = 64,
        stem: Stem = "imagenet",
    ) -> None:
        super().__init__()
        self.feature_width = feature_width(base_model, width)
        self._features = residual_network(base_model, channels, width, stem)
        self._l1 = nn.Linear(self.feature_width, self.feature_width)
        self._l2 = nn.Linear(self.feature_width, out_dim)

    def features(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> h (N, D), for one image as for many."""
        features: Tensor = self._features(images).flatten(1)
        return features

    def project(self, features: Tensor) -> Tensor:
        """h (N, D) -> z (N, out_dim), of no particular length."""
        projections: Tensor = self._l2(F.relu(self._l1(features)))
        return projections

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) -> h (N, D) and z (N, out_dim)."""
        features = self.features(images)
        return features, self.project(features)


class ContrastiveStage(Stage):
    """Brings the projections of two views of an image together, apart from those of other images.

    Args:
        encoder: What is trained.
        config: How.
        train: The training images.

    Attributes:
        epoch_steps: How many batches an epoch has.

    Raises:
        ValueError: The images fill no batch.
    """

    name = "encoder"

    def __init__(self, encoder: SimCLREncoder, config: EncoderConfig, train: ImageSet) -> None:
        super().__init__()
        self.encoder, self.config, self._train = encoder, config, train
        self.batch_size = config.encoder_batch_size
        self.images = int(config.encoder_share * len(train))
        self.epoch_steps = self.images // self.batch_size  # an incomplete batch is left out
        if not self.epoch_steps:
            raise ValueError(
                f"the {self.images} training images of the encoder fill no batch of "
                f"{self.batch_size}: choose --set encoder_batch_size={max(self.images, 2)} or "
                "less, or read more images (--limit)"
            )
        self.steps = config.encoder_iterations or config.encoder_epochs * self.epoch_steps
        optimizer = torch.optim.Adam(
            encoder.parameters(),
            lr=config.encoder_rate,
            weight_decay=config.encoder_weight_decay,
            fused=True,
        )
        self.optimizers = {"encoder": optimizer}
        self.artefact = Artefact(settings_of(config, EncoderConfig), encoder)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        views = [view(batch.images, batch.draws, name) for name in ("first", "second")]
        return self.update(batch.step, *views)

    def update(self, step: int, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """One update by two views of the same images, (N, C, H, W) each."""
        config, optimizer = self.config, self.optimizers["encoder"]
        factor = config.encoder_rate_factor(step, self.epoch_steps, self.steps)
        for group in optimizer.param_groups:
            group["lr"] = config.encoder_rate * factor
        # One after the other, as released: batch norms see the statistics of one view at a time.
        one, other = (F.normalize(self.encoder(seen)[1], dim=1) for seen in (first, second))
        loss = nt_xent(one, other, config.temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return {"contrast": loss.detach()}

    def collapsed(self) -> str | None:
        """Whether different images have the same projection, which leaves nothing to contrast."""
        images, _ = self._train.batch(torch.arange(min(_LOOKED_AT, len(self._train))))
        device, training = next(self.encoder.parameters()).device, self.encoder.training
        self.encoder.eval()
        with torch.no_grad():
            projections = self.encoder(images.to(device))[1]
        self.encoder.train(training)
        spread = projections.std(dim=0, correction=0).norm().item()
        same_images = bool((images == images[:1]).all())
        if same_images or spread > _SAME * projections.norm(dim=1).mean().item():
            return None
        return f"the encoder projects different images to the same point (spread {spread:.1e})"


def nt_xent(
    first: Tensor, second: Tensor, temperature: float = 0.5, similarity: Similarity = "cosine"
) -> Tensor:
    """The normalised temperature-scaled cross entropy (SimCLR, equation 1).

    For each of the 2N projections, the cross entropy of finding the other view of its image among
    all other projections; their mean.

    Args:
        first: (N, D), projections of one view of each image.
        second: (N, D), of another.
        temperature: That similarities are divided by.
        similarity: ``cosine``, or ``dot``, the product of projections as they are.

    Returns:
        Scalar.
    """
    projections = torch.cat([first, second])
    if similarity == "cosine":
        projections = F.normalize(projections, dim=1, eps=_SMALLEST_NORM)
    logits = projections @ projections.t() / temperature  # (2N, 2N)
    logits = logits.masked_fill(
        torch.eye(len(logits), dtype=torch.bool, device=logits.device), -math.inf
    )
    partners = torch.arange(len(logits), device=logits.device).roll(len(first))
    return F.cross_entropy(logits, partners)


def settings_of(config: MethodConfig, kind: type[MethodConfig]) -> Mapping[str, Any]:
    """The settings of one kind among those of a method, as JSON values."""
    return config.model_dump(mode="json", include=set(kind.model_fields))
