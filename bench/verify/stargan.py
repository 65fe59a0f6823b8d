"""Golden cases of StarGAN: networks, steps, a short training, labels and learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.base import Attributes, TrainingData
from baselines.nets.stargan import Discriminator, Generator
from baselines.stargan import (
    AdversarialStage,
    StarGAN,
    StarGANConfig,
    joint_condition,
    target_labels,
)
from bench.verify import Case, case
from metrics.images import to_unit_floats

_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

# Our settings -> the reference's options, where a case gives them.
_OPTIONS = {
    "classification_weight": "lambda_cls",
    "reconstruction_weight": "lambda_rec",
    "penalty_weight": "lambda_gp",
    "iterations": "iterations",
    "critic_steps": "n_critic",
    "decay_iterations": "num_iters_decay",
    "decay_interval": "lr_update_step",
    "generator_rate": "g_lr",
    "discriminator_rate": "d_lr",
    "beta1": "beta1",
    "beta2": "beta2",
    "batch_size": "batch",
}

# Our loss terms -> the reference's.
_TERMS = {
    "discriminator_real": "D_loss_real",
    "discriminator_fake": "D_loss_fake",
    "discriminator_classification": "D_loss_cls",
    "penalty": "D_loss_gp",
    "generator_fake": "G_loss_fake",
    "generator_classification": "G_loss_cls",
    "reconstruction": "G_loss_rec",
}


@case("stargan.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """The generator by running statistics, by each image's own, and what those do to the former."""
    config, inputs = golden.config, golden.inputs
    generator = Generator(
        config["c_dim"], config["conv_dim"], config["repeat_num"], per_image=False
    )
    generator.load_state_dict(golden.weights)
    with torch.no_grad():
        by_running = generator.eval()(inputs["x"], inputs["c"])
        by_image = generator.train()(inputs["x"], inputs["c"])
    buffers = dict(generator.named_buffers())
    after = {name: buffers[name.removeprefix("after_train.")] for name in _moved(golden)}
    return {"y_eval": by_running, "y_train": by_image, **after}


@case("stargan.discriminator")
def discriminator_case(golden: Case) -> dict[str, Tensor]:
    """Patch scores and class logits."""
    discriminator = Discriminator(**_discriminator_options(golden.config))
    discriminator.load_state_dict(golden.weights)
    with torch.no_grad():
        scores, logits = discriminator(golden.inputs["x"])
    return {"out_src": scores, "out_cls": logits}


@case("stargan.discriminator_step")
def discriminator_step_case(golden: Case) -> dict[str, Tensor]:
    """Losses and gradients of one discriminator update."""
    stage, inputs = _stage(golden), golden.inputs
    source, target = _labels(golden)
    with torch.no_grad():
        fake = stage.method.generator(inputs["x_real"], target)
    terms = stage.update_discriminator(inputs["x_real"], fake, source, inputs["alpha"])
    return {
        "x_fake": fake,
        **_labels_and_losses(stage, terms, source, target, "d_loss"),
        **_gradients(stage.method.discriminator, "grad.D."),
    }


@case("stargan.generator_step")
def generator_step_case(golden: Case) -> dict[str, Tensor]:
    """Losses and gradients of one generator update."""
    stage, images = _stage(golden), golden.inputs["x_real"]
    source, target = _labels(golden)
    fake = stage.method.generator(images, target)
    with torch.no_grad():
        restored = stage.method.generator(fake, source)
    terms = stage.update_generator(images, fake, source, target)
    return {
        "x_fake": fake,
        "x_reconst": restored,
        **_labels_and_losses(stage, terms, source, target, "g_loss"),
        **_gradients(stage.method.generator, "grad.G."),
    }


@case("stargan.training_trajectory")
def trajectory_case(golden: Case) -> dict[str, Tensor]:
    """Some iterations of the training: losses, final weights, buffers and learning rates."""
    stage, inputs = _stage(golden), golden.inputs
    wide = golden.meta.get("compute_dtype") == "float64"
    dtype = torch.float64 if wide else torch.float32
    stage.method.to(dtype)
    source, target = (labels.to(dtype) for labels in _labels(golden))
    logged: dict[str, list[Tensor]] = {}
    for step in range(golden.config["iterations"]):
        images, share = inputs["x_real"][step].to(dtype), inputs["alpha"][step].to(dtype)
        report = stage.iterate(step, images, source[step], target[step], share)
        for name, value in report.items():
            logged.setdefault(f"iter.{_TERMS[name]}", []).append(torch.tensor(step + 1))
            logged.setdefault(f"log.{_TERMS[name]}", []).append(value)
    stage.set_rates(golden.config["iterations"])
    rates = [
        stage.optimizers[name].param_groups[0]["lr"] for name in ("generator", "discriminator")
    ]
    networks = {"final.G.": stage.method.generator, "final.D.": stage.method.discriminator}
    final = {
        prefix + name: value
        for prefix, network in networks.items()
        for name, value in network.state_dict().items()
    }
    got = {name: torch.stack(values) for name, values in logged.items()}
    return {**got, **final, "final_lr": torch.tensor(rates)}


@case("stargan.create_labels")
def labels_case(golden: Case) -> dict[str, Tensor]:
    """Targets of the test program, conditions of joint training, and images as pixels."""
    inputs, classes = golden.inputs, golden.config["rafd_classes"]
    got: dict[str, Tensor] = {}
    for one in golden.config["celeba"]:
        names, key = tuple(one["selected_attrs"]), one["key"]
        hair = tuple(name for name in names if name in _HAIR)
        got[f"c_trg.{key}"] = target_labels(inputs[f"c_org.{key}"], Attributes(names, (hair,)))
    one_hot = F.one_hot(inputs["rafd_idx"], classes).float()
    expressions = tuple(f"expression {i}" for i in range(classes))
    counts = (inputs["c_org.0"].shape[1], classes)
    return got | {
        "rafd_onehot": one_hot,
        "rafd_c_trg": target_labels(one_hot, Attributes(expressions, (expressions,))),
        "both_from_celeba": joint_condition(inputs["c_org.0"], 0, counts),
        "both_from_rafd": joint_condition(one_hot, 1, counts),
        "denorm": (to_unit_floats(inputs["denorm_in"]) + 1) / 2,
    }


@case("stargan.lr_schedule")
def schedule_case(golden: Case) -> dict[str, Tensor]:
    """The iterations at which the learning rate falls, and what it is then."""
    got: dict[str, Tensor] = {}
    for key, one in enumerate(golden.config["schedules"]):
        settings = {
            "iterations": one["num_iters"],
            "decay_iterations": one["num_iters_decay"],
            "decay_interval": one["lr_update_step"],
        }
        config = StarGANConfig.model_validate(settings)
        factors = [config.rate_factor(iteration) for iteration in range(one["num_iters"] + 1)]
        falls = [i for i in range(1, len(factors)) if factors[i] < factors[i - 1]]
        got[f"iter.{key}"] = torch.tensor(falls)
        rates = [one["lr"] * factors[i] for i in falls]
        got[f"lr_after.{key}"] = torch.tensor(rates, dtype=torch.float64)
    return got


def _stage(golden: Case) -> AdversarialStage:
    """A training stage of the case's settings and weights."""
    networks, given = golden.config["generator"], golden.config["discriminator"]
    names = tuple(f"attribute {i}" for i in range(networks["c_dim"]))
    classes = golden.config["label_type"] == "RaFD"
    groups = (names,) if classes else ()
    data = TrainingData(
        train=None,  # type: ignore[arg-type]  # the case brings its batches
        attributes=Attributes(names, groups, classes),
        size=given["image_size"],
        channels=3,
    )
    settings = {
        "generator_width": networks["conv_dim"],
        "residual_blocks": networks["repeat_num"],
        "discriminator_width": given["conv_dim"],
        "discriminator_layers": given["repeat_num"],
    }
    settings |= {
        ours: golden.config[theirs] for ours, theirs in _OPTIONS.items() if theirs in golden.config
    }
    method = StarGAN(StarGANConfig.model_validate(settings), data)
    method.generator.load_state_dict(_below(golden.weights, "G."))
    method.discriminator.load_state_dict(_below(golden.weights, "D."))
    return AdversarialStage(method.train(), data)


def _discriminator_options(config: Mapping[str, Any]) -> dict[str, int]:
    return {
        "attributes": config["c_dim"],
        "size": config["image_size"],
        "width": config["conv_dim"],
        "layers": config["repeat_num"],
    }


def _labels(golden: Case) -> tuple[Tensor, Tensor]:
    """The attributes of the batch (or of all batches) as float, and those of the targets."""
    source, order = golden.inputs["label_org"], golden.inputs["rand_idx"]
    if golden.config["label_type"] == "RaFD":
        source = F.one_hot(source, golden.config["generator"]["c_dim"]).float()
    places = order[..., None].expand(source.shape)
    return source, source.gather(-2, places)


def _labels_and_losses(
    stage: AdversarialStage, terms: Mapping[str, Tensor], source: Tensor, target: Tensor, total: str
) -> dict[str, Tensor]:
    short = {name: theirs[0].lower() + theirs[1:] for name, theirs in _TERMS.items()}
    losses = {short[name]: value for name, value in terms.items()}
    return {"c_org": source, "c_trg": target, **losses, total: stage.config.total(terms)}


def _gradients(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {
        prefix + name: torch.zeros_like(value) if value.grad is None else value.grad
        for name, value in network.named_parameters()
    }


def _moved(golden: Case) -> list[str]:
    return [name for name in golden.expected if name.startswith("after_train.")]


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }
