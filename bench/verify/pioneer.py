"""Golden cases of Pioneer: networks, losses, interpolation, schedule and one iteration."""

from __future__ import annotations

from fractions import Fraction
from typing import get_args

import torch
from torch import Tensor

from baselines.base import Attributes, TrainingData
from baselines.interpolation import slerp
from baselines.nets.pioneer import Discriminator, Encoder, Generator, our_states
from baselines.pioneer import CyclicStage, Pioneer, PioneerConfig
from baselines.progressive import Phase
from baselines.randomness import Draws
from baselines.sphere import Measure, kl_to_standard_normal, mismatch
from bench.verify import Case, case


@case("pioneer.generator")
def generator_case(golden: Case) -> dict[str, Tensor]:
    """Images at each phase and alpha, and gradients of the latents."""
    generator = Generator(golden.config["nz_total"], golden.config["max_phase_stored"] + 1)
    generator.load_state_dict(our_states(golden.weights, encoder=False))
    got: dict[str, Tensor] = {}
    for phase, alpha in golden.config["combos"]:
        latent = golden.inputs["latent"].clone().requires_grad_(True)
        images = generator(latent, phase, alpha)
        (gradient,) = torch.autograd.grad(_ramp(images), latent)
        got |= {f"p{phase}_a{alpha}": images, f"p{phase}_a{alpha}.grad": gradient}
    return got


@case("pioneer.encoder")
def encoder_case(golden: Case) -> dict[str, Tensor]:
    """Latents of three calls in a row, gradients and power vectors of the first."""
    encoder = Encoder(golden.config["nz_total"], golden.config["max_phase_stored"] + 1)
    got: dict[str, Tensor] = {}
    for phase, alpha in golden.config["combos"]:
        encoder.load_state_dict(our_states(golden.weights, encoder=True))
        encoder.zero_grad()
        image = golden.inputs[f"image_p{phase}"].clone().requires_grad_(True)
        prefix = f"p{phase}_a{alpha}."
        first = encoder(image, phase, alpha)
        _ramp(first).backward()
        got |= {f"{prefix}call1": first, f"{prefix}grad_image": _gradient(image)}
        for name in golden.expected:
            asked, _, rest = name.removeprefix(prefix).partition(".")
            if name.startswith(prefix) and asked == "grad":
                got[name] = _gradient(encoder.get_parameter(_renamed(rest)))
            elif name.startswith(prefix) and asked == "u_after1":
                got[name] = encoder.get_buffer(_renamed(f"{rest}.weight_u"))[:, None].clone()
        encoder(image, phase, alpha)
        got[f"{prefix}call3"] = encoder(image, phase, alpha)
    return got


@case("pioneer.discriminator_gan_mode")
def discriminator_case(golden: Case) -> dict[str, Tensor]:
    """Scores and label logits of the plain GAN mode."""
    config = golden.config
    discriminator = Discriminator(config["nz_total"], config["phase"] + 1, config["n_label"])
    discriminator.load_state_dict(our_states(golden.weights, encoder=True))
    score, logits = discriminator.scores(golden.inputs["image"], config["phase"], config["alpha"])
    return {"score": score, "label_logits": logits}


@case("pioneer.kl_to_standard_normal")
def divergence_case(golden: Case) -> dict[str, Tensor]:
    """Divergences in both directions, minimised and maximised, and their gradients."""
    got: dict[str, Tensor] = {}
    for name, values in golden.inputs.items():
        for sign, purpose in ((1, "min"), (-1, "max")):
            samples = values.clone().requires_grad_(True)
            divergences = {
                "qp": kl_to_standard_normal(samples, "qp", exact=True),
                "pq": kl_to_standard_normal(samples, "pq"),
            }
            for direction, divergence in divergences.items():
                (gradient,) = torch.autograd.grad(sign * divergence, samples, retain_graph=True)
                key = f"{name}.{direction}.{purpose}"
                got |= {key: sign * divergence, f"{key}.grad": gradient}
    return got


@case("pioneer.mismatch_and_slerp")
def mismatch_and_slerp_case(golden: Case) -> dict[str, Tensor]:
    """Mismatches of latents and images, their gradients, and points between two latents."""
    inputs, got = golden.inputs, dict[str, Tensor]()
    for batch in ("z", "x"):
        for measure in get_args(Measure):
            if f"{batch}.{measure}" not in golden.expected:
                continue
            first = inputs[f"{batch}_a"].clone().requires_grad_(True)
            value = mismatch(first, inputs[f"{batch}_b"], measure)
            (gradient,) = torch.autograd.grad(value, first)
            got |= {f"{batch}.{measure}": value, f"{batch}.{measure}.grad_a": gradient}
    for name in golden.expected:
        if name.startswith("slerp_"):
            share = _unrounded(name.removeprefix("slerp_"))
            got[name] = slerp(inputs["slerp_p0"], inputs["slerp_p1"], share)
    return got


@case("pioneer.progressive_schedule")
def schedule_case(golden: Case) -> dict[str, Tensor]:
    """Images seen before each step, its phase and alpha, and the weight of reconstructions."""
    given = golden.config
    settings = {
        "images_per_stage": given["images_per_stage"],
        "first_image": given["start_sample"],
        "total_images": given["total_samples"],
        "batch_sizes": given["batch_by_phase"],
        "match_x_weight": given["match_x"],
        "stable_match_x_factor": given["matching_phase_x"],
    }
    config = PioneerConfig.model_validate(settings)
    progression = config.progression(given["max_phase"] + 1)
    phases = [progression.phase(step) for step in range(progression.steps)]
    rows = [[phase.seen, phase.level, phase.alpha, config.match_x(phase)] for phase in phases]
    return {"rows": torch.tensor(rows)}


@case("pioneer.training_step")
def training_step_case(golden: Case) -> dict[str, Tensor]:
    """One update of the encoder, those of the generator, and its moving average."""
    stage, inputs, given = _stage(golden), golden.inputs, golden.config
    method, level = stage.method, given["phase"]
    phase = Phase(0, level, given["alpha"], given["batch"])
    draws = Draws(given["seed"], 0, 0, 1)
    got = _losses(stage.update_encoder(inputs["x"], inputs["e.latent"], phase, draws), "e")
    got["e.grad.from_rgb"] = _gradient(method.encoder.from_rgb[level].weight)
    for update in range(given["n_generator"]):
        got |= _losses(stage.update_generator(inputs[f"g{update}.latent"], phase), f"g{update}")
        key = f"g{update}.grad.to_rgb"
        if key in golden.expected:
            got[key] = _gradient(method.generator.to_rgb[level].weight).clone()
    for average in stage.averages:
        average.update(0)
    return got | {
        "after.E.from_rgb": method.encoder.from_rgb[level].weight,
        "after.G.to_rgb": method.generator.to_rgb[level].weight,
        "after.ema.to_rgb": method.running_generator.to_rgb[level].weight,
    }


def _stage(golden: Case) -> CyclicStage:
    """A training stage of the case's settings and weights."""
    given = golden.config
    size = 4 << given["phase"]
    data = TrainingData(
        train=None,  # type: ignore[arg-type]  # the case brings its batches
        attributes=Attributes(()),
        size=size,
        channels=golden.inputs["x"].shape[1],
    )
    settings = {
        "latent_size": given["nz_total"],
        "kl_weight": given["kl_scale"],
        "match_x_weight": given["match_x_weight"],
        "stable_match_x_factor": 1.0,  # the case names the weight that holds
        "match_z_weight": given["match_z_weight"],
        "generator_steps": given["n_generator"],
        "learning_rate": given["lr"],
        "beta1": given["betas"][0],
        "beta2": given["betas"][1],
        "average_decay": given["ema_decay"],
    }
    method = Pioneer(PioneerConfig.model_validate(settings), data)
    networks = {"E": method.encoder, "G": method.generator}
    for role, network in networks.items():
        state = {
            name.removeprefix(f"{role}."): value
            for name, value in golden.weights.items()
            if name.startswith(f"{role}.")
        }
        network.load_state_dict(our_states(state, encoder=role == "E"))
    method.running_generator.load_state_dict(method.generator.state_dict())
    return CyclicStage(method, data)


def _losses(report: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The terms of an update under the reference's names, and their sum."""
    names = {"kl_real": "KL_real", "kl_fake": "KL_fake", "generator_kl": "KL_fake"}
    got = {f"{prefix}.{names.get(name, name)}": value for name, value in report.items()}
    return got | {f"{prefix}.total": torch.stack(list(report.values())).sum()}


def _unrounded(share: str) -> float:
    """The point of a grid that is written as ``share``: names have four digits of 2/7."""
    simple = Fraction(share).limit_denominator(64)
    return float(simple if f"{float(simple):.4f}" == share else share)


def _ramp(values: Tensor) -> Tensor:
    """Their sum, weighted from -1 to 1 in the order of their elements."""
    return (values.flatten() * torch.linspace(-1, 1, values.numel())).sum()


def _gradient(value: Tensor) -> Tensor:
    assert value.grad is not None
    return value.grad


def _renamed(name: str) -> str:
    """Our name of a parameter or buffer of the reference's encoder."""
    (ours,) = our_states({name: torch.empty(0)}, encoder=True)
    return ours
