"""Generators without W as discovery methods see them: their latents are codes of a single layer.

SeFa treats a PGGAN so (genforce/sefa): what is moved is the latent itself, after the normalisation
that its network begins with.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from baselines.latent_space import has_styles
from baselines.nets import pggan


class SingleLayer(nn.Module):
    """A network from latents to images, with StyleGAN2's interface.

    Args:
        generator: A network ``z (N, z_dim) -> images``, with ``z_dim`` and ``img_resolution``.

    Attributes:
        generator: As given.
        z_dim: Width D of a latent.
        w_dim: The same.
        num_ws: 1.
        img_resolution: Height and width of the images.
        c_dim: Width of the labels that the network wants; 0 for none.
        sha256: Of the weights' file, if the network knows it.
    """

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator
        self.z_dim = self.w_dim = int(generator.z_dim)
        self.num_ws = 1
        self.img_resolution = int(generator.img_resolution)
        self.c_dim = int(getattr(generator, "label_size", 0))
        self.sha256: str = getattr(generator, "sha256", "")

    def mapping(self, z: Tensor) -> Tensor:
        """Latents (N, D) -> codes (N, 1, D): on the sphere of radius sqrt(D) for a PGGAN."""
        codes = self.generator.normalized(z) if isinstance(self.generator, pggan.Generator) else z
        return codes[:, None]

    def synthesis(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        """Codes (N, 1, D) -> images (N, C, H, W).

        There is no noise to choose the mode of. A PGGAN takes codes back to the sphere, so that
        what is moved along its own radius does not change.
        """
        images: Tensor = self.generator(ws[:, 0])
        return images

    def first_weight(self) -> Tensor:
        """The weight of the layer that codes enter, as a convolution has it: (out, D, k, k).

        Raises:
            ValueError: The network is neither a PGGAN nor a DCGAN.
        """
        if isinstance(self.generator, pggan.Generator):
            return self.generator.get_submodule("layer0").get_parameter("weight")
        weighted = (layer for layer in self.generator.modules() if hasattr(layer, "weight"))
        first = next(weighted, None)
        if not isinstance(first, nn.ConvTranspose2d) or first.in_channels != self.z_dim:
            raise ValueError(
                "sefa needs the first layer of a PGGAN or of a DCGAN, and this generator is "
                "neither: name another one with --generator, or run ganspace."
            )
        return first.weight.transpose(0, 1)


def layered(generator: Any) -> Any:
    """A generator with ``mapping`` and ``synthesis``: itself, or as one of a single layer."""
    return generator if has_styles(generator) else SingleLayer(generator).eval()
