"""Projection of images into W+: a w for each layer and the noise maps, found by gradient.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020, arXiv
1912.04958), appendix D, as ``projector.py`` of stylegan2-ada-pytorch has it; ContraFeat (Zhu, Xu
and Tao, AAAI 2023) frees the w of each layer. The search begins at the mean w, goes after the
square of a distance of features, and adds noise to w that fades. The noise maps are searched too,
and kept from taking up the picture: each is normalised after every step, and penalised where
neighbouring numbers of it, or of it made smaller, go together.

Other than in NVIDIA's program, several images are projected at once, and what is drawn depends on
the seed and on the step only, so that the code of an image does not depend on what else is
projected. A generator without noise maps is searched without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from baselines.base import LatentGenerator, MethodConfig
from baselines.gradient_inversion import image_losses
from baselines.nets.stylegan2 import SynthesisLayer, SynthesisNetwork
from baselines.randomness import derive_seed, normals

Embedding = Callable[[Tensor], Tensor]

_DRAWN_AT_ONCE = 1000  # codes of the statistics; each has w_dim numbers for all layers
_LARGEST_COMPARED = 256  # pixels
_SMALLEST_OF_PYRAMID = 8  # pixels


class ProjectionSettings(MethodConfig):
    """Settings; the defaults are those of NVIDIA's projector.

    Attributes:
        steps: Steps of Adam.
        learning_rate: Of Adam, at its highest.
        ramp_up: The first part of the steps, in which the learning rate grows from 0.
        ramp_down: The last part, in which it falls to 0 by a cosine.
        statistics_codes: Codes that the mean and the deviation of w are taken from.
        w_noise: The deviation of the noise that is added to w at first, in those of w: the root
            of the mean squared distance from the mean.
        w_noise_until: The part of the steps after which no more is added; the noise fades as the
            square of what is left till then.
        regularisation: The weight of the noise maps' penalty.
        pixel_weight: Of the mean square error of pixels in [-1, 1], which is added to the distance
            (as by Image2StyleGAN, Abdal et al. 2019); NVIDIA's program has no such term.
        seed: Of all that is drawn; equal for all images.
    """

    steps: int = Field(1000, ge=1)
    learning_rate: float = Field(0.1, gt=0, le=1e30)
    ramp_up: float = Field(0.05, gt=0, le=1)
    ramp_down: float = Field(0.25, gt=0, le=1)
    statistics_codes: int = Field(10_000, ge=2)
    w_noise: float = Field(0.05, ge=0)
    w_noise_until: float = Field(0.75, gt=0, le=1)
    regularisation: float = Field(1e5, ge=0)
    pixel_weight: float = Field(0.0, ge=0)
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        done = step / self.steps
        down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1.0 - done) / self.ramp_down))
        return self.learning_rate * down * min(1.0, done / self.ramp_up)

    def w_noise_at(self, step: int) -> float:
        """The noise of a step in deviations of w."""
        return self.w_noise * max(0.0, 1.0 - step / self.steps / self.w_noise_until) ** 2


@dataclass(frozen=True)
class Projection:
    """What images were projected to.

    Attributes:
        ws: float32 (N, L, D), the codes.
        noises: The noise maps, float32 (N, 1, r, r) for each layer that has one.
        distances: float32 (N, steps + 1), before each step, with the noise on w; the last one is
            that of ``ws`` and ``noises``.
    """

    ws: Tensor
    noises: tuple[Tensor, ...]
    distances: Tensor


def project(
    generator: LatentGenerator,
    images: Tensor,
    embed: Embedding,
    settings: ProjectionSettings,
    on_step: Callable[[int], None] = lambda done: None,
) -> Projection:
    """Find codes and noise maps whose images are those given, for all images at once.

    Equal images get equal codes whatever the batch, up to what rounding errors grow to.

    Args:
        generator: Frozen, in evaluation mode; noise maps are those of a ``SynthesisNetwork``.
        images: float32 (N, C, R, R) in [-1, 1], on the generator's device.
        embed: Images (N, C, r, r) to vectors (N, F), differentiable; the square of their
            Euclidean distance is what is made small. Images above 256 px are made smaller first.
        settings: How to search.
        on_step: Is told after each step how many are done.

    Raises:
        ValueError: The images are not like the generator's, or a distance became NaN or infinite.
    """
    _require_size(generator, images)
    mean, deviation = w_statistics(generator, settings, images.device)
    ws = mean.repeat(len(images), generator.num_ws, 1).requires_grad_()
    noises = tuple(noise.requires_grad_() for noise in _first_noises(generator, images, settings))
    searched = [ws, *noises]
    optimizer = torch.optim.Adam(searched, betas=(0.9, 0.999))
    with torch.no_grad():
        goal = _Goal.of(images, embed, settings.pixel_weight)
    seed, trace = derive_seed(settings.seed, "projection", "w noise"), []
    for step in range(settings.steps):
        draws = normals(seed, step, 1, ws[0].numel()).view(1, *ws.shape[1:]).to(ws.device)
        moved = ws + deviation * settings.w_noise_at(step) * draws
        distances = goal.distances(render(generator, moved, noises))
        trace.append(_finite(distances.detach(), step, settings))
        # Of the sum over images, so that the gradient of each is what it would be alone.
        loss = distances.sum()
        if noises:
            loss = loss + settings.regularisation * noise_correlation(noises).sum()
        gradients = torch.autograd.grad(loss, searched)
        for variable, gradient in zip(searched, gradients, strict=True):
            variable.grad = gradient
        optimizer.param_groups[0]["lr"] = settings.rate_at(step)
        optimizer.step()
        _normalise(noises)
        on_step(step + 1)
    with torch.no_grad():
        last = goal.distances(render(generator, ws, noises))
    trace.append(_finite(last, settings.steps, settings))
    found = tuple(noise.detach() for noise in noises)
    return Projection(ws.detach(), found, torch.stack(trace, dim=1))


def render(generator: LatentGenerator, ws: Tensor, noises: Sequence[Tensor]) -> Tensor:
    """Images (N, C, R, R) of codes (N, L, D) with given noise maps; without any, the stored ones.

    Args:
        generator: As ``project`` takes it.
        ws: The codes.
        noises: As ``Projection`` has them, for as many codes.
    """
    synthesis: Any = generator.synthesis
    if noises:
        images: Tensor = synthesis.blocks(ws, noises=list(noises))[-1][1]
    else:
        images = synthesis(ws, noise_mode="const")
    return images


@torch.no_grad()
def w_statistics(
    generator: LatentGenerator, settings: ProjectionSettings, device: torch.device
) -> tuple[Tensor, float]:
    """The mean of w, (D,), and the root of the mean squared distance from it."""
    seed = derive_seed(settings.seed, "projection", "statistics")
    starts = range(0, settings.statistics_codes, _DRAWN_AT_ONCE)
    counts = [min(_DRAWN_AT_ONCE, settings.statistics_codes - start) for start in starts]
    w = torch.cat(
        [
            generator.mapping(normals(seed, start, count, generator.z_dim).to(device))[:, 0]
            for start, count in zip(starts, counts, strict=True)
        ]
    )
    mean = w.mean(dim=0)
    return mean, float((w - mean).square().sum(dim=1).mean().sqrt())


def noise_correlation(noises: Sequence[Tensor]) -> Tensor:
    """How far neighbouring numbers of noise maps go together, 0 for none.

    Of each map, and of it halved again and again down to 8 px: the squared mean of the products
    with its right and with its lower neighbour, around the edges; all are summed.

    Args:
        noises: (N, 1, r, r) each, at least one.

    Returns:
        (N,)
    """
    terms = []
    for noise in noises:
        for level in _pyramid(noise):
            for dim in (2, 3):
                products = level * level.roll(1, dims=dim)
                terms.append(products.mean(dim=(1, 2, 3)).square())
    return torch.stack(terms).sum(dim=0)


def _pyramid(noise: Tensor) -> Iterator[Tensor]:
    """A map (N, 1, r, r), and it made smaller as long as it is above 8 px."""
    yield noise
    while noise.shape[2] > _SMALLEST_OF_PYRAMID:
        noise = functional.avg_pool2d(noise, 2)
        yield noise


@dataclass(frozen=True)
class _Goal:
    """The images that are searched for."""

    images: Tensor  # N x C x r x r, of 256 px at most
    vectors: Tensor  # N x F
    embed: Embedding
    pixel_weight: float

    @classmethod
    def of(cls, images: Tensor, embed: Embedding, pixel_weight: float) -> _Goal:
        compared = _comparable(images)
        return cls(compared, embed(compared), embed, pixel_weight)

    def distances(self, made: Tensor) -> Tensor:
        """How far images (N, C, R, R) are, (N,)."""
        compared = _comparable(made)
        if compared.shape != self.images.shape:
            raise ValueError(
                f"the generator makes images of {made.shape[1]} channels and the given ones have "
                f"{self.images.shape[1]}: give images of as many"
            )
        distances = (self.embed(compared) - self.vectors).square().sum(dim=1)
        if not self.pixel_weight:
            return distances
        return distances + self.pixel_weight * image_losses(compared, self.images, "mse")


def _first_noises(
    generator: LatentGenerator, images: Tensor, settings: ProjectionSettings
) -> list[Tensor]:
    """Noise maps to begin with, (N, 1, r, r) for each layer that has one; equal for all images."""
    synthesis: Any = generator.synthesis
    if not isinstance(synthesis, SynthesisNetwork):
        return []
    layers = [layer for layer in synthesis.modules() if isinstance(layer, SynthesisLayer)]
    noises = []
    for number, layer in enumerate(layers):
        seed, side = derive_seed(settings.seed, "projection", "noise", number), layer.resolution
        noise = normals(seed, 0, side, side)[None, None].to(images.device)
        noises.append(noise.repeat(len(images), 1, 1, 1))
    return noises


@torch.no_grad()
def _normalise(noises: Sequence[Tensor]) -> None:
    """Give each map (N, 1, r, r) the mean 0 and the mean square 1 again."""
    for noise in noises:
        noise -= noise.mean(dim=(1, 2, 3), keepdim=True)
        noise *= noise.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()


def _comparable(images: Tensor) -> Tensor:
    """Images of 256 px at most, as means of the pixels that they cover."""
    if images.shape[-1] <= _LARGEST_COMPARED:
        return images
    return functional.interpolate(images, size=_LARGEST_COMPARED, mode="area")


def _require_size(generator: LatentGenerator, images: Tensor) -> None:
    size = generator.img_resolution
    if images.ndim != 4 or images.shape[-2:] != (size, size):
        shape = " x ".join(map(str, images.shape))
        raise ValueError(
            f"the generator makes images of {size} x {size} pixels and the given ones are "
            f"{shape}: resize them first"
        )


def _finite(distances: Tensor, step: int, settings: ProjectionSettings) -> Tensor:
    lost = (~distances.isfinite()).nonzero().flatten().tolist()
    if lost:
        raise ValueError(
            f"the projection of image {lost[0]} diverged after {step} of {settings.steps} steps: "
            f"lower learning_rate ({settings.learning_rate:g})"
        )
    return distances
