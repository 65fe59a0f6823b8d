"""AGE: a generator and an encoder that are each other's adversaries, with no discriminator.

Ulyanov et al., "It Takes (Only) Two: Adversarial Generator-Encoder Networks" (AAAI 2018, arXiv
1704.02304), as the released code has it (DmitryUlyanov/AGE). The encoder brings the latents of real
images close to the prior and those of generated ones away from it, the generator the latter back;
reconstruction losses, in images for the encoder and in latents for the generator, make each the
other's inverse. Where paper and code differ, the defaults are the code's: its divergence has a
variance where the paper's has a standard deviation, and is a mean over the latents' dimensions, not
a sum (``divergence``). CelebA is trained for 5 epochs and then, with larger batches, for one more;
the code's other settings are, at 32 px, ``z_dim=128 generator_updates=2 finetuning_epochs=0`` with
``epochs=150 drop_epochs=40`` (CIFAR-10) or ``epochs=6 drop_epochs=3 generator_match_z=2000``
(ImageNet).

All batch norms use their moving statistics in evaluation, as in the code's notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from baselines.age_reference import load_networks
from baselines.base import Batch, Inverter, MethodConfig, Stage, TrainingData
from baselines.collapse import same_reconstruction
from baselines.epochs import steps_of_epochs
from baselines.nets.dcgan import Encoder, Generator
from baselines.randomness import Draws
from baselines.sphere import Direction, Measure, kl_to_standard_normal, mismatch, on_sphere

Terms = dict[str, Tensor]


class AGEConfig(MethodConfig):
    """Settings of AGE; the defaults are those of the code for CelebA at 64 px.

    Attributes:
        z_dim: Width of the latents.
        generator_width: Channels of the generator's last hidden layer.
        encoder_width: Channels of the encoder's first layer.
        noise: Latents are spread evenly over the unit ``sphere``, to which the encoder's output is
            scaled, or ``normal``.
        divergence: ``released``, or ``published``: that of the paper, see the module.
        direction: ``qp`` is the divergence of the latents from the prior, ``pq`` the reverse.
        z_measure: How latents are compared.
        x_measure: How images are compared.
        encoder_updates: In each iteration, each with images and latents of its own.
        encoder_kl_real: Weight of the divergence of real images' latents in the encoder's loss.
        encoder_kl_fake: Of that of generated images', which the encoder maximises.
        encoder_match_x: Of the difference of images and their reconstructions.
        encoder_match_z: Of the difference of latents and what is encoded of their images.
        generator_updates: In each iteration, after those of the encoder.
        generator_kl_fake: Weight in the generator's loss, which it minimises.
        generator_match_x: See ``encoder_match_x``.
        generator_match_z: See ``encoder_match_z``.
        epochs: Training length; an epoch has as many iterations as the training set has batches.
        iterations: Training length in iterations, in place of ``epochs``, to which the learning
            rate's schedule is stretched.
        batch_size: Images or latents of one update, over all processes.
        finetuning_epochs: Length of a second stage; 0 for none. ``iterations`` leaves it out.
        finetuning_batch_size: Its batch size.
        finetuning_match_x: Its ``encoder_match_x``.
        learning_rate: Of Adam, for both networks.
        beta1: Likewise.
        beta2: Likewise.
        drop_epochs: The learning rate halves at the last of each so many epochs.
    """

    z_dim: int = Field(64, ge=1)
    generator_width: int = Field(64, ge=1)
    encoder_width: int = Field(64, ge=1)
    noise: Literal["sphere", "normal"] = "sphere"
    divergence: Literal["released", "published"] = "released"
    direction: Direction = "qp"
    z_measure: Measure = "cos"
    x_measure: Measure = "L1"
    encoder_updates: int = Field(1, ge=0)
    encoder_kl_real: float = Field(1.0, ge=0)
    encoder_kl_fake: float = Field(1.0, ge=0)
    encoder_match_x: float = Field(10.0, ge=0)
    encoder_match_z: float = Field(0.0, ge=0)
    generator_updates: int = Field(3, ge=0)
    generator_kl_fake: float = Field(1.0, ge=0)
    generator_match_x: float = Field(0.0, ge=0)
    generator_match_z: float = Field(1000.0, ge=0)
    epochs: int = Field(5, ge=1)
    iterations: int | None = Field(None, ge=1)
    batch_size: int = Field(64, ge=2)
    finetuning_epochs: int = Field(1, ge=0)
    finetuning_batch_size: int = Field(256, ge=2)
    finetuning_match_x: float = Field(15.0, ge=0)
    learning_rate: float = Field(2e-4, ge=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    drop_epochs: int = Field(5, ge=1)

    def rate(self, epoch: int, first: int = 0) -> float:
        """The learning rate in ``epoch`` (from 0) of a training that began in epoch ``first``."""
        drops = (epoch + 1) // self.drop_epochs - first // self.drop_epochs
        return self.learning_rate / 2**drops


class AGE(Inverter):
    """The encoder and the generator."""

    Config = AGEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # By the adversarial game alone, the generator needs thousands of updates before it makes
        # anything like an image; a reconstruction loss of its own shows them to it.
        "small": {
            "generator_width": 16,
            "encoder_width": 16,
            "generator_updates": 1,
            "generator_match_x": 30.0,
            "encoder_match_x": 30.0,
            "iterations": 550,
            "batch_size": 32,
            "learning_rate": 1e-3,
        },
        "smoke": {
            "z_dim": 16,
            "generator_width": 4,
            "encoder_width": 4,
            "iterations": 4,
            "batch_size": 8,
        },
    }

    def __init__(self, config: AGEConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        sphere = config.noise == "sphere"
        self.encoder = Encoder(data.size, data.channels, config.z_dim, config.encoder_width, sphere)
        self.generator = Generator(data.size, data.channels, config.z_dim, config.generator_width)
        self._trained = False

    def encode(self, images: Tensor) -> Tensor:
        z: Tensor = self.encoder(images)
        return z

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z)
        return images

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return self.latents(count, draws, "z").to(next(self.parameters()).device)

    def latents(self, count: int, draws: Draws, purpose: str) -> Tensor:
        """``count`` latents of the prior by the draws of that name."""
        z = draws.normal(purpose, count, self.config.z_dim)
        return on_sphere(z) if self.config.noise == "sphere" else z

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if self._trained:
            return
        config, trainings = self.config, [AdversarialStage("adversarial", self, data)]
        if config.finetuning_epochs and not config.iterations:
            finetuned = config.model_copy(
                update={
                    "epochs": config.finetuning_epochs,
                    "batch_size": config.finetuning_batch_size,
                    "encoder_match_x": config.finetuning_match_x,
                }
            )
            trainings.append(AdversarialStage("finetuning", self, data, finetuned, config.epochs))
        yield from trainings  # made together: what is wrong with the second shows at once

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the networks ``E`` and ``G`` of the released code.

        Raises:
            ValueError: One is missing or of another architecture; the message names the setting.
        """
        load_networks(self.encoder, self.generator, states)
        self._trained = True


class AdversarialStage(Stage):
    """Some updates of the encoder in each iteration, then some of the generator.

    Args:
        name: See ``Stage``.
        method: What is trained.
        data: What it is trained on.
        config: Settings of this stage; None for those of the method.
        first_epoch: Number of its first epoch, for the learning rate's schedule.
    """

    def __init__(
        self,
        name: str,
        method: AGE,
        data: TrainingData,
        config: AGEConfig | None = None,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.method, self.data, self.first_epoch = name, method, data, first_epoch
        self.config = config or method.config
        self.image_batches = self.config.encoder_updates
        if self.config.generator_match_x:
            self.image_batches += self.config.generator_updates
        self.batch_size = self.image_batches * self.config.batch_size
        self.steps = self.config.iterations or steps_of_epochs(
            data.train,
            self.config.batch_size,
            self.config.epochs,
            "finetuning_batch_size" if first_epoch else "batch_size",
        )
        self.optimizers = {
            name: torch.optim.Adam(
                getattr(method, name).parameters(),
                lr=self.config.learning_rate,
                betas=(self.config.beta1, self.config.beta2),
                fused=True,
            )
            for name in ("encoder", "generator")
        }

    def step(self, batch: Batch) -> Terms:
        self.set_rates(batch.step)
        count = batch.share(self.config.batch_size)
        images = iter(batch.images.split(count) if batch.images is not None else ())
        report: Terms = {}
        for k in range(self.config.encoder_updates):
            z = self.method.latents(count, batch.draws, f"encoder {k}")
            report |= self.update_encoder(next(images), z)
        for k in range(self.config.generator_updates):
            z = self.method.latents(count, batch.draws, f"generator {k}")
            report |= self.update_generator(z, next(images, None))
        return report

    def update_encoder(self, images: Tensor, z: Tensor) -> Terms:
        """Update the encoder.

        Real and generated images go through it one after the other, each normalised by statistics
        of their own, and move the moving statistics of both networks.

        Args:
            images: (N, C, H, W), N at least 2.
            z: (N, D).

        Returns:
            The loss terms before their weights, and their weighted ``total``.
        """
        encoder, generator = self.method.encoder, self.method.generator.requires_grad_(False)
        weights = {
            "kl_real": self.config.encoder_kl_real,
            "match_x": self.config.encoder_match_x,
            "kl_fake": self.config.encoder_kl_fake,
            "match_z": self.config.encoder_match_z,
        }
        encoded = encoder(images)
        terms = {"kl_real": self._divergence(encoded)}
        if weights["match_x"]:
            terms["match_x"] = mismatch(generator(encoded), images, self.config.x_measure)
        with torch.no_grad():
            fake = generator(z)
        encoded = encoder(fake)
        terms["kl_fake"] = -self._divergence(encoded)
        if weights["match_z"]:
            terms["match_z"] = mismatch(encoded, z, self.config.z_measure)
        report = self._minimize("encoder", terms, weights)
        generator.requires_grad_(True)
        return report

    def update_generator(self, z: Tensor, images: Tensor | None = None) -> Terms:
        """Update the generator; see ``update_encoder``.

        Args:
            z: (N, D), N at least 2.
            images: (N, C, H, W); needed where ``generator_match_x`` is above 0.
        """
        encoder, generator = self.method.encoder.requires_grad_(False), self.method.generator
        weights = {
            "kl_fake": self.config.generator_kl_fake,
            "match_z": self.config.generator_match_z,
            "match_x": self.config.generator_match_x,
        }
        encoded = encoder(generator(z))
        terms = {"kl_fake": self._divergence(encoded)}
        if weights["match_z"]:
            terms["match_z"] = mismatch(encoded, z, self.config.z_measure)
        if weights["match_x"]:
            assert images is not None
            terms["match_x"] = mismatch(generator(encoder(images)), images, self.config.x_measure)
        report = self._minimize("generator", terms, weights)
        encoder.requires_grad_(True)
        return report

    def set_rates(self, step: int) -> None:
        """Set the learning rates of a step."""
        epoch = self.first_epoch + step * self.config.epochs // self.steps
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate(epoch, self.first_epoch)

    def collapsed(self) -> str | None:
        return same_reconstruction(self.method, self.data.train)

    def _divergence(self, z: Tensor) -> Tensor:
        if self.config.divergence == "published":
            return kl_to_standard_normal(z, self.config.direction, exact=True) * z.shape[1]
        return kl_to_standard_normal(z, self.config.direction)

    def _minimize(self, name: str, terms: Terms, weights: Mapping[str, float]) -> Terms:
        total = torch.stack([weights[term] * value for term, value in terms.items()]).sum()
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        report = {**terms, "total": total}
        return {f"{name}/{term}": value.detach() for term, value in report.items()}
