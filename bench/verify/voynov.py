"""Golden cases of the recognition model: deformators, predictors, step sampling and loss."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.deformators import (
    Deformator,
    FullyConnectedDeformator,
    IdentityDeformator,
    LinearDeformator,
    OrthogonalDeformator,
    ProjectiveDeformator,
    RandomDeformator,
    unit_vector_steps,
)
from baselines.nets.shift_predictors import STEM, LeNetPredictor, ResNetPredictor, from_reference
from baselines.recognition import recognition_losses, sampled_steps
from baselines.recognition_config import Distribution
from bench.verify import Case, case

_CHILDREN = {ours: theirs for theirs, ours in STEM.items()}


@case("voynov.latent_deformator")
def deformator_case(golden: Case) -> dict[str, Tensor]:
    """Shifts of every kind of deformator, with gradients of a random projection."""
    got: dict[str, Tensor] = {}
    for name, options in golden.config["variants"].items():
        deformator = _deformator(options)
        deformator.load_state_dict(_below(golden.weights, f"{name}."))
        steps, probe = golden.inputs[f"x_{deformator.input_dim}"], golden.inputs[f"probe_{name}"]
        found = {"eval": deformator.eval()(steps).view_as(probe)}
        if isinstance(deformator, OrthogonalDeformator):
            found["matrix"] = deformator.matrix()
        if f"{name}/train" in golden.expected:
            found["train"] = deformator.train()(steps).view_as(probe)
        # The case has its gradients after the call in training mode, which moved the statistics.
        loss = (deformator.eval()(steps).view_as(probe) * probe).sum()
        for parameter in options.get("grads", ()):
            (gradient,) = torch.autograd.grad(
                loss, deformator.get_parameter(parameter), retain_graph=True
            )
            found[f"grad/{parameter}"] = gradient
        got |= {f"{name}/{key}": value for key, value in found.items()}
    return got


@case("voynov.lenet_shift_predictor")
def lenet_case(golden: Case) -> dict[str, Tensor]:
    """Logits and steps with running and with batch statistics."""
    config = golden.config
    predictor = LeNetPredictor(config["dim"], config.get("channels", 3), config.get("width", 2))
    predictor.load_state_dict(golden.weights)
    got: dict[str, Tensor] = {}
    for mode in ("eval", "train"):
        logits, steps = predictor.train(mode == "train")(golden.inputs["x1"], golden.inputs["x2"])
        got |= {f"{mode}/logits": logits, f"{mode}/shift": steps}
    return got


@case("voynov.resnet_shift_predictor")
def resnet_case(golden: Case) -> dict[str, Tensor]:
    """Logits and steps of weights that follow from their names."""
    config = golden.config
    predictor = ResNetPredictor(config["dim"], size=config.get("downsample"))
    heads = {"direction": "type_estimator", "shift": "shift_estimator"}
    filled = _by_formula(predictor, "features_extractor.", heads)
    logits, steps = filled(golden.inputs["x1"], golden.inputs["x2"])
    return {"logits": logits, "shift": steps}


@case("contrafeat.recog_baseline_predictor")
def contrafeat_case(golden: Case) -> dict[str, Tensor]:
    """The same of ContraFeat's network, which keeps a dimension for the step."""
    config = golden.config
    predictor = ResNetPredictor(config["nv_dim"], config["net"], "repeated")
    filled = _by_formula(predictor, "net.", {"direction": "net.fc_vd", "shift": "net.fc_vs"})
    logits, steps = filled(golden.inputs["x1"], golden.inputs["x2"])
    return {"direction_logits": logits, "shift": steps[:, None]}


@case("voynov.shift_sampling_and_loss")
def sampling_and_loss_case(golden: Case) -> dict[str, Tensor]:
    """Steps of raw draws, the deformator's input, and the loss with gradients."""
    config, inputs = golden.config, golden.inputs
    got: dict[str, Tensor] = {}
    for name, options in config["variants"].items():
        distribution: Distribution = "uniform" if options["distribution"] == "UNIFORM" else "normal"
        steps = sampled_steps(
            inputs[distribution],
            distribution,
            options["shift_scale"],
            options["min_shift"],
        )
        got[f"{name}/shifts"] = steps
        got[f"{name}/basis_shift"] = unit_vector_steps(
            inputs["indices"], steps, config["latent_dim"]
        )
    logits, predicted = (
        inputs[name].clone().requires_grad_() for name in ("logits", "shift_prediction")
    )
    label, shift = recognition_losses(logits, predicted, inputs["indices"], inputs["target_shifts"])
    total = label + shift
    gradients = torch.autograd.grad(total, [logits, predicted])
    return got | {
        "loss/label": label,
        "loss/shift": shift,
        "loss/total": total,
        "loss/grad_logits": gradients[0],
        "loss/grad_shift_prediction": gradients[1],
    }


def _deformator(options: Mapping[str, Any]) -> Deformator:
    shape = options["shift_dim"]
    dim = math.prod(shape) if isinstance(shape, list) else int(shape)
    count, out = options.get("input_dim") or dim, options.get("out_dim") or dim
    kind, random_init = options["type"], options.get("random_init", False)
    if kind == "ORTHO":
        return OrthogonalDeformator(out, dim, random_init)
    if kind == "FC":
        return FullyConnectedDeformator(out, dim, options.get("inner_dim", 1024))
    if kind == "ID":
        return IdentityDeformator(count)  # hands on what comes in, whatever the width of codes
    if kind == "RANDOM":
        return RandomDeformator(count, out, dim)
    linear = {"LINEAR": LinearDeformator, "PROJECTIVE": ProjectiveDeformator}[kind]
    return linear(count, out, dim, random_init, options.get("bias", True))


def _by_formula(predictor: nn.Module, prefix: str, heads: Mapping[str, str]) -> nn.Module:
    """The predictor with the tensors that the cases' rule draws for the reference's names."""
    names = [_reference_name(name, prefix, heads) for name in predictor.state_dict()]
    shapes = [tensor.shape for tensor in predictor.state_dict().values()]
    drawn = {name: _drawn(name, shape) for name, shape in zip(names, shapes, strict=True)}
    predictor.load_state_dict(from_reference(drawn))
    return predictor.eval()


def _drawn(name: str, shape: torch.Size) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    draws = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    values = torch.from_numpy(np.asarray(draws, dtype=np.float32))
    if len(shape) > 1:
        return values * (2.0 / math.prod(shape[1:])) ** 0.5
    if name.endswith("running_var"):
        return 1 + 0.25 * values.tanh()
    return 1 + 0.1 * values if name.endswith("weight") else 0.1 * values


def _reference_name(name: str, prefix: str, heads: Mapping[str, str]) -> str:
    """The reference's name of one of our tensors, such as ``features.4.0.conv1.weight``."""
    module, _, rest = name.partition(".")
    if module in heads:
        return f"{heads[module]}.{rest}"
    child, _, leaf = rest.partition(".")
    return f"{prefix}{_CHILDREN[child]}.{leaf}"


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }
