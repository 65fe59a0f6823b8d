"""SeFa: directions that change a generator's styles most, in closed form.

Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (CVPR 2021), equations 3 to
6, and its released code (genforce/sefa). The styles of a layer are an affine map of the code; the
eigenvectors of A A^T with the largest eigenvalues, where A holds the maps of the chosen layers
side by side, move them most. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from baselines.attention import EvenAttention, parse_layers
from baselines.base import Discoverer, MethodConfig, TrainingData
from baselines.directions import FixedDirections, Navigator, leading, move, require_generator
from baselines.nets.single_layer import SingleLayer
from baselines.subspace import Eigen, eigen_descending

Variant = Literal["genforce", "rosinality"]


class SeFaConfig(MethodConfig):
    """Settings of SeFa.

    Attributes:
        num_directions: How many leading eigenvectors to use; 30 as in ContraFeat's tables.
        layers: The layers to factorise and to edit: ``all``, or ranges such as ``0-1,4`` with
            both ends included. The paper's own edits use 0-1, 2-5 and 6-13 at 256 px.
        variant: ``genforce`` (the authors' code) takes each convolution and the last RGB layer
            and scales every style to unit length; ``rosinality`` (the port in
            rosinality/stylegan2-pytorch) takes the convolutions and the first RGB layer as they
            are, and always all of them; ``layers`` then says only where to edit.
    """

    num_directions: int = Field(30, ge=1)
    layers: str = "all"
    variant: Variant = "genforce"


class SeFa(Discoverer):
    """Closed-form directions, added in full to the chosen layers (weight 1, not 1 / L).

    A direction has unit length. Edits come after truncation where a caller truncates.

    Args:
        config: The settings.
        data: ``data.generator`` must be a StyleGAN2 generator, or a PGGAN or DCGAN as one of a
            single layer.

    Raises:
        ValueError: There is no such generator, or it has fewer dimensions or layers than asked.
    """

    Config = SeFaConfig
    presets: ClassVar = {"smoke": {"num_directions": 4}, "small": {"num_directions": 12}}

    def __init__(self, config: SeFaConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "sefa")
        layers = parse_layers(config.layers, generator.num_ws)
        self.num_directions = config.num_directions
        vectors = factorize(
            style_weights(generator, layers, config.variant), normalize=config.variant == "genforce"
        ).vectors
        self.navigator = Navigator(
            FixedDirections(leading(vectors, config.num_directions), norm="unit"),
            EvenAttention(config.num_directions, generator.num_ws, 1.0, layers),
        )

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        return move(ws, self.navigator(), direction, step)

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        return self.navigator.attention()


def factorize(weights: Sequence[Tensor], normalize: bool = True) -> Eigen:
    """Factorise the affine maps from a code to the styles of some layers.

    The released code calls an eigensolver that does not sort; here the order and the signs are
    explicit.

    Args:
        weights: For each layer (styles, D), the bare weight without its learning-rate gain.
        normalize: Scale every row to unit length first, as in the authors' code.

    Returns:
        Eigenvalues of A A^T (the squares of A's singular values) and unit eigenvectors.
    """
    rows = torch.cat([weight.detach().cpu().double() for weight in weights])  # (S, D)
    if normalize:
        rows = rows / rows.norm(dim=1, keepdim=True)
    return eigen_descending(rows.T @ rows)


def style_weights(
    generator: Any, layers: Sequence[int] | None = None, variant: Variant = "genforce"
) -> list[Tensor]:
    """The affine weights (styles, D) of chosen layers of a StyleGAN2 generator.

    Those of a generator without styles are its first layer's, whatever the variant.

    Args:
        generator: A ``baselines.nets.stylegan2.Generator``, or a ``SingleLayer``.
        layers: Layers of its W+ codes; all by default. Layer i below the last is convolution i,
            the last one is the last RGB layer; the other RGB layers are never used.
        variant: See ``SeFaConfig``; ``rosinality`` ignores ``layers``.
    """
    if isinstance(generator, SingleLayer):
        return [latent_weight(generator.first_weight())]
    modules = dict(generator.synthesis.named_modules())
    names = style_layer_names(generator.synthesis.resolutions)
    if variant == "rosinality":
        chosen = [names[0], "b4.torgb", *names[1:-1]]
    else:
        chosen = [names[i] for i in (range(len(names)) if layers is None else layers)]
    return [modules[name].affine.weight for name in chosen]


def style_layer_names(resolutions: Sequence[int]) -> list[str]:
    """Module names of the convolutions in order, then of the last RGB layer, NVIDIA's naming."""
    first, *others = resolutions
    names = [f"b{first}.conv1"]
    names += [f"b{resolution}.conv{i}" for resolution in others for i in (0, 1)]
    return [*names, f"b{resolutions[-1]}.torgb"]


def latent_weight(weight: Tensor) -> Tensor:
    """The first convolution of a generator as a map from z, for ``factorize``.

    Args:
        weight: (out, z_dim, k, k).

    Returns:
        (out * k * k, z_dim).
    """
    return weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, weight.shape[1])
