"""Golden cases of the progressive GANs: plain and spectrally normalised networks, and losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from baselines.nets.pggan import Convolution, Discriminator, Generator, Weights, minibatch_deviation
from baselines.nets.pggan_tensorflow import our_state
from baselines.nets.stylegan2_layers import unit_rms
from baselines.pggan import PGGANConfig
from baselines.pggan_losses import criticism, discriminator_terms, generator_terms
from bench.verify import Case, case

_FIRST_UP = {True: "8x8/Conv0_up/u", False: "8x8/Conv0/u"}  # fused or not


@case("pggan.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """Images at levels of detail, and gradients with respect to the latents."""
    config = golden.config
    generator = Generator(
        config["resolution"],
        config.get("z_space_dim", 512),
        config.get("image_channels", 3),
        _plain_weights(config),
        config.get("label_size", 0),
        config.get("final_tanh", False),
    )
    generator.load_state_dict(golden.weights)
    label = golden.inputs.get("label")
    got = {"z_normalised": _beside(unit_rms(golden.inputs["z"]), label)}
    for lod in config["lods"]:
        z = golden.inputs["z"].clone().requires_grad_(True)
        images = generator(z, label, float(lod))
        _ramped_sum(images).backward()
        got |= {f"lod{lod}": images.detach(), f"lod{lod}.grad_z": _gradient(z)}
    return got


@case("pggan.discriminator")
def discriminator_case(golden: Case) -> dict[str, Tensor]:
    """Scores at levels of detail, and gradients with respect to the images."""
    config = golden.config
    discriminator = Discriminator(
        config["resolution"],
        config.get("image_channels", 3),
        _plain_weights(config),
        config.get("label_size", 0),
        config.get("minibatch_std_group_size", 16),
    )
    discriminator.load_state_dict(golden.weights)
    got: dict[str, Tensor] = {}
    for lod in config["lods"]:
        images = golden.inputs["image"].clone().requires_grad_(True)
        scores = discriminator(images, float(lod))
        scores.sum().backward()
        got |= {f"lod{lod}": scores.detach(), f"lod{lod}.grad_image": _gradient(images)}
    return got


@case("pggan.pieces")
def pieces_case(golden: Case) -> dict[str, Tensor]:
    """Pixel norm, minibatch deviation, equalised weights and changes of resolution."""
    x, weight = golden.inputs["x"], golden.inputs["w_in"]
    outputs, inputs, kernel, _ = weight.shape
    layer = Convolution(inputs, outputs, Weights(), kernel)
    layer.weight.data.copy_(weight)
    got = {
        "equalized_weight": layer.used_weight().detach(),
        "upsample2": F.interpolate(x, scale_factor=2.0),
        "downsample2": F.avg_pool2d(x, 2),
    }
    group = golden.config["mbstd_group_size"]
    pieces = {
        "pixel_norm": unit_rms,
        "minibatch_stddev": lambda x: minibatch_deviation(x, group),
    }
    for name, piece in pieces.items():
        given = x.clone().requires_grad_(True)
        found = piece(given)
        _ramped_sum(found).backward()
        got |= {name: found.detach(), f"{name}.grad": _gradient(given)}
    return got


@case("crg.generator")
def spectral_generator_case(golden: Case) -> dict[str, Tensor]:
    """Images of CRG's generator at levels of detail, gradients, and how its norms advance."""
    got: dict[str, Tensor] = {}
    for lod in golden.config["lods"]:
        variables = _leaves(golden.weights)
        latent = golden.inputs["latent"].clone().requires_grad_(True)
        generator = _spectral_generator(golden, "fmap_max", variables)
        evaluate = _evaluator(generator, variables)
        images = evaluate(latent, float(lod))
        _ramped_sum(images).backward()
        got |= {
            f"lod{lod}.call1": images.detach(),
            f"lod{lod}.grad_latent": _gradient(latent),
            f"lod{lod}.u_after1.8x8": variables[_FIRST_UP[golden.config["fused_scale"]]].clone(),
            **_gradients(golden, variables, f"lod{lod}.grad."),
        }
        with torch.no_grad():
            evaluate(latent, float(lod))
            got[f"lod{lod}.call3"] = evaluate(latent, float(lod))
    return got


@case("crg.gan_losses")
def losses_case(golden: Case) -> dict[str, Tensor]:
    """WGAN-GP's losses with drift through both networks, and their gradients.

    The reference adds scores (N, 1) and penalties (N,), which makes N x N losses of the same mean.
    """
    config, inputs, variables = golden.config, golden.inputs, _leaves(golden.weights)
    discriminator = Discriminator(
        config["resolution"],
        inputs["reals"].shape[1],
        _spectral_weights(config, config["fmap_max_D"]),
        group=config["mbstd_group_size"],
    )
    settings = PGGANConfig.model_validate(
        {
            "penalty_weight": config["lambda"],
            "penalty_target": config["target"],
            "drift_weight": config["epsilon_drift"],
        }
    )
    below_g, below_d = (_below(variables, prefix) for prefix in ("G/", "D/"))
    generate = _evaluator(_spectral_generator(golden, "fmap_max_G", below_g).eval(), below_g)
    criticise = _evaluator(discriminator.eval(), below_d)  # norms stay as they are
    lod = float(config["lod"])
    fakes = generate(inputs["latent"], lod)
    generator_loss = settings.total(generator_terms(criticise(fakes, lod)))
    generator_loss.mean().backward()
    got = _gradients(golden, variables, "g_loss.grad.")
    for variable in variables.values():
        variable.grad = None
    found = criticism(
        lambda images: criticise(images, lod), inputs["reals"], fakes.detach(), inputs["mix"]
    )
    terms = discriminator_terms(found, settings.penalty_target)
    penalty = settings.total({"penalty": terms["penalty"]})
    scores = settings.total({name: term for name, term in terms.items() if name != "penalty"})
    settings.total(terms).mean().backward()
    return {
        **got,
        **_gradients(golden, variables, "d_loss.grad."),
        "g_loss": generator_loss[:, None],
        "d_loss": scores[:, None] + penalty,
        "epsilon_penalty": terms["drift"][:, None],
        "real_scores": found.real[:, None],
        "fake_scores": found.fake[:, None],
        "mixed_scores": found.mixed[:, None],
        "mixed_norms": found.norms,
    }


def _plain_weights(config: Mapping[str, Any]) -> Weights:
    return Weights(
        config.get("fmaps_base", 16 << 10),
        config.get("fmaps_max", 512),
        fused=config.get("fused_scale", False),
        equalized=config.get("use_wscale", True),
    )


def _spectral_weights(config: Mapping[str, Any], channels: int) -> Weights:
    # The released program counts widths from 2 x 2 pixels.
    return Weights(2 * config["fmap_base"], channels, True, config.get("fused_scale", True))


def _spectral_generator(golden: Case, widest: str, variables: Mapping[str, Tensor]) -> Generator:
    config, channels = golden.config, len(variables["ToRGB_lod0/bias"])
    weights = _spectral_weights(config, config[widest])
    return Generator(config["resolution"], golden.inputs["latent"].shape[1], channels, weights)


def _evaluator(
    network: nn.Module, variables: Mapping[str, Tensor]
) -> Callable[[Tensor, float], Tensor]:
    """The network as a function of TensorFlow's variables, which its norms advance in place."""
    state = our_state(variables)

    def evaluate(given: Tensor, lod: float) -> Tensor:
        found: Tensor = functional_call(network, state, (given,), {"lod": lod})
        return found

    return evaluate


def _leaves(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that collect gradients, but for the singular vectors and the level of detail."""
    return {
        name: value.clone().requires_grad_(not name.endswith(("/u", "lod")))
        for name, value in variables.items()
    }


def _below(variables: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }


def _gradients(golden: Case, variables: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The gradients below a prefix that the case asks for; zero where there is none."""
    wanted = [key for key in golden.expected if key.startswith(prefix)]
    return {key: _gradient(variables[key.removeprefix(prefix)]) for key in wanted}


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def _ramped_sum(output: Tensor) -> Tensor:
    """The objective of the cases' gradients: each number has a weight of its own."""
    return (output * torch.linspace(-1, 1, output.numel()).reshape(output.shape)).sum()


def _beside(z: Tensor, label: Tensor | None) -> Tensor:
    return z if label is None else torch.cat([z, label], dim=1)
