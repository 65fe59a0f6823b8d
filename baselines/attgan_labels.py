"""Attributes as AttGAN handles them: scaled for the decoder, and flipped without contradictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Distribution = Literal["none", "uniform", "truncated_normal"]

_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
_BEARD = ("Mustache", "No_Beard")
_EXCLUDED = {
    "Bald": ("Bangs",),
    "Receding_Hairline": ("Bangs",),
    "Bangs": ("Bald", "Receding_Hairline"),
    "Straight_Hair": ("Wavy_Hair",),
    "Wavy_Hair": ("Straight_Hair",),
    "Mustache": ("No_Beard",),
    "No_Beard": ("Mustache",),
    **{colour: tuple(other for other in _HAIR if other != colour) for colour in _HAIR},
}


def scaled(labels: Tensor, intensity: Tensor | float) -> Tensor:
    """Attributes (N, A) in {0, 1} -> +-intensity."""
    return (2 * labels - 1) * intensity


def training_intensity(
    distribution: Distribution, thres_int: float, noise: Tensor | None
) -> Tensor | float:
    """How strongly the targets of a training batch enter the decoder.

    Args:
        distribution: ``none`` is ``thres_int`` throughout, the others lie in [0, 2 thres_int].
        thres_int: The mean intensity.
        noise: (N, A), uniform in (0, 1) for ``uniform``, standard normal for
            ``truncated_normal``.
    """
    if noise is None or distribution == "none":
        return thres_int
    share = noise if distribution == "uniform" else (torch.fmod(noise, 2) + 2) / 4
    return share * 2 * thres_int


def flip(labels: Tensor, names: Sequence[str], flipped: str, *, beard_rule: bool = True) -> Tensor:
    """Invert one attribute, and clear those that it excludes where it has just been set.

    Args:
        labels: (N, A) in {0, 1}.
        names: The A attributes; rules for other names are without effect.
        flipped: The one to invert.
        beard_rule: Whether ``Mustache`` and ``No_Beard`` exclude each other, as released; the
            original TensorFlow code has this rule commented out.

    Returns:
        (N, A), a new tensor.

    Raises:
        ValueError: ``flipped`` is none of ``names``.
    """
    if flipped not in names:
        raise ValueError(f"There is no attribute {flipped!r}; there are: {', '.join(names)}.")
    place = list(names).index(flipped)
    result = labels.clone()
    result[:, place] = 1 - labels[:, place]
    excluded = set(_EXCLUDED.get(flipped, ())) if beard_rule or flipped not in _BEARD else set()
    cleared = [name in excluded for name in names]
    set_now = result[:, place] != 0
    mask = set_now[:, None] & torch.tensor(cleared, device=labels.device)
    return result.masked_fill(mask, 0)
