"""CRG, the cyclic reverse generator: an encoder that learns the inverse of a generator.

Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative Adversarial Networks"
(Neurocomputing 2020). First a generator is trained, the authors' progressive GAN with spectral
norms (``baselines.pggan``), or any pretrained one is taken. Then it is kept as it is, and each
iteration updates the encoder twice: by the squared error of the latents of generated images
(equation 1), and by the absolute error of reconstructed images (equation 2). CRG(TG), section 4.1,
trains the generator along. Edits by the encoder are in ``baselines.latent_editing``.

No code of the encoder's training was released; ``baselines.crg_config`` says what the settings
follow. In the text, both updates share an optimiser, a validation loss is heeded (the sum of both
losses here), and images are turned and mirrored. What is particular to this file:

- Latents are compared in units of the prior's deviation and the encoder starts at its mean. For z
  these are 1 and 0, so that equation 1 is as printed; a StyleGAN2 is inverted in W, whose numbers
  are small.
- ``latent_only_share`` of the iterations can do without the second update, which costs most.
- CRG(TG)'s generator starts to learn with the second update. Batch norms of one that was given
  keep their statistics; spectral norms of the progressive one follow its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.base import Inverter, MethodConfig, Stage, TrainingData
from baselines.crg_config import CRGConfig
from baselines.crg_training import EncoderStage, latent_loss
from baselines.latent_space import LatentSpace, given_space
from baselines.nets.crg_encoder import NarrowEncoder, VGGEncoder
from baselines.pggan import PGGAN, PGGAN_SMALL, PGGAN_SMOKE, PGGANStage
from baselines.plateau import Plateau
from baselines.randomness import Draws, derive_seed

_PRIOR_SAMPLES = 4096


class CRG(Inverter):
    """The encoder, and the generator where it is trained here.

    Args:
        config: The settings.
        data: With ``stage_one`` ``given``, ``data.generator`` is inverted; ``data.extractor``
            gives VGG-16's weights.

    Raises:
        ValueError: A generator or weights are missing, or the images do not fit the networks.
    """

    Config = CRGConfig
    trains_generator: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {
            "stage_one": "given",
            "pggan": PGGAN_SMOKE,
            "encoder": "narrow",
            "encoder_width": 4,
            "iterations": 6,
            "latent_only_share": 0.5,
            "batch_size": 4,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "validation_share": 0.0,
            "rotation": 0.0,
            "flip": False,
            "vertical_flip": False,
        },
        "small": {
            "stage_one": "given",
            "pggan": PGGAN_SMALL,
            "encoder": "narrow",
            "iterations": 1150,
            "latent_only_share": 0.7,
            "batch_size": 64,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "decay_share": 0.7,
            "validation_share": 0.0,
            "rotation": 0.0,
            "flip": False,
            "vertical_flip": False,
        },
    }

    _mean: Tensor
    _deviation: Tensor

    def __init__(self, config: CRGConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config = config
        self.pggan: PGGAN | None = None
        self._generator_trained = False
        self.generator_copy: nn.Module | None = None
        if config.stage_one == "train":
            self.pggan = PGGAN(config.pggan, data.size, data.channels)
            self.space = LatentSpace(self.pggan.generator_ema)
        else:
            self.space = given_space(data)
            if self.trains_generator:
                self.generator_copy = copy.deepcopy(self.space.generator)
                self.space = LatentSpace(self.generator_copy)
        if self.space.in_w:
            self.interpolation = "linear"  # type: ignore[misc]  # W is no sphere
        self.encoder = _new_encoder(config, data, self.space.dim)
        mean, deviation = _prior(self.space)
        self.register_buffer("_mean", mean)
        self.register_buffer("_deviation", deviation)
        self.plateau: Plateau | None = None
        if config.validation_share:
            self.plateau = Plateau(
                self.networks(),
                config.plateau_factor,
                config.plateau_patience,
                config.stop_patience,
                config.min_delta,
            )

    def encode(self, images: Tensor) -> Tensor:
        z: Tensor = self._mean + self._deviation * self.encoder(images)
        return z

    def decode(self, z: Tensor) -> Tensor:
        return self.space.images(z).clamp(-1, 1)

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return self.space.latents(draws.normal("z", count, self.space.noise_dim))

    @classmethod
    def configure(cls, preset: str, overrides: Mapping[str, Any] | None = None) -> MethodConfig:
        """Settings of ``pggan`` change those of the preset one by one, as all others do."""
        given = dict(overrides or {})
        if isinstance(given.get("pggan"), Mapping):
            given["pggan"] = {**cls.presets.get(preset, {}).get("pggan", {}), **given["pggan"]}
        return super().configure(preset, given)

    @classmethod
    def extractors_of(cls, config: MethodConfig) -> tuple[str, ...]:
        assert isinstance(config, CRGConfig)
        weights = config.encoder_weights if config.encoder == "vgg16" else "random"
        return ("vgg16",) if weights == "imagenet" else ()

    @classmethod
    def ignores_generator(cls, config: MethodConfig) -> str | None:
        assert isinstance(config, CRGConfig)
        if config.stage_one == "given":
            return None
        return (
            "with stage_one=train, it trains one of its own; add --set stage_one=given, or leave "
            "--generator out"
        )

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over the generator ``Gs`` of the authors' program; the encoder is trained to it.

        Raises:
            ValueError: It is missing or of another architecture, or another one is inverted.
        """
        if self.pggan is None:
            raise ValueError(
                "a checkpoint of CRG stands for the generator's training, and there is none with "
                "stage_one=given: add --set stage_one=train, or leave --checkpoint out"
            )
        if "Gs" not in states:
            raise ValueError("the checkpoint lacks the generator Gs of CRG's authors")
        self.pggan.load_generator(states["Gs"])
        self._generator_trained = True

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if self.pggan is not None and not self._generator_trained:
            yield PGGANStage(self.pggan, data)
        first = round(self.config.latent_only_share * self.config.iterations)
        if first:
            yield EncoderStage(self, data, range(first), cyclic=False)
        if first < self.config.iterations:
            yield EncoderStage(self, data, range(first, self.config.iterations), cyclic=True)

    def train(self, mode: bool = True) -> CRG:
        super().train(mode)
        self.space.generator.eval()  # what is inverted is what will be sampled from
        return self

    def networks(self) -> nn.ModuleList:
        """What the second stage trains."""
        return nn.ModuleList(
            [self.encoder, self.space.generator] if self.trains_generator else [self.encoder]
        )

    def latent_loss(self, z: Tensor, found: Tensor) -> Tensor:
        """Equation 1, in units of the prior's deviation."""
        return latent_loss(z / self._deviation, found / self._deviation)


class CRGTrainedGenerator(CRG):
    """CRG(TG): both losses train the generator too, with the encoder's optimiser."""

    trains_generator = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **CRG.presets,
        # Twice the work where the generator learns too.
        "small": {**CRG.presets["small"], "iterations": 1100, "latent_only_share": 0.8},
    }


def _new_encoder(config: CRGConfig, data: TrainingData, dim: int) -> nn.Module:
    if config.encoder == "narrow":
        encoder: nn.Module = NarrowEncoder(data.size, data.channels, dim, config.encoder_width)
    else:
        encoder = VGGEncoder(data.size, data.channels, dim, config.dropout)
        if config.encoder_weights == "imagenet":
            if data.extractor is None:
                raise ValueError(
                    "CRG's encoder starts from VGG-16's weights, and the run has no extractors: "
                    "add --set encoder_weights=random or encoder=narrow"
                )
            encoder.load_imagenet(data.extractor("vgg16").features.state_dict())
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _prior(space: LatentSpace) -> tuple[Tensor, Tensor]:
    """The mean (D,) of the prior's latents and their deviation from it (a scalar)."""
    if not space.in_w:
        return torch.zeros(space.dim), torch.ones(())
    latents = space.drawn(derive_seed(0, "prior"), _PRIOR_SAMPLES)
    mean = latents.mean(dim=0)
    return mean.cpu(), (latents - mean).square().mean().sqrt().cpu()
