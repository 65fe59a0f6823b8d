"""Golden cases of AttGAN: networks, labels, whole training steps, a trajectory and the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.attgan import (
    AdversarialStage,
    AttGAN,
    AttGANConfig,
    StepDraws,
    discriminator_step,
    draw_target,
    generator_step,
    learning_rate,
)
from baselines.attgan_labels import Distribution, flip, scaled, training_intensity
from baselines.base import Attributes, TrainingData
from baselines.nets.attgan import Discriminators, Generator
from bench.verify import Case, CaseFailure, case

# The reference's options -> ours, for each network.
_GENERATOR_OPTIONS = {
    "enc_dim": "encoder_width",
    "enc_layers": "layers",
    "enc_norm_fn": "encoder_norm",
    "enc_acti_fn": "encoder_activation",
    "dec_dim": "decoder_width",
    "dec_norm_fn": "decoder_norm",
    "dec_acti_fn": "decoder_activation",
    "shortcut_layers": "shortcut_layers",
    "inject_layers": "inject_layers",
}
_DISCRIMINATOR_OPTIONS = {
    "dim": "discriminator_width",
    "n_layers": "discriminator_layers",
    "norm_fn": "discriminator_norm",
    "acti_fn": "discriminator_activation",
    "fc_dim": "head_width",
    "fc_norm_fn": "head_norm",
    "fc_acti_fn": "head_activation",
}
_TRAINING_OPTIONS = {
    "gan_mode": "mode",
    "thres_int": "thres_int",
    "lambda_1_rec": "reconstruction_weight",
    "lambda_2_cls_g": "generator_class_weight",
    "lambda_3_cls_d": "discriminator_class_weight",
    "lambda_gp": "penalty_weight",
    "n_d": "discriminator_steps",
    "lr": "learning_rate",
    "iterations": "iterations",
    "batch": "batch_size",
    "max_dim": "max_width",
}
# Our terms -> the reference's names.
_DISCRIMINATOR_TERMS = {
    "total": "d_loss",
    "adversarial": "df_loss",
    "penalty": "df_gp",
    "classification": "dc_loss",
}
_GENERATOR_TERMS = {
    "total": "g_loss",
    "adversarial": "gf_loss",
    "classification": "gc_loss",
    "reconstruction": "gr_loss",
}


@case("attgan.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """Encoder maps and output in both modes, and the buffers after one pass in train mode."""
    images, labels, options = golden.inputs["x"], golden.inputs["a"], golden.config
    config = _config(options, generator=options)
    generator = Generator(config, images.shape[1], options["n_attrs"])
    generator.load_state_dict(golden.weights)
    with torch.no_grad():
        maps = generator.eval().encode(images)
        got = {f"enc.{i}": values for i, values in enumerate(maps)}
        got["y_eval"] = generator.decode(maps, labels)
        got["y_train"] = generator.train()(images, labels)
    after = {f"after_train.{name}": value for name, value in generator.named_buffers()}
    return got | {name: value for name, value in after.items() if name in golden.expected}


@case("attgan.discriminators")
def discriminators_case(golden: Case) -> dict[str, Tensor]:
    """Outputs of both heads."""
    images, options = golden.inputs["x"], golden.config
    config = _config(options, discriminators=options)
    network = Discriminators(config, images.shape[1], options["img_size"], options["n_attrs"])
    network.load_state_dict(golden.weights)
    with torch.no_grad():
        realness, classes = network(images)
    return {"adv": realness, "cls": classes}


@case("attgan.discriminator_step")
def discriminator_step_case(golden: Case) -> dict[str, Tensor]:
    """The discriminators' losses on one batch, with gradients."""
    method, draws = _method(golden), _draws(golden.inputs)
    losses = discriminator_step(method, golden.inputs["img_a"], golden.inputs["att_a"], draws)
    losses["total"].backward()
    got = {name: losses[term] for term, name in _DISCRIMINATOR_TERMS.items()}
    got |= _gradients("grad.D.", method.discriminators)
    return got | _pictures(golden, method, draws)


@case("attgan.generator_step")
def generator_step_case(golden: Case) -> dict[str, Tensor]:
    """The generator's losses on one batch, with gradients."""
    method, draws = _method(golden), _draws(golden.inputs)
    losses = generator_step(method, golden.inputs["img_a"], golden.inputs["att_a"], draws)
    losses["total"].backward()
    got = {name: losses[term] for term, name in _GENERATOR_TERMS.items()}
    got |= _gradients("grad.G.", method.generator)
    return got | _pictures(golden, method, draws)


@case("attgan.training_trajectory")
def trajectory_case(golden: Case) -> dict[str, Tensor]:
    """Several updates of the stage: logged losses, and all weights and buffers at the end."""
    method, data = _method(golden), _data(golden)
    inputs: Mapping[str, Tensor] = golden.inputs
    if golden.meta.get("compute_dtype") == "float64":
        method.double()
        inputs = {n: v.double() if v.is_floating_point() else v for n, v in inputs.items()}
    stage = AdversarialStage(method, data)
    for optimizer in stage.optimizers.values():
        if list(optimizer.param_groups[0]["betas"]) != golden.config["betas"]:
            raise CaseFailure(f"the optimisers have other betas than {golden.config['betas']}")
    log: dict[str, list[Tensor]] = {}
    iterations: dict[str, list[int]] = {}
    for step in range(golden.config["iterations"]):
        now = {name: values[step] for name, values in inputs.items()}
        losses = stage.update(step, now["img_a"], now["att_a"], _draws(now))
        for loss, value in losses.items():
            network, term = loss.split("/")
            terms = _GENERATOR_TERMS if network == "generator" else _DISCRIMINATOR_TERMS
            log.setdefault(terms[term], []).append(value)
            iterations.setdefault(terms[term], []).append(step + 1)
    got = {f"log.{name}": torch.stack(values) for name, values in log.items()}
    got |= {f"iter.{name}": torch.tensor(values) for name, values in iterations.items()}
    for prefix, module in _networks(method).items():
        got |= {f"final.{prefix}{name}": v for name, v in module.state_dict().items()}
    return got


@case("attgan.labels")
def labels_case(golden: Case) -> dict[str, Tensor]:
    """Flipped labels under the rules, test scaling, several edits at once, training targets."""
    config, inputs = golden.config, golden.inputs
    rest, edited = config["thres_int"], config["test_int"]
    got: dict[str, Tensor] = {}
    for j, names in enumerate(config["attribute_lists"]):
        labels = inputs[f"att.{j}"]
        flipped = [flip(labels, names, name) for name in names]
        only = torch.eye(len(names), dtype=torch.bool)
        tests = [scaled(labels, rest)]
        tests += [
            scaled(changed, torch.where(one, edited, rest))
            for changed, one in zip(flipped, only, strict=True)
        ]
        got |= {f"flipped.{j}": torch.stack(flipped), f"test_scaled.{j}": torch.stack(tests)}
        intensity = torch.full((len(names),), rest)
        for i, (name, value) in enumerate(zip(names, config["multi_test_ints"], strict=False)):
            labels, intensity[i] = flip(labels, names, name), value
        got |= {f"multi_flipped.{j}": labels, f"multi_scaled.{j}": scaled(labels, intensity)}
    noises: dict[Distribution, Tensor | None] = {
        "none": None,
        "uniform": inputs["uniform_noise"],
        "truncated_normal": inputs["normal_noise"],
    }
    for distribution, noise in noises.items():
        intensities = training_intensity(distribution, rest, noise)
        got[f"train_{distribution}"] = scaled(inputs["att.0"], intensities)
    return got


@case("attgan.lr_schedule")
def schedule_case(golden: Case) -> dict[str, Tensor]:
    """The rate of given epochs."""
    config = _config({"lr": golden.config["lr"]})
    epochs = golden.inputs["epoch"]
    rates = [learning_rate(config, epoch) for epoch in epochs.tolist()]
    return {"epoch": epochs, "lr": torch.tensor(rates, dtype=torch.float64)}


def _config(
    options: Mapping[str, Any],
    generator: Mapping[str, Any] | None = None,
    discriminators: Mapping[str, Any] | None = None,
) -> AttGANConfig:
    tables = (
        (options, _TRAINING_OPTIONS),
        (generator or {}, _GENERATOR_OPTIONS),
        (discriminators or {}, _DISCRIMINATOR_OPTIONS),
    )
    # One epoch: the stored trajectories have a constant rate.
    settings: dict[str, Any] = {"epochs": 1}
    for given, names in tables:
        settings |= {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    return AttGANConfig.model_validate(settings)


def _data(golden: Case) -> TrainingData:
    names = tuple(f"attribute {i}" for i in range(golden.config["generator"]["n_attrs"]))
    size = golden.config["generator"]["img_size"]
    channels = golden.inputs["img_a"].shape[-3]
    # The images are those of the case.
    return TrainingData(None, Attributes(names), size, channels)  # type: ignore[arg-type]


def _method(golden: Case) -> AttGAN:
    config = golden.config
    method = AttGAN(_config(config, config["generator"], config["discriminators"]), _data(golden))
    states = {
        prefix.removesuffix("."): {
            name.removeprefix(prefix): value
            for name, value in golden.weights.items()
            if name.startswith(prefix)
        }
        for prefix in _networks(method)
    }
    method.load_reference(states)
    return method.train()


def _networks(method: AttGAN) -> dict[str, nn.Module]:
    return {"G.": method.generator, "D.": method.discriminators}


def _draws(inputs: Mapping[str, Tensor]) -> StepDraws:
    return StepDraws(inputs["idx"], inputs["alpha"], inputs.get("beta"))


def _pictures(golden: Case, method: AttGAN, draws: StepDraws) -> dict[str, Tensor]:
    """What a step's images and outputs were: the running statistics have no part in them."""
    images, labels = golden.inputs["img_a"], golden.inputs["att_a"]
    target, target_scaled = draw_target(method.config, labels, draws)
    source_scaled = scaled(labels, method.config.thres_int)
    with torch.no_grad():
        maps = method.generator.encode(images)
        fake = method.generator.decode(maps, target_scaled)
        got = {
            "att_a_scaled": source_scaled,
            "att_b": target,
            "att_b_scaled": target_scaled,
            "img_fake": fake,
            "img_recon": method.generator.decode(maps, source_scaled),
        }
        got["d_real"], got["dc_real"] = method.discriminators(images)
        got["d_fake"], got["dc_fake"] = method.discriminators(fake)
    return {name: value for name, value in got.items() if name in golden.expected}


def _gradients(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {
        f"{prefix}{name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name, leaf in network.named_parameters()
    }
