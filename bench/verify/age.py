"""Golden cases of AGE: networks, divergence, mismatch, and one training iteration."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from baselines.age import AGE, AdversarialStage, AGEConfig
from baselines.base import Attributes, TrainingData
from baselines.nets.dcgan import Encoder, Generator
from baselines.sphere import Direction, Measure, kl_to_standard_normal, mismatch
from bench.verify import Case, case

_DIRECTIONS: tuple[Direction, ...] = ("qp", "pq")
_MEASURES: tuple[Measure, ...] = ("L1", "L2", "cos")

# The reference's names of loss terms -> ours.
_TERMS = {
    "KL_real": "kl_real",
    "KL_fake": "kl_fake",
    "match_x": "match_x",
    "match_z": "match_z",
    "total": "total",
}


@case("age.encoder_dcgan32")
@case("age.encoder_dcgan64")
def encoder_case(golden: Case) -> dict[str, Tensor]:
    """An encoder by moving and by batch statistics."""
    config = golden.config
    sphere = config["noise"] == "sphere"
    network = Encoder(config["image_size"], config["nc"], config["nz"], config["ndf"], sphere)
    return _both_modes(golden, network)


@case("age.generator_dcgan32")
@case("age.generator_dcgan64")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """A generator, likewise."""
    config = golden.config
    network = Generator(config["image_size"], config["nc"], config["nz"], config["ngf"])
    return _both_modes(golden, network)


@case("age.kl_to_standard_normal")
def divergence_case(golden: Case) -> dict[str, Tensor]:
    """The divergence in both directions, minimised and maximised, and the batch's moments."""
    got: dict[str, Tensor] = {}
    for name, samples in golden.inputs.items():
        got |= {f"{name}.mean": samples.mean(dim=0), f"{name}.var": samples.var(0, correction=0)}
        for direction in _DIRECTIONS:
            for goal, sign in (("min", 1), ("max", -1)):
                leaf = samples.clone().requires_grad_()
                loss = sign * kl_to_standard_normal(leaf, direction)
                key = f"{name}.{direction}.{goal}"
                got |= {key: loss, f"{key}.grad": torch.autograd.grad(loss, leaf)[0]}
    return got


@case("age.match")
def mismatch_case(golden: Case) -> dict[str, Tensor]:
    """The mismatch of latents and of images by each measure."""
    got: dict[str, Tensor] = {}
    for name in ("z", "x"):
        for measure in _MEASURES:
            leaf = golden.inputs[f"{name}_a"].clone().requires_grad_()
            loss = mismatch(leaf, golden.inputs[f"{name}_b"], measure)
            key = f"{name}.{measure}"
            got |= {key: loss, f"{key}.grad_a": torch.autograd.grad(loss, leaf)[0]}
    return got


@case("age.training_step")
def step_case(golden: Case) -> dict[str, Tensor]:
    """One iteration of the training: losses, first gradients, and the networks after it."""
    stage, inputs = _stage(golden), golden.inputs
    networks = {"E": stage.method.encoder, "G": stage.method.generator}
    got: dict[str, Tensor] = {}
    for k in range(stage.config.encoder_updates):
        terms = stage.update_encoder(inputs[f"e{k}.x"], _latents(inputs[f"e{k}.z"]))
        got |= _update(golden, f"e{k}", "encoder", terms, networks["E"])
    for k in range(stage.config.generator_updates):
        terms = stage.update_generator(_latents(inputs[f"g{k}.z"]), inputs.get(f"g{k}.x"))
        got |= _update(golden, f"g{k}", "generator", terms, networks["G"])
    for letter, network in networks.items():
        for name, value in network.state_dict().items():
            key = f"after.{letter}.{name}"
            got |= {key: value} if key in golden.expected else {}
    return got


def _both_modes(golden: Case, network: nn.Module) -> dict[str, Tensor]:
    network.load_state_dict(golden.weights)
    with torch.no_grad():
        by_moving = network.eval()(golden.inputs["input"])
    leaf = golden.inputs["input"].clone().requires_grad_()
    by_batch = network.train()(leaf)
    weights = torch.linspace(-1, 1, by_batch.numel()).reshape(by_batch.shape)
    buffers = {f"after_train.{name}": value for name, value in network.named_buffers()}
    return {
        "eval": by_moving,
        "train": by_batch,
        "train_grad_input": torch.autograd.grad((by_batch * weights).sum(), leaf)[0],
        **{name: buffers[name] for name in golden.expected if name in buffers},
    }


def _update(
    golden: Case, key: str, name: str, terms: Mapping[str, Tensor], network: nn.Module
) -> dict[str, Tensor]:
    """What one update returned and, where the case asks for them, its gradients."""
    got = {
        f"{key}.{theirs}": terms[f"{name}/{ours}"]
        for theirs, ours in _TERMS.items()
        if f"{name}/{ours}" in terms
    }
    for parameter, value in network.named_parameters():
        gradient = f"{key}.grad.{parameter}"
        if gradient in golden.expected and value.grad is not None:
            got[gradient] = value.grad.clone()
    return got


def _latents(z: Tensor) -> Tensor:
    return z.flatten(1)  # (N, D), also where the reference has (N, D, 1, 1)


def _stage(golden: Case) -> AdversarialStage:
    """A training stage of the case's settings and weights."""
    config, updates = golden.config, golden.config["updates"]
    data = TrainingData(
        train=None,  # type: ignore[arg-type]  # the case brings its batches
        attributes=Attributes(()),
        size=config["image_size"],
        channels=config["nc"],
    )
    weights = {
        f"{name}_{ours}": updates[name[0]].get(theirs, 0.0)
        for name in ("encoder", "generator")
        for theirs, ours in _TERMS.items()
        if theirs in updates[name[0]]
    }
    settings = {
        "z_dim": config["nz"],
        "generator_width": config["ngf"],
        "encoder_width": config["ndf"],
        "noise": "sphere" if config.get("noise", "sphere") == "sphere" else "normal",
        "direction": config["KL"],
        "z_measure": config["match_z"],
        "x_measure": config["match_x"],
        "encoder_updates": updates["e"]["num_updates"],
        "generator_updates": updates["g"]["num_updates"],
        "learning_rate": config["lr"],
        "beta1": config["betas"][0],
        "beta2": config["betas"][1],
        "batch_size": config["batch"],
        "iterations": 1,
    }
    method = AGE(AGEConfig.model_validate({**settings, **weights}), data)
    for letter, network in (("E", method.encoder), ("G", method.generator)):
        network.load_state_dict(
            {
                name[2:]: value
                for name, value in golden.weights.items()
                if name.startswith(f"{letter}.")
            }
        )
    return AdversarialStage("adversarial", method.train(), data)
