"""GANSpace: the principal components of W as directions.

Härkönen, Hertzmann, Lehtinen and Paris, "GANSpace: Discovering Interpretable GAN Controls"
(NeurIPS 2020), section 2, and its released code (harskish/ganspace): components of a million
codes w, edits in units of the codes' standard deviation along them, on a chosen range of layers.
The release approximates the components block by block; here they are exact unless ``solver`` says
otherwise.

A generator without W is searched in Z (``baselines.nets.single_layer``), where latents are alike
in all directions by construction: their components are those of the sample, a random rotation, and
no better than random directions. For such a generator the release analyses the activations of one
of its layers instead, and finds the direction in Z of each component by least squares. That is not
done here; directions that the release has found so can be loaded (``GANSpace.load_reference``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from baselines.attention import EvenAttention, parse_layers
from baselines.base import Batch, Discoverer, MethodConfig, Stage, TrainingData
from baselines.directions import move, require_generator
from baselines.nets.single_layer import SingleLayer
from baselines.subspace import (
    ExactSubspace,
    IncrementalSubspace,
    SubspaceStage,
    gathered,
    projected_deviations,
    sample_codes,
)


class GANSpaceConfig(MethodConfig):
    """Settings of GANSpace.

    Attributes:
        num_directions: How many leading components to edit along; 30 as in ContraFeat's tables.
        components: How many components to keep.
        codes: How many codes to analyse; a multiple of ``codes_per_step``.
        codes_per_step: How many at a time.
        unit: What a step of 1 is along a component: one standard ``deviation`` of the codes, as
            released, or a ``length`` of 1 for all, as ContraFeat's Table 1 takes the components.
        deviation_codes: How many fresh codes give the standard deviation along a component.
        solver: ``covariance`` is exact, and our default; ``incremental`` is the release's
            approximation, whose blocks are ``max(2000, 3 * components)`` codes or its batch size,
            if that is larger.
        layers: The layers to edit: ``all``, or ranges such as ``4-7`` with both ends included
            (the release's ``layer_end`` is exclusive).
        center: Take away a code's own part along the component first, so that an edit sets it
            instead of adding to it.
    """

    num_directions: int = Field(30, ge=1)
    components: int = Field(80, ge=1)
    codes: int = Field(1_000_000, ge=2)
    codes_per_step: int = Field(10_000, ge=1)
    unit: Literal["deviation", "length"] = "deviation"
    deviation_codes: int = Field(5_000, ge=2)
    solver: Literal["covariance", "incremental"] = "covariance"
    layers: str = "all"
    center: bool = False

    @model_validator(mode="after")
    def _check(self) -> GANSpaceConfig:
        if self.codes % self.codes_per_step:
            raise ValueError("codes must be a multiple of codes_per_step")
        if self.num_directions > self.components:
            raise ValueError("num_directions must be at most components")
        return self


class GANSpace(Discoverer):
    """Principal components, added in full to the chosen layers (weight 1, not 1 / L).

    A step of 1 is one standard deviation of the codes along the component, or a length of 1.

    Args:
        config: The settings.
        data: ``data.generator`` maps z to w.

    Raises:
        ValueError: There is no generator, or it has fewer dimensions or layers than asked.
    """

    Config = GANSpaceConfig
    presets: ClassVar = {
        "smoke": {
            "num_directions": 4,
            "components": 16,
            "codes": 2_000,
            "codes_per_step": 1_000,
            "deviation_codes": 500,
        },
        "small": {"num_directions": 12, "components": 64, "codes": 100_000},
    }

    deviations: Tensor

    def __init__(self, config: GANSpaceConfig, data: TrainingData) -> None:
        super().__init__(config, data)
        generator = require_generator(data, "ganspace")
        self.config = config
        self.num_directions = config.num_directions
        solver = ExactSubspace if config.solver == "covariance" else IncrementalSubspace
        self.subspace = solver(generator.w_dim, config.components)
        chosen = parse_layers(config.layers, generator.num_ws)
        self.layer_weights = EvenAttention(config.num_directions, generator.num_ws, 1.0, chosen)
        self.register_buffer("deviations", torch.ones(config.num_directions))
        self._space = "Z" if isinstance(generator, SingleLayer) else "W"
        self._loaded = False

    def stages(self, data: TrainingData) -> Iterator[Stage]:
        """Components, then the deviations along them if they are the unit; none once loaded."""
        config, generator = self.config, data.generator
        if self._loaded:
            return
        yield SubspaceStage(self.subspace, generator, config.codes, config.codes_per_step)
        if config.unit == "deviation":
            yield DeviationStage(self, generator)

    def shift(self, ws: Tensor, direction: Tensor | int, step: Tensor | float) -> Tensor:
        components = self.subspace.components[: self.num_directions].float()
        deltas = self.attention()[:, :, None] * components[:, None]  # (K, L, D)
        if self.config.center:
            ws = centered(ws, deltas[direction], self.subspace.mean)
        return move(ws, self.deviations[:, None, None] * deltas, direction, step)

    def attention(self) -> Tensor:
        """How much of each direction each layer gets, (K, L)."""
        return self.layer_weights()

    def load_reference(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over components of the release, the leading ones where there are more.

        They are its ``lat_...`` arrays in W as in Z: those that its edits of latents add, by
        ``lat_stdev``. Its ``act_...`` arrays are the same for W, and speak of a layer's activations
        where directions in Z were found by them. Deviations are 1 for all in Z.

        Args:
            states: ``components``, as ``bench.checkpoints.ganspace`` reads them: ``lat_comp``
                (C, D), ``lat_mean`` (D,) and ``lat_stdev`` (C,).

        Raises:
            ValueError: They are too few, or of another generator or space; the message names the
                setting to change.
        """
        if "components" not in states:
            raise ValueError("the checkpoint holds no components of GANSpace: give another file")
        given = states["components"]
        rows, deviations = given["lat_comp"], given["lat_stdev"]
        width = len(self.subspace.mean)
        if rows.shape[1] != width:
            raise ValueError(
                f"the checkpoint's components have {rows.shape[1]} numbers and this generator's "
                f"codes {width}: name the generator that they are of with --generator."
            )
        if (space := "Z" if bool((deviations == 1).all()) else "W") != self._space:
            raise ValueError(
                f"the checkpoint's components are directions in {space}, and this generator is "
                f"searched in {self._space}: give components of that space (the release finds "
                "those of W with --use_w), or name another --generator."
            )
        if len(rows) < self.num_directions:
            raise ValueError(
                f"the checkpoint has {len(rows)} components, and num_directions is "
                f"{self.num_directions}: choose --set num_directions={len(rows)} or fewer."
            )
        kept = rows[: len(self.subspace.components)]
        self.subspace.components.zero_()  # which may have more rows than the file
        self.subspace.components[: len(kept)] = kept
        self.subspace.mean.copy_(given["lat_mean"])
        if self.config.unit == "deviation":
            self.deviations.copy_(deviations[: self.num_directions])
        self._loaded = True


class DeviationStage(Stage):
    """Measures the standard deviation of fresh codes along the components, in one step."""

    name = "deviations"
    steps = 1

    def __init__(self, method: GANSpace, generator: Any) -> None:
        super().__init__()
        self.method = method
        self.generator = generator

    def step(self, batch: Batch) -> dict[str, Tensor]:
        count = batch.share(self.method.config.deviation_codes)
        z = batch.draws.normal("z", count, self.generator.z_dim)
        codes = gathered(sample_codes(self.generator, z))
        components = self.method.subspace.components[: self.method.num_directions]
        self.method.deviations.copy_(projected_deviations(codes, components))
        return {"largest_deviation": self.method.deviations.max()}


def centered(ws: Tensor, deltas: Tensor, mean: Tensor) -> Tensor:
    """Take away what codes have along a component, on the layers where it acts.

    Args:
        ws: (N, L, D).
        deltas: (L, D) or (N, L, D); a layer's row is a unit component, or 0 where it does not act.
        mean: (D,), the mean code, which has nothing along any component.

    Returns:
        (N, L, D).
    """
    along = ((ws - mean.to(ws.dtype)) * deltas).sum(-1, keepdim=True)  # (N, L, 1)
    return ws - along * deltas
