"""LatentCLR: directions whose edits change a generator's features each in a way of its own.

Yüksel, Simsar, Er and Yanardag, "LatentCLR: A Contrastive Learning Approach for Unsupervised
Discovery of Interpretable Directions" (ICCV 2021), and its release (catlab-team/latentclr). Codes
are edited along all directions; what the edits change in a layer of the generator is contrasted
(``baselines.latentclr_losses``): alike for one direction, unlike for different ones. Directions
are vectors, or functions of the code (``baselines.nets.latentclr``).

Defaults are those of the release, which multiplies by the temperature and ignores signs where the
paper does neither (``scaling``, ``absolute``); its StyleGAN2 demonstration has 100 ``nonlinear``
directions of ``depth`` 1 and batches of 8. It keeps the weights of the best of its validations,
which move all layers whatever ``layers`` says; here the last ones are kept. Noise is constant.

ContraFeat's release has a LatentCLR of its own among its baselines ("LatCLR"): 30 directions in the
informative subspace (``model=subspace normalize=false``) that go up to half a step either way
(``alpha`` (-0.5, 0.5), ``alpha_per=code``), codes mixed of two (``style_segments=2``),
``attention`` uniform or learned, ``feature_layers`` b4, b8 and b16, ``normalize_features`` and
``absolute`` off, Adam at 0.01 with betas (0, 0.99) and without decay, batches of 4 codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from baselines.attention import layer_attention, parse_layers
from baselines.base import Batch, Discoverer, MethodConfig, Stage, TrainingData
from baselines.directions import SubspaceDirections, all_alike, per_code, require_generator
from baselines.generator_features import GeneratorFeatures
from baselines.latentclr_losses import Comparison, Scaling, Terms, stream
from baselines.latentclr_reference import load_directions
from baselines.nets.latentclr import (
    DirectionModel,
    GivenDirections,
    Kind,
    Projector,
    direction_model,
    perceptron,
)
from baselines.randomness import Draws
from baselines.subspace import ExactSubspace, SubspaceStage, mixed_codes, require_segments


class LatentCLRConfig(MethodConfig):
    """Settings of LatentCLR.

    Attributes:
        num_directions: K.
        model: ``fixed`` vectors, or ``linear`` or ``nonlinear`` functions of the code, as released;
            or ``subspace``, vectors in the informative subspace of W (ContraFeat, equation 4).
        depth: Layers of the nonlinear ones.
        subspace_size: Components that span the directions of ``subspace``.
        subspace_codes: How many codes the components come from; a multiple of ``codes_per_step``.
        codes_per_step: How many of them at a time.
        normalize: Directions have the length 1 at every code, so that a step of 1 is one, too.
            Otherwise those of ``subspace`` have sqrt(D), as in ContraFeat, and others any length.
        alpha: How far codes are moved in training, or a range to draw that from.
        alpha_per: Draw it for each ``direction`` (once for all fixed ones), as released, or for
            each ``code`` and direction.
        attention: Move the L chosen layers by the whole direction, as released (``ones``), by 1 / L
            of it (``uniform``), or by what is learned as in ContraFeat (``learned``).
        layers: The layers to edit: ``all``, or ranges such as ``0-3`` with both ends included
            (the release's ``feed_layers``).
        style_segments: Codes are mixed of so many different w: 1 as released, 2 in ContraFeat. A
            generator of one layer shows the first of them.
        feature_layers: Where changes are looked at: ``conv1`` and ``convs.0``, ... are the
            StyleGAN2's convolutions as the release counts them; ``conv1`` is its first layer in
            any other generator, too. Otherwise names of modules, such as ``b8``. Features of
            several layers make one vector.
        projector: What the features go through before they are compared: nothing (``identity``),
            a ``linear`` layer with a batch norm, or a ``nonlinear`` network.
        projector_depth: Layers of the nonlinear one.
        projector_hidden: Its width inside.
        projector_width: Width of what a projector returns.
        normalize_features: Compare directions of features: scale them to length 1 before edited
            and original ones are subtracted. Changes have the length 1 anyway.
        temperature: Of the contrastive loss.
        scaling: ``multiply`` by it as released, or ``divide`` as in the paper.
        absolute: Take changes and their opposites for the same, as released; the paper does not.
        reduction: ``mean`` over positives and over negatives, as released, or ``sum``.
        iterations: Steps; the release has a default of 100,000 that its settings replace.
        batch_size: Codes in a step, each edited along all directions.
        learning_rate: Of Adam.
        beta1: Adam's first beta.
        beta2: Adam's second beta.
        weight_decay: Of Adam, added to gradients.
        milestones: Steps after which the learning rate is multiplied by ``decay``.
        decay: See ``milestones``.
    """

    num_directions: int = Field(32, ge=2)
    model: Kind | Literal["subspace"] = "fixed"
    depth: int = Field(3, ge=1)
    subspace_size: int = Field(100, ge=1)
    subspace_codes: int = Field(1_000_000, ge=2)
    codes_per_step: int = Field(10_000, ge=1)
    normalize: bool = True
    alpha: float | tuple[float, float] = 0.1
    alpha_per: Literal["direction", "code"] = "direction"
    attention: Literal["ones", "uniform", "learned"] = "ones"
    layers: str = "all"
    style_segments: int = Field(1, ge=1)
    feature_layers: tuple[str, ...] = Field(("conv1",), min_length=1)
    projector: Literal["identity", "linear", "nonlinear"] = "identity"
    projector_depth: int = Field(3, ge=1)
    projector_hidden: int = Field(256, ge=1)
    projector_width: int = Field(128, ge=1)
    normalize_features: bool = True
    temperature: float = Field(0.5, gt=0)
    scaling: Scaling = "multiply"
    absolute: bool = True
    reduction: Literal["mean", "sum"] = "mean"
    iterations: int = Field(10_000, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(0.001, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    weight_decay: float = Field(0.001, ge=0)
    milestones: tuple[int, ...] = (1_000, 5_000)
    decay: float = Field(0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> LatentCLRConfig:
        if self.alpha in (0.0, (0.0, 0.0)):
            raise ValueError("alpha must not be 0, or nothing is edited")
        if self.subspace_codes % self.codes_per_step:
            raise ValueError("subspace_codes must be a multiple of codes_per_step")
        if self.attention == "learned" and self.layers != "all":
            raise ValueError(
                "learned attention chooses the layers itself: leave layers at all, or set "
                "attention to ones or uniform"
            )
        return self

    def comparison(self) -> Comparison:
        """How edits are compared."""
        return Comparison(self.temperature, self.scaling, self.absolute, self.reduction)


class LatentCLR(Discoverer):
    """Directions in W with contrasted changes of features.

    Where directions depend on the code, each layer's code is moved along its own.

    Args:
        config: The settings.
        data: ``data.generator`` is searched.

    Raises:
        ValueError: There is no generator, or it has fewer dimensions or layers than asked.
    """

    Config = LatentCLRConfig
    presets: ClassVar = {
        "smoke": {"num_directions": 4, "iterations": 5, "batch_size": 4},
        # The first three blocks, as in ContraFeat: conv1 alone sees a single layer of the code.
        "small": {
            "num_directions": 12,
            "feature_layers": ("b4", "b8", "b16"),
            "iterations": 400,
            "batch_size": 4,
            "learning_rate": 0.01,
            "milestones": (300,),
        },
    }

    def __init__(self, config: LatentCLRConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "latentclr")
        require_segments(generator, config.style_segments)
        self.config = config
        self.num_directions = config.num_directions
        self.layer_weights = layer_attention(
            config.attention,
            config.num_directions,
            generator.num_ws,
            parse_layers(config.layers, generator.num_ws),
        )
        self.model = _directions(config, generator.w_dim)
        width = GeneratorFeatures(generator, config.feature_layers).width
        self.projector = Projector(_projection(config, width), config.normalize_features)
        self._loaded = False

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """The directions, after their subspace if any; none where released ones were loaded."""
        if self._loaded:
            return
        config, generator = self.config, require_generator(data, "latentclr")
        directions = getattr(self.model, "directions", None)
        if isinstance(directions, SubspaceDirections):
            yield SubspaceStage(
                directions.subspace, generator, config.subspace_codes, config.codes_per_step
            )
        yield DirectionStage(self, generator)

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        if isinstance(direction, Tensor) and direction.ndim:
            offsets = torch.empty_like(ws)
            for one in direction.unique().tolist():
                chosen = direction == one
                offsets[chosen] = self._offsets(ws[chosen], one)
        else:
            offsets = self._offsets(ws, int(direction))
        return ws + per_code(step) * self.attention()[direction][..., None] * offsets

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        weights: Tensor = self.layer_weights()
        return weights

    def edited(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Move codes along all directions.

        Args:
            codes: (B, L, D), or (B, 1, D) for one vector for all layers.
            lengths: How far: (K, B), or (K, 1) for one length for each direction.

        Returns:
            (K, B, L, D).
        """
        offsets = self.model.all(codes.flatten(0, 1)).unflatten(1, codes.shape[:2])
        weights = self.attention()[:, None, :, None]  # (K, 1, L, 1)
        return codes + weights * (lengths[..., None, None] * offsets)

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over directions of the release.

        Args:
            states: ``model``, as ``bench.checkpoints.latentclr`` reads it; the ``projector`` that
                comes with it is of use for training only.

        Raises:
            ValueError: They are other directions; the message names the settings to change.
        """
        if "model" not in states:
            raise ValueError("the checkpoint holds no directions of LatentCLR: give another file")
        load_directions(self.model, states["model"])
        self._loaded = True

    def _offsets(self, ws: Tensor, direction: int) -> Tensor:
        offsets: Tensor = self.model(ws.flatten(0, 1), direction)
        return offsets.unflatten(0, ws.shape[:2])


class DirectionStage(Stage):
    """Trains directions, attention and projector through the frozen generator."""

    name = "directions"

    def __init__(self, method: LatentCLR, generator: Any) -> None:
        super().__init__()
        config = method.config
        self.method, self.config, self.generator = method, config, generator
        self.features = GeneratorFeatures(generator, config.feature_layers)
        self.steps = config.iterations
        self.adam = torch.optim.Adam(
            method.parameters(),
            config.learning_rate,
            (config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        self.optimizers = {"directions": self.adam}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        count = batch.share(self.config.batch_size)
        codes = self._codes(batch.draws, count)
        passed = sum(batch.step >= milestone for milestone in self.config.milestones)
        for group in self.adam.param_groups:
            group["lr"] = self.config.learning_rate * self.config.decay**passed
        self.adam.zero_grad(set_to_none=True)
        # What short steps change would drown in the rounding of a lower precision.
        with torch.autocast(codes.device.type, enabled=False):
            terms = self.backpropagate(codes, self._lengths(batch.draws, count, codes.device))
        self.adam.step()
        return {"loss": terms.loss, "accuracy": terms.accuracy}

    def backpropagate(self, codes: Tensor, lengths: Tensor) -> Terms:
        """The loss of edited codes, its gradient added to that of the method's parameters.

        Args:
            codes: (B, L, D), or (B, 1, D) for one vector for all layers.
            lengths: (K, B) or (K, 1), how far each is moved along each direction.
        """
        with torch.no_grad():
            original = self.vectors(codes[None].expand(-1, -1, self.generator.num_ws, -1))
        edited = self.method.edited(codes, lengths)
        change = partial(self.change, original=original)
        return stream(edited, change, self.config.comparison(), self.method.projector)

    def vectors(self, ws: Tensor) -> Tensor:
        """What is compared of codes (M, B, L, D): their projected features, (M, B, P)."""
        features = self.features(ws.flatten(0, 1)).unflatten(0, ws.shape[:2])
        # One direction after the other: a projector's batch norms see the edits along one only.
        return torch.stack([self.method.projector(edits) for edits in features])

    def change(self, ws: Tensor, original: Tensor) -> Tensor:
        """How edits (M, B, L, D) differ from unedited vectors (1, B, P): (M, B, P) of length 1."""
        return F.normalize(self.vectors(ws) - original, dim=2)

    def collapsed(self) -> str | None:
        """All directions equal at each of a few codes."""
        model = self.method.model
        rows = torch.arange(1, 5)[:, None]
        codes = torch.sin(1.7 * rows * torch.arange(1, self.generator.w_dim + 1))
        training = model.training
        model.eval()
        with torch.no_grad():
            same = all_alike(model.all(codes.to(next(model.parameters()).device)))
        model.train(training)
        return "all directions have become the same one" if same else None

    def _codes(self, draws: Draws, count: int) -> Tensor:
        """Codes to be edited, (B, L, D), or (B, 1, D) where they are not mixed."""
        segments = self.config.style_segments
        z = draws.normal("z", count * segments, self.generator.z_dim)
        codes = mixed_codes(self.generator, z, segments)
        # One for all layers goes through the directions once, whose batch norms see it once then.
        return codes[:, :1] if segments == 1 else codes

    def _lengths(self, draws: Draws, count: int, device: torch.device) -> Tensor:
        """How far codes are moved, (K, 1) or (K, B)."""
        config = self.config
        if not isinstance(config.alpha, tuple):
            return torch.full((config.num_directions, 1), config.alpha, device=device)
        low, high = config.alpha
        if config.alpha_per == "code":
            shares = draws.uniform("alpha", count, config.num_directions).T
        elif config.model == "fixed":
            shares = draws.uniform("alpha", 1).expand(config.num_directions, 1)
        else:
            shares = draws.uniform("alpha", 1, config.num_directions).T
        return low + (high - low) * shares


def _directions(config: LatentCLRConfig, dim: int) -> DirectionModel:
    count = config.num_directions
    if config.model == "subspace":
        subspace = ExactSubspace(dim, config.subspace_size)
        return GivenDirections(SubspaceDirections(subspace, count), count, config.normalize)
    return direction_model(config.model, count, dim, config.depth, config.normalize)


def _projection(config: LatentCLRConfig, width: int) -> nn.Module:
    if config.projector == "identity":
        return nn.Identity()
    if config.projector == "linear":
        return perceptron(1, width, width, config.projector_width, norm=True)
    return perceptron(
        config.projector_depth, width, config.projector_hidden, config.projector_width
    )
