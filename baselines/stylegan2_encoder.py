"""An encoder into a pretrained StyleGAN2, with one vector in W for each attribute.

The StyleGAN2 base of Choi, Nguyen and Pham, "Contrastive Representation Learning For Image
Attribute Manipulation" (sections 2.1 and 4.2): "since the styleGAN2 does not have the encoder
structure, a custom encoder using the pre-trained VGG16 model is constructed and trained". Its code
was not released and its results stand in no table, so that most of this is a reading:

- E: VGG16's convolutions with ImageNet's weights and normalisation, their mean over positions, one
  dense layer to w, which all layers of the synthesis network share. All of it is trained.
- F: the synthesis network, frozen, with its constant noise. Images that are smaller than its own
  are averaged down from them.
- An edit adds vectors to E(x): those of the attributes that appear, minus those that go.
- First E learns to find the codes of F's own random images; then follow equations 1 to 6 on real
  images: log losses (the generator's in StyleGAN2's non-saturating form, with its R1 penalty), a
  discriminator of StarGAN's architecture, a multi-label cross-entropy, and as distance d the
  squared error of pixels plus that of unit-length features (``stylegan2_encoder_losses``).
- Equation 5 trains the class head on reconstructions, the official code of the other two bases on
  real images: ``classifier_images``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.base import Batch, Editor, MethodConfig, Stage, TrainingData
from baselines.latent_space import has_styles
from baselines.nets.stargan import Discriminator
from baselines.nets.vgg_encoder import VGG16_BLOCKS, Encoder
from baselines.randomness import mirrored
from baselines.stylegan2_encoder_losses import (
    Terms,
    discriminator_losses,
    feature_distance,
    generator_losses,
)

_BETAS = (0.5, 0.99)
_CODES = 1000  # random codes that the mean and the deviation of w are taken from
_CODES_AT_ONCE = 64


class StyleGAN2EncoderConfig(MethodConfig):
    """Settings; the paper states the optimiser and VGG16, the other defaults are ours.

    Attributes:
        encoder: ``vgg16`` with ImageNet's weights, or ``narrow``: four blocks of two convolutions,
            trained from the start, whose dense layer sees a map of 4 x 4.
        encoder_width: Channels of the first block of ``narrow``; each block doubles them.
        inversion_steps: Steps on random images of the generator, whose codes are known.
        inversion_batch: Images of such a step, over all processes.
        iterations: Steps on real images, each of them for both sides.
        batch_size: Images of a step, over all processes.
        learning_rate: The encoder's, of Adam with betas (0.5, 0.99).
        vector_rate: The vectors' learning rate.
        discriminator_rate: The discriminator's learning rate.
        inversion_rate: Learning rate of the steps on random images.
        vector_samples: Training images whose codes are regressed on their attributes for the
            vectors to start from, after the inversion; 0 lets them start from zero.
        adversarial_weight: Of the generator's side; equation 6 has no weights.
        classification_weight: Of the edited images' attributes.
        pixel_weight: Of the reconstruction's mean squared error.
        feature_weight: Of the reconstruction's feature distance.
        extractor: The feature network of that distance; None where its weight is 0.
        classifier_images: What the class head learns from: ``reconstructed`` images as in
            equation 5, or ``real`` ones.
        r1_gamma: Weight of the R1 penalty.
        r1_interval: Steps from one R1 penalty to the next.
        discriminator_width: Channels of its first layer; each layer doubles them.
        discriminator_layers: Each of them halves the images.
        flip: Mirror each training image with probability 1/2.
    """

    encoder: Literal["vgg16", "narrow"] = "vgg16"
    encoder_width: int = Field(16, ge=1)
    inversion_steps: int = Field(50_000, ge=0)
    inversion_batch: int = Field(16, ge=1)
    iterations: int = Field(200_000, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    vector_rate: float = Field(1e-4, gt=0)
    discriminator_rate: float = Field(1e-4, gt=0)
    inversion_rate: float = Field(1e-4, gt=0)
    vector_samples: int = Field(0, ge=0)
    adversarial_weight: float = Field(1.0, ge=0)
    classification_weight: float = Field(1.0, ge=0)
    pixel_weight: float = Field(1.0, ge=0)
    feature_weight: float = Field(1.0, ge=0)
    extractor: str | None = "vgg16"
    classifier_images: Literal["reconstructed", "real"] = "reconstructed"
    r1_gamma: float = Field(1.0, ge=0)
    r1_interval: int = Field(16, ge=1)
    discriminator_width: int = Field(64, ge=1)
    discriminator_layers: int = Field(6, ge=1)
    flip: bool = False


class StyleGAN2Encoder(Editor):
    """The encoder E, the attributes' vectors and the discriminator; F belongs to the dataset.

    Args:
        config: The settings.
        data: ``data.generator`` is edited through; ``data.extractor`` gives VGG16's weights.

    Raises:
        ValueError: There is no generator or no attribute, the generator's images are smaller than
            the dataset's or of other colours, or the images are too small for the networks.
    """

    Config = StyleGAN2EncoderConfig
    presets: ClassVar = {
        "smoke": {
            "encoder": "narrow",
            "encoder_width": 4,
            "inversion_steps": 3,
            "inversion_batch": 4,
            "vector_samples": 8,
            "iterations": 4,
            "batch_size": 4,
            "feature_weight": 0.0,
            "extractor": None,
            "discriminator_width": 4,
            "discriminator_layers": 3,
        },
        "small": {
            "encoder": "narrow",
            "encoder_width": 16,
            "inversion_steps": 80,
            "inversion_batch": 64,
            "vector_samples": 512,
            "iterations": 300,
            "batch_size": 8,
            "learning_rate": 3e-4,
            "vector_rate": 3e-3,
            "discriminator_rate": 1e-3,
            "inversion_rate": 3e-3,
            "adversarial_weight": 0.1,
            "pixel_weight": 20.0,
            "feature_weight": 0.0,
            "extractor": None,
            "classifier_images": "real",
            "discriminator_width": 16,
            "discriminator_layers": 4,
        },
    }

    def __init__(self, config: StyleGAN2EncoderConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        _check(config, data)
        self.config = config
        self.synthesize = _frozen_synthesis(data)
        self.encoder = new_encoder(config, data)
        self.vectors = nn.Linear(len(data.attributes.names), data.generator.w_dim, bias=False)
        nn.init.zeros_(self.vectors.weight)
        self.discriminator = Discriminator(
            len(data.attributes.names),
            data.size,
            config.discriminator_width,
            config.discriminator_layers,
            data.channels,
        )

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        codes = self.move(self.encoder(images), source, target)
        return self.synthesize(codes).clamp(-1, 1)

    def move(self, codes: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Codes (N, w_dim) of images with attributes ``source`` -> those with ``target``."""
        moved: Tensor = codes + self.vectors(target - source)
        return moved

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        if self.config.inversion_steps:
            yield InversionStage(self, data)
        yield AdversarialStage(self, data)


class InversionStage(Stage):
    """The encoder finds the codes of random images; only it is trained, and F only runs forward."""

    name = "inversion"

    def __init__(self, method: StyleGAN2Encoder, data: TrainingData) -> None:
        super().__init__()
        self.method, self.generator = method, data.generator
        self.steps, self.count = method.config.inversion_steps, method.config.inversion_batch
        self.optimizer = torch.optim.Adam(
            method.encoder.parameters(), method.config.inversion_rate, betas=_BETAS, fused=True
        )
        self.optimizers = {"encoder": self.optimizer}

    def step(self, batch: Batch) -> Terms:
        for group in self.optimizer.param_groups:
            group["lr"] = self.method.config.inversion_rate * (1 - batch.step / self.steps)
        z = batch.draws.normal("z", batch.share(self.count), self.generator.z_dim)
        with torch.no_grad():
            codes = self.generator.mapping(z)[:, 0]
            images = self.method.synthesize(codes)
        encoder = self.method.encoder
        loss = ((encoder(images) - codes) / encoder.deviation).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"code": loss.detach()}


class AdversarialStage(Stage):
    """Equation 6 on real images: in each step the discriminator, then the encoder and vectors."""

    name = "adversarial"

    def __init__(self, method: StyleGAN2Encoder, data: TrainingData) -> None:
        super().__init__()
        self.method, self.config, self.data = method, method.config, data
        self.steps, self.batch_size = self.config.iterations, self.config.batch_size
        self.features = feature_distance(self.config, data)
        vectors = {"params": method.vectors.parameters(), "lr": self.config.vector_rate}
        judge = {"params": method.discriminator.parameters(), "lr": self.config.discriminator_rate}
        self.optimizers = {
            "encoder": self._adam([{"params": method.encoder.parameters()}, vectors]),
            "discriminator": self._adam([judge]),
        }

    def step(self, batch: Batch) -> Terms:
        assert batch.images is not None
        assert batch.attributes is not None
        if batch.step == 0 and self.config.vector_samples:
            self._regress_vectors()
        images = mirrored(batch.images, batch.draws) if self.config.flip else batch.images
        source = batch.attributes
        target = source[batch.draws.uniform("permutation", len(source))[:, 0].argsort()]
        method = self.method
        codes = method.encoder(images)
        both = torch.cat([codes, method.move(codes, source, target)])
        restored, fake = method.synthesize(both).chunk(2)
        penalize = batch.step % self.config.r1_interval == 0
        losses = discriminator_losses(
            method.discriminator,
            self.config,
            images,
            fake.detach(),
            restored.detach(),
            source,
            penalize,
        )
        report = self._minimize("discriminator", losses)
        losses = generator_losses(
            method.discriminator, self.config, images, fake, restored, target, self.features
        )
        return report | self._minimize("encoder", losses)

    def collapsed(self) -> str | None:
        """All images get the same code."""
        count = min(8, len(self.data.train))
        images, _ = self.data.train.batch(torch.arange(count))
        encoder, training = self.method.encoder, self.method.encoder.training
        with torch.no_grad():
            codes = encoder.eval()(images.to(self.method.vectors.weight.device))
        encoder.train(training)
        spread = float(((codes - codes.mean(dim=0)) / encoder.deviation).square().mean().sqrt())
        same = count > 1 and spread < 1e-4 and float(images.std(dim=0).mean()) > 0
        return f"different images get the same code (spread {spread:.1e})" if same else None

    def _regress_vectors(self) -> None:
        """The vectors become the least squares fit of training images' codes to attributes."""
        count = min(self.config.vector_samples, len(self.data.train))
        chosen = torch.arange(count) * len(self.data.train) // count  # the same in each process
        weight = self.method.vectors.weight
        codes, labels = [], []
        with torch.no_grad():
            for indices in chosen.split(_CODES_AT_ONCE):
                images, attributes = self.data.train.batch(indices)
                codes.append(self.method.encoder(images.to(weight.device)).cpu())
                labels.append(torch.cat([attributes, torch.ones(len(indices), 1)], dim=1))
            inputs = torch.cat(labels).double()
            # Solvable even with an attribute that all images have.
            ridge = 1e-3 * torch.eye(inputs.shape[1], dtype=torch.float64)
            fit = torch.linalg.solve(
                inputs.T @ inputs + ridge, inputs.T @ torch.cat(codes).double()
            )
            weight.copy_(fit[:-1].T)

    def _adam(self, groups: list[dict[str, Any]]) -> torch.optim.Adam:
        return torch.optim.Adam(groups, self.config.learning_rate, betas=_BETAS, fused=True)

    def _minimize(self, name: str, losses: Terms) -> Terms:
        self.optimizers[name].zero_grad(set_to_none=True)
        losses["total"].backward()
        self.optimizers[name].step()
        return {f"{name}/{term}": loss.detach() for term, loss in losses.items()}


def new_encoder(config: StyleGAN2EncoderConfig, data: TrainingData) -> Encoder:
    """An encoder whose dense layer is new; VGG16's convolutions come with ImageNet's weights.

    Raises:
        ValueError: VGG16 is asked for, and the run has no extractors.
    """
    with torch.no_grad():
        device = next(data.generator.mapping.parameters()).device
        z = torch.randn(_CODES, data.generator.z_dim)
        codes = data.generator.mapping(z.to(device))[:, 0].cpu()
    if config.encoder == "narrow":
        blocks = tuple((config.encoder_width << i, 2) for i in range(4))
        encoder = Encoder(blocks, codes, grid=4)
    else:
        if data.extractor is None:
            raise ValueError(
                "stylegan2-encoder needs VGG16's weights, and the run has no extractors: add --set "
                "encoder=narrow."
            )
        encoder = Encoder(VGG16_BLOCKS, codes)
        encoder.features.load_state_dict(data.extractor("vgg16").features.state_dict())
    return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _frozen_synthesis(data: TrainingData) -> Callable[[Tensor], Tensor]:
    """Codes (N, w_dim) -> images (N, C, size, size); a closure, so that no checkpoint holds F."""
    generator, size = data.generator, data.size

    def synthesize(codes: Tensor) -> Tensor:
        ws = codes[:, None].expand(-1, generator.num_ws, -1)
        images: Tensor = generator.synthesis(ws, noise_mode="const")
        return (
            images if generator.img_resolution == size else F.interpolate(images, size, mode="area")
        )

    return synthesize


def _check(config: StyleGAN2EncoderConfig, data: TrainingData) -> None:
    generator = data.generator
    if generator is None:
        raise ValueError(
            "stylegan2-encoder edits through a pretrained StyleGAN2, and the dataset implies none: "
            "name one with --generator."
        )
    if not has_styles(generator):
        raise ValueError(
            "stylegan2-encoder edits in W, which only a StyleGAN2 has: name another generator with "
            "--generator."
        )
    if not data.attributes.names:
        raise ValueError("stylegan2-encoder needs attributes: choose a dataset that has some.")
    if generator.img_resolution < data.size:
        raise ValueError(
            f"The generator makes images of {generator.img_resolution} px, the dataset has "
            f"{data.size} px: add --set dataset.size={generator.img_resolution}"
        )
    if generator.img_channels != data.channels:
        raise ValueError(
            f"The generator's images have {generator.img_channels} colour channels, the dataset's "
            f"{data.channels}: name another one with --generator"
        )
    least = max(16 if config.encoder == "vgg16" else 8, 2**config.discriminator_layers)
    if data.size % least:
        raise ValueError(
            f"Images of {data.size} px cannot be halved as often as the networks do: choose a "
            f"multiple of {least} by --set dataset.size=N, or fewer discriminator_layers"
        )
