"""What a generator computes in named layers on its way from codes to images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.sefa import style_layer_names

_SHOWN = 40  # names in a message


class GeneratorFeatures:
    """The outputs of some layers, without those behind the last of them being computed.

    Args:
        generator: A network with ``synthesis``, whose layers are found by name.
        layers: ``conv1`` and ``convs.0``, ``convs.1``, ... for the convolutions of a StyleGAN2 as
            its PyTorch port (rosinality) counts them, with noise and activation; ``conv1`` for the
            first layer of other generators, and ``b4``, ``b8``, ... for their last ones of that
            many pixels; any other name is the end of a module's, such as ``b8`` or ``b8.conv0``.
            Of several outputs, as a StyleGAN2's block has them, the first.

    Attributes:
        width: How many numbers the features of one code have, F.

    Raises:
        ValueError: The generator has no such layer, or its images do not depend on it.
    """

    def __init__(self, generator: Any, layers: Sequence[str]) -> None:
        self._generator = generator
        self._modules = [_module(generator, layer) for layer in layers]
        with torch.no_grad():
            device = next(generator.parameters()).device
            code = torch.zeros(1, generator.num_ws, generator.w_dim, device=device)
            found = self._outputs(code)
        for layer, module in zip(layers, self._modules, strict=True):
            if module not in found:
                raise ValueError(
                    f"feature_layers names {layer}, which a code does not pass on its way to an "
                    "image: choose a convolution, such as conv1."
                )
        self.width = sum(output.numel() for output in found.values())

    def __call__(self, ws: Tensor) -> Tensor:
        """Codes (N, L, D) -> flattened features side by side (N, F), with constant noise."""
        found = self._outputs(ws)
        return torch.cat([found[module].flatten(1) for module in self._modules], dim=1).float()

    def _outputs(self, ws: Tensor) -> dict[nn.Module, Tensor]:
        found: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            found[module] = output[0] if isinstance(output, tuple) else output
            if len(found) == len(set(self._modules)):
                raise _Complete

        handles = [module.register_forward_hook(keep) for module in set(self._modules)]
        try:
            self._generator.synthesis(ws, noise_mode="const")
        except _Complete:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return found


class _Complete(Exception):
    """All features are there: the rest of the generator is not needed."""


def _module(generator: Any, layer: str) -> nn.Module:
    modules = dict(generator.named_modules())
    wanted = _own_name(generator, layer, modules)
    found = [name for name in modules if f".{name}".endswith(f".{wanted}")] if wanted else []
    if not found:
        convolutions = [name for name in modules if re.search(r"conv|layer|main\.", name)]
        raise ValueError(
            f"feature_layers names {layer}, and the generator has no such layer: choose conv1, or "
            f"one of {', '.join(convolutions[:_SHOWN])}."
        )
    return modules[min(found, key=len)]


def _own_name(generator: Any, layer: str, modules: dict[str, nn.Module]) -> str:
    """A layer's name in our networks; empty where there is none."""
    resolutions = getattr(generator.synthesis, "resolutions", None)
    if resolutions is None:
        ends = (layer, *_counterparts(layer))
        return next(
            (end for end in ends if any(f".{name}".endswith(f".{end}") for name in modules)), layer
        )
    counted = re.fullmatch(r"conv1|convs\.(\d+)", layer)
    if counted is None:
        return layer
    names = style_layer_names(resolutions)[:-1]
    place = int(counted[1]) + 1 if counted[1] else 0
    return names[place] if place < len(names) else ""


def _counterparts(layer: str) -> tuple[str, ...]:
    """What stands for a StyleGAN2's first convolution or block in a PGGAN, and in a DCGAN."""
    if layer == "conv1":
        return "layer0", "main.2"
    block = re.fullmatch(r"b(\d+)", layer)
    level = int(block[1]).bit_length() - 3 if block else -1  # the 4 x 4 pixels are level 0
    if block is None or level < 0 or int(block[1]) != 4 << level:
        return ()
    return f"layer{2 * level + 1}", f"main.{3 * level + 2}"
