"""Golden cases of ALI, BiGAN and the latent regressor: their losses on logits and on codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor

from baselines import ali, bigan
from baselines.bigan_latents import LatentKind, Latents
from baselines.latent_regressor import generator_loss
from bench.verify import Case, case


@case("ali_bigan.losses")
def losses_case(golden: Case) -> dict[str, Tensor]:
    """The losses of the discriminators and of what they judge; gradients of ALI's."""
    logits = golden.inputs["data_logit"], golden.inputs["sample_logit"]
    return {
        **_with_gradients("ali.discriminator", ali.discriminator_loss, *logits),
        **_with_gradients("ali.generator", ali.encoder_decoder_loss, *logits),
        "bigan.joint_discriminator": bigan.discriminator_loss(*logits),
        "bigan.encoder_and_generator": bigan.encoder_generator_loss(*logits),
        "gan.discriminator": bigan.discriminator_loss(*logits),
        "gan.generator_nonsaturating": generator_loss(logits[1]),
    }


@case("bigan.latent_regressor_loss")
def latents_case(golden: Case) -> dict[str, Tensor]:
    """Errors and reconstructions of latents of every kind."""
    inputs, got = golden.inputs, {}
    bias = golden.config.get("log_var_bias", Latents.log_variance_bias)
    for kind in get_args(LatentKind):
        z = inputs["z_gauss" if kind in ("g", "gv") else "z_uniform"]
        output = inputs["logits2" if kind == "gv" else "logits"]
        latents = Latents(kind, z.shape[1], bias)
        got[f"{kind}.recon_error"] = latents.error(output, z)
        got[f"{kind}.recon"] = latents.most_likely(output)
    return got


def _with_gradients(
    name: str, loss: Callable[[Tensor, Tensor], Tensor], data_logit: Tensor, sample_logit: Tensor
) -> dict[str, Tensor]:
    logits = data_logit.clone().requires_grad_(True), sample_logit.clone().requires_grad_(True)
    value = loss(*logits)
    data, sample = torch.autograd.grad(value, logits)
    return {name: value, f"{name}.grad_data": data, f"{name}.grad_sample": sample}
