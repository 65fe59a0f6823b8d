"""Pioneer: an encoder and a generator that are each other's adversaries and grow together.

Heljakka, Solin and Kannala, "Pioneer Networks: Progressively Growing Generative Autoencoder" (ACCV
2018), as the released code has it (AaltoVision/pioneer). There is no discriminator: the encoder
tells real images from generated ones by how far their latents are from N(0, I), and the generator
wants its images' latents to be N(0, I) and those they were made of (as in AGE). Where the two
differ, the defaults are the code's: every weight of the paper's losses is a tenth of it, which
hardly matters to Adam, and reconstructions weigh half as much again once a phase is faded in. The
code calls the last number of a latent its label; it is a number as any other.

Real images are reduced by means of pixels and faded in unrounded; the released loader resizes by
triangle filters and rounds to bytes. The encoder's norms go on in training only, so that the same
image has the same latent; the released code lets them go on at evaluation too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Average, Batch, Inverter, MethodConfig, Stage, TrainingData
from baselines.collapse import same_reconstruction
from baselines.image_pool import ImagePool
from baselines.nets.pioneer import Encoder, Generator, SpectralConv2d, architecture, our_states
from baselines.progressive import Phase, Progression, faded, levels_of, shrunk
from baselines.randomness import Draws, mirrored
from baselines.sphere import kl_to_standard_normal, mismatch, on_sphere

Terms = dict[str, Tensor]


class PioneerConfig(MethodConfig):
    """Settings of Pioneer; the defaults are those of the released code for CelebA.

    Attributes:
        latent_size: Numbers of a latent, and channels of the wide phases.
        wide_phases: Phases from 4 x 4 pixels on before channels halve with each doubling.
        images_per_stage: Real images of a phase: half while it is faded in, half as it is. The
            last phase lasts twice as long (2,400,000; for CelebA-HQ, 4,800,000).
        first_image: What the count of images begins with; a later one leaves out phases.
        total_images: What it ends with; None for ``images_per_stage`` a phase and one more.
        batch_sizes: Images of a step, over all processes, by phase; the last one holds from there.
        kl_weight: Of the divergences of latents from N(0, I).
        match_x_weight: Of the reconstructions' mean absolute difference from the images.
        stable_match_x_factor: Multiplies it once a phase is faded in.
        match_z_weight: Of the latents of generated images against those they were made of.
        generator_match_x_weight: Of reconstructions in what the generator minimises too; not of the
            paper, for trainings too short for generated images to become like real ones.
        generator_steps: Updates of the generator for each one of the encoder.
        learning_rate: Of Adam, for both networks.
        beta1: Likewise.
        beta2: Likewise.
        average_decay: Of the generator's moving average, which makes all images in the end.
        pool_size: Generated images kept, of which the encoder sees some instead of new ones once a
            phase is faded in; half as many from 256 pixels on.
        flip: Mirror each training image with probability 1/2.
    """

    latent_size: int = Field(512, ge=1)
    wide_phases: int = Field(4, ge=1)
    images_per_stage: int = Field(2_400_000, ge=1)
    first_image: int = Field(1, ge=0)
    total_images: int | None = Field(None, ge=1)
    batch_sizes: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        (128, 128, 128, 64, 32, 16, 8), min_length=1
    )
    kl_weight: float = Field(0.1, ge=0)
    match_x_weight: float = Field(1.0, ge=0)
    stable_match_x_factor: float = Field(1.5, ge=0)
    match_z_weight: float = Field(100.0, ge=0)
    generator_match_x_weight: float = Field(0.0, ge=0)
    generator_steps: int = Field(2, ge=1)
    learning_rate: float = Field(1e-3, ge=0)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    average_decay: float = Field(0.999, ge=0, le=1)
    pool_size: int = Field(200, ge=0)
    flip: bool = True

    def progression(self, levels: int) -> Progression:
        """The phases of a training that ends with ``levels`` resolutions."""
        half = self.images_per_stage / 2
        return Progression(
            levels=levels,
            fade=half,
            stable=half,
            total=self.total_images or self.images_per_stage * (levels + 1),
            batch_sizes=self.batch_sizes,
            first_fades=True,
            start=self.first_image,
        )

    def match_x(self, phase: Phase) -> float:
        """The weight of reconstructions in a phase."""
        return self.match_x_weight * (self.stable_match_x_factor if phase.stable else 1.0)


class Pioneer(Inverter):
    """The two networks and the generator's moving average, which decodes.

    Raises:
        ValueError: The images are no power of two from 4 up, or halving leaves no channel.
    """

    Config = PioneerConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Of 64 numbers instead of 512, an eighth of the weight makes the cosine weigh the same.
        # By the adversarial game alone, the generator needs many thousands of updates before it
        # makes anything like an image; a reconstruction loss of its own shows them to it. And with
        # ten times the weight, the encoder soon tells images apart for it.
        "small": {
            "latent_size": 64,
            "wide_phases": 1,
            "images_per_stage": 1200,
            "total_images": 10_500,
            "batch_sizes": (16,),
            "match_x_weight": 10.0,
            "match_z_weight": 12.5,
            "generator_match_x_weight": 30.0,
            "generator_steps": 1,
            "learning_rate": 5e-3,
            "average_decay": 0.95,
            "flip": False,
        },
        "smoke": {
            "latent_size": 32,
            "wide_phases": 1,
            "images_per_stage": 12,
            "batch_sizes": (6,),
            "pool_size": 8,
        },
    }

    def __init__(self, config: PioneerConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        self.levels = levels_of(data.size)
        sizes = (config.latent_size, self.levels, data.channels, config.wide_phases)
        self.generator, self.encoder = Generator(*sizes), Encoder(*sizes)
        self.running_generator = copy.deepcopy(self.generator).requires_grad_(False)
        self.pool = ImagePool(config.pool_size, data.channels, data.size)
        self._trained = False

    def encode(self, images: Tensor) -> Tensor:
        z: Tensor = self.encoder(images, self.levels - 1)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """Latents (N, D) -> images, cut off at [-1, 1] as in the released code's pictures."""
        images: Tensor = self.running_generator(z, self.levels - 1)
        return images.clamp(-1, 1)

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        device = next(self.parameters()).device
        return on_sphere(draws.normal("z", count, self.config.latent_size)).to(device)

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if not self._trained:
            yield CyclicStage(self, data)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks ``D`` and ``G_running`` that the released code has trained.

        Its checkpoints lack the vectors of the encoder's norms, which are computed.

        Raises:
            ValueError: One is missing or of another architecture, or was saved at another phase;
                the message names the setting.
        """
        missing = {"D", "G_running"} - states.keys()
        if missing:
            raise ValueError(f"the checkpoint lacks Pioneer's {' and '.join(sorted(missing))}")
        self._check_phase(states.get("progress", {}))
        encoder = our_states(states["D"], encoder=True)
        generator = our_states(states["G_running"], encoder=False)
        pairs = ((self.encoder, encoder), (self.running_generator, generator))
        own = architecture(self.running_generator.state_dict(), self.levels)
        theirs = architecture(generator, self.levels)
        for setting, value in theirs.items():
            if own[setting] != value:
                raise ValueError(
                    f"the checkpoint's {setting} is {value}, this run's {own[setting]}: change it "
                    f"by --set {'dataset.' if setting == 'channels' else ''}{setting}={value}"
                )
        for network, state in pairs:
            _take_over(network, state)
        self._trained = True

    def _check_phase(self, progress: Mapping[str, Tensor]) -> None:
        """Whether a checkpoint was saved at this run's resolution, once that was faded in."""
        if "phase" in progress and int(progress["phase"]) != self.levels - 1:
            theirs, ours = (4 << int(phase) for phase in (progress["phase"], self.levels - 1))
            raise ValueError(
                f"the checkpoint makes images of {theirs} px, this run has {ours}: change it by "
                f"--set dataset.size={theirs}"
            )
        if float(progress.get("alpha", 1.0)) < 1:
            raise ValueError(
                f"the checkpoint was saved while its last phase was faded in by "
                f"{float(progress['alpha']):.2f}: give a later one"
            )


class CyclicStage(Stage):
    """One update of the encoder, then some of the generator, at growing resolutions.

    Of several processes, each compares the latents of its own images with N(0, I) and keeps a pool.

    Raises:
        ValueError: Training ends before the images' own resolution is faded in.
    """

    name = "progressive"

    def __init__(self, method: Pioneer, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.progression = self.config.progression(method.levels)
        self.progression.require_last_level(
            f"total_images={self.progression.total}",
            "raise total_images, or lower images_per_stage",
        )
        self.steps, self.batch_size = self.progression.steps, self.progression.largest_batch
        self.optimizers = {
            name: torch.optim.Adam(
                getattr(method, name).parameters(),
                lr=self.config.learning_rate,
                betas=(self.config.beta1, self.config.beta2),
                fused=True,
            )
            for name in ("encoder", "generator")
        }
        self.averages = [
            Average(method.generator, method.running_generator, lambda _: self.config.average_decay)
        ]
        self._trained = False

    def shown(self, step: int) -> range:
        return self.progression.shown(step)

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        phase = self.progression.phase(batch.step)
        self._trained = batch.step == self.steps - 1
        images = mirrored(batch.images, batch.draws) if self.config.flip else batch.images
        images = faded(shrunk(images, phase.resolution), phase.alpha)
        report = self.update_encoder(images, self._latents(batch, "encoder"), phase, batch.draws)
        for update in range(self.config.generator_steps):
            latents = self._latents(batch, f"generator {update}")
            report |= self.update_generator(latents, phase, images)
        return report

    def update_encoder(self, images: Tensor, latents: Tensor, phase: Phase, draws: Draws) -> Terms:
        """Real images' latents to N(0, I) and back to the images, generated ones' away from it.

        Args:
            images: (N, C, R, R), at the phase's resolution.
            latents: (N, D), what images are generated from.
            phase: What is trained.
            draws: Choose which of them are replaced by older ones.
        """
        encoder, generator = self.method.encoder, self.method.generator.requires_grad_(False)
        found = encoder(images, phase.level, phase.alpha)
        restored = generator(found, phase.level, phase.alpha)
        with torch.no_grad():
            fake = generator(latents, phase.level, phase.alpha)
            if phase.stable:
                fake = self.method.pool.exchange(fake, draws)
        of_fakes = encoder(fake, phase.level, phase.alpha)
        weight = self.config.kl_weight
        terms = {
            "kl_real": weight * kl_to_standard_normal(found, exact=True),
            "match_x": self.config.match_x(phase) * mismatch(restored, images, "L1"),
            "kl_fake": -weight * kl_to_standard_normal(of_fakes, exact=True),
        }
        report = self._minimize(terms, "encoder")
        generator.requires_grad_(True)
        return report

    def update_generator(
        self, latents: Tensor, phase: Phase, images: Tensor | None = None
    ) -> Terms:
        """Latents (N, D) to images whose latents are N(0, I) and the same.

        ``images`` (N, C, R, R) are only looked at where reconstructing them counts.
        """
        encoder, generator = self.method.encoder.requires_grad_(False), self.method.generator
        found = encoder(generator(latents, phase.level, phase.alpha), phase.level, phase.alpha)
        divergence = kl_to_standard_normal(found, exact=True)
        terms = {
            "generator_kl": self.config.kl_weight * divergence,
            "match_z": self.config.match_z_weight * mismatch(found, latents, "cos"),
        }
        if self.config.generator_match_x_weight and images is not None:
            with torch.no_grad():
                of_images = encoder(images, phase.level, phase.alpha)
            restored = generator(of_images, phase.level, phase.alpha)
            weight = self.config.generator_match_x_weight
            terms["generator_match_x"] = weight * mismatch(restored, images, "L1")
        report = self._minimize(terms, "generator")
        encoder.requires_grad_(True)
        return report

    def collapsed(self) -> str | None:
        """Not looked for before the end: young layers make one picture of all, and learn more."""
        return same_reconstruction(self.method, self.data.train) if self._trained else None

    def _latents(self, batch: Batch, purpose: str) -> Tensor:
        assert batch.images is not None
        count = len(batch.images)
        # Rows of one purpose belong together: batches of another size are another purpose.
        return on_sphere(batch.draws.normal(f"{purpose} {count}", count, self.config.latent_size))

    def _minimize(self, terms: Terms, name: str) -> Terms:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        return {name: term.detach() for name, term in terms.items()}


def _take_over(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the phases that a network has, and bring its norms to rest."""
    vectors = {name: value for name, value in network.named_buffers() if name.endswith(".u")}
    own = network.state_dict().keys()
    try:
        network.load_state_dict(vectors | {name: state[name] for name in own & state.keys()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the checkpoint is none of Pioneer: {reason}") from error
    for module in network.modules():
        if isinstance(module, SpectralConv2d):
            module.settle()
