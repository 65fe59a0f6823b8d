"""Images held against the true ones, image by image."""

from __future__ import annotations

import pytest
import torch

from bench.tracks.image_comparisons import Comparisons
from metrics.editing import Bootstrap


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
