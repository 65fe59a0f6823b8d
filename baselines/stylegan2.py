"""Training of StyleGAN2 itself, for the pretrained generators that other methods work on.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), with the losses,
the lazy regularisation and the moving average of stylegan2-ada-pytorch (without its augmentation).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from baselines.base import Average, Batch, Method, MethodConfig, Stage, TrainingData
from baselines.nets import stylegan2_loss as losses
from baselines.nets.stylegan2 import Discriminator, Generator


class StyleGAN2Config(MethodConfig):
    """Settings of StyleGAN2; the defaults are those of stylegan2-ada-pytorch's ``paper256``.

    Attributes:
        images: Training length, in real images shown.
        batch_size: Images of one step, over all processes; where it is above
            ``minibatch_std_group``, a multiple of it.
        z_dim: Width of the input latent z.
        w_dim: Width of the intermediate latent w.
        mapping_layers: Dense layers from z to w.
        channel_base: Width at resolution r is ``min(channel_base // r, channel_max)``.
        channel_max: See ``channel_base``.
        learning_rate: Of Adam with betas (0, 0.99), for both networks.
        decay_share: Share of the training, at its end, in which the rate falls linearly to 0.
        r1_gamma: Weight of the R1 penalty; 0 for none.
        r1_interval: Steps from one R1 penalty to the next.
        path_length_weight: Weight of the path length penalty; 0 for none.
        path_length_interval: Steps from one path length penalty to the next.
        path_length_shrink: The penalty takes so many times fewer images than a step.
        style_mixing: Probability that a step mixes the styles of two latents.
        noise: Train with fresh noise in every layer, or with none.
        ema_images: Half-life of the moving average, in images.
        ema_rampup: Cap of the half-life, as a share of the images seen; None for no cap.
        minibatch_std_group: Images that the minibatch standard deviation compares.
    """

    images: int = Field(25_000_000, ge=1)
    batch_size: int = Field(64, ge=1)
    z_dim: int = Field(512, ge=1)
    w_dim: int = Field(512, ge=1)
    mapping_layers: int = Field(8, ge=1)
    channel_base: int = Field(16384, ge=1)
    channel_max: int = Field(512, ge=1)
    learning_rate: float = Field(0.0025, gt=0)
    decay_share: float = Field(0.0, ge=0, le=1)
    r1_gamma: float = Field(1.0, ge=0)
    r1_interval: int = Field(16, ge=1)
    path_length_weight: float = Field(2.0, ge=0)
    path_length_interval: int = Field(4, ge=1)
    path_length_shrink: int = Field(2, ge=1)
    style_mixing: float = Field(0.9, ge=0, le=1)
    noise: bool = True
    ema_images: int = Field(20_000, ge=0)
    ema_rampup: float | None = Field(None, ge=0)
    minibatch_std_group: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _check(self) -> StyleGAN2Config:
        if self.batch_size % min(self.minibatch_std_group, self.batch_size):
            raise ValueError("batch_size must be a multiple of minibatch_std_group")
        return self


class StyleGAN2(Method):
    """An unconditional generator and discriminator; ``generator_ema`` is the one to keep."""

    Config = StyleGAN2Config
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # About 0.7 million parameters: what two CPU cores can train on 64 x 64 in three hours.
        # Rendered scenes have no random detail, and mixed styles cost a short training too much.
        # At a constant rate the colours of a latent never settle, and their average hides objects.
        "small": {
            "images": 300_000,
            "decay_share": 0.125,
            "batch_size": 32,
            "z_dim": 64,
            "w_dim": 64,
            "mapping_layers": 2,
            "channel_base": 1024,
            "channel_max": 128,
            "r1_gamma": 10.0,
            "style_mixing": 0.0,
            "noise": False,
            "ema_images": 10_000,
            "ema_rampup": 0.05,
            "minibatch_std_group": 4,
        },
        "smoke": {
            "images": 24,
            "batch_size": 8,
            "z_dim": 16,
            "w_dim": 16,
            "mapping_layers": 2,
            "channel_base": 256,
            "channel_max": 16,
            "minibatch_std_group": 4,
        },
    }
    path_length_mean: Tensor

    def __init__(self, config: StyleGAN2Config, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        widths: dict[str, Any] = {
            "channel_base": config.channel_base,
            "channel_max": config.channel_max,
        }
        self.generator = Generator(
            config.z_dim,
            0,
            config.w_dim,
            data.size,
            data.channels,
            mapping_kwargs={"num_layers": config.mapping_layers},
            synthesis_kwargs=widths,
        )
        self.discriminator = Discriminator(
            0,
            data.size,
            data.channels,
            epilogue_kwargs={"mbstd_group_size": config.minibatch_std_group},
            **widths,
        )
        self.generator_ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.register_buffer("path_length_mean", torch.zeros(()))
        for network in (self.generator, self.discriminator, self.generator_ema):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        yield AdversarialStage(self)


class AdversarialStage(Stage):
    """Alternating updates; each regulariser runs every few steps with its weight multiplied."""

    name = "adversarial"

    def __init__(self, method: StyleGAN2) -> None:
        super().__init__()
        self.method, self.config = method, method.config
        self.batch_size = method.config.batch_size
        self.steps = max(1, method.config.images // method.config.batch_size)
        self.generator_optimizer = _lazy_adam(
            method.generator.parameters(),
            self.config.learning_rate,
            self.config.path_length_interval,
        )
        self.discriminator_optimizer = _lazy_adam(
            method.discriminator.parameters(), self.config.learning_rate, self.config.r1_interval
        )
        self.optimizers = {
            "generator": self.generator_optimizer,
            "discriminator": self.discriminator_optimizer,
        }
        self._rates = {name: _rate(one) for name, one in self.optimizers.items()}
        self.averages = [Average(method.generator, method.generator_ema, self._ema_decay)]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.images is not None
        self._set_rates(batch.step)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        report = {"generator": self._update_generator(batch)}
        if batch.step % self.config.path_length_interval == 0 and self.config.path_length_weight:
            report["path_length"] = self._regularize_generator(batch)
        report["discriminator"] = self._update_discriminator(batch, images)
        if batch.step % self.config.r1_interval == 0 and self.config.r1_gamma:
            report["r1"] = self._regularize_discriminator(images)
        return report

    def _set_rates(self, step: int) -> None:
        decaying = self.config.decay_share * self.steps
        factor = min(1.0, (self.steps - step) / decaying) if decaying else 1.0
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._rates[name] * factor

    def collapsed(self) -> str | None:
        """All samples of the averaged generator equal: its latents have lost their effect."""
        generator = self.method.generator_ema.eval()  # in training mode, it would move w_avg
        rows = torch.arange(8, device=self.method.path_length_mean.device)[:, None]
        z = torch.sin(rows * torch.arange(1, generator.z_dim + 1, device=rows.device) * 1.7)
        with torch.no_grad():
            spread = generator(z).std(dim=0).mean().item()
        return None if spread > 1e-4 else f"all samples are the same picture (spread {spread:.1e})"

    def _update_generator(self, batch: Batch) -> Tensor:
        self.method.discriminator.requires_grad_(False)
        fake, _ = self._generate(batch, "generator", batch.share(self.batch_size))
        loss = losses.generator_loss(self.method.discriminator(fake))
        losses.minimize(loss, self.generator_optimizer)
        self.method.discriminator.requires_grad_(True)
        return loss.detach()

    def _regularize_generator(self, batch: Batch) -> Tensor:
        count = max(1, batch.share(self.batch_size) // self.config.path_length_shrink)
        fake, ws = self._generate(batch, "path_length", count)
        lengths = losses.path_lengths(fake, ws, torch.randn_like(fake))
        penalty, mean = losses.path_length_penalty(lengths, self.method.path_length_mean)
        self.method.path_length_mean.copy_(mean.detach())
        weight = self.config.path_length_weight * self.config.path_length_interval
        losses.minimize(penalty.mean() * weight, self.generator_optimizer)
        return penalty.detach().mean()

    def _update_discriminator(self, batch: Batch, images: Tensor) -> Tensor:
        with torch.no_grad():
            fake, _ = self._generate(batch, "discriminator", len(images))
        discriminator = self.method.discriminator
        loss = losses.discriminator_loss(discriminator(fake), discriminator(images))
        losses.minimize(loss, self.discriminator_optimizer)
        return loss.detach()

    def _regularize_discriminator(self, images: Tensor) -> Tensor:
        images = images.detach().requires_grad_(True)
        penalty = losses.r1_penalty(self.method.discriminator(images), images)
        weight = self.config.r1_gamma / 2 * self.config.r1_interval
        losses.minimize(penalty.mean() * weight, self.discriminator_optimizer)
        return penalty.detach().mean()

    def _generate(self, batch: Batch, purpose: str, count: int) -> tuple[Tensor, Tensor]:
        generator = self.method.generator
        ws = generator.mapping(batch.draws.normal(purpose, count, generator.z_dim))
        mixed, where = batch.draws.uniform(f"{purpose}/mixing", 1, 2)[0].tolist()
        if mixed < self.config.style_mixing:
            cutoff = 1 + int(where * (generator.num_ws - 1))
            other = generator.mapping(
                batch.draws.normal(f"{purpose}/mixed", count, generator.z_dim)
            )
            ws = torch.cat([ws[:, :cutoff], other[:, cutoff:]], dim=1)
        return generator.synthesis(ws, noise_mode="random" if self.config.noise else "none"), ws

    def _ema_decay(self, step: int) -> float:
        half_life = float(self.config.ema_images)
        if self.config.ema_rampup is not None:
            half_life = min(half_life, (step + 1) * self.batch_size * self.config.ema_rampup)
        return float(0.5 ** (self.batch_size / max(half_life, 1e-8)))


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _lazy_adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, interval: int
) -> torch.optim.Adam:
    """Adam with the correction for a regulariser that runs in a step of its own."""
    ratio = interval / (interval + 1)
    return torch.optim.Adam(
        parameters, lr=learning_rate * ratio, betas=(0.0, 0.99**ratio), eps=1e-8
    )
