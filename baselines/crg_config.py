"""The settings of CRG, and where the defaults come from.

No code of the encoder's training was released. The defaults are those of the text (Dogan and Keles
2020, section 3.2.2), and where its numbers are lost, of the authors' later code
(yahyadogan72/iterative_facial_image_inpainting): the optimiser, the batch, the schedule and the
angle by which images are turned.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from baselines.base import MethodConfig
from baselines.pggan import PGGANConfig


class CRGConfig(MethodConfig):
    """Settings of CRG; see the module for where the defaults come from.

    Attributes:
        stage_one: ``train`` the generator of ``pggan``, or invert the one that is ``given``, the
            dataset's own or that of ``--generator``.
        pggan: Settings of the generator that is trained.
        encoder: ``vgg16``, or ``narrow``, a few convolutions that halve the image each.
        encoder_weights: What ``vgg16`` starts from.
        encoder_width: Channels of the first convolution of ``narrow``.
        dropout: Spatial dropout of ``vgg16``.
        iterations: Of the encoder, at most.
        latent_only_share: Part of the iterations, the first ones, with the first update only.
        batch_size: Images of an update, over all processes.
        image_source: What the second update reconstructs: ``real`` images of the dataset, or the
            ``generated`` ones of the first update.
        optimizer: RMSProp with decay 0.9 and epsilon 1e-8, or Adam with its usual constants.
        learning_rate: Of the optimiser.
        decay_share: Part of the iterations, the last ones, in which the rate falls to zero along
            half a cosine.
        validation_share: Part of the training images, the last ones, that a loss is watched on
            once in an epoch of the others; 0 for none.
        plateau_factor: What lowers the rate when that loss has not fallen.
        plateau_patience: Epochs until then.
        stop_patience: Epochs without a lower loss until training ends; the best encoder is kept,
            and the iterations that are left do nothing.
        min_delta: By how much a loss has to be lower.
        rotation: Real images are turned by up to so many degrees.
        flip: Mirror each real image with probability 1/2.
        vertical_flip: Turn each real image upside down with probability 1/2.
    """

    stage_one: Literal["given", "train"] = "train"
    pggan: PGGANConfig = Field(default_factory=lambda: PGGANConfig.model_validate({}))
    encoder: Literal["vgg16", "narrow"] = "vgg16"
    encoder_weights: Literal["imagenet", "random"] = "imagenet"
    encoder_width: int = Field(32, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    iterations: int = Field(56_250, ge=1)  # 300 epochs of 80 % of 30,000 images
    latent_only_share: float = Field(0.0, ge=0, le=1)
    batch_size: int = Field(128, ge=1)
    image_source: Literal["real", "generated"] = "real"
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    learning_rate: float = Field(1e-4, gt=0)
    decay_share: float = Field(0.0, ge=0, le=1)
    validation_share: float = Field(0.2, ge=0, lt=1)
    plateau_factor: float = Field(0.5, gt=0, le=1)
    plateau_patience: int = Field(15, ge=1)
    stop_patience: int = Field(20, ge=1)
    min_delta: float = Field(1e-4, ge=0)
    rotation: float = Field(10.0, ge=0, le=180)
    flip: bool = True
    vertical_flip: bool = True
