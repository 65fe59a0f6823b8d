"""Golden cases of directions that need no training: GANSpace and SeFa."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.attention import EvenAttention, parse_layers
from baselines.directions import move
from baselines.ganspace import centered
from baselines.nets.stylegan2 import Generator
from baselines.sefa import factorize, latent_weight, style_weights
from baselines.subspace import ExactSubspace, IncrementalSubspace, Subspace, projected_deviations
from bench.verify import Case, case


@case("ganspace.pca")
def ganspace_case(golden: Case) -> dict[str, Tensor]:
    """Incremental and exact components, deviations along them, and edits on ranges of layers."""
    config, inputs, expected = golden.config, golden.inputs, golden.expected
    samples, size = inputs["w_samples"][: config["N"]], config["components"]
    incremental = IncrementalSubspace(samples.shape[1], size)
    for block in samples.split(config["NB"]):
        incremental.observe(block)
    incremental.solve()
    exact = ExactSubspace(samples.shape[1], size)
    exact.observe(samples)
    exact.solve()
    deviations = projected_deviations(inputs["w_extra"], incremental.components)
    components = _matched(incremental.components.float(), expected["ipca/components"])
    got = {
        "ipca/components": components,
        "ipca/projector": components.T @ components,
        "ipca/mean": incremental.mean[None],
        "ipca/stdev": incremental.variances.sqrt(),
        "ipca/var_ratio": incremental.variances / incremental.total_variance,
        "ipca/lat_stdev": deviations,
        "pca/components": _matched(exact.components.float(), expected["pca/components"]),
        "pca/mean": exact.mean[None],
        # The release's full PCA divides by n.
        "pca/stdev": (exact.variances * (1 - 1 / len(samples))).sqrt(),
        "pca/var_ratio": exact.variances / exact.total_variance,
    }
    ws = inputs["w_edit"][0].expand(config["num_ws"], -1)
    for edit in config["edits"]:
        k = edit["component"]
        got[f"edit_{edit['name']}"] = _frames(edit, ws, components[k], incremental, deviations[k])
    return got


@case("sefa.factorize_weight")
def sefa_case(golden: Case) -> dict[str, Tensor]:
    """Eigenpairs of the styles of every set of layers, and an edit along one of them."""
    config = golden.config
    names = _style_names(config["gan"], golden.weights)
    got: dict[str, Tensor] = {}
    for name, text in config["layer_sets"].items():
        layers = parse_layers(text, len(names))
        chosen = [golden.weights[names[layer]] for layer in layers]
        if config["gan"] == "pggan":
            chosen = [latent_weight(weight) for weight in chosen]
        values, vectors = factorize(chosen)
        expected = golden.expected[f"{name}/eigenvectors_top"]
        top = vectors[: config["topk"]]
        got[f"{name}/layers"] = torch.tensor(layers)
        got[f"{name}/eigenvalues"] = values
        got[f"{name}/eigenvectors_top"] = _matched(vectors, expected)
        got[f"{name}/topk_projector"] = top.T @ top
        if "wp" in golden.inputs:
            vector = _matched(vectors, expected)[config["edit_direction"]]
            got[f"{name}/wp_edited"] = _edited(golden.inputs["wp"], vector, layers, config)
    return got


@case("sefa.factorize_weight.nvidia_layout")
def sefa_layout_case(golden: Case) -> dict[str, Tensor]:
    """The two ports to StyleGAN2 layouts, from the weights' names."""
    generator = Generator(**golden.config["G"])
    generator.load_state_dict(golden.weights, strict=False)  # the case has the affine weights only
    expected = golden.expected
    ours = factorize(style_weights(generator))
    port = factorize(style_weights(generator, variant="rosinality"), normalize=False)
    return {
        "contrafeat/eigenvalues": ours.values,
        "contrafeat/eigenvectors_top": _matched(
            ours.vectors, expected["contrafeat/eigenvectors_top"]
        ),
        "rosinality/singular_values": port.values.sqrt(),
        "rosinality/right_vectors_top": _matched(
            port.vectors, expected["rosinality/right_vectors_top"]
        ),
    }


def _frames(
    edit: Mapping[str, Any], w: Tensor, component: Tensor, found: Subspace, deviation: Tensor
) -> Tensor:
    """The frames (T, L, D) of a GANSpace edit of one code w (L, D)."""
    steps = torch.linspace(-edit["sigma"], edit["sigma"], edit["frames"])
    ws = w.expand(len(steps), -1, -1)
    weights = EvenAttention(1, w.shape[0], 1.0, range(edit["start"], edit["end"]))()
    deltas = weights[:, :, None] * component  # (1, L, D)
    if edit["center"]:
        ws = centered(ws, deltas[0], found.mean)
    return move(ws, deviation.float() * deltas, 0, steps)


def _edited(ws: Tensor, vector: Tensor, layers: Sequence[int], config: Mapping[str, Any]) -> Tensor:
    weights = EvenAttention(1, ws.shape[1], 1.0, layers)()
    return move(ws, weights[:, :, None] * vector.float(), 0, config["edit_distance"])


def _style_names(gan: str, weights: Mapping[str, Tensor]) -> list[str]:
    """The reference's name of each layer's style weight; StyleGAN2's last is its last RGB layer."""
    if gan == "pggan":
        return ["layer0.weight"]
    count = sum(name.startswith("synthesis.layer") for name in weights)
    names = [f"synthesis.layer{i}.style.weight" for i in range(count)]
    if gan == "stylegan2":
        names.append(f"synthesis.output{count // 2}.style.weight")
    return names


def _matched(vectors: Tensor, expected: Tensor) -> Tensor:
    """For each expected unit vector the one of ours nearest to it, with its sign.

    The cases store only those eigenvectors whose eigenvalue is well apart from the next.
    """
    likeness = expected.double() @ vectors.double().T
    nearest = likeness.abs().argmax(1)
    signs = likeness.gather(1, nearest[:, None]).sign()
    return vectors[nearest] * signs
