"""Golden cases of InfoSCC-GAN's third stage: losses, augmentations, networks and their sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.diffaugment import (
    Augmentation,
    brightness,
    contrast,
    cutout,
    saturation,
    translation,
)
from baselines.eigengan_losses import mean_orthogonality
from baselines.infoscc_losses import LossName, discriminator_loss, generator_loss, mean_r1
from baselines.linear_classifier import LinearClassifier
from baselines.nets.eigengan import Generator, port_widths
from baselines.nets.infoscc import (
    ConditionedGenerator,
    GlobalDiscriminator,
    MulticlassDiscriminator,
    NormName,
    PatchDiscriminator,
    patch_map_size,
)
from baselines.nets.resnet import BaseModel
from baselines.simclr import SimCLREncoder
from bench.verify import Case, case

# The reference's names of the losses -> ours.
LOSSES: dict[str, LossName] = {
    "hinge": "hinge",
    "non_saturating": "non-saturating",
    "lsgan": "lsgan",
}


@case("infoscc.adversarial_losses")
def adversarial_losses_case(golden: Case) -> dict[str, Tensor]:
    """Losses of three kinds and their gradients, for predictions of images and of patches."""
    got: dict[str, Tensor] = {}
    for key in golden.expected:
        kind, shape, _ = key.split(".")
        if f"{kind}.{shape}.d_loss" in got:
            continue
        real = golden.inputs[f"{shape}_real"].clone().requires_grad_(True)
        fake = golden.inputs[f"{shape}_fake"].clone().requires_grad_(True)
        d_loss = discriminator_loss(LOSSES[kind], real, fake)
        g_loss = generator_loss(LOSSES[kind], fake)
        d_grad_real, d_grad_fake = torch.autograd.grad(d_loss, (real, fake))
        (g_grad_fake,) = torch.autograd.grad(g_loss, fake)
        values = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_grad_real": d_grad_real,
            "d_grad_fake": d_grad_fake,
            "g_grad_fake": g_grad_fake,
        }
        got |= {f"{kind}.{shape}.{name}": value for name, value in values.items()}
    return got


@case("infoscc.diffaugment")
def augmentation_case(golden: Case) -> dict[str, Tensor]:
    """Each of the five operations alone, and all of them."""
    inputs = golden.inputs
    images = inputs["x"]
    amounts = {name: inputs[f"u_{name}"] for name in ("brightness", "saturation", "contrast")}
    shift = inputs["t_rows"], inputs["t_cols"]
    centre = inputs["o_rows"], inputs["o_cols"]
    return {
        "brightness": brightness(images, amounts["brightness"]),
        "saturation": saturation(images, amounts["saturation"]),
        "contrast": contrast(images, amounts["contrast"]),
        "translation": translation(images, *shift),
        "cutout": cutout(images, *centre),
        "all": Augmentation(**amounts, translation=shift, cutout=centre)(images),
    }


@case("infoscc.discriminator_global")
def global_discriminator_case(golden: Case) -> dict[str, Tensor]:
    """Predictions, the gradient penalty, and the penalty's gradient."""
    discriminator = GlobalDiscriminator(*_image(golden.config))
    discriminator.load_state_dict(golden.weights)
    predictions, penalty = _penalised(discriminator, golden.inputs["x"])
    first = next(discriminator.parameters())
    (gradient,) = torch.autograd.grad(penalty, first)
    return {"pred": predictions, "r1": penalty, "r1_grad_first_conv": gradient}


@case("infoscc.discriminator_multiclass")
def multiclass_discriminator_case(golden: Case) -> dict[str, Tensor]:
    """All logits, and those of the given classes."""
    classes, images = golden.config["n_classes"], golden.inputs["x"]
    discriminator = MulticlassDiscriminator(*_image(golden.config), outputs=classes)
    discriminator.load_state_dict(golden.weights)
    with torch.no_grad():
        given = discriminator(images, F.one_hot(golden.inputs["label"], classes))
        of_each = [
            discriminator(images, F.one_hot(torch.full_like(golden.inputs["label"], i), classes))
            for i in range(classes)
        ]
    return {"pred": given, "all_logits": torch.stack(of_each, dim=1)}


@case("infoscc.discriminator_patch")
def patch_discriminator_case(golden: Case) -> dict[str, Tensor]:
    """Predictions and penalties in both modes, and what training does to the norms."""
    discriminator = _patch(golden.config)
    discriminator.load_state_dict(golden.weights)
    eval_predictions, eval_penalty = _penalised(discriminator.eval(), golden.inputs["x"])
    predictions, penalty = _penalised(discriminator.train(), golden.inputs["x"])
    state, prefix = discriminator.state_dict(), "state_after_train."
    moved = {
        name: state[name.removeprefix(prefix)]
        for name in golden.expected
        if name.startswith(prefix)
    }
    return {
        "pred_eval": eval_predictions,
        "r1_eval": eval_penalty,
        "pred_train": predictions,
        "r1_train": penalty,
        **moved,
    }


@case("infoscc.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """What the mapper makes of labels and noise, images, orthogonality and gradients."""
    generator, inputs = make_generator(golden.config), golden.inputs
    generator.load_state_dict(golden.weights)
    images = generator(inputs["y"], inputs["eps"], inputs["zs"])
    (images * inputs["probe"]).sum().backward()
    gradients = {
        f"grad_{'U_0' if 'projection' in name else name.replace('.', '_')}": value.grad
        for name, value in generator.named_parameters()
        if name in ("concat_fc.weight", "y_fc.weight", "blocks.0.projection.U")
    }
    return {
        "image": images,
        "mapper_out": generator.mapped(inputs["y"], inputs["eps"]),
        "orth_reg": mean_orthogonality(generator.bases()),
        **{name: value for name, value in gradients.items() if value is not None},
    }


@case("infoscc.parameter_counts")
def parameter_counts_case(golden: Case) -> dict[str, float]:
    """Numbers of parameters and sizes of patch maps at full scale; each name says which."""
    with torch.device("meta"):
        return {name: _counted(name) for name in golden.expected}


def make_generator(config: Mapping[str, Any]) -> ConditionedGenerator:
    """The generator of the reference's settings."""
    return ConditionedGenerator(
        config["y_size"],
        port_widths(config["size"], config["base_channels"], config["max_channels"]),
        config["z_size"],
        config["noise_dim"],
        config["n_basis"],
        config["out_channels"],
    )


def make_discriminator(
    kind: str, config: Mapping[str, Any], classes: int
) -> GlobalDiscriminator | PatchDiscriminator:
    """The discriminator of the reference's settings.

    Args:
        kind: The reference's ``disc_type``.
        config: Its settings.
        classes: How many the ``multiclass`` one tells apart.
    """
    if kind == "patch":
        return _patch(config)
    if kind == "multiclass":
        return MulticlassDiscriminator(*_image(config), outputs=classes)
    return GlobalDiscriminator(*_image(config))


def _patch(config: Mapping[str, Any]) -> PatchDiscriminator:
    norm: NormName = "actnorm" if config["use_actnorm"] else "batch"
    return PatchDiscriminator(config["input_nc"], config["ndf"], config["n_layers"], norm)


def _image(config: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Size, channels and widths of a discriminator of whole images."""
    return config["size"], config["in_channels"], config["base_channels"], config["max_channels"]


def _penalised(discriminator: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    images = images.clone().requires_grad_(True)
    predictions = discriminator(images)
    return predictions, mean_r1(predictions, images)


def _counted(name: str) -> int:
    """The number that a name of the case stands for, such as ``generator_afhq_256_y3``."""
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    if name.endswith(f"_map_size_at_{numbers[-1]}"):
        return patch_map_size(numbers[-1], numbers[-2])
    return sum(parameter.numel() for parameter in _full_size(name, numbers).parameters())


def _full_size(name: str, numbers: list[int]) -> nn.Module:
    if name.startswith("encoder_resnet"):
        base: BaseModel = "resnet18" if numbers[0] == 18 else "resnet50"
        return SimCLREncoder(3, base, numbers[1])
    if name.startswith("classifier"):
        return LinearClassifier(*numbers)
    if name.startswith("discriminator_patch"):
        width, layers, *_ = numbers
        return PatchDiscriminator(3, width, layers)
    if name.startswith("discriminator_global"):
        return GlobalDiscriminator(*numbers)
    if name.startswith("eigengan_generator"):
        return Generator(port_widths(*numbers))
    size, labels = numbers
    return ConditionedGenerator(labels, port_widths(size))
