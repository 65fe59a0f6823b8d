"""Golden case of VAE-GAN: networks, losses and gradients; images are NHWC there.

It is computed in float64: batch norms over the three latents of a batch enlarge rounding errors,
and the reference's own, in float32, are more than half of what the cases allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.base import Attributes, TrainingData
from baselines.vae_gan import VAEGAN, VAEGANConfig
from bench.checkpoints.tensorflow_arrays import states_of, torch_place
from bench.verify import Case, case


@case("vaegan.networks_and_losses")
def networks_and_losses_case(golden: Case) -> dict[str, Tensor]:
    """Everything at the batch's statistics, but for one decoding by the moving ones."""
    method = _method(golden)
    noise, prior = golden.inputs["eps"].double(), golden.inputs["prior_z"].double()
    images = channels_first(golden.inputs["image"].double())
    got: dict[str, Tensor] = {}
    with torch.no_grad():
        mean, deviation = method.encoder(images)
        sample = mean + deviation * noise
        got["x_tilde_eval"] = channels_last(method.decoder.eval()(sample))
        reconstructed, generated = method.decoder.train()(sample), method.decoder(prior)
        logits, features = method.discriminator(images)
        shown = {"real": logits}
        shown["x_tilde"] = method.discriminator(reconstructed)[0]
        shown["x_prior"] = method.discriminator(generated)[0]
    got |= {f"disc.{name}.prob": logit.sigmoid()[:, None] for name, logit in shown.items()}
    got |= {
        "encoder.z_mean": mean,
        "encoder.z_scale": deviation,
        "z_sample": sample,
        "x_tilde": channels_last(reconstructed),
        "x_prior": channels_last(generated),
        "disc.real.features_first64": features[:, :64],
        "disc.real.features_mean": features.mean(dim=1),
    }
    encoder = method.encoder_losses(images, noise, prior)
    decoder = method.decoder_losses(images, noise, prior)
    discriminator = method.discriminator_losses(images, noise, prior)
    losses = {
        "kl": encoder["divergence"],
        "feature_mse": encoder["features"],
        "pixel_mse": decoder["pixels"],
        "encoder": encoder["loss"],
        "decoder": decoder["loss"],
        "discriminator": discriminator["loss"],
    }
    got |= {f"loss.{name}": value for name, value in losses.items()}
    return got | gradients(golden, losses, method.networks())


def training_data(images: Tensor) -> TrainingData:
    """What a method is made for, by a batch (N, H, W, C); the case brings its batches."""
    _, size, _, channels = images.shape
    none: Any = None
    return TrainingData(none, Attributes(()), size, channels)


def states(golden: Case) -> dict[str, dict[str, Tensor]]:
    """The case's variables, as a checkpoint's are read."""
    variables = {name: value.numpy() for name, value in golden.weights.items()}
    return states_of(variables, golden.folder)


def gradients(
    golden: Case, losses: Mapping[str, Tensor], networks: Mapping[str, nn.Module]
) -> dict[str, Tensor]:
    """What ``grad.<loss>_loss.<variable>`` names, in TensorFlow's layouts.

    Args:
        golden: Its expected tensors say which gradients are asked for.
        losses: By name, on graphs of their own.
        networks: By variable scope.
    """
    got = {}
    for key in golden.expected:
        if not key.startswith("grad."):
            continue
        _, loss, variable = key.split(".")
        place = torch_place(variable)
        assert place is not None
        parameter = networks[place[0]].get_parameter(place[1])
        (gradient,) = torch.autograd.grad(
            losses[loss.removesuffix("_loss")], parameter, retain_graph=True
        )
        got[key] = gradient.permute(2, 3, 1, 0) if gradient.ndim == 4 else gradient.t()
    return got


def channels_first(images: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, C, H, W)."""
    return images.permute(0, 3, 1, 2)


def channels_last(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W, C)."""
    return images.permute(0, 2, 3, 1)


def _method(golden: Case) -> VAEGAN:
    config = golden.config
    settings = {
        "widths": config["widths"]["conv"],
        "z_dim": config["z_dim"],
        "batch_size": config["batch"],
        "encoder_gamma": config["gamma_encoder"],
        "decoder_gamma": config["gamma_decoder"],
        "divergence_weight": config["kl_weight"],
    }
    method = VAEGAN(VAEGANConfig.model_validate(settings), training_data(golden.inputs["image"]))
    method.load_reference(states(golden))
    return method.double().train()
