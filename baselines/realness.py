"""The loss of a discriminator that gives the logit of an image's being real."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def realness_loss(logits: Tensor) -> Tensor:
    """Mean of -log D for logits (N,) of D; of negated logits, mean of -log(1 - D)."""
    return F.softplus(-logits).mean()
