"""Settings of the recognition model (``baselines.recognition``), and the networks they ask for."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from baselines.base import MethodConfig
from baselines.deformators import (
    Deformator,
    DeformatorName,
    FullyConnectedDeformator,
    GivenDirections,
    IdentityDeformator,
    LinearDeformator,
    OrthogonalDeformator,
    ProjectiveDeformator,
    RandomDeformator,
)
from baselines.directions import SubspaceDirections
from baselines.nets.shift_predictors import (
    LENET_SMALLEST,
    FirstConvolution,
    LeNetPredictor,
    ResNetPredictor,
)
from baselines.subspace import ExactSubspace

Distribution = Literal["uniform", "normal"]


class RecognitionConfig(MethodConfig):
    """Settings of the recognition model; the defaults are those of the released code.

    Attributes:
        num_directions: K; by default as many as a code has coordinates, which is the release's
            ``directions_count``. With ``ortho``, ``fc`` and ``id`` fewer are the first K unit
            vectors; the released program has to lower ``out_dim`` as well.
        deformator: ``ortho`` (orthonormal), ``linear``, ``proj`` (shifts as long as steps), ``fc``
            (not linear in the step), ``id`` (coordinates) or ``random`` (fixed) as released; or
            ``subspace``, ContraFeat's directions of length sqrt(D) in its equation 4.
        out_dim: Shifts change the first so many coordinates only (``max_latent_dim``).
        random_init: Whether ``ortho``, ``linear`` and ``proj`` start from random directions; the
            authors' later advice is no, but their program cannot be told so.
        inner_dim: Width of the layers of ``fc``.
        subspace_size: Components that span the directions of ``subspace``.
        subspace_codes: How many codes the components come from; a multiple of ``codes_per_step``.
        codes_per_step: How many of them at a time.
        attention: ``ones`` gives every layer the whole shift; ``uniform`` gives it 1 / L, as
            ContraFeat's code does; ``learned`` is ContraFeat's equation 1.
        style_segments: Codes are mixed of so many different w: 1 as released, 2 in ContraFeat. A
            generator of one layer shows the first of them.
        shift_distribution: Of steps: ``uniform`` in [-shift_scale, shift_scale], or ``normal``.
        shift_scale: 6 as released; 0.5 in ContraFeat.
        min_shift: Shorter steps are made so long; 0.5 as released, 0 in ContraFeat.
        predictor: ``resnet18``, or ``lenet`` for images of 32 pixels and more.
        predictor_size: Images are resized to so many pixels for ``resnet18``; None leaves them.
        first_convolution: Of ``resnet18``: ``kaiming`` for 6 channels; ``repeated`` is a kernel for
            3 channels twice and halved, as in ContraFeat.
        lenet_width: Multiplies the channels of ``lenet``.
        label_weight: Weight of the cross entropy of the direction.
        shift_weight: Weight of the mean absolute error of the step.
        deformator_rate: Adam's learning rate for deformator and attention.
        predictor_rate: Adam's learning rate for the predictor.
        beta1: Adam's first beta.
        beta2: Adam's second beta.
        iterations: Steps of training.
        batch_size: Pairs of images at a time.
        accuracy_batches: Batches that measure the predictor's accuracy after training (the paper's
            RCA), which the log and the weights keep; 0 leaves it out.
    """

    num_directions: int | None = Field(None, ge=2)
    deformator: DeformatorName | Literal["subspace"] = "ortho"
    out_dim: int | None = Field(None, ge=1)
    random_init: bool = True
    inner_dim: int = Field(1024, ge=1)
    subspace_size: int = Field(100, ge=1)
    subspace_codes: int = Field(1_000_000, ge=2)
    codes_per_step: int = Field(10_000, ge=1)
    attention: Literal["ones", "uniform", "learned"] = "ones"
    style_segments: int = Field(1, ge=1)
    shift_distribution: Distribution = "uniform"
    shift_scale: float = Field(6.0, gt=0)
    min_shift: float = Field(0.5, ge=0)
    predictor: Literal["resnet18", "lenet"] = "resnet18"
    predictor_size: int | None = Field(None, ge=1)
    first_convolution: FirstConvolution = "kaiming"
    lenet_width: int = Field(2, ge=1)
    label_weight: float = Field(1.0, ge=0)
    shift_weight: float = Field(0.25, ge=0)
    deformator_rate: float = Field(1e-4, gt=0)
    predictor_rate: float = Field(1e-4, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    iterations: int = Field(100_000, ge=1)
    batch_size: int = Field(32, ge=2)
    accuracy_batches: int = Field(100, ge=0)

    @model_validator(mode="after")
    def _check(self) -> RecognitionConfig:
        if self.subspace_codes % self.codes_per_step:
            raise ValueError("subspace_codes must be a multiple of codes_per_step")
        if self.predictor == "lenet" and self.predictor_size is not None:
            raise ValueError("predictor_size is for predictor=resnet18 only: leave it out")
        return self

    def make_deformator(self, dim: int) -> Deformator:
        """The deformator for codes of ``dim`` numbers."""
        out = self.out_dim or dim
        count = self.num_directions or dim
        if self.deformator == "ortho":
            return OrthogonalDeformator(out, dim, self.random_init)
        if self.deformator == "fc":
            return FullyConnectedDeformator(out, dim, self.inner_dim)
        if self.deformator == "id":
            return IdentityDeformator(dim)
        if self.deformator == "random":
            return RandomDeformator(count, out, dim)
        if self.deformator == "subspace":
            subspace = ExactSubspace(dim, self.subspace_size)
            return GivenDirections(SubspaceDirections(subspace, count), count, dim)
        kind = LinearDeformator if self.deformator == "linear" else ProjectiveDeformator
        return kind(count, out, dim, self.random_init)

    def make_predictor(self, directions: int, generator: Any) -> nn.Module:
        """The predictor for a generator's images.

        Raises:
            ValueError: They are too small for it.
        """
        if self.predictor == "resnet18":
            return ResNetPredictor(
                directions, "resnet18", self.first_convolution, self.predictor_size
            )
        if generator.img_resolution < LENET_SMALLEST:
            raise ValueError(
                f"predictor=lenet needs images of at least {LENET_SMALLEST} pixels, and the "
                f"generator's have {generator.img_resolution}: choose predictor=resnet18."
            )
        device = next(generator.parameters()).device
        with torch.no_grad():
            codes = torch.zeros(1, generator.num_ws, generator.w_dim, device=device)
            channels = generator.synthesis(codes, noise_mode="const").shape[1]
        return LeNetPredictor(directions, channels, self.lenet_width)
