"""Inversion by gradient: the latents of each image are optimised until its reconstruction fits.

Creswell and Bharath, "Inverting the Generator of a Generative Adversarial Network" (2018,
arXiv 1802.05701), minimise a loss between an image and G(z) over z, with many images at once.
Lipton and Tripathi, "Precise Recovery of Latent Vectors from Generative Adversarial Networks"
(2017, arXiv 1702.04782), draw numbers of z that leave the prior's range anew (stochastic clipping).
Abdal et al., "Image2StyleGAN" (2019, arXiv 1904.03189), do it in StyleGAN's W+, one vector for each
layer, begin at the mean w, use Adam at 0.01 for 5000 steps and add a feature loss. Karras et al.,
"Analyzing and Improving the Image Quality of StyleGAN" (2020, section 5), have one vector for all
layers (W) and measure their noise by the deviation of the latents.

Here it is one vector in W too, and the rate counts in standard deviations of the latents. The
defaults are Image2StyleGAN's steps and rate on the mean square of pixels. In place of random starts
for each image, the same fixed starts serve all images, so that the latents of an image do not
depend on what else is inverted; of several starts, the one that ends best counts. Differing from
all three, more starts may be drawn than are followed (``candidates``): each image follows those
whose pictures resemble it most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from baselines.base import Inverter, MethodConfig, TrainingData
from baselines.latent_space import given_space
from baselines.randomness import Draws, derive_seed, uniforms

_DRAWN_FOR_STATISTICS = 4096  # latents that the mean and the deviation are taken from
_IMAGES_AT_ONCE = 64  # where nothing is optimised


class GradientInversionConfig(MethodConfig):
    """Settings; the defaults are Image2StyleGAN's, without its feature loss.

    Attributes:
        steps: Steps of Adam from each start.
        learning_rate: Of Adam, in standard deviations of the latents.
        restarts: Starts that are followed for each image; the best end is taken.
        candidates: Starts that are looked at; each image follows those nearest to it. None: as
            many as are followed.
        image_loss: ``mse`` or ``mae`` of pixels in [-1, 1].
        feature_weight: Of the mean square error of the extractor's feature maps, which is added.
        extractor: The feature network of that loss.
        clipping: What happens to numbers of a latent that leave the range: nothing (``none``), or
            they become its end (``standard``), or are drawn anew in it (``stochastic``).
        clipping_range: Half the range, in standard deviations.
        batch_size: Images times restarts that are optimised at a time.
        most_images: How many images of a kind an evaluation inverts at most; None for as many as
            it likes.
        seed: Of the starts and of what is drawn anew; not the run's, so that all runs share them.
    """

    steps: int = Field(5000, ge=1)
    learning_rate: float = Field(0.01, gt=0)
    restarts: int = Field(1, ge=1)
    candidates: int | None = Field(None, ge=1)
    image_loss: Literal["mse", "mae"] = "mse"
    feature_weight: float = Field(0.0, ge=0)
    extractor: str = "efficientnet-lite0"
    clipping: Literal["none", "standard", "stochastic"] = "none"
    clipping_range: float = Field(3.0, gt=0)
    batch_size: int = Field(64, ge=1)
    most_images: int | None = Field(None, ge=2)
    seed: int = 0

    @property
    def looked_at(self) -> int:
        """How many starts there are."""
        return self.candidates or self.restarts

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        if self.candidates is not None and self.candidates < self.restarts:
            raise ValueError(
                f"candidates ({self.candidates}) are fewer than restarts ({self.restarts}): raise "
                "candidates, or leave them out"
            )
        return self


class GradientInversion(Inverter):
    """The run's generator, inverted image by image; nothing is trained.

    Latents are z, or w where the generator is a StyleGAN2. Equal images get equal latents whatever
    the batch, up to what rounding errors of convolutions grow to.

    Args:
        config: The settings.
        data: ``data.generator`` is inverted; ``data.extractor`` gives the feature network.

    Attributes:
        most_images: As configured.
        steps_per_image: Passes forward and backward through the generator for each image.

    Raises:
        ValueError: There is no generator, its images are not of the dataset's size or colours, or
            a feature loss is asked for and the run has no extractors.
    """

    Config = GradientInversionConfig
    presets: ClassVar = {
        "smoke": {"steps": 3, "learning_rate": 0.1, "restarts": 2},
        "small": {
            "steps": 40,
            "learning_rate": 0.1,
            "candidates": 1024,
            "most_images": 128,
        },
    }

    def __init__(self, config: GradientInversionConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        self.config, self.space = config, given_space(data)
        if self.space.in_w:
            self.interpolation = "linear"  # type: ignore[misc]  # W is no sphere
        self.most_images = config.most_images
        self.steps_per_image = config.steps * config.restarts
        self._feature_maps = _feature_maps(config, data)
        self._shape = (data.channels, data.size, data.size)

    def encode(self, images: Tensor) -> Tensor:
        if images.shape[1:] != self._shape:
            raise ValueError(
                f"the images are of shape {tuple(images.shape[1:])} and the generator's of "
                f"{self._shape}: resize them first, or take another --generator"
            )
        at_once = max(self.config.batch_size // self.config.restarts, 1)
        return torch.cat([self._invert(part) for part in images.split(at_once)])

    def decode(self, z: Tensor) -> Tensor:
        if z.shape[1] != self.space.dim:
            raise ValueError(
                f"the latents have {z.shape[1]} numbers and the generator's have {self.space.dim}: "
                "take the --generator that they belong to"
            )
        return self.space.images(z).clamp(-1, 1)

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return self.space.latents(draws.normal("z", count, self.space.noise_dim))

    def _invert(self, images: Tensor) -> Tensor:
        """Latents (N, D) of images (N, C, H, W): of all restarts and steps those that fit best."""
        config, restarts = self.config, self.config.restarts
        positions = self._starts(images).flatten(0, 1).requires_grad_()  # (N * R, D)
        wanted = images.repeat_interleave(restarts, dim=0)
        features = self._feature_maps(wanted)
        optimizer = torch.optim.Adam([positions], config.learning_rate)
        best = positions.detach().clone()
        least = torch.full((len(positions),), math.inf, device=images.device)
        for step in range(config.steps + 1):
            with torch.set_grad_enabled(step < config.steps):
                losses = self._losses(self._images(positions), wanted, features)
            better = losses.detach() < least
            least = torch.where(better, losses.detach(), least)
            best = torch.where(better[:, None], positions.detach(), best)
            if step < config.steps:
                # Of the sum over images, so that the gradient of each is what it would be alone.
                ones = torch.ones_like(losses)
                (positions.grad,) = torch.autograd.grad(losses, positions, ones)
                optimizer.step()
                self._clip(positions.data, step)
        chosen = least.view(-1, restarts).argmin(dim=1)
        best = best.view(-1, restarts, self.space.dim)[torch.arange(len(images)), chosen]
        return self._latents(best)

    def _losses(self, made: Tensor, wanted: Tensor, features: Sequence[Tensor]) -> Tensor:
        """How far images are from those wanted, one number for each (M,)."""
        losses = image_losses(made, wanted, self.config.image_loss)
        if features:
            pairs = zip(self._feature_maps(made), features, strict=True)
            distances = [image_losses(*pair, "mse") for pair in pairs]
            losses = losses + self.config.feature_weight * torch.stack(distances).mean(dim=0)
        return losses

    def _starts(self, images: Tensor) -> Tensor:
        """Where each image begins, (N, R, D) in standard deviations."""
        starts = self._candidates
        if len(starts) == self.config.restarts:
            return starts.repeat(len(images), 1, 1)
        power = {"mse": 2.0, "mae": 1.0}[self.config.image_loss]
        # Without matrix products, whose rounding depends on the number of images.
        distances = torch.cdist(
            images.flatten(1),
            self._pictures.flatten(1),
            power,
            compute_mode="donot_use_mm_for_euclid_dist",
        )
        return starts[distances.topk(self.config.restarts, largest=False).indices]

    def _clip(self, positions: Tensor, step: int) -> None:
        """Bring numbers of (N * R, D) back into the range."""
        limit = self.config.clipping_range
        if self.config.clipping == "standard":
            positions.clamp_(-limit, limit)
        elif self.config.clipping == "stochastic":
            seed, restarts = derive_seed(self.config.seed, "clipping", step), self.config.restarts
            anew = uniforms(seed, 0, restarts, self.space.dim).mul(2).sub(1).mul(limit)
            anew = anew.to(positions.device).repeat(len(positions) // restarts, 1)
            positions.copy_(torch.where(positions.abs() > limit, anew, positions))

    def _images(self, positions: Tensor) -> Tensor:
        return self.space.images(self._latents(positions))

    def _latents(self, positions: Tensor) -> Tensor:
        mean, deviation = self._statistics
        return mean + deviation * positions

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (D,) of the latents."""
        latents = self._drawn("statistics", _DRAWN_FOR_STATISTICS)
        if not self.space.in_w:
            return torch.zeros_like(latents[0]), torch.ones_like(latents[0])
        return latents.mean(dim=0), latents.std(dim=0).clamp(min=1e-6)

    @cached_property
    def _candidates(self) -> Tensor:
        """The starts that are looked at, (K, D) in standard deviations.

        In W the first one is the mean. The mean of z is no place to start from: a DCGAN's units
        may all be off there, and so is DigiFace's gradient.
        """
        mean, deviation = self._statistics
        starts = (self._drawn("starts", self.config.looked_at) - mean) / deviation
        if self.space.in_w:
            starts[0] = 0
        return starts

    @cached_property
    def _pictures(self) -> Tensor:
        """The images of the candidates (K, C, H, W)."""
        with torch.no_grad():
            parts = self._candidates.split(_IMAGES_AT_ONCE)
            return torch.cat([self._images(part) for part in parts])

    def _drawn(self, purpose: str, count: int) -> Tensor:
        """Latents (N, D) of fixed draws, on the generator's device."""
        return self.space.drawn(derive_seed(self.config.seed, purpose), count)


def image_losses(made: Tensor, wanted: Tensor, kind: Literal["mse", "mae"]) -> Tensor:
    """The mean square or absolute error of each image or feature map.

    Args:
        made: (N, C, H, W).
        wanted: (N, C, H, W).
        kind: Which of the two errors.

    Returns:
        (N,)
    """
    errors = made - wanted
    errors = errors.square() if kind == "mse" else errors.abs()
    return errors.flatten(1).mean(dim=1)


def _feature_maps(
    config: GradientInversionConfig, data: TrainingData
) -> Callable[[Tensor], Sequence[Tensor]]:
    """What the feature loss compares; a closure, so that no checkpoint holds the network."""
    if not config.feature_weight:
        return lambda images: ()
    if data.extractor is None:
        raise ValueError(
            "gradient-inversion takes its feature loss from an extractor, and the run has none: "
            "add --set feature_weight=0."
        )
    network = data.extractor(config.extractor)
    return lambda images: network.feature_maps(images)
