"""Golden cases of ContraFeat: navigator, losses, whole training steps and the two scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.attention import EvenAttention, LearnedAttention
from baselines.contrafeat_losses import (
    Contrast,
    Focus,
    Terms,
    binary_objective,
    binary_terms,
    diversity,
    pairwise_similarity,
    prototype_objective,
    prototype_terms,
)
from baselines.directions import (
    FreeDirections,
    Navigator,
    PrincipalDirections,
    SubspaceDirections,
    move,
)
from baselines.nets.stylegan2 import Generator
from baselines.subspace import ExactSubspace
from bench.verify import Case, case
from metrics.discovery import discovery_scores

# Our parameter names -> the reference's.
_NAVIGATOR_NAMES = {
    "attention.logits": "att_net.att_logits",
    "attention.kernel": "att_net.filter.weight",
    "directions.coordinates": "nav_net.nav_logits",
    "directions.vectors": "nav_net.nav_logits",
}


@case("contrafeat.navigator")
def navigator_case(golden: Case) -> dict[str, Tensor]:
    """Attention, directions, their product, an edit, and gradients of a random projection."""
    ws, steps = golden.inputs["ws"], golden.inputs["eps"]
    navigator = build_navigator(golden.config, golden.weights, golden.inputs["v_mat"])
    # The reference repeats what does not depend on the code for each code of the batch.
    deltas = navigator().expand(len(ws), -1, -1, -1)
    if deltas.requires_grad:
        (deltas * golden.inputs["probe"]).sum().backward()
    got = {
        "att": navigator.attention().expand(len(ws), -1, -1),
        "dir": navigator.directions().expand(len(ws), -1, -1),
        "delta": deltas,
        "ws_edited": move(ws, deltas[0], golden.inputs["idx"], steps),
    }
    return got | _gradients(golden, navigator, "grad_probe/")


@case("contrafeat.loss.consistency_orthogonality_binary")
def binary_loss_case(golden: Case) -> dict[str, Tensor]:
    """The binary losses of every mask form, with gradients."""
    got: dict[str, Tensor] = {}
    for variant, options in golden.config["variants"].items():
        maps = _leaves(golden.inputs, "feat_")
        terms = binary_terms(maps, Contrast(focus=_focus(options)))
        terms.total().backward()
        per_sample = torch.stack(terms.consistency) + torch.stack(terms.orthogonality)
        found = {"loss": terms.total(), "loss_per_sample": per_sample.sum(0)}
        found |= _by_layer(terms) | _named_gradients("grad_feat_", maps)
        got |= {f"{variant}/{name}": value for name, value in found.items()}
    return got


@case("contrafeat.loss.consistency_orthogonality_prototype")
def prototype_loss_case(golden: Case) -> dict[str, Tensor]:
    """The prototype losses with and without mask, with gradients."""
    got: dict[str, Tensor] = {}
    for variant, options in golden.config["variants"].items():
        maps, pictures = _leaves(golden.inputs, "feat_"), _leaves(golden.inputs, "mem_")
        contrast = Contrast(focus=_focus(options))
        terms = prototype_terms(maps, pictures, golden.inputs["q_idx"], contrast)
        terms.total().backward()
        found = {"loss": terms.total(), "mem_div": _prototype_likeness(pictures, contrast)}
        found |= _by_layer(terms)
        found |= _named_gradients("grad_feat_", maps) | _named_gradients("grad_mem_", pictures)
        got |= {f"{variant}/{name}": value for name, value in found.items()}
    return got


@case("contrafeat.loss.diversity")
def diversity_case(golden: Case) -> dict[str, Tensor]:
    """The sum of squared cosines, with gradient."""
    deltas = golden.inputs["delta"].clone().requires_grad_()
    loss = diversity(deltas)
    loss.backward()
    return {"loss": loss, "grad_delta": _gradient(deltas)}


@case("contrafeat.training_step.binary", "contrafeat.training_step.prototype")
def training_step_case(golden: Case) -> dict[str, Tensor]:
    """One training step on a tiny generator and a stand-in extractor, with gradients."""
    inputs, config = golden.inputs, golden.config
    weights = golden.weights
    generator = Generator(**config["G"])
    generator.load_state_dict(_below(weights, "G."))
    generator.eval().requires_grad_(False)
    extract = StandInExtractor(config["feat"])
    extract.load_state_dict(_below(weights, "S."))
    navigator = build_navigator(config["M"], _below(weights, "M."), inputs["v_mat"])
    deltas = navigator()
    scale = config["var_sample_scale"]
    parameters = {}
    if config["variant"] == "binary":
        steps = scale * (2 * torch.stack([inputs["u_pos"], inputs["u_neg"]], dim=1) - 1)
        terms = binary_objective(
            generator.synthesis,
            extract,
            inputs["ws"],
            deltas,
            inputs["pos_neg_idx"],
            steps,
            Contrast(),
        )
    else:
        pictures = parameters["mem_dimgs"] = weights["M.mem_dimgs"].clone().requires_grad_()
        steps = scale * (2 * inputs["u_q"] - 1)
        terms = prototype_objective(
            generator.synthesis,
            extract,
            inputs["ws"],
            deltas,
            torch.tanh(pictures),
            inputs["q_idx"],
            steps,
            Contrast(),
        )
    spread = diversity(deltas)
    loss = terms.total() + config["div_lamb"] * spread
    loss.backward()
    got = {"loss": loss, "loss_diversity": spread, **_by_layer(terms)}
    got |= {f"grad/{name}": _gradient(leaf) for name, leaf in parameters.items()}
    return got | _gradients(golden, navigator, "grad/")


@case("contrafeat.metrics.s_disen_n_discov", skip=("score_matrix_raw*",))
def metrics_case(golden: Case) -> dict[str, Any]:
    """S_disen and N_discov; the raw matrices are steps on the way, kept within the function."""
    scores = discovery_scores(golden.inputs["pred_plus"], golden.inputs["pred_minus"])
    return {
        "score_matrix_normed": scores.matrix,
        "s_disen": scores.s_disen,
        "n_discov": float(scores.n_discov),
        "discovered": scores.discovered.astype("int64"),
    }


class StandInExtractor(nn.Module):
    """The two-layer extractor of the golden training steps."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, padding=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, 3, H, W) -> two feature maps."""
        first = F.relu(self.conv1(images))
        return [first, F.relu(self.conv2(F.max_pool2d(first, 2)))]


def build_navigator(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], components: Tensor
) -> Navigator:
    """A navigator with the reference's settings and weights; ``components`` are its columns."""
    count, dim, num_ws = config["nv_dim"], config["w_dim"], config["num_ws"]
    attention_config = config["att_kwargs"]
    if config["att_type"] == "fixed":
        attention: nn.Module = LearnedAttention(
            count,
            num_ws,
            attention_config["att_layers"],
            attention_config["filter_size"],
            attention_config["filter_std"],
        )
    else:
        attention = EvenAttention(count, num_ws, 1.0 / attention_config["att_layers"])
    navigator = Navigator(_directions(config, count, dim, components), attention)
    state = navigator.state_dict()
    for ours, theirs in _NAVIGATOR_NAMES.items():
        if ours in state and theirs in weights:
            value = weights[theirs][0, 0] if ours == "attention.kernel" else weights[theirs]
            state[ours] = value
    navigator.load_state_dict(state)
    return navigator


def _directions(config: Mapping[str, Any], count: int, dim: int, components: Tensor) -> nn.Module:
    if config["nav_type"] == "fixed":
        return FreeDirections(count, dim)
    size = config["nav_kwargs"].get("n_eigen", count)
    subspace = ExactSubspace(dim, size)
    subspace.components.copy_(components.T[:size])
    if config["nav_type"] == "fixedE":
        return SubspaceDirections(subspace, count)
    return PrincipalDirections(subspace, count)


def _gradients(golden: Case, navigator: Navigator, prefix: str) -> dict[str, Tensor]:
    """Gradients under the reference's names; its unused dummy parameter has gradient 0."""
    got = {
        f"{prefix}{_NAVIGATOR_NAMES[name]}": _gradient(parameter)
        for name, parameter in navigator.named_parameters()
    }
    dummy = f"{prefix}att_net.att_logits"
    if dummy in golden.expected and dummy not in got:
        got[dummy] = torch.zeros(())
    return got


def _focus(options: Mapping[str, bool]) -> Focus:
    masked = options.get("use_norm_mask", True)
    if options.get("pooled", False):
        return "pooled-l2" if masked else "pooled"
    return "l2" if masked else "none"


def _prototype_likeness(pictures: list[Tensor], contrast: Contrast) -> Tensor:
    """Mean similarity over ordered pairs of different prototypes, summed over layers."""
    others = ~torch.eye(len(pictures[0]), dtype=torch.bool)
    layers = [pairwise_similarity(maps, maps, contrast)[others].mean() for maps in pictures]
    return torch.stack(layers).sum()


def _by_layer(terms: Terms) -> dict[str, Tensor]:
    consistency = {f"pos_{i}": term for i, term in enumerate(terms.consistency)}
    return consistency | {f"neg_{i}": term for i, term in enumerate(terms.orthogonality)}


def _leaves(inputs: Mapping[str, Tensor], prefix: str) -> list[Tensor]:
    names = sorted(name for name in inputs if name.startswith(prefix))
    return [inputs[name].clone().requires_grad_() for name in names]


def _named_gradients(prefix: str, leaves: list[Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{i}": _gradient(leaf) for i, leaf in enumerate(leaves)}


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)
    }
