"""Golden cases of StyleGAN2's networks and losses under NVIDIA's parameter names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baselines.nets import stylegan2_loss as losses
from baselines.nets.stylegan2 import Discriminator, Generator
from bench.verify import Case, case


@case("stylegan2.generator.nvidia")
def generator(golden: Case) -> dict[str, Tensor]:
    """Mapping with truncation, synthesis with each noise, blocks, and the running average."""
    network, evaluation = _network(Generator, golden)
    z, c, wplus = golden.inputs["z"], golden.inputs.get("c"), golden.inputs["wplus"]
    truncation = evaluation["truncation_psi"], evaluation["truncation_cutoff"]
    ws = network.mapping(z, c)
    got = {
        "ws": ws,
        "ws_psi0.7": network.mapping(z, c, 0.7),
        "ws_trunc_cutoff": network.mapping(z, c, *truncation),
        "img_const": network.synthesis(ws),
        "img_none": network.synthesis(ws, "none"),
        "img_trunc": network(z, c, *truncation),
        "img_from_wplus": network.synthesis(wplus),
    }
    blocks = network.synthesis.blocks(wplus, last=evaluation["store_blocks_upto"])
    for resolution, (x, image) in zip(network.synthesis.resolutions, blocks, strict=False):
        got[f"block{resolution}_x"], got[f"block{resolution}_img"] = x, image
    network.train().mapping(z, c)
    return {**got, "w_avg_after_train_step": network.mapping.w_avg}


@case("stylegan2.discriminator.nvidia")
def discriminator(golden: Case) -> dict[str, Tensor]:
    """Logits of the whole batch and of its first rows, and what the last block sees."""
    network, evaluation = _network(Discriminator, golden)
    images, c = golden.inputs["img"], golden.inputs.get("c")
    rows = evaluation["sub_batch"]
    got: dict[str, Tensor] = {}
    x: Tensor | None = None
    image: Tensor | None = images
    for resolution in network.resolutions:
        x, image = network.get_submodule(f"b{resolution}")(x, image)
        got[f"b{resolution}_x_mean_std"] = torch.stack([x.mean(), x.std()])
    assert x is not None
    appended = network.b4.with_minibatch_std(x)[:, x.shape[1] :]
    return {
        **got,
        "b4_in": x,
        "mbstd_out_last_channels": appended,
        "logits": network(images, c),
        "logits_sub": network(images[:rows], None if c is None else c[:rows]),
    }


@case("stylegan2.loss.nonsaturating_logistic")
def logistic_losses(golden: Case) -> dict[str, Tensor]:
    """Both losses with their gradients with respect to the logits."""
    fake = golden.inputs["fake_logits"].requires_grad_(True)
    real = golden.inputs["real_logits"].requires_grad_(True)
    g_loss = losses.generator_loss(fake)
    d_loss = losses.discriminator_loss(fake, real)
    fake_gradient, real_gradient = torch.autograd.grad(d_loss, [fake, real])
    return {
        "g_loss": g_loss,
        "g_loss_grad_fake_logits": torch.autograd.grad(g_loss, fake)[0],
        "d_loss": d_loss,
        "d_loss_grad_fake_logits": fake_gradient,
        "d_loss_grad_real_logits": real_gradient,
    }


@case("stylegan2.loss.r1")
def r1(golden: Case) -> dict[str, Tensor]:
    """The penalty with its gradients with respect to the discriminator."""
    network = _load(Discriminator(**golden.config["D"]), golden)
    images = golden.inputs["img"].requires_grad_(True)
    logits = network(images)
    penalty = losses.r1_penalty(logits, images)
    loss = penalty.mean() * golden.config["r1_gamma"] / 2
    return {
        "logits": logits,
        "grad_wrt_img": torch.autograd.grad(logits.sum(), images, retain_graph=True)[0],
        "r1_penalty_per_sample": penalty,
        "loss_mean": loss,
        **_gradients(loss * golden.config["gain"], network, golden.config["grad_names"]),
    }


@case("stylegan2.loss.path_length")
def path_length(golden: Case) -> dict[str, Tensor]:
    """The penalty with its gradients with respect to the generator."""
    network = _load(Generator(**golden.config["G"]), golden).train()
    z, noise = golden.inputs["z"], golden.inputs["noise"]
    ws = network.mapping(z[: len(z) // golden.config["pl_batch_shrink"]])
    images = network.synthesis(ws)
    lengths = losses.path_lengths(images, ws, noise)
    penalty, mean = losses.path_length_penalty(
        lengths, golden.inputs["pl_mean"], golden.config["pl_decay"]
    )
    loss = penalty.mean() * golden.config["pl_weight"]
    scaled = (images * noise).sum() / (noise.shape[2] * noise.shape[3]) ** 0.5
    return {
        "ws": ws,
        "pl_grads": torch.autograd.grad(scaled, ws, retain_graph=True)[0],
        "pl_lengths": lengths,
        "pl_mean_new": mean,
        "pl_penalty_per_sample": penalty,
        "loss_mean": loss,
        **_gradients(loss * golden.config["gain"], network, golden.config["grad_names"]),
    }


def _network(kind: Any, golden: Case) -> tuple[Any, dict[str, Any]]:
    """The network in evaluation mode, and the case's settings of the evaluation."""
    arguments = {name: value for name, value in golden.config.items() if name != "eval"}
    return _load(kind(**arguments), golden).eval(), golden.config["eval"]


def _load(network: Any, golden: Case) -> Any:
    network.load_state_dict(golden.weights)
    return network


def _gradients(loss: Tensor, network: nn.Module, names: list[str]) -> dict[str, Tensor]:
    parameters = [network.get_parameter(name) for name in names]
    found = torch.autograd.grad(loss, parameters)
    return {f"grad/{name}": gradient for name, gradient in zip(names, found, strict=True)}
