"""Golden cases of the disentangling VAEs: networks, losses and posteriors; images are NHWC there.

Losses are those of the methods, whose networks are exchanged for the cases' linear stand-ins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.base import Attributes, DirectionPairs, TrainingData
from baselines.disentangling_vae import VAE, Terms, VAEConfig
from baselines.factor_vae import FactorVAE, FactorVAEConfig
from baselines.group_vae import AdaGVAE, AdaGVAEConfig, GroupVAE, GroupVAEConfig
from baselines.nets.vae import Discriminator, make_networks
from baselines.vae import (
    DIPVAE,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    BetaVAEConfig,
    ImageVAE,
    ImageVAEConfig,
)
from baselines.vae_losses import (
    farther_apart,
    latent_distances,
    reconstruction_errors,
    to_unit,
)
from bench.verify import Case, CaseFailure, case
from bench.verify.vae_gan import channels_first, channels_last

VAEMethod = TypeVar("VAEMethod", bound=VAE)
ConfigT = TypeVar("ConfigT", bound=VAEConfig)

# The models of pairs, as changes to Ada-GVAE's settings.
_PAIR_MODELS: dict[str, dict[str, Any]] = {
    "ada_gvae": {},
    "ada_mlvae": {"sharing": "precision"},
    "gvae_labels": {"changed": "labels"},
    "mlvae_labels": {"changed": "labels", "sharing": "precision"},
}


@case("disentanglement_vae.conv", "disentanglement_vae.fc")
def networks_case(golden: Case) -> dict[str, Tensor]:
    """Encoder, decoder and discriminator; weights follow a rule."""
    config, images = golden.config, _signed(golden.inputs["x"])
    kind = config.get("kind", golden.kind.rpartition(".")[2])
    latents = config["num_latent"]
    encoder, decoder = make_networks(kind, images.shape[-1], config["channels"], latents, 1.0)
    discriminator = Discriminator(latents)
    networks = {"encoder": encoder, "decoder": decoder, "discriminator": discriminator}
    load_by_rule(networks, golden.meta["variables"])
    codes = golden.inputs["z"]
    with torch.no_grad():
        mean, log_variance = encoder(images)
        logits = discriminator(codes)
        return {
            "mean": mean,
            "logvar": log_variance,
            "decoded": channels_last(decoder(codes)),
            "disc_logits": logits,
            "disc_probs": logits.softmax(dim=1),
        }


@case("disentanglement_vae.losses")
def losses_case(golden: Case) -> dict[str, Tensor]:
    """The losses of all models, what they are made of, and the posteriors of pairs."""
    return {
        **_posterior_parts(golden),
        **_image_parts(golden),
        **_factor_parts(golden),
        **_pair_parts(golden),
        **_reconstructions(golden),
    }


@case("contrafeat.vae")
def contrafeat_networks_case(golden: Case) -> dict[str, Tensor]:
    """Encoder, decoder and what the decoder's output is an image of."""
    method = _contrafeat(golden)
    codes = golden.inputs["z"]
    with torch.no_grad():
        mean, log_variance = method.posterior(golden.inputs["x"])
        return {
            "encoder_out": torch.cat([mean, log_variance], dim=1),
            "mu": mean,
            "logvar": log_variance,
            "decoder_out": method.decoder(codes),
            "reconstruction": method.decode(codes),
        }


@case("contrafeat.group_vae_loss")
def contrafeat_losses_case(golden: Case) -> dict[str, Tensor]:
    """The loss with shared posteriors, and the one that asks which latent differs."""
    images, noise = golden.inputs["imgs_all"].double(), golden.inputs["noise"].double()
    pairs_of_each = len(golden.inputs["pos_neg_idx"])
    originals, queries, positives = images[: 4 * pairs_of_each].split(
        (2 * pairs_of_each, pairs_of_each, pairs_of_each)
    )
    labels = golden.inputs["pos_neg_idx"][:, 0].repeat(2)
    pairs = DirectionPairs(originals, torch.cat([queries, positives]), labels)
    method = _contrafeat(golden).double()
    terms = method.losses(pairs, noise)
    (gradient,) = torch.autograd.grad(terms["loss"], next(method.encoder.parameters()))
    shared = method.posteriors(pairs)[1]
    classified = _contrafeat(golden, objective="classified").double()
    return {
        "group.loss": terms["loss"],
        "group.recon": terms["reconstruction"],
        "group.kl": terms["divergence"],
        "group.mu_hat": torch.cat([posterior.mean for posterior in shared]),
        "group.logvar_hat": torch.cat([posterior.log_variance for posterior in shared]),
        "group.grad_first_encoder_conv": gradient,
        "index_classification.loss": classified.losses(pairs, noise)["loss"],
    }


class StandInEncoder(nn.Module):
    """The linear encoder of the golden losses; the logarithms of variances are lowered by 0.5."""

    def __init__(self, means: Tensor, log_variances: Tensor) -> None:
        super().__init__()
        self.means, self.log_variances = means, log_variances

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) in [-1, 1] -> (N, Z), (N, Z)."""
        flat = channels_last((images + 1) / 2).flatten(1)
        return flat @ self.means, flat @ self.log_variances - 0.5


class StandInDecoder(nn.Module):
    """The linear decoder of the golden losses."""

    def __init__(self, weight: Tensor, bias: Tensor, shape: torch.Size) -> None:
        super().__init__()
        self.weight, self.bias, self.shape = weight, bias, shape

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, C, H, W)."""
        return channels_first((codes @ self.weight + self.bias).unflatten(1, self.shape))


class StandInDiscriminator(nn.Module):
    """The linear discriminator of the golden losses."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, 2)."""
        return codes @ self.weight


class NoPairs:
    """Says how many directions a case's pairs have; the case brings the pairs themselves."""

    def __init__(self, num_directions: int) -> None:
        self.num_directions = num_directions

    def draw(self, seed: int, count: int) -> DirectionPairs:
        """None."""
        raise NotImplementedError


def load_by_rule(networks: Mapping[str, nn.Module], variables: list[Any]) -> None:
    """Give networks the weights of the ``weight_rule`` of the metas.

    Args:
        networks: By the names of their scopes; parameters are in the order of the variables.
        variables: Names and shapes, in TensorFlow's layouts.

    Raises:
        CaseFailure: There are other variables than parameters.
    """
    parameters = [
        (scope, parameter)
        for scope, network in networks.items()
        for parameter in network.parameters()
    ]
    if [name.partition("/")[0] for name, _ in variables] != [scope for scope, _ in parameters]:
        raise CaseFailure("the networks have other numbers of parameters")
    for place, ((name, shape), (_, parameter)) in enumerate(
        zip(variables, parameters, strict=True)
    ):
        value = torch.from_numpy(_by_rule(name, tuple(shape), place))
        value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.t()
        if value.shape != parameter.shape:
            raise CaseFailure(f"{name} has another shape than {tuple(parameter.shape)}")
        parameter.data.copy_(value)


def _by_rule(name: str, shape: tuple[int, ...], place: int) -> NDArray[np.float32]:
    numbers = np.arange(1, int(np.prod(shape)) + 1, dtype=np.float64) * 0.6180339887498949
    values = 2 * ((numbers + (place + 1) * 0.7548776662466927) % 1.0) - 1
    if len(shape) == 1:
        values = 0.1 * values
    else:
        transposed = "conv2d_transpose" in name
        fan = np.prod(shape[:2]) * shape[3] / 4 if transposed else np.prod(shape[:-1])
        values = values * np.sqrt(6 / fan)
    return values.reshape(shape).astype(np.float32)


def _posterior_parts(golden: Case) -> dict[str, Tensor]:
    posterior = _standing_in(golden, BetaVAE(_config(golden, BetaVAEConfig), _data())).posterior(
        _signed(golden.inputs["x"])
    )
    return {"z_mean": posterior.mean, "z_logvar": posterior.log_variance}


def _image_parts(golden: Case) -> dict[str, Tensor]:
    config = golden.config
    dip = {"off_diagonal": config["lambda_od"], "diagonal_factor": config["lambda_d_factor"]}
    annealed = {
        "gamma": config["gamma_anneal"],
        "capacity": config["c_max"],
        "annealing": config["iteration_threshold"],
    }
    models: dict[str, tuple[type[ImageVAE], dict[str, Any]]] = {
        "beta_vae": (BetaVAE, {"beta": config["beta"]}),
        "annealed_vae": (AnnealedVAE, annealed),
        "beta_tc_vae": (BetaTCVAE, {"beta": config["beta"]}),
        "dip_vae_i": (DIPVAE, {"form": "i", **dip}),
        "dip_vae_ii": (DIPVAE, {"form": "ii", **dip}),
    }
    got: dict[str, Tensor] = {}
    for name, (model, settings) in models.items():
        settings_of = cast(type[ImageVAEConfig], model.Config)
        method = _standing_in(golden, model(_config(golden, settings_of, **settings), _data()))
        images, noise = _signed(golden.inputs["x"]), golden.inputs["noise_1"]
        got |= _parts(name, method.losses(images, noise, config["step"]))
    return got


def _factor_parts(golden: Case) -> dict[str, Tensor]:
    settings = _config(golden, FactorVAEConfig, gamma=golden.config["gamma_factor"])
    method = _standing_in(golden, FactorVAE(settings, _data()))
    method.discriminator = cast(Discriminator, StandInDiscriminator(golden.inputs["disc_w"]))
    images, noise = _signed(golden.inputs["x"]), golden.inputs["noise_1"]
    terms = method.losses(images, noise, None, golden.inputs["perms"].long())
    return {
        "factor_vae.loss": terms["loss"],
        "factor_vae.reconstruction_loss": terms["reconstruction"],
        "factor_vae.kl_loss": terms["divergence"],
        "factor_vae.kl_plus_gamma_tc": terms["regularizer"],
        "factor_vae.discriminator_loss": terms["discriminator"],
    }


def _pair_parts(golden: Case) -> dict[str, Tensor]:
    inputs = golden.inputs
    first, second = _signed(inputs["x_pair"]).chunk(2, dim=2)
    pairs = DirectionPairs(first, second, inputs["pair_label"][:, 0].long())
    noise = torch.cat([inputs["noise_1"], inputs["noise_2"]])
    got: dict[str, Tensor] = {}
    for name, changes in _PAIR_MODELS.items():
        config = _config(golden, AdaGVAEConfig, beta=golden.config["beta"], **changes)
        method = _standing_in(golden, AdaGVAE(config, _data(config.latents)))
        got |= _parts(name, method.losses(pairs, noise))
        own, shared = method.posteriors(pairs)
        for number, posterior in enumerate(shared, start=1):
            got[f"{name}.mean_{number}"] = posterior.mean
            got[f"{name}.logvar_{number}"] = posterior.log_variance
        got["pair.kl_per_dim"] = latent_distances(*own)
    got["pair.keep_own_mask"] = farther_apart(got["pair.kl_per_dim"]).float()
    return got


def _reconstructions(golden: Case) -> dict[str, Tensor]:
    """Errors of the decoded means."""
    method = _standing_in(golden, BetaVAE(_config(golden, BetaVAEConfig), _data()))
    images = _signed(golden.inputs["x"])
    outputs, images = method.decoder(method.represent(images)), to_unit(images)
    return {
        "recon.bernoulli_logits": reconstruction_errors(images, outputs),
        "recon.bernoulli_logits_minus_entropy": reconstruction_errors(
            images, outputs, minus_entropy=True
        ),
        "recon.bernoulli_tanh": reconstruction_errors(images, outputs, activation="tanh"),
        "recon.l2_logits": reconstruction_errors(images, outputs, "l2"),
        "recon.l2_tanh": reconstruction_errors(images, outputs, "l2", "tanh"),
    }


def _parts(name: str, terms: Terms) -> dict[str, Tensor]:
    return {
        f"{name}.loss": terms["loss"],
        f"{name}.reconstruction_loss": terms["reconstruction"],
        f"{name}.kl_loss": terms["divergence"],
        f"{name}.regularizer": terms["regularizer"],
        f"{name}.elbo": -(terms["reconstruction"] + terms["divergence"]),
    }


def _config(golden: Case, config: type[ConfigT], **settings: Any) -> ConfigT:
    """Settings of narrow networks, which stand-ins replace."""
    common = {"networks": "contrafeat", "width": 0.02, "reconstruction": golden.config["recon"]}
    latents = golden.inputs["enc_mean_w"].shape[1]
    return config.model_validate({**common, "latents": latents, **settings})


def _standing_in(golden: Case, method: VAEMethod) -> VAEMethod:
    """The method with the case's linear networks."""
    inputs = golden.inputs
    method.encoder = StandInEncoder(inputs["enc_mean_w"], inputs["enc_logvar_w"])
    shape = inputs["x"].shape[1:]
    method.decoder = StandInDecoder(inputs["dec_w"], inputs["dec_b"], shape)
    return method


def _contrafeat(golden: Case, **settings: Any) -> GroupVAE:
    config = golden.config
    weights = {"beta": config.get("kl_lambda", 1.0), "index_weight": config.get("ce_lambda", 1.0)}
    data = _data(config["latents"], config["resolution"], config["nc"])
    chosen = GroupVAEConfig(latents=config["latents"], **weights, **settings)
    method = GroupVAE(chosen, data)
    method.load_state_dict(golden.weights)
    return method


def _data(directions: int | None = None, size: int = 8, channels: int = 3) -> TrainingData:
    """What a method is made for; the case brings images and pairs."""
    none: Any = None
    data = TrainingData(none, Attributes(()), size, channels)
    if directions is not None:
        data.direction_pairs = data.factor_pairs = NoPairs(directions)
    return data


def _signed(images: Tensor) -> Tensor:
    """(N, H, W, C) in [0, 1] -> (N, C, H, W) in [-1, 1]."""
    return 2 * channels_first(images) - 1
