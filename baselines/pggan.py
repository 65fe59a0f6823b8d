"""A progressively grown GAN with spectral norms: the generator that CRG is trained on.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (ICLR
2018), as changed by the authors of CRG (Dogan and Keles 2020; the program that they released as
yahyadogan72/iterative_facial_image_inpainting): spectral norms in both networks, 128 channels at
most in the generator, and two updates of the discriminator for one of the generator. Where text and
program could be compared they agree. What differs from the program here:

- Networks work at a level's own resolution; the program repeats pixels up to the full one and
  averages them down again. That comes to the same once gradients are measured in its pixels.
- In evaluation the singular vectors of the norms stay as they are (see ``nets.pggan``).
- The moving average follows the generator once in an iteration by the square of the decay, after
  its update; the program moves it with each update of the discriminator, before.

It is no method of a track: a method that needs a generator holds a ``PGGAN`` and yields its stage.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from baselines.base import Artefact, Average, Batch, MethodConfig, Stage, TrainingData
from baselines.collapse import a_few, lost_spread
from baselines.nets.pggan import Discriminator, Generator, Weights, architecture
from baselines.pggan_losses import Terms, criticism, discriminator_terms, generator_terms
from baselines.progressive import Phase, Progression, faded, levels_of, shrunk
from baselines.randomness import mirrored

_LOOKED_AT = 8  # samples, to see whether training has collapsed

# Fields for 64 x 64 pixels in four minutes of two processor cores, and for a few steps. Under
# spectral norms, the gradients that the penalty asks for take more steps to come than there are.
PGGAN_SMALL: dict[str, Any] = {
    "images": 28_800,
    "stable_images": 3_200,
    "fade_images": 3_200,
    "batch_sizes": (32,),
    "held_iterations": 1,
    "discriminator_steps": 1,
    "z_dim": 64,
    "channel_base": 1024,
    "generator_channels": 64,
    "discriminator_channels": 32,
    "spectral_norm": False,
    "generator_rate": 0.003,
    "discriminator_rate": 0.006,
    "ema_decay": 0.99,
}
PGGAN_SMOKE: dict[str, Any] = {
    "images": 60,
    "stable_images": 4,
    "fade_images": 8,
    "batch_sizes": (4,),
    "held_iterations": 1,
    "discriminator_steps": 1,
    "z_dim": 8,
    "channel_base": 256,
    "generator_channels": 8,
    "discriminator_channels": 8,
    "ema_decay": 0.5,
}


class PGGANConfig(MethodConfig):
    """Settings of the progressive GAN; the defaults are those of CRG's authors for 128 x 128.

    Attributes:
        images: Training length, in real images shown.
        stable_images: For how many a level is trained as it is, before the next one is faded in.
        fade_images: In how many a level is faded in.
        batch_sizes: Images of an update by level from 4 x 4 up, over all processes; the last one
            holds for all levels above.
        held_iterations: Iterations from one look at the schedule to the next.
        discriminator_steps: Updates of the discriminator for one of the generator, each with images
            of its own.
        z_dim: Width of the latent z.
        channel_base: Width at resolution r is ``channel_base // r``, and at most that of the next
            two.
        generator_channels: Widest layer of the generator.
        discriminator_channels: Widest layer of the discriminator.
        spectral_norm: Normalise every weight of both networks.
        fused: Change the resolution within convolutions.
        minibatch_std_group: Images that the minibatch standard deviation compares; batches are
            multiples of it, each process's part at least that.
        generator_rate: Learning rate of Adam.
        discriminator_rate: Likewise.
        beta1: Of Adam, for both networks.
        beta2: Likewise.
        reset_optimizers: Forget Adam's moments when a level begins to be faded in and when it is.
        penalty_weight: Of the gradient penalty.
        penalty_target: The norm that gradients are to have.
        drift_weight: Of the squared scores of real images.
        ema_decay: Of the generator's moving average, for one update of the discriminator.
        flip: Mirror each training image with probability 1/2.
    """

    images: int = Field(12_000_000, ge=1)
    stable_images: int = Field(800_000, ge=1)
    fade_images: int = Field(800_000, ge=0)
    batch_sizes: tuple[PositiveInt, ...] = Field((128, 128, 128, 64, 32, 16, 4), min_length=1)
    held_iterations: int = Field(4, ge=1)
    discriminator_steps: int = Field(2, ge=1)
    z_dim: int = Field(128, ge=1)
    channel_base: int = Field(16384, ge=1)
    generator_channels: int = Field(128, ge=1)
    discriminator_channels: int = Field(512, ge=1)
    spectral_norm: bool = True
    fused: bool = True
    minibatch_std_group: int = Field(4, ge=0)
    generator_rate: float = Field(0.001, ge=0)
    discriminator_rate: float = Field(0.002, ge=0)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    reset_optimizers: bool = True
    penalty_weight: float = Field(10.0, ge=0)
    penalty_target: float = Field(1.0, gt=0)
    drift_weight: float = Field(0.001, ge=0)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    flip: bool = True

    @model_validator(mode="after")
    def _check(self) -> PGGANConfig:
        group = max(self.minibatch_std_group, 1)
        for count in self.batch_sizes:
            if count % group:
                raise ValueError(
                    f"batch_sizes holds {count}, no multiple of minibatch_std_group={group}"
                )
        return self

    def progression(self, size: int) -> Progression:
        """The phases that lead to images of ``size`` pixels, one step for an iteration.

        Raises:
            ValueError: There is no way to that size, or training ends before it.
        """
        progression = Progression(
            levels=levels_of(size),
            fade=self.fade_images,
            stable=self.stable_images,
            total=self.images,
            batch_sizes=tuple(self.discriminator_steps * count for count in self.batch_sizes),
            hold=self.held_iterations,
        )
        progression.require_last_level(
            f"images={self.images}", "raise images, or lower stable_images and fade_images"
        )
        return progression

    def weights(self, channels: int) -> Weights:
        """The kind of a network's weights, at most ``channels`` wide."""
        return Weights(self.channel_base, channels, self.spectral_norm, self.fused)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of a network's loss terms (N,), image by image."""
        weights = {"penalty": self.penalty_weight, "drift": self.drift_weight}
        return torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum(0)


class PGGAN(nn.Module):
    """A generator, its moving average and a discriminator.

    Args:
        config: The settings.
        size: Height and width of the images.
        channels: Colour channels of the images.

    Attributes:
        generator: What is trained.
        generator_ema: What to keep: a map from z (N, z_dim) to images (N, C, H, W), not clipped. It
            is always in evaluation mode.
        discriminator: Images to scores.
        progression: The phases of the training.

    Raises:
        ValueError: The size is no power of two, or training ends before it is reached.
    """

    def __init__(self, config: PGGANConfig, size: int, channels: int) -> None:
        super().__init__()
        self.config, self.progression = config, config.progression(size)
        self.generator = Generator(
            size, config.z_dim, channels, config.weights(config.generator_channels)
        )
        self.discriminator = Discriminator(
            size,
            channels,
            config.weights(config.discriminator_channels),
            group=config.minibatch_std_group,
        )
        for network in (self.generator, self.discriminator):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_ema = copy.deepcopy(self.generator).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> PGGAN:
        super().train(mode)
        self.generator_ema.eval()
        return self

    def load_generator(self, state: Mapping[str, Tensor]) -> None:
        """Take over a moving average that was trained elsewhere; training is then over.

        Raises:
            ValueError: It is of another architecture; the message names the setting.
        """
        theirs, ours = architecture(state), architecture(self.generator.state_dict())
        for setting, value in theirs.items():
            if ours[setting] != value:
                place = "pggan" if setting == "z_dim" else "dataset"
                raise ValueError(
                    f"the checkpoint's {setting} is {value}, this run's {ours[setting]}: change it "
                    f"by --set {place}.{setting}={value}"
                )
        for network in (self.generator, self.generator_ema):
            try:
                network.load_state_dict(dict(state))
            except RuntimeError as error:
                raise ValueError(
                    "the checkpoint's generator has other layers: change this run's by --set "
                    "pggan.channel_base, pggan.generator_channels, pggan.spectral_norm or "
                    f"pggan.fused ({' '.join(str(error).split())})"
                ) from error


class PGGANStage(Stage):
    """Progressive training by the Wasserstein distance with a gradient penalty."""

    name = "progressive"

    def __init__(self, pggan: PGGAN, data: TrainingData) -> None:
        super().__init__()
        self.pggan, self.config, self.data = pggan, pggan.config, data
        self.progression = pggan.progression
        self.steps = self.progression.steps
        self.batch_size = self.progression.largest_batch
        self.optimizers = {
            "generator": self._adam(pggan.generator, self.config.generator_rate),
            "discriminator": self._adam(pggan.discriminator, self.config.discriminator_rate),
        }
        decay = self.config.ema_decay**self.config.discriminator_steps
        self.averages = [Average(pggan.generator, pggan.generator_ema, lambda step: decay)]
        self.artefact = Artefact(self.config.model_dump(mode="json"), pggan)

    def shown(self, step: int) -> range:
        return self.progression.shown(step)

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        phase = self.progression.phase(batch.step)
        if self.config.reset_optimizers and self.progression.new_phase(batch.step):
            for optimizer in self.optimizers.values():
                optimizer.state.clear()
        lod = self.progression.level_of_detail(phase)
        for network in (self.pggan.generator, self.pggan.discriminator):
            network.lod.fill_(lod)
        images = mirrored(batch.images, batch.draws) if self.config.flip else batch.images
        images = faded(shrunk(images, phase.resolution), phase.alpha)
        images = images.contiguous(memory_format=torch.channels_last)
        updates = self.config.discriminator_steps
        self._require_groups(len(images) // updates)
        report: Terms = {}
        for update, reals in enumerate(images.chunk(updates)):
            share = batch.draws.uniform(f"share/{update}/{phase.level}", len(reals))
            z = self._latents(batch, f"{update}", phase, len(reals))
            report = self.update_discriminator(reals, z, share[:, :, None, None], lod)
        z = self._latents(batch, "generator", phase, len(images) // updates)
        return report | self.update_generator(z, lod)

    def update_discriminator(self, reals: Tensor, z: Tensor, share: Tensor, lod: float) -> Terms:
        """Update by real images and generated ones.

        Args:
            reals: (N, C, r, r), as ``lod`` has them.
            z: (N, z_dim).
            share: (N, 1, 1, 1) in [0, 1], the generated images' part of the mixtures.
            lod: The level of detail.
        """
        with torch.no_grad():
            fakes = self.pggan.generator.grown(z, lod=lod)
        discriminator = partial(self.pggan.discriminator, lod=lod)
        repeats = self.pggan.generator.img_resolution // reals.shape[-1]
        found = criticism(discriminator, reals, fakes, share, repeats)
        terms = discriminator_terms(found, self.config.penalty_target)
        return self._minimize(terms, "discriminator")

    def update_generator(self, z: Tensor, lod: float) -> Terms:
        """Update by latents (N, z_dim) at a level of detail."""
        discriminator = self.pggan.discriminator.requires_grad_(False)
        terms = generator_terms(discriminator(self.pggan.generator.grown(z, lod=lod), lod))
        report = self._minimize(terms, "generator")
        discriminator.requires_grad_(True)
        return report

    def collapsed(self) -> str | None:
        images, _ = a_few(self.data.train)
        z = torch.eye(_LOOKED_AT, self.config.z_dim, device=self.pggan.generator_ema.lod.device)
        with torch.no_grad():
            samples = self.pggan.generator_ema(z)
        lost = lost_spread(images, samples)
        return None if lost is None else f"all samples are the same picture ({lost})"

    def _require_groups(self, count: int) -> None:
        """Refuse ``count`` images of an update where a group would have fewer than asked for."""
        group = max(self.config.minibatch_std_group, 1)
        if count % group:
            raise ValueError(
                f"a process gets {count} images of an update, no multiple of minibatch_std_group="
                f"{group}: raise batch_sizes, or lower the group or the number of processes"
            )

    def _latents(self, batch: Batch, purpose: str, phase: Phase, count: int) -> Tensor:
        """Standard normal latents; a level draws numbers of its own, its batches being its own."""
        return batch.draws.normal(f"latents/{purpose}/{phase.level}", count, self.config.z_dim)

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Adam:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, eps=1e-8, fused=True)

    def _minimize(self, terms: Terms, name: str) -> Terms:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.config.total(terms).mean().backward()
        optimizer.step()
        return {name: term.detach().mean() for name, term in terms.items()}
