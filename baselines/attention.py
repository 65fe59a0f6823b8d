"""Layer attention: how strongly a direction moves the code of each generator layer.

The learned attention is equation 1 of ContraFeat (Zhu, Xu and Tao, AAAI 2023): a softmax over
the layers, softened by a Gaussian kernel. It takes any source of directions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["reflect", "replicate"]


class LearnedAttention(nn.Module):
    """One learned weight for each direction and layer.

    Softmax over the first ``layers`` layers, zeros for the others, then a Gaussian filter along
    the layers. As released, the filter reflects at both ends, so that a direction's weights sum
    to 1 only approximately; ``replicate`` keeps the sum at 1 for a kernel of 3.

    Args:
        directions: Number of directions K.
        num_ws: Layers L of the generator.
        layers: How many of them may be attended to; all by default.
        kernel_size: Odd size of the Gaussian kernel; a single layer is not filtered.
        sigma: Its standard deviation in layers.
        padding: What the filter sees beyond the first and the last layer.

    Raises:
        ValueError: ``layers`` is not in 1..L, or the kernel is even or too large for L layers.
    """

    kernel: Tensor

    def __init__(
        self,
        directions: int,
        num_ws: int,
        layers: int | None = None,
        kernel_size: int = 3,
        sigma: float = 1.0,
        padding: Padding = "reflect",
    ) -> None:
        super().__init__()
        attended = num_ws if layers is None else layers
        if not 1 <= attended <= num_ws:
            raise ValueError(
                f"attention_layers is {attended}, but the generator has {num_ws} layers: "
                f"choose 1 to {num_ws}."
            )
        if num_ws == 1 and kernel_size % 2:
            kernel_size = 1  # there is nothing beside the layer to mix it with
        if kernel_size % 2 == 0 or kernel_size // 2 >= num_ws:
            raise ValueError(
                f"attention_kernel is {kernel_size}: choose an odd size below {2 * num_ws}."
            )
        self.num_ws = num_ws
        self.padding = padding
        self.logits = nn.Parameter(torch.randn(directions, attended))
        self.register_buffer("kernel", gaussian_kernel(kernel_size, sigma))

    def forward(self) -> Tensor:
        """The weights, (K, L)."""
        weights = F.softmax(self.logits, dim=1)
        weights = F.pad(weights, (0, self.num_ws - weights.shape[1]))[:, None]  # (K, 1, L)
        reach = self.kernel.numel() // 2
        padded = F.pad(weights, (reach, reach), mode=self.padding)
        return F.conv1d(padded, self.kernel[None, None])[:, 0]


class EvenAttention(nn.Module):
    """The same weight for every direction on the chosen layers: nothing to learn.

    ContraFeat's code gives its baselines ``1 / L`` (they then move L times less than by their
    own papers); GANSpace and SeFa themselves add the whole direction to every layer, weight 1.

    Args:
        directions: Number of directions K.
        num_ws: Layers L of the generator.
        weight: What the chosen layers get; the others get 0.
        layers: The chosen layers; all by default.
    """

    weights: Tensor

    def __init__(
        self, directions: int, num_ws: int, weight: float, layers: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        weights = torch.zeros(directions, num_ws)
        weights[:, list(range(num_ws) if layers is None else layers)] = weight
        self.register_buffer("weights", weights)

    def forward(self) -> Tensor:
        """The weights, (K, L)."""
        return self.weights


def layer_attention(
    kind: Literal["learned", "uniform", "ones"],
    directions: int,
    num_ws: int,
    layers: Sequence[int] | None = None,
    attended: int | None = None,
    kernel_size: int = 3,
    sigma: float = 1.0,
    padding: Padding = "reflect",
) -> LearnedAttention | EvenAttention:
    """The attention that a method's ``attention`` asks for.

    Args:
        kind: ``learned``, or even on the chosen layers: ``ones`` gives them the whole direction,
            ``uniform`` one part of it, of as many as there are such layers.
        directions: Number of directions K.
        num_ws: Layers L of the generator.
        layers: The chosen layers of an even one; all by default.
        attended: Layers of a learned one (``LearnedAttention``); an even one has as many parts then
            and goes to all layers, as ContraFeat's release has it.
        kernel_size: Of a learned one.
        sigma: Of a learned one.
        padding: Of a learned one.

    Returns:
        A module whose forward gives (K, L).

    Raises:
        ValueError: As ``LearnedAttention``.
    """
    if kind == "learned":
        return LearnedAttention(directions, num_ws, attended, kernel_size, sigma, padding)
    parts = attended or (num_ws if layers is None else len(layers))
    return EvenAttention(directions, num_ws, 1.0 if kind == "ones" else 1.0 / parts, layers)


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """A sampled Gaussian of odd ``size`` with sum 1, float32 (size,)."""
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return (weights / weights.sum()).float()


def parse_layers(text: str, num_ws: int) -> tuple[int, ...]:
    """Read a set of layers such as ``all``, ``3``, ``0-3`` or ``0-1,4-6`` (both ends included).

    Returns:
        The layers in ascending order.

    Raises:
        ValueError: The text is malformed or names a layer that the generator does not have.
    """
    if text == "all":
        return tuple(range(num_ws))
    chosen: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        span = range(int(found[1]), int(found[2] or found[1]) + 1) if found else range(0)
        if not span:
            raise ValueError(f'layers is "{text}": write "all" or ranges such as "0-3,6".')
        chosen.update(span)
    if max(chosen) >= num_ws:
        raise ValueError(f'layers is "{text}", but the generator has layers 0 to {num_ws - 1}.')
    return tuple(sorted(chosen))
