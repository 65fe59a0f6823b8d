"""Golden case of alpha-GAN, in float64 as that of VAE-GAN: networks, losses and gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.alpha_gan import AlphaGAN, AlphaGANConfig
from bench.verify import Case, case
from bench.verify.vae_gan import channels_first, channels_last, gradients, states, training_data


@case("alphagan.networks_and_losses")
def networks_and_losses_case(golden: Case) -> dict[str, Tensor]:
    """Everything at the batch's statistics, but for one reconstruction by the moving ones."""
    method = _method(golden)
    images = channels_first(golden.inputs["image"].double())
    prior = golden.inputs["prior_z"].double()
    got: dict[str, Tensor] = {}
    with torch.no_grad():
        got["z_hat_eval"] = method.eval().encode(images)
        got["x_hat_eval"] = channels_last(method.decode(got["z_hat_eval"]))
        z = method.train().encoder(images)
        reconstructed, generated = method.generator(z), method.generator(prior)
        logits = {
            "disc.real": method.discriminator(images),
            "disc.x_hat": method.discriminator(reconstructed),
            "disc.x_prior": method.discriminator(generated),
            "code.prior": method.code_discriminator(prior),
            "code.z_hat": method.code_discriminator(z),
        }
    got |= {f"{name}.logit": logit[:, None] for name, logit in logits.items()}
    got |= {
        "z_hat": z,
        "x_hat": channels_last(reconstructed),
        "x_prior": channels_last(generated),
    }
    encoder = method.encoder_losses(images, prior)
    losses = {
        "l1": encoder["l1"],
        "encoder": encoder["loss"],
        "generator": method.generator_losses(images, prior)["loss"],
        "discriminator": method.discriminator_losses(images, prior)["loss"],
        "code_discriminator": method.code_discriminator_losses(images, prior)["loss"],
    }
    got |= {f"loss.{name}": value for name, value in losses.items()}
    return got | gradients(golden, losses, method.networks())


def _method(golden: Case) -> AlphaGAN:
    config = golden.config
    settings = {
        "widths": config["widths"]["conv"],
        "code_width": config["widths"]["code_fc"],
        "z_dim": config["z_dim"],
        "batch_size": config["batch"],
        "encoder_lambda": config["lambda_encoder"],
        "generator_lambda": config["lambda_generator"],
    }
    data = training_data(golden.inputs["image"])
    method = AlphaGAN(AlphaGANConfig.model_validate(settings), data)
    method.load_reference(states(golden))
    return method.double()
