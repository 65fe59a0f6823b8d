"""PSNR, SSIM and the sums of LPIPS: golden values, live references, masks, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from bench.verify import Case, load_case_modules, run_case
from metrics.perceptual import (
    CEILING,
    lpips_by_stage,
    lpips_distances,
    lpips_maps,
    mean_inside,
    psnr,
    ssim,
    unchanged_region,
)

pytest.importorskip("torchmetrics")

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"


def test_golden():
    load_case_modules()
    outcome = run_case(Case(GOLDEN / "lpips_formula"))
    assert outcome.status == "passed", outcome.message


def _images(seed: int, count: int = 2, size: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator) * 2 - 1


def _mask(count: int, size: int) -> Tensor:
    mask = torch.zeros(count, size, size, dtype=torch.bool)
    mask[:, 4 : size - 2, 6 : size - 4] = True
    return mask


def _plain_ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Windows of one channel in [0, 1], by correlation, those that lie in the image."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.correlate(values, window)[5:-5, 5:-5]

    centres = mean(image), mean(truth)
    spreads = mean(image**2) - centres[0] ** 2 + mean(truth**2) - centres[1] ** 2
    together = mean(image * truth) - centres[0] * centres[1]
    brightness = (2 * centres[0] * centres[1] + 1e-4) / (centres[0] ** 2 + centres[1] ** 2 + 1e-4)
    return float((brightness * (2 * together + 9e-4) / (spreads + 9e-4)).mean())


def test_formulas():
    images, truth = _images(0) * 1.2, _images(1)  # some beyond [-1, 1]
    unit = [(batch.clamp(-1, 1).double() * 0.5 + 0.5).numpy() for batch in (images, truth)]
    errors = np.square(unit[0] - unit[1]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(psnr(images, truth), -10 * np.log10(errors), rtol=1e-6)
    wanted = [
        np.mean([_plain_ssim(*channels) for channels in zip(*pair, strict=True)])
        for pair in zip(*unit, strict=True)
    ]
    np.testing.assert_allclose(ssim(images, truth), wanted, rtol=1e-6)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_properties(seed):
    truth, noise = _images(seed, 3) * 0.5, _images(seed + 1, 3) * 0.1
    for score, best in ((psnr, CEILING), (ssim, 1.0)):
        assert score(truth, truth).tolist() == [best] * 3
        levels = np.array([score(truth + factor * noise, truth) for factor in (1, 2, 4)])
        assert (np.diff(levels, axis=0) < 0).all()
        alone = [score(truth[[i]] + noise[[i]], truth[[i]])[0] for i in range(3)]
        np.testing.assert_allclose(levels[0], alone, rtol=1e-6)
        np.testing.assert_allclose(score(truth, truth + noise), levels[0], rtol=1e-6)


def test_masks_restrict_to_what_they_cover():
    truth, mask = _images(2), _mask(2, 20)
    images = truth + 0.3 * _images(3)
    everywhere = torch.ones_like(mask)
    for score, best in ((psnr, CEILING), (ssim, 1.0)):
        np.testing.assert_allclose(score(images, truth, everywhere), score(images, truth))
        spoilt_outside = torch.where(mask[:, None], images, -truth)
        found = score(images, truth, mask)
        np.testing.assert_array_equal(score(spoilt_outside, truth, mask), found)
        assert score(torch.where(mask[:, None], truth, images), truth, mask).tolist() == [best] * 2
        worse = torch.where(mask[:, None], truth + 0.6 * _images(3), images)
        assert (score(worse, truth, mask) < found).all()
    unit = [(one[:, :, mask[0]].clamp(-1, 1).double() * 0.5 + 0.5) for one in (images, truth)]
    errors = (unit[0] - unit[1]).square().mean(dim=(1, 2))
    np.testing.assert_allclose(psnr(images, truth, mask), -10 * errors.log10(), rtol=1e-6)


def test_the_background_is_what_the_true_edit_leaves():
    source, mask = _images(4), _mask(2, 20)
    truth = torch.where(mask[:, None], -source, source + 0.5 / 255)
    found = unchanged_region(source, truth)
    assert not found[~mask].logical_not().any()
    assert (found & mask).float().mean() < 0.01  # three channels near 0 by chance


def _activations(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, 4, 9, 9), (2, 6, 5, 5))
    return [torch.randn(shape, generator=generator).relu() for shape in shapes]


HEADS = [torch.linspace(0.1, 1.0, 4), torch.linspace(2.0, 0.0, 6)]


def test_properties_of_lpips():
    first, second = _activations(0), _activations(1)
    distances = lpips_distances(first, second, HEADS)
    assert distances.shape == (2,)
    assert torch.equal(lpips_distances(first, first, HEADS), torch.zeros(2))
    torch.testing.assert_close(lpips_distances(second, first, HEADS), distances)
    brighter = [3.0 * stage for stage in first]  # each position is normalised
    torch.testing.assert_close(lpips_distances(brighter, second, HEADS), distances)
    stages = lpips_by_stage(first, second, HEADS)
    torch.testing.assert_close(stages.sum(0), distances)
    doubled = lpips_by_stage(first, second, [2 * HEADS[0], HEADS[1]])
    torch.testing.assert_close(doubled, stages * torch.tensor([[2.0], [1.0]]))
    torch.testing.assert_close(
        lpips_distances(first, second),
        lpips_distances(first, second, [torch.ones(4), torch.ones(6)]),
    )
    # Where nothing is enlarged, the mean of the map is the distance.
    maps = lpips_maps(first[:1], second[:1], (9, 9), HEADS[:1])
    torch.testing.assert_close(maps.mean(dim=(1, 2)), stages[0])
    assert lpips_maps(first, second, (17, 13), HEADS).shape == (2, 17, 13)


def test_dead_positions_have_a_gradient():
    first, second = _activations(0), _activations(1)
    first[0][0, :, 2, 3] = 0.0
    first[0].requires_grad_()
    lpips_distances(first, second, HEADS).sum().backward()
    assert first[0].grad is not None
    assert first[0].grad.isfinite().all()


IMAGES = torch.zeros(2, 3, 16, 16)
HOLLOW = torch.ones(2, 16, 16, dtype=torch.bool)
HOLLOW[1] = False
BORDER = HOLLOW.clone()
BORDER[1, :4] = True
SPOILT = torch.full((1, 2, 3, 3), float("nan"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psnr(IMAGES.byte(), IMAGES), "images are torch.uint8, but float"),
        (lambda: psnr(IMAGES, IMAGES + 255), "true images reach 255"),
        (lambda: psnr(IMAGES + torch.nan, IMAGES), "images have NaN"),
        (lambda: psnr(IMAGES, IMAGES[:, :, :8]), r"one shape, not \(2, 3, 16, 16\) and \(2, 3, 8"),
        (lambda: psnr(IMAGES[:0], IMAGES[:0]), r"one shape, not \(0, 3"),
        (lambda: psnr(IMAGES, IMAGES, HOLLOW), "mask of image 1 covers no pixel"),
        (lambda: psnr(IMAGES, IMAGES, HOLLOW.float()), "bool, one entry for each pixel, not"),
        (lambda: ssim(IMAGES, IMAGES, HOLLOW[:, None]), "bool, one entry for each pixel, not"),
        (lambda: ssim(IMAGES, IMAGES, BORDER), "mask of image 1 covers no pixel that counts"),
        (lambda: ssim(IMAGES[..., :10], IMAGES[..., :10]), "11 x 11 pixels, but .* 16 x 10"),
        (lambda: unchanged_region(IMAGES, IMAGES.byte()), "true images are torch.uint8"),
        (lambda: mean_inside(IMAGES[:, 0], HOLLOW), "mask of image 1"),
        (lambda: lpips_distances(_activations(0), _activations(0)[:1]), "of equal shapes, not"),
        (lambda: lpips_distances([], []), "of equal shapes, not"),
        (lambda: lpips_distances(_activations(0), _activations(1), HEADS[::-1]), r"\[4, 6\] chann"),
        (lambda: lpips_distances([SPOILT], [SPOILT]), "stage 0 have NaN"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
