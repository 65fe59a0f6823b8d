"""The latent space that images are inverted into: W of a StyleGAN2, z of any other generator.

StyleGAN2's z is too entangled to be found by an encoder, so that its inversion works in W, with one
vector for all layers (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
section 5). Image2StyleGAN (Abdal et al. 2019) works in W+, with a vector for each layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from baselines.base import TrainingData
from baselines.randomness import normals


def has_styles(generator: Any) -> bool:
    """Whether a generator has StyleGAN2's W, between ``mapping`` and ``synthesis``."""
    return hasattr(generator, "mapping") and hasattr(generator, "synthesis")


class LatentSpace:
    """A generator as a map from one vector to an image.

    Args:
        generator: A network ``z (N, z_dim) -> images``, or one with ``mapping`` and ``synthesis``
            as a StyleGAN2 has them.

    Attributes:
        generator: The network.
        in_w: Whether latents are those of W.
        dim: Numbers in a latent.
        noise_dim: Numbers that a latent is drawn from.
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.in_w = has_styles(generator)
        self.noise_dim = int(generator.z_dim)
        self.dim = int(generator.w_dim) if self.in_w else self.noise_dim

    def latents(self, noise: Tensor) -> Tensor:
        """Latents (N, dim) of standard normal ``noise`` (N, noise_dim)."""
        return self.generator.mapping(noise)[:, 0] if self.in_w else noise

    @torch.no_grad()
    def drawn(self, seed: int, count: int) -> Tensor:
        """The first ``count`` latents (N, dim) of a seed, on the generator's device."""
        noise = normals(seed, 0, count, self.noise_dim)
        return self.latents(noise.to(next(self.generator.parameters()).device))

    def images(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) of latents (N, dim), differentiable in both."""
        if self.in_w:
            ws = latents[:, None].expand(-1, self.generator.num_ws, -1)
            images: Tensor = self.generator.synthesis(ws, noise_mode="const")
        else:
            images = self.generator(latents)
        return images


def given_space(data: TrainingData) -> LatentSpace:
    """The latent space of the run's generator, which has to make images as the dataset has them.

    Raises:
        ValueError: There is no generator, or its images have another size or number of channels.
    """
    generator = data.generator
    if generator is None:
        raise ValueError("There is no generator to invert: name one with --generator.")
    if generator.img_resolution != data.size:
        raise ValueError(
            f"The generator makes images of {generator.img_resolution} pixels and the dataset has "
            f"{data.size}: set dataset.size={generator.img_resolution}, or take another "
            "--generator."
        )
    space = LatentSpace(generator)
    with torch.no_grad():
        device = next(generator.parameters()).device
        channels = space.images(torch.zeros(1, space.dim, device=device)).shape[1]
    if channels != data.channels:
        raise ValueError(
            f"The generator makes images of {channels} channels and the dataset has "
            f"{data.channels}: take another --generator."
        )
    return space
