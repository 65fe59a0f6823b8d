"""StarGAN, AttGAN and the StyleGAN2 encoder, fine-tuned with InfoNCE, and the fair baselines.

Choi, Nguyen and Pham, "Contrastive Representation Learning For Image Attribute Manipulation": each
base here only says what its E, F and losses are; ``baselines.finetuning`` trains them, and
``baselines.infonce`` holds what is new. The latent w is, in StarGAN, the maps after the two
downsampling layers (``latent_after``), where E sees the image and its attributes' planes; in AttGAN
the last map of the encoder, which the decoder still joins to the attributes, with the shortcuts of
E; in the StyleGAN2 encoder the code in W.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from baselines import attgan_losses, stargan_losses, stylegan2_encoder_losses
from baselines.attgan import AttGAN, AttGANConfig
from baselines.attgan_labels import scaled
from baselines.base import TrainingData
from baselines.finetuning import (
    Base,
    Edits,
    FineTunedEditor,
    FineTuningConfig,
    InfoNCEEditor,
    Terms,
)
from baselines.infonce import InfoNCEConfig
from baselines.nets.attgan import Encoder as AttGANEncoder
from baselines.nets.stargan import Generator as StarGANGenerator
from baselines.nets.stargan import encoder_layers, with_planes
from baselines.randomness import Draws
from baselines.stargan import StarGAN, StarGANConfig
from baselines.stylegan2_encoder import StyleGAN2Encoder, StyleGAN2EncoderConfig, new_encoder


class StarGANFineTunedConfig(FineTuningConfig, StarGANConfig):
    """Settings of StarGAN and of its fine-tuning."""


class StarGANInfoNCEConfig(InfoNCEConfig, StarGANFineTunedConfig):
    """Settings of StarGAN, of InfoNCE and of its fine-tuning.

    Attributes:
        latent_after: Where w is: after the ``downsampling`` layers or the ``residual`` blocks.
    """

    latent_after: Literal["downsampling", "residual"] = "downsampling"


class StarGANBase(Base):
    """StarGAN in parts."""

    classifier_reduction = "sum"

    def __init__(self, config: StarGANFineTunedConfig, data: TrainingData) -> None:
        self.editor: StarGAN = StarGAN(config, data)
        self.generator = [self.editor.generator]
        self.discriminator = self.editor.discriminator
        self.config, self.channels = config, data.channels
        self.batch_size, self.flip = config.batch_size, config.flip
        self.depth = len(encoder_layers(1, config.generator_width))
        if isinstance(config, StarGANInfoNCEConfig) and config.latent_after == "residual":
            self.depth += config.residual_blocks

    def turns(self, step: int) -> tuple[bool, bool]:
        return True, (step + 1) % self.config.critic_steps == 0

    def encode(self, images: Tensor, source: Tensor) -> list[Tensor]:
        return [self.editor.generator.main[: self.depth](with_planes(images, source))]

    def decode(self, maps: Sequence[Tensor], attributes: Tensor) -> Tensor:
        images: Tensor = self.editor.generator.main[self.depth :](maps[-1])
        return images

    def identity_encoder(self) -> tuple[nn.Module, int]:
        config = self.config
        width, statistics = config.generator_width, config.per_image_statistics
        whole = StarGANGenerator(0, width, config.residual_blocks, self.channels, statistics)
        return whole.main[: self.depth], 4 * width

    def translate(self, images: Tensor, source: Tensor, target: Tensor, restore: bool) -> Edits:
        fake = self.editor.generator(images, target)
        return Edits(fake, self.editor.generator(fake, source) if restore else None)

    def discriminator_losses(
        self, images: Tensor, edits: Edits, source: Tensor, draws: Draws, step: int
    ) -> Terms:
        share = draws.uniform("alpha", len(images))[:, :, None, None]
        terms = stargan_losses.discriminator_terms(
            self.discriminator, images, edits.fake, source, share, self.editor.label_type
        )
        return {**terms, "total": self.config.total(terms)}

    def generator_losses(self, images: Tensor, edits: Edits, target: Tensor) -> Terms:
        assert edits.restored is not None
        self.discriminator.requires_grad_(False)
        terms = stargan_losses.generator_terms(
            self.discriminator, edits.fake, target, self.editor.label_type
        )
        self.discriminator.requires_grad_(True)
        terms["reconstruction"] = stargan_losses.reconstruction_loss(images, edits.restored)
        return {**terms, "total": self.config.total(terms)}


class AttGANFineTunedConfig(FineTuningConfig, AttGANConfig):
    """Settings of AttGAN and of its fine-tuning, which trains with targets of +-thres_int."""


class AttGANInfoNCEConfig(InfoNCEConfig, AttGANFineTunedConfig):
    """Settings of AttGAN, of InfoNCE and of its fine-tuning."""


class AttGANBase(Base):
    """AttGAN in parts."""

    classifier_reduction = "mean"

    def __init__(self, config: AttGANFineTunedConfig, data: TrainingData) -> None:
        self.editor: AttGAN = AttGAN(config, data)
        self.generator = [self.editor.generator]
        self.discriminator = self.editor.discriminators
        self.config, self.channels = config, data.channels
        self.batch_size, self.flip = config.batch_size, config.flip_images

    def turns(self, step: int) -> tuple[bool, bool]:
        generating = (step + 1) % (self.config.discriminator_steps + 1) == 0
        return not generating, generating

    def encode(self, images: Tensor, source: Tensor) -> list[Tensor]:
        return self.editor.generator.encode(images.contiguous(memory_format=torch.channels_last))

    def decode(self, maps: Sequence[Tensor], attributes: Tensor) -> Tensor:
        intensities = scaled(attributes, self.config.thres_int)
        return self.editor.generator.decode(maps, intensities).contiguous()

    def decode_edit(self, maps: Sequence[Tensor], source: Tensor, target: Tensor) -> Tensor:
        intensities = self.editor.intensities(source, target)
        return self.editor.generator.decode(maps, intensities)

    def identity_encoder(self) -> tuple[nn.Module, int]:
        encoder = _LastMap(self.config, self.channels)
        return encoder.to(memory_format=torch.channels_last), encoder.widths[-1]  # type: ignore[call-overload]

    def translate(self, images: Tensor, source: Tensor, target: Tensor, restore: bool) -> Edits:
        maps = self.encode(images, source)
        restored = self.decode(maps, source) if restore else None
        return Edits(self.decode(maps, target), restored, maps[-1])

    def discriminator_losses(
        self, images: Tensor, edits: Edits, source: Tensor, draws: Draws, step: int
    ) -> Terms:
        return attgan_losses.discriminator_losses(
            self.editor.discriminators,
            self.config.objective,
            images,
            source,
            edits.fake,
            draws.uniform("alpha", len(images))[:, :, None, None],
            None if self.config.mode == "wgan" else torch.rand_like(images),
        )

    def generator_losses(self, images: Tensor, edits: Edits, target: Tensor) -> Terms:
        assert edits.restored is not None
        return attgan_losses.generator_losses(
            self.editor.discriminators,
            self.config.objective,
            images,
            target,
            edits.fake,
            edits.restored,
        )


class _LastMap(AttGANEncoder):
    """AttGAN's encoder, of which only the last map counts."""

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(images.contiguous(memory_format=torch.channels_last))[-1]


class StyleGAN2FineTunedConfig(FineTuningConfig, StyleGAN2EncoderConfig):
    """Settings of the StyleGAN2 encoder and of its fine-tuning."""


class StyleGAN2InfoNCEConfig(InfoNCEConfig, StyleGAN2FineTunedConfig):
    """Settings of the StyleGAN2 encoder, of InfoNCE and of its fine-tuning."""


class StyleGAN2Base(Base):
    """The StyleGAN2 encoder in parts; F is frozen."""

    classifier_reduction = "mean"

    def __init__(self, config: StyleGAN2FineTunedConfig, data: TrainingData) -> None:
        self.editor: StyleGAN2Encoder = StyleGAN2Encoder(config, data)
        self.generator = [self.editor.encoder, self.editor.vectors]
        self.discriminator = self.editor.discriminator
        self.config, self.data = config, data
        self.batch_size, self.flip = config.batch_size, config.flip
        self.judges_restored = config.classifier_images == "reconstructed"
        self.features = stylegan2_encoder_losses.feature_distance(config, data)

    def turns(self, step: int) -> tuple[bool, bool]:
        return True, True

    def encode(self, images: Tensor, source: Tensor) -> list[Tensor]:
        return [self.editor.encoder(images)]

    def decode(self, maps: Sequence[Tensor], attributes: Tensor) -> Tensor:
        return self.editor.synthesize(maps[-1])

    def identity_encoder(self) -> tuple[nn.Module, int]:
        return new_encoder(self.config, self.data), self.data.generator.w_dim

    def translate(self, images: Tensor, source: Tensor, target: Tensor, restore: bool) -> Edits:
        codes = self.editor.encoder(images)
        both = torch.cat([self.editor.move(codes, source, target), codes])
        fake, restored = self.editor.synthesize(both).chunk(2)
        return Edits(fake, restored, codes)

    def discriminator_losses(
        self, images: Tensor, edits: Edits, source: Tensor, draws: Draws, step: int
    ) -> Terms:
        assert edits.restored is not None
        penalize = step % self.config.r1_interval == 0
        return stylegan2_encoder_losses.discriminator_losses(
            self.discriminator, self.config, images, edits.fake, edits.restored, source, penalize
        )

    def generator_losses(self, images: Tensor, edits: Edits, target: Tensor) -> Terms:
        assert edits.restored is not None
        return stylegan2_encoder_losses.generator_losses(
            self.discriminator,
            self.config,
            images,
            edits.fake,
            edits.restored,
            target,
            self.features,
        )


def _presets(base: Any, smoke: dict[str, Any], small: dict[str, Any]) -> dict[str, Any]:
    """The base's presets, and what they give to what comes after it."""
    return {
        "smoke": {**base.presets["smoke"], **smoke},
        "small": {**base.presets["small"], **small},
    }


_SMOKE_PAIRS = {"pair_count": 2, "attribute_width": 16}
_SMALL_PAIRS = {"pair_count": 8, "attribute_width": 64}


class StarGANFineTuned(FineTunedEditor):
    """StarGAN trained on with its own losses."""

    Config, base_class = StarGANFineTunedConfig, StarGANBase
    presets: ClassVar = _presets(
        StarGAN, {"finetune_steps": 6}, {"finetune_steps": 120, "finetune_rate": 1e-3}
    )


class StarGANInfoNCE(InfoNCEEditor):
    """StarGAN trained on with InfoNCE."""

    Config, base_class = StarGANInfoNCEConfig, StarGANBase
    # Instance norm takes out what is constant over an image: the means that `pooled` compares, and
    # all of h(Attr) in F. A short training cannot work around that; the defaults are the paper's.
    presets: ClassVar = _presets(
        StarGANFineTuned,
        _SMOKE_PAIRS,
        {**_SMALL_PAIRS, "infonce_mode": "aux", "embedding": "flat"},
    )


class AttGANFineTuned(FineTunedEditor):
    """AttGAN trained on with its own losses."""

    Config, base_class = AttGANFineTunedConfig, AttGANBase
    presets: ClassVar = _presets(
        AttGAN, {"finetune_steps": 12}, {"finetune_steps": 400, "finetune_rate": 1e-3}
    )


class AttGANInfoNCE(InfoNCEEditor):
    """AttGAN trained on with InfoNCE."""

    Config, base_class = AttGANInfoNCEConfig, AttGANBase
    presets: ClassVar = _presets(AttGANFineTuned, _SMOKE_PAIRS, _SMALL_PAIRS)


class StyleGAN2FineTuned(FineTunedEditor):
    """The StyleGAN2 encoder trained on with its own losses."""

    Config, base_class = StyleGAN2FineTunedConfig, StyleGAN2Base
    presets: ClassVar = _presets(
        StyleGAN2Encoder, {"finetune_steps": 4}, {"finetune_steps": 80, "finetune_rate": 3e-4}
    )


class StyleGAN2InfoNCE(InfoNCEEditor):
    """The StyleGAN2 encoder trained on with InfoNCE."""

    Config, base_class = StyleGAN2InfoNCEConfig, StyleGAN2Base
    # A new identity encoder does not learn to invert a generator in a few hundred steps.
    presets: ClassVar = _presets(
        StyleGAN2FineTuned, _SMOKE_PAIRS, {**_SMALL_PAIRS, "infonce_mode": "aux"}
    )
