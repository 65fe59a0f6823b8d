"""How far an encoder's latents are from those that the images were made of.

The latent loss of Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative
Adversarial Networks" (2020, CRG), equation 1, as an error: the mean of (E(G(z)) - z)^2. Methods
draw z from different priors, on scales from a unit sphere to W of a StyleGAN2. Divided by the
variance of the very latents that are looked for, the error compares: 1 is that of their own mean,
whatever the image, and about 2 that of other latents of the prior.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from metrics.arrays import FloatArray, finite_array, require_finite, two_sets


def latent_errors(found: Any, true: Any) -> FloatArray:
    """Mean over the entries of (found - true)^2, for each latent.

    Args:
        found: (N, D) latents that an encoder gave.
        true: (N, D), those that the images were made of.

    Returns:
        (N,) float64, at least 0.

    Raises:
        ValueError: No latents, different shapes, NaN or infinite entries, or numbers so large that
            their squares overflow.
    """
    first, second = two_sets(found, true, "set of latents found", "set of true ones")
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} latents have no errors against {len(second)} true ones.")
    with np.errstate(over="ignore"):
        errors = np.asarray(((first - second) ** 2).mean(axis=1))
    require_finite(errors, "The latents are so large that their errors overflow")
    return errors


def prior_spread(latents: Any) -> float:
    """The variance of the entries of latents about their own mean, averaged over the entries.

    An estimate of the prior's variance from N draws, smaller by a factor of 1 - 1 / N on average:
    about 1 for N(0, I).

    Args:
        latents: (N, D) draws of a prior.

    Returns:
        The mean of (z - mean z)^2, divided by N.

    Raises:
        ValueError: NaN or infinite entries, latents that are all the same, or numbers so large
            that their squares overflow.
    """
    rows = finite_array(latents, "The set of latents", ndim=2)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(rows.var(axis=0).mean())
    require_finite(spread, "The latents are so large that their variance overflows")
    if spread == 0.0:
        raise ValueError("The latents are all the same, so that no error is small beside them.")
    return spread
