"""Training that heeds a validation loss: lower rates, an early end, and the best weights.

The three callbacks that Keras calls ReduceLROnPlateau, EarlyStopping and ModelCheckpoint, as one
module whose buffers keep their state in a run's checkpoints.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Plateau(nn.Module):
    """What validation losses have said so far, and a copy of the networks at their least.

    Args:
        networks: The trained networks.
        factor: What the learning rates are multiplied by at a plateau.
        patience: Epochs without a lower loss until they are.
        stop_patience: Epochs without a lower loss until training ends.
        min_delta: A loss counts as lower where it is so by more than this.

    Attributes:
        scale: What the learning rates are to be multiplied by, a scalar.
        stopped: Whether training has ended, a scalar.
    """

    least: Tensor
    least_by_delta: Tensor
    waited: Tensor
    since_drop: Tensor
    scale: Tensor
    stopped: Tensor

    def __init__(
        self,
        networks: nn.ModuleList,
        factor: float,
        patience: int,
        stop_patience: int,
        min_delta: float,
    ) -> None:
        super().__init__()
        self._factor, self._patience, self._min_delta = factor, patience, min_delta
        self._stop_patience = stop_patience
        self.best = copy.deepcopy(networks).requires_grad_(False)
        for name, start in (("least", torch.inf), ("least_by_delta", torch.inf), ("scale", 1.0)):
            self.register_buffer(name, torch.tensor(start))
        for name in ("waited", "since_drop"):
            self.register_buffer(name, torch.tensor(0))
        self.register_buffer("stopped", torch.tensor(False))

    @torch.no_grad()
    def heed(self, loss: Tensor, networks: nn.ModuleList) -> None:
        """Take in the validation loss of one more epoch (a scalar)."""
        if loss < self.least:
            self.least.copy_(loss)
            self.best.load_state_dict(networks.state_dict())
        if loss < self.least_by_delta - self._min_delta:
            self.least_by_delta.copy_(loss)
            self.waited.zero_()
            self.since_drop.zero_()
            return
        self.waited += 1
        self.since_drop += 1
        if self.since_drop >= self._patience:
            self.scale *= self._factor
            self.since_drop.zero_()
        if self.waited >= self._stop_patience:
            self.stopped.fill_(True)

    def restore(self, networks: nn.ModuleList) -> None:
        """Give the networks the weights of the least loss, if there was one."""
        if torch.isfinite(self.least):
            networks.load_state_dict(self.best.state_dict())
