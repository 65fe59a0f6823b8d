"""Latents on the unit sphere and the losses of AGE and Pioneer, which compare batches of them.

Ulyanov et al., "It Takes (Only) Two: Adversarial Generator-Encoder Networks" (AAAI 2018); Heljakka
et al., "Pioneer Networks" (ACCV 2018). Every mean is one over all elements, as in their codes.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Measure = Literal["L1", "L2", "cos"]
Direction = Literal["qp", "pq"]


def on_sphere(z: Tensor) -> Tensor:
    """Vectors along the second axis, (N, D, ...), scaled to length 1."""
    return F.normalize(z, dim=1)


def cosine_mismatch(first: Tensor, second: Tensor) -> Tensor:
    """2 minus the mean over all N x D elements of the product of the unit vectors.

    Only 1/D of it is the cosine, which is why the papers' weights of it are as large as 1000.

    Args:
        first: (N, D, ...), vectors along the second axis.
        second: The same shape.

    Returns:
        Scalar from 2 - 1/D to 2 + 1/D.
    """
    return 2 - (on_sphere(first) * on_sphere(second)).mean()


def mismatch(first: Tensor, second: Tensor, measure: Measure) -> Tensor:
    """How much two batches (N, D, ...) differ, row by row: a scalar.

    Args:
        first: Images or latents.
        second: The same shape.
        measure: ``L1`` is the mean absolute, ``L2`` the mean squared difference, ``cos`` is
            ``cosine_mismatch``.

    Raises:
        ValueError: The shapes differ; by broadcasting, a mean would still come out.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"batches of shapes {tuple(first.shape)} and {tuple(second.shape)} have no mismatch: "
            "give two of one shape"
        )
    if measure == "cos":
        return cosine_mismatch(first, second)
    return F.l1_loss(first, second) if measure == "L1" else F.mse_loss(first, second)


def kl_to_standard_normal(
    samples: Tensor, direction: Direction = "qp", exact: bool = False
) -> Tensor:
    """Divergence between a batch's own normal distribution and N(0, I), a mean over dimensions.

    Each dimension is taken for a normal distribution q with the batch's mean and its biased
    variance; p is N(0, 1).

    Args:
        samples: (N, D), N at least 2.
        direction: ``qp`` is KL(q || p), ``pq`` is KL(p || q).
        exact: The divergence itself, as Pioneer minimises it (in direction ``qp``). Otherwise that
            of AGE's code (src/losses.py), in both directions also of Pioneer's ``pq``: the variance
            stands where the standard deviation belongs.

    Returns:
        Scalar. Samples that are spread evenly over the unit sphere have the variance 1/D and
        thus a divergence above 0.

    Raises:
        ValueError: There is one sample, which has no variance.
    """
    if len(samples) < 2:
        raise ValueError(
            "one sample has no variance, which the divergence from N(0, I) needs: choose a "
            "batch_size of at least 2 for each process"
        )
    samples = samples.to(torch.promote_types(samples.dtype, torch.float32))  # not in bfloat16
    mean, variance = samples.mean(dim=0), samples.var(dim=0, correction=0)
    # log(variance) / 2 is the logarithm of the standard deviation.
    square, log_deviation = (
        (variance, variance.log() / 2) if exact else (variance**2, variance.log())
    )
    if direction == "qp":
        return ((square + mean**2) / 2 - log_deviation - 0.5).mean()
    return ((1 + mean**2) / (2 * square) + log_deviation - 0.5).mean()
