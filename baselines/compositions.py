"""ContraFeat's layer attention on what other methods find, or how they train.

Zhu, Xu and Tao, "ContraFeat: Contrasting Deep Features for Semantic Discovery" (AAAI 2023). Its
table 1 keeps the directions of GANSpace and SeFa as they are and trains the attention alone, with
either form of ContraFeat's loss ("Gsp_dir-att", "Sefa_dir-att"). Its table 4 gives the attention to
LatentCLR and to the recognition model ("LatCLR", "Recog"), whose own losses train it with the
directions. Nothing is new here but settings: those of ContraFeat's release for these runs, as the
names of its experiments say (branch ``group``, eval_nav_nb_table1 and eval_nav_nb_others_compare).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from baselines.contrafeat import ContraFeat, ContraFeatConfig
from baselines.deformators import DeformatorName
from baselines.latentclr import LatentCLR, LatentCLRConfig
from baselines.nets.latentclr import Kind
from baselines.nets.shift_predictors import FirstConvolution
from baselines.recognition import Recognition
from baselines.recognition_config import RecognitionConfig

# Presets of attention on given directions.
_SMOKE: Mapping[str, Any] = {
    "num_directions": 4,
    "images": 16,
    "batch_size": 4,
    "extractor": "efficientnet-lite0",
}
_SMALL: Mapping[str, Any] = {
    "num_directions": 12,
    "images": 4_000,
    "extractor": "efficientnet-lite0",
}


class GANSpaceAttentionConfig(ContraFeatConfig):
    """Settings of ContraFeat's attention on principal components; see ``ContraFeatConfig``."""

    directions: Literal["pca"] = "pca"
    attention: Literal["learned"] = "learned"
    images: int = Field(300_000, ge=1)


class SeFaAttentionConfig(ContraFeatConfig):
    """Settings of ContraFeat's attention on closed-form vectors; see ``ContraFeatConfig``."""

    directions: Literal["closed-form"] = "closed-form"
    attention: Literal["learned"] = "learned"
    images: int = Field(300_000, ge=1)


class LatentCLRAttentionConfig(LatentCLRConfig):
    """Settings of LatentCLR with ContraFeat's attention; see ``LatentCLRConfig``."""

    num_directions: int = Field(30, ge=2)
    model: Kind | Literal["subspace"] = "subspace"
    normalize: bool = False
    alpha: float | tuple[float, float] = (-0.5, 0.5)
    alpha_per: Literal["direction", "code"] = "code"
    attention: Literal["learned"] = "learned"
    style_segments: int = Field(2, ge=1)
    feature_layers: tuple[str, ...] = Field(("b4", "b8", "b16"), min_length=1)
    normalize_features: bool = False
    absolute: bool = False
    iterations: int = Field(75_000, ge=1)
    batch_size: int = Field(4, ge=2)
    learning_rate: float = Field(0.01, gt=0)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    milestones: tuple[int, ...] = ()


class RecognitionAttentionConfig(RecognitionConfig):
    """Settings of the recognition model with ContraFeat's attention; see ``RecognitionConfig``.

    The predictor is to start from torchvision's ResNet-18 (``--checkpoint``); else it starts from
    random weights.
    """

    num_directions: int | None = Field(30, ge=2)
    deformator: DeformatorName | Literal["subspace"] = "subspace"
    attention: Literal["learned"] = "learned"
    style_segments: int = Field(2, ge=1)
    shift_scale: float = Field(0.5, gt=0)
    min_shift: float = Field(0.0, ge=0)
    first_convolution: FirstConvolution = "repeated"
    deformator_rate: float = Field(0.01, gt=0)
    predictor_rate: float = Field(0.01, gt=0)
    beta1: float = Field(0.0, ge=0, lt=1)
    beta2: float = Field(0.99, ge=0, lt=1)
    iterations: int = Field(37_500, ge=1)
    batch_size: int = Field(8, ge=2)


class GANSpaceAttention(ContraFeat):
    """How much of each principal component each layer gets; see ``ContraFeat``."""

    Config = GANSpaceAttentionConfig  # type: ignore[assignment]  # which takes fewer values
    presets: ClassVar = {
        "smoke": {**_SMOKE, "subspace_codes": 2_000, "codes_per_step": 1_000},
        "small": {**_SMALL, "subspace_codes": 100_000},
    }


class SeFaAttention(ContraFeat):
    """How much of each closed-form direction each layer gets; see ``ContraFeat``."""

    Config = SeFaAttentionConfig  # type: ignore[assignment]  # which takes fewer values
    presets: ClassVar = {"smoke": _SMOKE, "small": _SMALL}


class LatentCLRAttention(LatentCLR):
    """LatentCLR whose directions and layers are learned together; see ``LatentCLR``."""

    Config = LatentCLRAttentionConfig  # type: ignore[assignment]  # which takes fewer values
    presets: ClassVar = {
        "smoke": {
            "num_directions": 4,
            "subspace_size": 16,
            "subspace_codes": 2_000,
            "codes_per_step": 1_000,
            "iterations": 5,
        },
        "small": {
            "num_directions": 12,
            "subspace_size": 30,
            "subspace_codes": 100_000,
            "iterations": 400,
        },
    }


class RecognitionAttention(Recognition):
    """The recognition model whose directions and layers are learned together.

    See ``Recognition``.
    """

    Config = RecognitionAttentionConfig  # type: ignore[assignment]  # which takes fewer values
    presets: ClassVar = {
        "smoke": {
            "num_directions": 4,
            "subspace_size": 16,
            "subspace_codes": 2_000,
            "codes_per_step": 1_000,
            "predictor": "lenet",
            "iterations": 3,
            "batch_size": 4,
            "accuracy_batches": 2,
        },
        # The predictor of the method's own small training, at its rate.
        "small": {
            "num_directions": 12,
            "subspace_size": 30,
            "subspace_codes": 100_000,
            "predictor": "lenet",
            "predictor_rate": 1e-3,
            "iterations": 600,
            "batch_size": 16,
            "accuracy_batches": 10,
        },
    }
