"""How near images are to those that they should be, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from bench.errors import MissingFile
from bench.extractors.lpips import Lpips, load_lpips
from metrics.arrays import FloatArray
from metrics.editing import Bootstrap, EditScore, mean_over_edits
from metrics.hashes import hash_similarities, perceptual_hashes
from metrics.perceptual import SSIM_WINDOW, psnr, ssim, unchanged_region
from metrics.pixels import mean_absolute_errors

_HASHES = ("dhash", "phash", "whash")


class Comparisons:
    """Scores of images and the true ones, collected batch by batch.

    Args:
        lpips: LPIPS on AlexNet, to add to the pixels' scores, or None.
    """

    def __init__(self, lpips: Lpips | None) -> None:
        self._lpips = lpips
        self._scores: dict[str, list[FloatArray]] = defaultdict(list)
        self._places: dict[str, list[Tensor]] = defaultdict(list)

    def add_pictures(self, places: Tensor, images: Tensor, truth: Tensor) -> None:
        """MAE, PSNR, SSIM and LPIPS of images (N, C, H, W) in [-1, 1], named by ``places`` (N,).

        Images that are smaller than SSIM's window have none.
        """
        scores = {"mae": mean_absolute_errors(images, truth), "psnr": psnr(images, truth)}
        if min(images.shape[-2:]) >= SSIM_WINDOW:
            scores["ssim"] = ssim(images, truth)
        if self._lpips is not None:
            scores["lpips:alex"] = self._lpips(images, truth).double().cpu().numpy()
        self._add(places, scores)

    def add_hashes(self, places: Tensor, images: Tensor, truth: Tensor) -> None:
        """Similarities of perceptual hashes."""
        first, second = perceptual_hashes(images, _HASHES), perceptual_hashes(truth, _HASHES)
        self._add(places, {name: hash_similarities(first[name], second[name]) for name in _HASHES})

    def add_background(self, places: Tensor, images: Tensor, before: Tensor, truth: Tensor) -> None:
        """PSNR of the pixels that are the same before and after the true edit, where there are."""
        masks = unchanged_region(before, truth)
        some = masks.flatten(1).any(dim=1)
        if some.any():
            scores = psnr(images[some], truth[some], masks[some])
            self._add(places[some.cpu()], {"background_psnr": scores})

    def means(self, bootstrap: Bootstrap) -> dict[str, EditScore]:
        """Each score over all images, with an interval over images."""
        return {
            name: mean_over_edits(
                np.concatenate(parts), torch.cat(self._places[name]).numpy(), bootstrap
            )
            for name, parts in self._scores.items()
        }

    def _add(self, places: Tensor, scores: Mapping[str, FloatArray]) -> None:
        for name, values in scores.items():
            self._scores[name].append(values)
            self._places[name].append(places.cpu())


def lpips_if_present(device: torch.device) -> tuple[Lpips | None, str]:
    """LPIPS on AlexNet, or None where its weights are missing; and a sentence on which it is."""
    try:
        return load_lpips("alex", str(device)), "lpips:alex"
    except MissingFile as error:
        return None, f"not measured: {error}"
