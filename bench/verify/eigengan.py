"""Golden cases of EigenGAN: networks of the port, networks and losses of the original.

The original's variables are read as those of its checkpoints are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor

from baselines.eigengan_losses import (
    AdversarialName,
    discriminator_losses,
    generator_loss,
    gradient_penalty,
    mean_orthogonality,
    orthogonality_per_level,
)
from baselines.nets.eigengan import (
    START,
    Discriminator,
    EigenBlock,
    Generator,
    SubspaceLayer,
    original_widths,
    port_widths,
)
from bench.checkpoints.eigengan import states_of
from bench.verify import Case, case

_MOST = 512  # channels of any layer of the original


@case("eigengan.subspace_layer")
def subspace_layer_case(golden: Case) -> dict[str, Tensor]:
    """Points of a subspace and how far its basis is from orthonormal."""
    layer = SubspaceLayer(golden.config["dim"], golden.config["n_basis"])
    layer.load_state_dict(golden.weights)
    deviation = mean_orthogonality([layer.U])
    (gradient,) = torch.autograd.grad(deviation, layer.U)
    points = layer(golden.inputs["z"])
    return {"out": points, "orth_reg": deviation, "orth_reg_grad_U": gradient}


@case("eigengan.block")
def block_case(golden: Case) -> dict[str, Tensor]:
    """One block with what is added before its two convolutions."""
    block = EigenBlock(**golden.config)
    block.load_state_dict(golden.weights)
    z = golden.inputs["z"]
    first, second = block.injections(z)
    return {
        "out": block(z, golden.inputs["h"]),
        "phi": block.projection(z).unflatten(1, block.shape),
        "inject1": first,
        "inject2": second,
    }


@case("eigengan.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """The port's generator, its maps, and how far its bases are from orthonormal."""
    config, inputs = golden.config, golden.inputs
    widths = port_widths(config["size"], config["base_channels"], config["max_channels"])
    generator = Generator(widths, config["noise_dim"], config["n_basis"], config["out_channels"])
    generator.load_state_dict(golden.weights)
    deviation = mean_orthogonality(generator.bases())
    gradients = torch.autograd.grad(deviation, generator.bases())
    return {
        "image": generator(inputs["eps"], inputs["zs"]),
        "orth_reg": deviation,
        **{f"h_{i}": maps for i, maps in enumerate(generator.maps(inputs["eps"], inputs["zs"]))},
        **{f"orth_reg_grad_U_{i}": gradient for i, gradient in enumerate(gradients)},
    }


@case("eigengan_tf.generator")
def original_generator_case(golden: Case) -> dict[str, Tensor]:
    """The original's generator by both ways to orthonormal bases."""
    config, noise = golden.config, golden.inputs["eps"]
    zs = torch.stack([golden.inputs[f"z_{i}"] for i in range(config["n_levels"])], dim=1)
    widths = original_widths(START << config["n_levels"], config["dim_10"], _MOST)
    state = _state(golden, "generator")

    def made(orthonormal: bool) -> Generator:
        generator = Generator(
            widths, noise.shape[1], zs.shape[2], config["n_channels"], True, orthonormal
        )
        generator.load_state_dict(state)
        return generator

    generator = made(orthonormal=False)
    per_level = orthogonality_per_level(generator.bases())
    gradients = torch.autograd.grad(per_level.sum(), generator.bases())
    return {
        "image": _channels_last(generator(noise, zs)),
        "image_gram_schmidt": _channels_last(made(orthonormal=True)(noise, zs)),
        "orth_per_level": per_level,
        "orth_loss": per_level.sum(),
        **{
            f"orth_grad_U_{i}": gradient.unflatten(1, block.shape).permute(2, 3, 1, 0)
            for i, (gradient, block) in enumerate(zip(gradients, generator.blocks, strict=True))
        },
    }


@case("eigengan_tf.discriminator")
def original_discriminator_case(golden: Case) -> dict[str, Tensor]:
    """The original's discriminator and its gradient penalties at real images."""
    config = golden.config
    images = golden.inputs["x"].permute(0, 3, 1, 2).requires_grad_(True)
    size, channels = images.shape[2], images.shape[1]
    widths = original_widths(size, config["dim_10"], _MOST)[::-1]
    discriminator = Discriminator(
        widths[: config["n_downsamplings"] + 1],
        size,
        channels,
        min(config["fc_dim"], _MOST),
        same=True,
    )
    discriminator.load_state_dict(_state(golden, "discriminator"))
    logits = discriminator(images)
    return {
        "logit": logits,
        "gp_0_real": gradient_penalty("0-gp", logits, images),
        "gp_1_real": gradient_penalty("1-gp", discriminator(images), images),
    }


@case("eigengan_tf.adversarial_losses")
def adversarial_losses_case(golden: Case) -> dict[str, Tensor]:
    """Five families of losses with their gradients at the logits."""
    real = golden.inputs["real"].requires_grad_(True)
    fake = golden.inputs["fake"].requires_grad_(True)
    got: dict[str, Tensor] = {}
    for name in get_args(AdversarialName):
        of_real, of_fake = discriminator_losses(name, real, fake)
        by_real, by_fake = torch.autograd.grad(of_real + of_fake, (real, fake))
        of_generator = generator_loss(name, fake)
        (by_generator,) = torch.autograd.grad(of_generator, fake)
        got |= {
            f"{name}.d_real": of_real,
            f"{name}.d_fake": of_fake,
            f"{name}.d_grad_real": by_real,
            f"{name}.d_grad_fake": by_fake,
            f"{name}.g": of_generator,
            f"{name}.g_grad_fake": by_generator,
        }
    return got


def _state(golden: Case, network: str) -> Mapping[str, Tensor]:
    return states_of({name: value.numpy() for name, value in golden.weights.items()})[network]


def _channels_last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1)
