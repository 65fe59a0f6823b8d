"""Golden cases of LatentCLR: its loss, its direction models and projectors, a training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.base import Attributes, TrainingData
from baselines.latentclr import DirectionStage, LatentCLR, LatentCLRConfig
from baselines.latentclr_losses import Comparison, contrastive_loss
from baselines.nets.latentclr import (
    ConditionalDirections,
    DirectionModel,
    FixedDirections,
    Projector,
    perceptron,
)
from baselines.nets.stylegan2 import Generator
from bench.checkpoints.architecture import build_generator
from bench.checkpoints.rosinality import generator_to_nvidia
from bench.verify import Case, case

_SHOWN = 8  # leading features that a step case stores


@case("latentclr.loss.contrastive")
def loss_case(golden: Case) -> dict[str, Tensor]:
    """Every variant of the loss, with its gradient."""
    got: dict[str, Tensor] = {}
    for variant, options in golden.config["variants"].items():
        features = golden.inputs["features"].clone().requires_grad_()
        terms = contrastive_loss(features, golden.config["k"], _comparison(options))
        terms.loss.backward()
        assert features.grad is not None
        found = {"loss": terms.loss, "acc": terms.accuracy, "grad_features": features.grad}
        got |= {f"{variant}/{name}": value for name, value in found.items()}
    return got


@case("latentclr.direction_models")
def models_case(golden: Case) -> dict[str, Tensor]:
    """Codes moved by every model, and features through every projector, in both modes."""
    config, z = golden.config, golden.inputs["z"]
    got: dict[str, Tensor] = {}
    for name, options in config["models"].items():
        model = _direction_model(options)
        alpha, one = options["alpha"], config["single"]
        for mode in ("eval", "train"):
            model.load_state_dict(_below(golden.weights, name))
            model.train(mode == "train")
            got[f"{name}/{mode}"] = (z + alpha * model.all(z)).flatten(0, 1)
        got[f"{name}/single_{one}"] = z + alpha * model.eval()(z, one)
    for name, options in config["projectors"].items():
        projector = _projector(options)
        for mode in ("eval", "train"):
            projector.load_state_dict(_own_names(_below(golden.weights, name)))
            got[f"{name}/{mode}"] = projector.train(mode == "train")(golden.inputs["feat"])
    return {name: value for name, value in got.items() if name in golden.expected}


@case("latentclr.training_step")
def step_case(golden: Case) -> dict[str, Tensor]:
    """The streamed loss of one batch of codes on a tiny generator, with its gradients."""
    stage, codes = _stage(golden), golden.inputs["w"][:, None]
    method = stage.method
    lengths = torch.full((method.num_directions, 1), golden.config["model"]["alpha"])
    terms = stage.backpropagate(codes, lengths)
    with torch.no_grad():
        original = stage.vectors(codes[None].expand(-1, -1, stage.generator.num_ws, -1))
        changes = stage.change(method.edited(codes, lengths), original).flatten(0, 1)
    got = {"loss": terms.loss, "acc": terms.accuracy, "features_first8": changes[:, :_SHOWN]}
    for name, parameter in method.model.named_parameters():
        assert parameter.grad is not None
        got[f"grad/{name}"] = parameter.grad
    return got


def _stage(golden: Case) -> DirectionStage:
    """The method's own stage on the case's generator, with the case's weights and noise."""
    config, options = golden.config, golden.config["model"]
    fed = config.get("feed_layers")
    settings = LatentCLRConfig(
        num_directions=options["k"],
        model=options["type"],
        depth=options.get("depth", 1),
        normalize=options.get("normalize", True),
        layers="all" if fed is None else ",".join(map(str, fed)),
        feature_layers=(config["feature_layer"],),
        **vars(_comparison(config["loss"])),
    )
    generator = _generator(golden)
    size, channels = generator.img_resolution, generator.img_channels
    nothing: Any = None  # directions are found without images of a dataset
    data = TrainingData(nothing, Attributes(()), size, channels, generator)
    method = LatentCLR(settings, data)
    method.model = _direction_model(options)
    method.model.load_state_dict(_below(golden.weights, "M"))
    method.projector = _projector(config["projector"])
    method.projector.load_state_dict(_own_names(_below(golden.weights, "P")))
    return DirectionStage(method.train(), generator)


def _generator(golden: Case) -> Generator:
    noise = {
        f"noises.{name}": value
        for name, value in golden.inputs.items()
        if name.startswith("noise_")
    }
    tensors = generator_to_nvidia({**_below(golden.weights, "G"), **noise})
    return build_generator(tensors, golden.name).generator.eval().requires_grad_(False)


def _comparison(options: Mapping[str, Any]) -> Comparison:
    return Comparison(
        options["temp"], absolute=options["abs"], reduction=options.get("reduce", "mean")
    )


def _direction_model(options: Mapping[str, Any]) -> DirectionModel:
    count, dim, normalize = options["k"], options["size"], options.get("normalize", True)
    if options["type"] == "fixed":
        return FixedDirections(count, dim, normalize)
    if options["type"] == "linear":
        norm = options.get("batchnorm", False)
        return ConditionalDirections(count, dim, 1, normalize, norm=norm)
    bias, norm = options.get("bias", True), options.get("final_norm", False)
    return ConditionalDirections(count, dim, options["depth"], normalize, bias, norm)


def _projector(options: Mapping[str, Any]) -> Projector:
    normalize = options.get("normalize", True)
    if options["type"] == "identity":
        return Projector(nn.Identity(), normalize)
    widths = options["in_features"], options.get("middle_features", 1), options["out_features"]
    if options["type"] == "linear":
        return Projector(perceptron(1, *widths, norm=options.get("batchnorm", True)), normalize)
    bias, norm = options.get("bias", True), options.get("final_norm", False)
    return Projector(perceptron(options["depth"], *widths, bias, norm), normalize)


def _own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A projector's tensors under one of the two names that the release has for each.

    Where the two differ, as in this case, the release keeps what is loaded last.
    """
    return {
        f"net.{name.removeprefix(prefix)}": value
        for prefix in ("net.", "Projector.")
        for name, value in state.items()
        if name.startswith(prefix)
    }


def _below(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
