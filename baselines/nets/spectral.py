"""Spectral normalisation whose gradient knows how the norm was found.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (ICLR 2018), take the
singular vectors for constants. Some released programs let gradients flow through both of them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def spectrally_normalized(weight: Tensor, u: Tensor, advance: bool) -> Tensor:
    """A weight over its largest singular value, as one power iteration estimates it.

    Args:
        weight: (R, ...), taken for a matrix with R rows.
        u: (R,), the left singular vector as far as it is known; a buffer.
        advance: Store the better vector in ``u``. Otherwise the same weight comes out again.

    Returns:
        (R, ...), differentiable in ``weight``.
    """
    # Rounded to bfloat16, the vectors would not settle.
    with torch.autocast(weight.device.type, enabled=False):
        matrix = weight.flatten(1)
        v = F.normalize(u.clone() @ matrix, dim=0)  # autograd keeps what u is now
        stretched = matrix @ v
        norm = stretched.norm()  # u' W v, where u' = W v / |W v|
        if advance:
            u.copy_(F.normalize(stretched.detach(), dim=0))
        return weight / norm
