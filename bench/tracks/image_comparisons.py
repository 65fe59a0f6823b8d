"""How near images are to those that they should be, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.base import FeatureExtractor
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

    def add(self, places: Tensor, scores: Mapping[str, FloatArray]) -> None:
        """Scores (N,) by name, of the images named by ``places`` (N,)."""
        for name, values in scores.items():
            self._scores[name].append(values)
            self._places[name].append(places.cpu())

    def add_pictures(self, places: Tensor, images: Tensor, truth: Tensor) -> None:
        """MAE, PSNR, SSIM and LPIPS of images (N, C, H, W) in [-1, 1], named by ``places`` (N,).

        Images that are smaller than SSIM's window have none.
        """
        scores = {"mae": mean_absolute_errors(images, truth), "psnr": psnr(images, truth)}
        if min(images.shape[-2:]) >= SSIM_WINDOW:
            scores["ssim"] = ssim(images, truth)
        if self._lpips is not None:
            scores["lpips:alex"] = self._lpips(images, truth).double().cpu().numpy()
        self.add(places, scores)

    def add_hashes(self, places: Tensor, images: Tensor, truth: Tensor) -> None:
        """Similarities of perceptual hashes."""
        first, second = perceptual_hashes(images, _HASHES), perceptual_hashes(truth, _HASHES)
        self.add(places, {name: hash_similarities(first[name], second[name]) for name in _HASHES})

    def add_background(self, places: Tensor, images: Tensor, before: Tensor, truth: Tensor) -> None:
        """PSNR of the pixels that are the same before and after the true edit, where there are."""
        masks = unchanged_region(before, truth)
        some = masks.flatten(1).any(dim=1)
        if some.any():
            scores = psnr(images[some], truth[some], masks[some])
            self.add(places[some.cpu()], {"background_psnr": scores})

    def means(self, bootstrap: Bootstrap) -> dict[str, EditScore]:
        """Each score over all images, with an interval over images."""
        return {
            name: mean_over_edits(
                np.concatenate(parts), torch.cat(self._places[name]).numpy(), bootstrap
            )
            for name, parts in self._scores.items()
        }

    def averages(self) -> dict[str, float]:
        """Each score over all images."""
        return {name: float(np.concatenate(parts).mean()) for name, parts in self._scores.items()}


def feature_distance(extractor: FeatureExtractor, first: Tensor, second: Tensor) -> Tensor:
    """The distance between two batches of images as a feature network sees them, image by image.

    Feature maps are compared as LPIPS does, without its learned weights (Zhang et al., "The
    Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, equation 1 with
    w = 1): channel vectors of unit length, squared difference, mean over positions, mean over
    layers.

    Args:
        extractor: The feature maps of all its layers, at the images' own size, are compared.
        first: (N, C, H, W) in [-1, 1].
        second: Likewise.

    Returns:
        float32 (N,) in [0, 4].
    """
    maps = extractor.feature_maps(torch.cat([first, second]))
    per_layer = []
    for features in maps:
        one, other = functional.normalize(features, dim=1, eps=1e-6).chunk(2)  # N x C x h x w
        per_layer.append((one - other).square().sum(dim=1).mean(dim=(1, 2)))
    return torch.stack(per_layer).mean(dim=0)


def lpips_if_present(device: torch.device) -> tuple[Lpips | None, str]:
    """LPIPS on AlexNet, or None where its weights are missing; and a sentence on which it is."""
    try:
        return load_lpips("alex", str(device)), "lpips:alex"
    except MissingFile:  # which names a folder of this machine, and the sentence goes into records
        return None, "not measured: it needs the package lpips and `bench fetch alexnet`"
