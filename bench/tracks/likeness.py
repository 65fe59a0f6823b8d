"""How like reconstructions are to their images, and the latents found to the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from baselines.base import FeatureExtractor
from bench.errors import BenchError
from bench.extractors.lpips import Lpips
from bench.tracks.image_comparisons import Comparisons, feature_distance
from bench.tracks.measured import measured
from leaderboard.schema import Measurement
from metrics.editing import Bootstrap, EditScore, mean_over_edits
from metrics.latent_error import latent_errors, prior_spread
from metrics.pixels import mean_squared_errors

Identity = dict[str, str | int | float]
Scores = Mapping[str, EditScore | None]

TABLE_2 = ("dhash", "phash", "whash", "mae", "mse")  # of CRG's paper, in its order

# Raw errors of latents have no direction: they compare only between priors of the same scale.
_HIGHER_IS_BETTER: Mapping[str, bool | None] = {
    **dict.fromkeys(("dhash", "phash", "whash", "psnr", "ssim"), True),
    **dict.fromkeys(("mae", "mse", "lpips", "feature_distance", "latent_error"), False),
    "latent_mse": None,
}


class Likeness:
    """Images against those that they should be, collected batch by batch.

    Args:
        extractor: Its feature maps are compared.
        lpips: LPIPS on AlexNet, or None where its weights are missing.
    """

    def __init__(self, extractor: FeatureExtractor, lpips: Lpips | None) -> None:
        self._extractor, self._comparisons = extractor, Comparisons(lpips)

    def add(self, places: Tensor, made: Tensor, images: Tensor) -> None:
        """Compare images (N, C, H, W) in [-1, 1] with the true ones, named by ``places`` (N,)."""
        self._comparisons.add_hashes(places, made, images)
        self._comparisons.add_pictures(places, made, images)
        distance = feature_distance(self._extractor, made, images).double().cpu().numpy()
        named = {
            "mse": mean_squared_errors(made, images),
            f"feature_distance:{self._extractor.name}": distance,
        }
        self._comparisons.add(places, named)

    def scores(self, bootstrap: Bootstrap) -> dict[str, EditScore]:
        """All scores, those of ``TABLE_2`` first, with intervals over images."""
        found = self._comparisons.means(bootstrap)
        return {name: found[name] for name in dict.fromkeys((*TABLE_2, *found))}

    def averages(self) -> dict[str, float]:
        """All scores, without intervals."""
        return self._comparisons.averages()


@dataclass
class LatentPairs:
    """Latents that an encoder found, and those that the images were made of, batch by batch."""

    found: list[Tensor] = field(default_factory=list)
    true: list[Tensor] = field(default_factory=list)

    def add(self, found: Tensor, true: Tensor) -> None:
        """Latents (N, D) each."""
        self.found.append(found.cpu())
        self.true.append(true.cpu())

    def __len__(self) -> int:
        return sum(map(len, self.true))

    @property
    def spread(self) -> float:
        """The variance of these true latents about their own mean, not the prior's itself.

        Raises:
            BenchError: They are all the same.
        """
        try:
            return prior_spread(torch.cat(self.true))
        except ValueError as error:
            raise BenchError(f"The prior cannot be judged: {error}") from error

    def scores(self, bootstrap: Bootstrap) -> dict[str, EditScore]:
        """The error relative to the variance of the true latents, and as it is."""
        errors = latent_errors(torch.cat(self.found), torch.cat(self.true))
        places = np.arange(len(errors))
        return {
            "latent_error": mean_over_edits(errors / self.spread, places, bootstrap),
            "latent_mse": mean_over_edits(errors, places, bootstrap),
        }


def measurements(
    scores: Scores, identity: Identity, extractor: FeatureExtractor, prefix: str = ""
) -> list[Measurement]:
    """Scores as a result holds them.

    Args:
        scores: By name; None where one does not apply to the method.
        identity: What two methods must share for the scores to be compared.
        extractor: Becomes part of the identity of scores that carry its name.
        prefix: Begins their names.
    """
    seen: Identity = {"extractor": f"{extractor.name}:{extractor.sha256[:12]}"}
    found = []
    for name, score in scores.items():
        kind, _, network = name.partition(":")
        own = {**(seen if network == extractor.name else {}), **identity}
        found.append(measured(prefix + name, score, _HIGHER_IS_BETTER[kind], own))
    return found
