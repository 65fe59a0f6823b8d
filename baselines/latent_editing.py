"""Editing by a direction in a latent space that one pair of reference images gives.

Dogan and Keles, "Semi-supervised Image Attribute Editing using Generative Adversarial Networks"
(2020), sections 3.3, 3.4, 4.3 and 4.4. The available text has lost its formulas, so that three
points are readings: directions have L2 length 1, the mean of several directions is scaled to
length 1 again, and deviations are those of the population. The text bounds an edit by multiples of
the deviation whose number is lost too; 2 is taken.

Latents are (N, D), those that any ``Inverter`` encodes; a step ``k`` along a direction moves the
projection on it by ``k``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMAS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # where figure 18 looks, around the attributed mean


@dataclass(frozen=True)
class Projections:
    """Where labelled images lie along a direction: one normal distribution for each group.

    Attributes:
        neutral: (N,), projections of latents without the attribute.
        attributed: (M,), of those with it.
        neutral_mean: Of the neutral normal distribution.
        neutral_deviation: Its population standard deviation.
        attributed_mean: Of the attributed one.
        attributed_deviation: Its population standard deviation.
    """

    neutral: Tensor
    attributed: Tensor
    neutral_mean: float
    neutral_deviation: float
    attributed_mean: float
    attributed_deviation: float

    @property
    def separation(self) -> float:
        """Distance of the two means in units of their root mean square deviation."""
        spread = ((self.neutral_deviation**2 + self.attributed_deviation**2) / 2) ** 0.5
        gap = self.attributed_mean - self.neutral_mean
        return gap / spread if spread else math.copysign(math.inf, gap) if gap else 0.0


@dataclass(frozen=True)
class PairStudy:
    """How much a direction depends on the pair that it is taken from (figures 9 and 16).

    Attributes:
        directions: (P, D), one of length 1 for each pair.
        mean_direction: (D,), see ``mean_direction``.
        cosines: (P, P), of each pair's direction with each other's.
        to_mean: (P,), cosines with the mean direction.
        projections: What each pair's direction makes of the labelled sets.
        mean_projections: What the mean direction makes of them.
    """

    directions: Tensor
    mean_direction: Tensor
    cosines: Tensor
    to_mean: Tensor
    projections: tuple[Projections, ...]
    mean_projections: Projections


def pair_directions(reference: Tensor, attributed: Tensor) -> Tensor:
    """The direction from each reference to its partner that shows the attribute (equation 3).

    Args:
        reference: (P, D), latents of images without the attribute.
        attributed: (P, D), row by row their partners with it.

    Returns:
        (P, D), rows of length 1.

    Raises:
        ValueError: The shapes differ, a latent is not finite, or a pair encodes to the same point.
    """
    if reference.shape != attributed.shape or reference.dim() != 2 or not len(reference):
        raise ValueError(
            f"reference latents of shape {tuple(reference.shape)} and attributed ones of "
            f"{tuple(attributed.shape)} are no pairs: give as many images with the attribute as "
            "without it"
        )
    _require_finite(reference, attributed)
    differences = attributed - reference
    lengths = differences.norm(dim=1, keepdim=True)
    # A difference within the rounding of its latents is no direction.
    rounding = torch.finfo(differences.dtype).eps * reference.norm(dim=1, keepdim=True)
    same = (lengths <= 8 * rounding)[:, 0].nonzero().flatten().tolist()
    if same:
        raise ValueError(
            f"reference pair {', '.join(str(i + 1) for i in same)} of {len(reference)} encodes to "
            "the same point, which gives no direction: choose images that differ in the attribute"
        )
    return differences / lengths


def mean_direction(directions: Tensor) -> Tensor:
    """The mean of directions (P, D), scaled to length 1 again: (D,).

    Raises:
        ValueError: They cancel out.
    """
    mean = directions.mean(dim=0)
    length = mean.norm()
    if not length > 8 * torch.finfo(mean.dtype).eps:
        raise ValueError(
            f"the directions of {len(directions)} reference pairs cancel out: check that the "
            "attributed image comes second in each of them"
        )
    return mean / length


def edit(z: Tensor, direction: Tensor, k: Tensor | float) -> Tensor:
    """Latents with the attribute put in by the amount ``k`` (equation 4): z + k d.

    Args:
        z: (N, D).
        direction: (D,), of length 1, or (N, D), one for each latent.
        k: One amount for all, or (N,); negative ones take the attribute out.

    Returns:
        (N, D).
    """
    amount = torch.as_tensor(k, dtype=z.dtype, device=z.device)
    return z + amount.reshape(-1, 1) * direction


def project(z: Tensor, direction: Tensor) -> Tensor:
    """Where latents (N, D) lie along a direction (D,) of length 1: (N,)."""
    return z @ direction


def analyse(neutral: Tensor, attributed: Tensor, direction: Tensor) -> Projections:
    """Fit the two normal distributions of labelled latents along a direction (figure 7).

    Args:
        neutral: (N, D), latents of images without the attribute.
        attributed: (M, D), of images with it.
        direction: (D,), of length 1.

    Raises:
        ValueError: A set is empty or not finite.
    """
    if not (len(neutral) and len(attributed)):
        raise ValueError(
            f"{len(neutral)} neutral and {len(attributed)} attributed images have no two normal "
            "distributions: give some of each"
        )
    _require_finite(neutral, attributed)
    below, above = project(neutral, direction), project(attributed, direction)
    return Projections(
        below,
        above,
        neutral_mean=float(below.mean()),
        neutral_deviation=float(below.std(correction=0)),
        attributed_mean=float(above.mean()),
        attributed_deviation=float(above.std(correction=0)),
    )


def amounts(
    z: Tensor, direction: Tensor, projections: Projections, sigmas: Sequence[float] = SIGMAS
) -> Tensor:
    """The k that takes each latent to points of the attributed distribution (section 4.4).

    Args:
        z: (N, D).
        direction: (D,), the one of ``projections``.
        projections: Of labelled images.
        sigmas: S points, in deviations from the attributed mean.

    Returns:
        (N, S).
    """
    points = torch.tensor(sigmas, dtype=z.dtype, device=z.device)
    points = projections.attributed_mean + points * projections.attributed_deviation
    return points - project(z, direction)[:, None]


def safe_range(
    z: Tensor, direction: Tensor, projections: Projections, sigmas: float = 2.0
) -> Tensor:
    """The amounts that show the attribute without changing much else (section 4.4).

    Edits are safe from none at all up to the far tail of the attributed distribution, which an
    image that lies beyond it already is taken back to.

    Args:
        z: (N, D).
        direction: (D,), the one of ``projections``.
        projections: Of labelled images.
        sigmas: Where the tail begins, in deviations from the attributed mean.

    Returns:
        (N, 2), the least and the greatest k; one of them is 0.
    """
    bound = amounts(z, direction, projections, (sigmas,))[:, 0]
    return torch.stack([bound.clamp(max=0), bound.clamp(min=0)], dim=1)


def study_pairs(
    reference: Tensor, attributed: Tensor, neutral_set: Tensor, attributed_set: Tensor
) -> PairStudy:
    """Compare the directions of several reference pairs, and what each makes of labelled images.

    Args:
        reference: (P, D), latents of the references.
        attributed: (P, D), of their partners.
        neutral_set: (N, D), latents of labelled images without the attribute.
        attributed_set: (M, D), of labelled images with it.

    Raises:
        ValueError: As ``pair_directions``, ``mean_direction`` and ``analyse``.
    """
    directions = pair_directions(reference, attributed)
    mean = mean_direction(directions)
    return PairStudy(
        directions,
        mean,
        directions @ directions.T,
        directions @ mean,
        tuple(analyse(neutral_set, attributed_set, one) for one in directions),
        analyse(neutral_set, attributed_set, mean),
    )


def _require_finite(*latents: Tensor) -> None:
    if not all(bool(torch.isfinite(some).all()) for some in latents):
        raise ValueError("a latent is not finite: check the images and the encoder they come from")
