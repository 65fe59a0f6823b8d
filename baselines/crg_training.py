"""How CRG's encoder learns: its stage, its two losses, and what images and rates go through.

See ``baselines.crg`` for the paper and for what differs from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Batch, Stage, TrainingData
from baselines.collapse import same_reconstruction
from baselines.crg_config import CRGConfig
from baselines.randomness import Draws, derive_seed, mirrored, normals

if TYPE_CHECKING:
    from baselines.crg import CRG

_VALIDATED_AT_ONCE = 128


class EncoderStage(Stage):
    """Two updates of the encoder in each iteration, or the first of them only.

    Args:
        method: The method.
        data: Its training images are reconstructed.
        iterations: The ones of this stage.
        cyclic: Whether there is a second update.
    """

    def __init__(self, method: CRG, data: TrainingData, iterations: range, cyclic: bool) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.iterations, self.steps = iterations, len(iterations)
        self.cyclic, self.name = cyclic, "cyclic" if cyclic else "latent"
        self.trains_generator = cyclic and method.trains_generator
        self._real = cyclic and self.config.image_source == "real"
        self.batch_size = self.config.batch_size if self._real else 0
        self.plateau = method.plateau if cyclic else None
        if self.plateau is not None:
            self.images = len(data.train) - int(self.config.validation_share * len(data.train))
        trained = method.networks() if cyclic else method.encoder
        self.optimizer = _new_optimizer(self.config, trained)
        self.optimizers = {"encoder": self.optimizer}

    def shown(self, step: int) -> range:
        return range(0) if self._stopped() else super().shown(step)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        if not self._stopped():
            self._set_rate(batch.step)
            losses = self._iterate(batch)
            self._watch(batch)
        if self.plateau is not None and batch.step + 1 == self.steps:
            self.plateau.restore(self.method.networks())
        return losses

    def collapsed(self) -> str | None:
        return same_reconstruction(self.method, self.data.train)

    def update_by_latents(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The first update, by latents (N, D) of the prior.

        Returns:
            The loss, and the images (N, C, H, W) that were generated, clamped to [-1, 1].
        """
        with torch.set_grad_enabled(self.trains_generator):
            images = self.method.space.images(z)
        clamped = images.detach().clamp(-1, 1)
        # A clamped pixel would give the generator no gradient.
        seen = images if self.trains_generator else clamped
        loss = self.method.latent_loss(z, self.method.encode(seen))
        return self._minimize(loss), clamped

    def update_by_images(self, images: Tensor) -> Tensor:
        """The second update, by images (N, C, H, W) in [-1, 1]; returns the loss."""
        return self._minimize(image_loss(images, self._reconstructed(images)))

    def _stopped(self) -> bool:
        return self.plateau is not None and bool(self.plateau.stopped)

    def _iterate(self, batch: Batch) -> dict[str, Tensor]:
        own = self.method.pggan is not None
        generator = self.method.space.generator.requires_grad_(self.trains_generator)
        generator.train(self.trains_generator and own)
        with torch.no_grad():
            z = self.method.sample_latents(batch.share(self.config.batch_size), batch.draws)
        loss, generated = self.update_by_latents(z)
        losses = {"latent": loss}
        if self.cyclic:
            images = generated
            if batch.images is not None:
                images = augmented(batch.images, batch.draws, self.config)
            losses["image"] = self.update_by_images(images)
        return losses

    def _reconstructed(self, images: Tensor) -> Tensor:
        """As the generator makes them: a clamped pixel would have no gradient."""
        return self.method.space.images(self.method.encode(images))

    def _minimize(self, loss: Tensor) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _set_rate(self, step: int) -> None:
        rate = self.config.learning_rate * decay(
            self.iterations[step] / self.config.iterations, self.config.decay_share
        )
        if self.plateau is not None:
            rate *= float(self.plateau.scale)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _watch(self, batch: Batch) -> None:
        """At the end of an epoch, look at the images that were held back."""
        if self.plateau is None or self.images is None:
            return
        epoch = max(self.images // self.config.batch_size, 1)
        if (batch.step + 1) % epoch == 0 and self.images < len(self.data.train):
            loss = self._validation_loss()
            if batch.processes > 1:  # norms differ between processes; rates must not
                torch.distributed.all_reduce(loss)
            self.plateau.heed(loss / batch.processes, self.method.networks())

    @torch.no_grad()
    def _validation_loss(self) -> Tensor:
        """The sum of both losses on held back images and on as many latents, ever the same."""
        method, space = self.method.eval(), self.method.space
        held_back = torch.arange(self.images or 0, len(self.data.train))
        total = torch.zeros((), device=method._mean.device)
        for indices in held_back.split(_VALIDATED_AT_ONCE):
            images = self.data.train.batch(indices)[0].to(total.device)
            noise = normals(
                derive_seed(0, "validation"), int(indices[0]), len(indices), space.noise_dim
            )
            z = space.latents(noise.to(total.device))
            losses = method.latent_loss(z, method.encode(method.decode(z)))
            losses = losses + image_loss(images, self._reconstructed(images))
            total += losses * len(indices) / len(held_back)
        method.train()
        return total


def latent_loss(z: Tensor, found: Tensor) -> Tensor:
    """Equation 1: the mean squared difference of latents (N, D), a scalar."""
    return F.mse_loss(found, z)


def image_loss(images: Tensor, reconstructed: Tensor) -> Tensor:
    """Equation 2: the mean absolute difference of images (N, C, H, W), a scalar."""
    return F.l1_loss(reconstructed, images)


def decay(progress: float, share: float) -> float:
    """What a rate is multiplied by: 1 until the last ``share``, then half a cosine down to 0.

    Args:
        progress: Of the training, in [0, 1].
        share: See ``CRGConfig.decay_share``.
    """
    left = (1 - progress) / share if share else 1.0
    return (1 - math.cos(math.pi * min(left, 1.0))) / 2


def augmented(images: Tensor, draws: Draws, config: CRGConfig) -> Tensor:
    """Images (N, C, H, W), mirrored, turned upside down and turned; what comes in is edge."""
    if config.flip:
        images = mirrored(images, draws)
    if config.vertical_flip:
        chosen = draws.uniform("vertical flip", len(images))[:, :, None, None] < 0.5
        images = torch.where(chosen, images.flip(2), images)
    if config.rotation:
        share = draws.uniform("rotation", len(images))[:, 0] * 2 - 1
        angle = share * math.radians(config.rotation)
        zero = torch.zeros_like(angle)
        rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero]
        turn = torch.stack(rows, dim=1).reshape(-1, 2, 3)
        grid = F.affine_grid(turn, list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return images


def _new_optimizer(config: CRGConfig, trained: nn.Module) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(trained.parameters(), config.learning_rate, fused=True)
    return torch.optim.RMSprop(trained.parameters(), config.learning_rate, alpha=0.9, eps=1e-8)
