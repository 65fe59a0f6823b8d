"""ContraFeat: directions that change deep features consistently, with learned layer attention.

Zhu, Xu and Tao, "ContraFeat: Contrasting Deep Features for Semantic Discovery" (AAAI 2023), and
its released code (zhuxinqimac/stylegan2-ada-pytorch, branch ``group``). Directions live in the
informative subspace of W, an attention says how much each layer of the generator moves, and both
are trained so that edits along one direction change the features of a pretrained network alike,
edits along different ones orthogonally. ``ContraFeat`` contrasts edits with learned prototype
pictures, ``ContraFeatBinary`` pairs of edits.

Each part is a module of its own (``directions``, ``attention``, ``contrafeat_losses``), so that
the attention and the losses also train on given directions: principal components (the paper's
"Gsp_dir-att"), closed-form vectors ("Sefa_dir-att") or random ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from baselines.attention import Padding, layer_attention
from baselines.base import Batch, Discoverer, MethodConfig, Stage, TrainingData
from baselines.contrafeat_losses import (
    Contrast,
    Cosine,
    Focus,
    MaskPosition,
    Terms,
    binary_objective,
    diversity,
    prototype_objective,
)
from baselines.directions import (
    DirectionNorm,
    FixedDirections,
    FreeDirections,
    Navigator,
    PrincipalDirections,
    SubspaceDirections,
    all_alike,
    leading,
    move,
    random_orthonormal,
    require_generator,
)
from baselines.nets.stylegan2_loss import minimize
from baselines.randomness import Draws
from baselines.sefa import factorize, style_weights
from baselines.subspace import ExactSubspace, SubspaceStage, mixed_codes, require_segments


class ContraFeatConfig(MethodConfig):
    """Settings of ContraFeat.

    The defaults are those of the released code in the setting of the paper's tables. Where the
    paper says otherwise, the field says so.

    Attributes:
        loss: ``prototype`` (equations 9 to 12) or ``binary`` (equations 8 and 11).
        num_directions: K, 30 in the tables.
        directions: ``subspace`` (learned, equation 4), ``free`` (learned in all of W), or given:
            ``pca`` (leading components), ``closed-form`` (SeFa's) or ``random``.
        subspace_size: n, the components that span the subspace (equation 4); at most W's size.
        subspace_codes: How many codes the components come from; a multiple of ``codes_per_step``.
        codes_per_step: How many of them at a time.
        direction_norm: ``rms`` gives directions the length sqrt(D), as released; the paper says
            only "a constant length": ``unit`` is 1. The edit range then means sqrt(D) times less.
        attention: ``learned`` (equation 1); ``uniform`` gives every layer 1 / attention_layers, as
            the release does without attention; ``ones`` gives it 1.
        attention_layers: Learned attention goes to the first so many layers only; all L by default.
        attention_kernel: Size of the Gaussian kernel along the layers.
        attention_sigma: Its standard deviation.
        attention_padding: ``reflect`` as released changes a direction's total weight; the paper
            does not say; ``replicate`` keeps it at 1 for a kernel of 3.
        focus: ``l2`` mask (equations 7 and 8), ``none`` (equation 6) or ``pooled`` features.
            ``pooled-l2`` is what the release ran as "pooled": the mask of a 1 x 1 map is 0 and
            only the diversity is trained.
        cosine: ``squared`` as released, ``signed`` as the paper prints, ``absolute`` as in the
            script behind its table 8.
        mask_position: ``inside`` the square as released, or ``outside`` as in equation 8.
        symmetric: Prototype loss: edit by half a step both ways, as released, or by a whole step
            one way, as in equation 5.
        diversity: ``sum`` over pairs of directions as released, or their ``mean``.
        diversity_weight: lambda in equation 14; 0.1 in the tables, 0.01 with 64 directions.
        style_segments: Codes are mixed of so many different w, each on an equal share of the
            layers: 2 as released (16 with 64 directions); the paper does not mix: 1. A generator of
            one layer shows the first of them.
        edit_range: Steps are uniform in [-edit_range, edit_range].
        mirror: Prototype loss: probability that a step negates and mirrors the prototypes.
        images: Codes to train on: 200,000 in most tables, 300,000 in table 1; the paper's text
            says 600,000.
        batch_size: Codes at a time; even for the binary loss, which pairs them.
        learning_rate: Of Adam with betas (0, 0.99): 0.05 in the tables, 0.1 with 64 directions;
            the paper's text has lost it.
        extractor: The feature network; AlexNet in the paper. Offline it is ``efficientnet-lite0``
            (in the presets), with the layers ``stage1`` to ``stage5``: 16, 24, 40, 80 and 112
            channels at strides 2, 4, 8, 16 and 16. Images enter at their own size.
    """

    loss: Literal["prototype", "binary"] = "prototype"
    num_directions: int = Field(30, ge=2)
    directions: Literal["subspace", "free", "pca", "closed-form", "random"] = "subspace"
    subspace_size: int = Field(100, ge=1)
    subspace_codes: int = Field(1_000_000, ge=2)
    codes_per_step: int = Field(10_000, ge=1)
    direction_norm: DirectionNorm = "rms"
    attention: Literal["learned", "uniform", "ones"] = "learned"
    attention_layers: int | None = Field(None, ge=1)
    attention_kernel: int = Field(3, ge=1)
    attention_sigma: float = Field(1.0, gt=0)
    attention_padding: Padding = "reflect"
    focus: Focus = "l2"
    cosine: Cosine = "squared"
    mask_position: MaskPosition = "inside"
    symmetric: bool = True
    diversity: Literal["sum", "mean"] = "sum"
    diversity_weight: float = Field(0.1, ge=0)
    style_segments: int = Field(2, ge=1)
    edit_range: float = Field(1.0, gt=0)
    mirror: float = Field(0.5, ge=0, le=1)
    images: int = Field(200_000, ge=1)
    batch_size: int = Field(12, ge=1)
    learning_rate: float = Field(0.05, gt=0)
    extractor: str = "alexnet"

    @model_validator(mode="after")
    def _check(self) -> ContraFeatConfig:
        if self.subspace_codes % self.codes_per_step:
            raise ValueError("subspace_codes must be a multiple of codes_per_step")
        if self.loss == "binary" and self.batch_size % 2:
            raise ValueError("batch_size must be even for the binary loss, which pairs codes")
        if self.images < self.batch_size:
            raise ValueError("images must be at least batch_size")
        if self.attention != "learned" and self.directions in ("pca", "closed-form", "random"):
            raise ValueError(
                "nothing is left to learn: set attention to learned or directions to subspace or "
                "free, or run the method ganspace, sefa or random-directions"
            )
        return self


class ContraFeatBinaryConfig(ContraFeatConfig):
    """Settings of ContraFeat's binary form; see ``ContraFeatConfig``."""

    loss: Literal["prototype", "binary"] = "binary"


class ContraFeat(Discoverer):
    """ContraFeat with learned prototype pictures.

    Args:
        config: The settings.
        data: ``data.generator`` is searched; ``data.extractor`` is asked for the feature network.

    Raises:
        ValueError: There is no generator, or it has fewer dimensions or layers than asked.
    """

    Config = ContraFeatConfig
    presets: ClassVar = {
        "smoke": {
            "num_directions": 4,
            "subspace_size": 16,
            "subspace_codes": 2_000,
            "codes_per_step": 1_000,
            "images": 16,
            "batch_size": 4,
            "extractor": "efficientnet-lite0",
        },
        "small": {
            "num_directions": 12,
            "subspace_size": 30,
            "subspace_codes": 100_000,
            "images": 8_000,
            "batch_size": 12,
            "extractor": "efficientnet-lite0",
        },
    }

    def __init__(self, config: ContraFeatConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "contrafeat")
        require_segments(generator, config.style_segments)
        self.config = config
        self.num_directions = config.num_directions
        self.navigator = Navigator(
            _directions(config, generator), _attention(config, generator.num_ws)
        )
        self.pictures: nn.Parameter | None = None
        if config.loss == "prototype":
            size = generator.img_resolution
            self.pictures = nn.Parameter(0.01 * torch.randn(config.num_directions, 3, size, size))

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        config = self.config
        if data.extractor is None:
            raise ValueError("contrafeat needs a feature extractor to train, and the run has none.")
        frozen = Frozen(data.generator, data.extractor(config.extractor))
        directions = self.navigator.directions
        if isinstance(directions, SubspaceDirections | PrincipalDirections):
            yield SubspaceStage(
                directions.subspace, data.generator, config.subspace_codes, config.codes_per_step
            )
        yield NavigatorStage(self, frozen)

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        return move(ws, self.navigator(), direction, step)

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        return self.navigator.attention()

    def prototypes(self) -> Tensor | None:
        """The learned pictures (K, 3, H, W) in [-1, 1]; None for the binary loss."""
        return None if self.pictures is None else torch.tanh(self.pictures)


class ContraFeatBinary(ContraFeat):
    """ContraFeat that contrasts pairs of edits; see ``ContraFeat``."""

    Config = ContraFeatBinaryConfig


@dataclass(frozen=True)
class Frozen:
    """The pretrained networks that training looks through; no part of the method's weights."""

    generator: Any
    extractor: Any

    def images(self, ws: Tensor) -> Tensor:
        """Images (N, 3, H, W) with fresh noise, as released; grey ones repeated to 3 channels."""
        images: Tensor = self.generator.synthesis(ws, noise_mode="random")
        return images.expand(-1, 3, -1, -1)

    def features(self, images: Tensor) -> list[Tensor]:
        """The extractor's feature maps, in full precision."""
        return [maps.float() for maps in self.extractor.feature_maps(images)]


class NavigatorStage(Stage):
    """Trains directions, attention and prototypes through the frozen networks."""

    name = "navigator"

    def __init__(self, method: ContraFeat, frozen: Frozen) -> None:
        super().__init__()
        config = method.config
        self.method = method
        self.config = config
        self.frozen = frozen
        self.steps = config.images // config.batch_size
        self.contrast = Contrast(config.focus, config.cosine, config.mask_position)
        adam = torch.optim.Adam(
            method.parameters(), config.learning_rate, betas=(0.0, 0.99), eps=1e-8
        )
        self.optimizers = {"navigator": adam}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        deltas = self.method.navigator()  # (K, L, D)
        contrast = self._contrast(batch, deltas).total()
        spread = diversity(deltas, self.config.diversity)
        loss = contrast + self.config.diversity_weight * spread
        minimize(loss, self.optimizers["navigator"])
        losses = {"loss": loss, "contrast": contrast, "diversity": spread}
        return {name: value.detach() for name, value in losses.items()}

    def collapsed(self) -> str | None:
        with torch.no_grad():
            same = all_alike(self.method.navigator())
        return "all directions have become the same one" if same else None

    def _contrast(self, batch: Batch, deltas: Tensor) -> Terms:
        config, draws = self.config, batch.draws
        images, features = self.frozen.images, self.frozen.features
        if config.loss == "binary":
            pairs = batch.share(config.batch_size // 2)
            ws = self._codes(draws, 2 * pairs)
            directions = distinct_pairs(
                draws.integer("direction", pairs, config.num_directions),
                draws.integer("other direction", pairs, config.num_directions - 1),
                config.num_directions,
            )
            steps = config.edit_range * (2 * draws.uniform("step", pairs, 2) - 1)
            return binary_objective(images, features, ws, deltas, directions, steps, self.contrast)
        count = batch.share(config.batch_size)
        prototypes = self.method.prototypes()
        assert prototypes is not None  # made with the prototype loss
        if float(draws.uniform("mirror", 1)) < config.mirror:
            prototypes = -prototypes.flip(3)
        return prototype_objective(
            images,
            features,
            self._codes(draws, count),
            deltas,
            prototypes,
            draws.integer("direction", count, config.num_directions),
            config.edit_range * (2 * draws.uniform("step", count)[:, 0] - 1),
            self.contrast,
            config.symmetric,
        )

    def _codes(self, draws: Draws, count: int) -> Tensor:
        generator, segments = self.frozen.generator, self.config.style_segments
        return mixed_codes(
            generator, draws.normal("z", count * segments, generator.z_dim), segments
        )


def distinct_pairs(first: Tensor, offset: Tensor, count: int) -> Tensor:
    """Pairs of different directions (N, 2), uniform if ``offset`` is uniform in [0, count - 1)."""
    return torch.stack([first, (first + 1 + offset) % count], dim=1)


def _directions(config: ContraFeatConfig, generator: Any) -> nn.Module:
    count, dim, norm = config.num_directions, generator.w_dim, config.direction_norm
    if config.directions == "subspace":
        return SubspaceDirections(ExactSubspace(dim, config.subspace_size), count, norm)
    if config.directions == "pca":
        return PrincipalDirections(ExactSubspace(dim, count), count, norm)
    if config.directions == "free":
        return FreeDirections(count, dim, norm)
    if config.directions == "random":
        return FixedDirections(random_orthonormal(count, dim), norm)
    return FixedDirections(leading(factorize(style_weights(generator)).vectors, count), norm)


def _attention(config: ContraFeatConfig, num_ws: int) -> nn.Module:
    return layer_attention(
        config.attention,
        config.num_directions,
        num_ws,
        attended=config.attention_layers,
        kernel_size=config.attention_kernel,
        sigma=config.attention_sigma,
        padding=config.attention_padding,
    )
