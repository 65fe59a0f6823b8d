"""Updates of several networks by the losses of one pass through all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def update_together(
    optimizers: Mapping[str, torch.optim.Optimizer], losses: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Take one step with each optimiser, all by the gradients before any of these steps.

    Args:
        optimizers: By name.
        losses: Scalars by the same names; each goes to the parameters of its own optimiser only.

    Returns:
        The losses, detached.
    """
    for name, loss in losses.items():
        optimizer = optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        loss.backward(inputs=parameters, retain_graph=True)
    for optimizer in optimizers.values():
        optimizer.step()
    return {name: loss.detach() for name, loss in losses.items()}
