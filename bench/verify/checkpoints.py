"""Golden cases of checkpoints, and of the networks that come under rosinality's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from baselines.nets import stylegan2_loss as losses
from baselines.nets.stylegan2 import Discriminator, Generator
from bench.checkpoints.architecture import build_discriminator, build_generator
from bench.checkpoints.nvidia import read_snapshot
from bench.checkpoints.rosinality import (
    discriminator_names,
    discriminator_to_nvidia,
    discriminator_to_rosinality,
    generator_names,
    generator_to_nvidia,
    generator_to_rosinality,
    read_rosinality,
)
from bench.errors import Refused
from bench.verify import Case, CaseFailure, case


@case("stylegan2.checkpoint.nvidia_pkl")
def nvidia_pickle(golden: Case) -> dict[str, Tensor]:
    """The tensors bit for bit, and what the networks made of them compute."""
    path = _only_file(golden, "*.pkl")
    networks = read_snapshot(path).networks
    tensors = {
        f"{name}/{key}": tensor
        for name, network in networks.items()
        for key, tensor in network.tensors.items()
    }
    _require_equal(tensors, golden.load_tensors("state_dict.safetensors"))
    stored, label = networks["G_ema"], golden.inputs.get("c")
    generator = build_generator(stored.tensors, path.name, stored.init_kwargs).generator
    discriminator = build_discriminator(networks["D"].tensors, networks["D"].init_kwargs, path.name)
    ws = generator.mapping(golden.inputs["z"], label, truncation_psi=0.7)
    images = generator.synthesis(ws)
    logits = discriminator(images, label)
    return {"ws_psi0.7": ws, "img_psi0.7_const": images, "d_logits_of_img": logits}


@case("stylegan2.checkpoint.hostile_pkl")
def hostile_pickles(golden: Case) -> dict[str, Tensor]:
    """Every file is refused."""
    paths = sorted(golden.folder.glob("*.pkl"))
    if not paths:
        raise CaseFailure("there is no .pkl file to be refused")
    for path in paths:
        try:
            read_snapshot(path)
        except Refused:
            continue
        raise CaseFailure(f"{path.name} was read, though it asks for code to be executed")
    return {}


@case("stylegan2.checkpoint.rosinality_pt")
def rosinality_file(golden: Case) -> dict[str, Tensor]:
    """The tensors of both files bit for bit, and the averaged generator's images."""
    wanted = golden.load_tensors("state_dict.safetensors")
    images = {}
    for path in sorted(golden.folder.glob("*.pt")):
        content = read_rosinality(path)
        for name, state in content.networks.items():
            expected = {
                key.removeprefix(f"{name}/"): tensor
                for key, tensor in wanted.items()
                # Converted files lack the noise maps.
                if key.startswith(f"{name}/")
                and ("noises." not in key or key[len(name) + 1 :] in state)
            }
            _require_equal(state, expected)
        if content.latent_avg is not None:
            state = generator_to_nvidia(content.networks["g_ema"], content.latent_avg, path.name)
            generator = build_generator(state, path.name).generator
            ws = generator.mapping(golden.inputs["z"], truncation_psi=0.7)
            images["img_psi0.7"] = _with_noise(generator, ws, golden)
    return images


@case("stylegan2.checkpoint.key_map")
def key_map(golden: Case) -> dict[str, Tensor]:
    """Both directions of the name map, and both networks."""
    g = {k.removeprefix("G/"): t for k, t in golden.weights.items() if k.startswith("G/")}
    d = {k.removeprefix("D/"): t for k, t in golden.weights.items() if k.startswith("D/")}
    renamed = generator_to_rosinality(g)
    average = renamed.pop("latent_avg")
    renamed_d = discriminator_to_rosinality(d)
    back, back_d = generator_to_nvidia(renamed, average), discriminator_to_nvidia(renamed_d)
    _require_equal(back, {k: t for k, t in g.items() if not k.endswith("resample_filter")})
    _require_equal(back_d, {k: t for k, t in d.items() if not k.endswith("resample_filter")})
    generator = build_generator(back, golden.name, golden.config["G"]).generator
    discriminator = build_discriminator(back_d, golden.config["D"], golden.name)
    ws = generator.mapping(golden.inputs["z"], truncation_psi=0.7)
    return {
        **{f"g_ema/{name}": tensor for name, tensor in renamed.items()},
        **{f"d/{name}": tensor for name, tensor in renamed_d.items()},
        "latent_avg": average,
        "img_psi0.7": generator.synthesis(ws),
        "logits": discriminator(golden.inputs["img"]),
    }


@case("stylegan2.generator.rosinality")
def rosinality_generator(golden: Case) -> dict[str, Tensor]:
    """Truncation, mixing, given noise and W+ codes under rosinality's names."""
    given, options = golden.inputs, golden.config["eval"]
    state = generator_to_nvidia(golden.weights, given["latent_avg"], golden.name)
    generator = build_generator(state, golden.name).generator
    ws = generator.mapping(given["z"])
    truncated = generator.mapping(given["z"], truncation_psi=options["truncation"])
    first = options["inject_index"]
    mixed = torch.cat([ws[:, :first], generator.mapping(given["z2"])[:, first:]], dim=1)
    return {
        "w": ws[:, 0],
        "img_buffers": generator.synthesis(ws),
        "img_given_noise": _with_noise(generator, ws, golden),
        "img_trunc": generator.synthesis(truncated),
        "latents_trunc": truncated,
        "img_mix": generator.synthesis(mixed),
        "latents_mix": mixed,
        "img_wplus": generator.synthesis(given["wplus"]),
    }


@case("stylegan2.discriminator.rosinality")
def rosinality_discriminator(golden: Case) -> dict[str, Tensor]:
    """Logits, also of a batch that is smaller than a group of the minibatch deviation."""
    discriminator = _discriminator(golden.weights, golden)
    images = golden.inputs["img"]
    rows = golden.config["eval"]["sub_batch"]
    return {"logits": discriminator(images), "logits_sub": discriminator(images[:rows])}


@case("stylegan2.loss.rosinality_regularisers")
def rosinality_regularisers(golden: Case) -> dict[str, Tensor]:
    """R1 and the path length penalty with rosinality's weights, and their gradients."""
    config, given = golden.config, golden.inputs
    parts = {
        prefix: {k.removeprefix(prefix): t for k, t in golden.weights.items() if k[:2] == prefix}
        for prefix in ("g.", "d.")
    }
    generator = build_generator(generator_to_nvidia(parts["g."]), golden.name).generator
    discriminator = _discriminator(parts["d."], golden)
    generator.requires_grad_(True)
    discriminator.requires_grad_(True)

    real = given["real"].requires_grad_(True)
    r1 = losses.r1_penalty(discriminator(real), real).mean()
    r1_loss = config["r1"] / 2 * r1 * config["d_reg_every"]
    ws = generator.mapping(given["z"])
    lengths = losses.path_lengths(generator.synthesis(ws), ws, given["noise"])
    penalties, mean = losses.path_length_penalty(
        lengths, given["mean_path_length"], config["decay"]
    )
    path_loss = config["path_regularize"] * config["g_reg_every"] * penalties.mean()

    names = discriminator_names(config["size"])
    got = _gradients(r1_loss, discriminator, names, config["d_grads"], "r1_grad")
    names = generator_names(config["size"], config["n_mlp"])
    got |= _gradients(path_loss, generator, names, config["g_grads"], "path_grad")
    got = {name: gradient.reshape(golden.expected[name].shape) for name, gradient in got.items()}
    path = {"path_lengths": lengths, "path_mean": mean, "path_penalty": penalties.mean()}
    return got | path | {"r1": r1}


def _discriminator(weights: Mapping[str, Tensor], golden: Case) -> Discriminator:
    settings = {
        "img_resolution": golden.config["size"],
        "channels": {int(r): width for r, width in golden.config["channels"].items()},
    }
    return build_discriminator(discriminator_to_nvidia(weights, golden.name), settings, golden.name)


def _with_noise(generator: Generator, ws: Tensor, golden: Case) -> Tensor:
    noises = [golden.inputs[f"noise_{i}"] for i in range(generator.num_ws - 1)]
    return generator.synthesis.blocks(ws, noises=noises)[-1][1]


def _gradients(
    loss: Tensor,
    network: Generator | Discriminator,
    pairs: list[tuple[str, str]],
    wanted: list[str],
    prefix: str,
) -> dict[str, Tensor]:
    nvidia = {ros: name for name, ros in pairs}
    parameters = [network.get_parameter(nvidia[name]) for name in wanted]
    gradients = torch.autograd.grad(loss, parameters)
    return {f"{prefix}/{name}": g for name, g in zip(wanted, gradients, strict=True)}


def _require_equal(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    if got.keys() != wanted.keys():
        names = ", ".join(sorted(got.keys() ^ wanted.keys()))
        raise CaseFailure(f"these tensors are on one side only: {names}")
    for name, tensor in wanted.items():
        if got[name].dtype != tensor.dtype or not torch.equal(got[name], tensor):
            raise CaseFailure(f"{name} is not equal bit for bit")


def _only_file(golden: Case, pattern: str) -> Path:
    found = sorted(golden.folder.glob(pattern))
    if len(found) != 1:
        raise CaseFailure(f"{len(found)} files match {pattern} where one is expected")
    return found[0]
