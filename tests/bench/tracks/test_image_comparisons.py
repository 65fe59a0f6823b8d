"""Images held against the true ones, image by image."""

from __future__ import annotations

import pytest
import torch

from bench.tracks.image_comparisons import Comparisons, feature_distance
from metrics.editing import Bootstrap
from tests.bench.tracks import toy


@pytest.mark.parametrize(("size", "has_ssim"), [(8, False), (16, True)])
def test_images_smaller_than_ssims_window_have_none(size: int, has_ssim: bool) -> None:
    truth = torch.rand(4, 3, size, size) - 0.5
    found = Comparisons(None)
    found.add_pictures(torch.arange(4), truth + 0.25, truth)
    means = found.means(Bootstrap(resamples=10))
    assert means["mae"].value == pytest.approx(0.25)
    assert set(means) == {"mae", "psnr"} | ({"ssim"} if has_ssim else set())


def test_the_background_is_what_the_true_edit_leaves_alone() -> None:
    before = torch.zeros(2, 1, 16, 16)
    truth = before.clone()
    truth[0, :, :8] = 0.5
    truth[1] = 0.5  # nothing is left alone: no score
    edited = before.clone()
    edited[:, :, 8:] = 0.02
    found = Comparisons(None)
    found.add_background(torch.tensor([3, 4]), edited, before, truth)
    found.add_background(torch.tensor([5, 6]), before, before, torch.stack([truth[0], truth[0]]))
    means = found.means(Bootstrap(resamples=10))
    assert means["background_psnr"].value == pytest.approx((40 + 2 * 100) / 3)


def test_feature_distance_is_that_of_its_formula() -> None:
    extractor = toy.RandomFeatures()
    first, second = torch.rand(2, 5, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    layers = []
    for one, other in zip(*map(extractor.feature_maps, (first, second)), strict=True):
        lengths = [maps.square().sum(dim=1, keepdim=True).sqrt() + 1e-12 for maps in (one, other)]
        difference = one / lengths[0] - other / lengths[1]  # where all features are 0, so is this
        layers.append((difference**2).sum(dim=1).mean(dim=(1, 2)))
    expected = (layers[0] + layers[1]) / 2
    torch.testing.assert_close(feature_distance(extractor, first, second), expected)
    assert feature_distance(extractor, first, first).abs().max() == 0
