"""How far an image is from the one that it should be: LPIPS, PSNR and SSIM.

LPIPS: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
2018, from the activations of any network; ``bench.extractors.lpips`` gives those of the published
ones. SSIM: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
IEEE Transactions on Image Processing 13, 2004. PSNR comes from torchmetrics; its SSIM takes some
thirty times longer in float64 than the products of matrices that are taken here.

Where the true image of an edit is known (a renderer can make it), likeness to it over the whole
image says whether the edit was done and nothing else. Restricted by a mask to the region that the
true edit leaves alone (``unchanged_region``), it is the preservation of the background, or of
whatever the mask covers. Outside of a mask the image is taken to be true (``true_outside``), so
that windows and receptive fields that reach over its border see no error there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from metrics.arrays import FloatArray, finite_array
from metrics.images import check_range

SSIM_WINDOW = 11  # pixels to a side that SSIM looks at together
CEILING = 100.0  # dB; an error of a hundred-thousandth of the range, 1/390 of an 8-bit step

_EPSILON = 1e-10  # added to the norm of a position's channels, as in the package lpips
_MARGIN = SSIM_WINDOW // 2  # pixels on either side of the middle one
_WINDOW_DEVIATION = 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 with the range L = 1


def lpips_distances(
    first: Sequence[Tensor], second: Sequence[Tensor], heads: Sequence[Tensor] | None = None
) -> Tensor:
    """LPIPS of pairs of images, differentiable.

    At each stage the channels of every position are divided by their norm; the squared differences
    are weighted by the head and averaged over positions; the stages are summed.

    Args:
        first: Activations of the first images, (N, C, h, w) for each stage.
        second: Those of the second images, of the same shapes.
        heads: The weights of the channels, (C,) for each stage; None sums the channels.

    Returns:
        (N,), 0 for equal activations.

    Raises:
        ValueError: Stages that do not match, NaN or infinite activations or heads, or activations
            whose squares overflow.
    """
    return lpips_by_stage(first, second, heads).sum(dim=0)


def lpips_by_stage(
    first: Sequence[Tensor], second: Sequence[Tensor], heads: Sequence[Tensor] | None = None
) -> Tensor:
    """The stages' terms of ``lpips_distances``: (stages, N)."""
    return torch.stack([stage.mean(dim=(1, 2)) for stage in _stage_maps(first, second, heads)])


def lpips_maps(
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    size: tuple[int, int],
    heads: Sequence[Tensor] | None = None,
) -> Tensor:
    """LPIPS position by position: the stages' maps enlarged to the images' size and summed.

    Args:
        first: See ``lpips_distances``.
        second: Likewise.
        size: Height and width of the maps; the enlargement is bilinear with half-pixel centres.
        heads: See ``lpips_distances``.

    Returns:
        (N, height, width). Its mean over positions is close to the distance, not equal to it.

    Raises:
        ValueError: As ``lpips_distances``.
    """
    enlarged = [
        functional.interpolate(stage[:, None], size=size, mode="bilinear", align_corners=False)
        for stage in _stage_maps(first, second, heads)
    ]
    return torch.cat(enlarged, dim=1).sum(dim=1)


def psnr(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> FloatArray:
    """Peak signal-to-noise ratio of each image, in dB.

    ``10 log10(1 / mean squared error)`` of images brought from [-1, 1] to [0, 1], clamped as saving
    them would do, though not rounded. The mean over images is the usual one of papers; the ratio
    of the mean error would be another, smaller number.

    Args:
        images: (N, C, H, W) float in [-1, 1].
        truth: What they should be, of the same shape.
        mask: bool (N, H, W), the pixels that count; None counts all.

    Returns:
        (N,) float64, at most ``CEILING``: that is what equal images have, which are infinitely far
        above.

    Raises:
        ValueError: Images that are not float in [-1, 1] or have NaN entries, different shapes, a
            mask of another shape or without any pixel.
        ImportError: torchmetrics is not installed.
    """
    image_metrics = _torchmetrics()
    images, truth = _unit_range(images, truth)
    if mask is not None:
        images = true_outside(images, truth, mask)
    ratios = image_metrics.peak_signal_noise_ratio(
        images, truth, data_range=(0.0, 1.0), reduction="none", dim=(1, 2, 3)
    )
    if mask is not None:  # the error lies inside the mask, but was divided by all pixels
        ratios = ratios + 10.0 * torch.log10(_pixels(mask) / mask[0].numel())
    return finite_array(ratios.clamp(max=CEILING), "The signal-to-noise ratios")


def ssim(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> FloatArray:
    """Structural similarity of each image.

    Gaussian windows of 11 x 11 with deviation 1.5, K1 = 0.01, K2 = 0.03, images brought from
    [-1, 1] to [0, 1] and clamped, channels apart and then averaged. As in the paper, only windows
    that lie in the image count (the mean of torchmetrics has others too, in some of its versions).

    Args:
        images: (N, C, H, W) float in [-1, 1], of at least 11 x 11 pixels.
        truth: What they should be, of the same shape.
        mask: bool (N, H, W), the pixels that count as centres of windows; None counts all.

    Returns:
        (N,) float64 in [-1, 1], 1 for equal images.

    Raises:
        ValueError: Images that are not float in [-1, 1] or have NaN entries, that are too small or
            of different shapes, a mask of another shape or without a pixel 5 away from the border.
    """
    images, truth = _unit_range(images, truth)
    if min(images.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM looks through windows of {SSIM_WINDOW} x {SSIM_WINDOW} pixels, but the images "
            f"have {images.shape[-2]} x {images.shape[-1]}."
        )
    if mask is not None:
        images = true_outside(images, truth, mask)
    maps = _similarity_maps(images, truth).mean(dim=1)
    inside = (..., slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    values = maps.mean(dim=(1, 2)) if mask is None else mean_inside(maps, mask[inside])
    return finite_array(values, "The structural similarities")


def unchanged_region(source: Tensor, truth: Tensor, tolerance: float = 1.0 / 255.0) -> Tensor:
    """The pixels that the true edit leaves as they are: the background of the edit.

    Args:
        source: (N, C, H, W) images before the edit, float in [-1, 1].
        truth: The true images after it, of the same shape.
        tolerance: The largest change that counts as none: by default half a step of 8 bits.

    Returns:
        bool (N, H, W).

    Raises:
        ValueError: Images that are not float in [-1, 1] or have NaN entries, or different shapes.
    """
    _check_images(source, truth)
    return ((source - truth).abs() <= tolerance).all(dim=1)


def true_outside(images: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The images inside the mask, the true ones outside of it.

    Args:
        images: (N, C, H, W).
        truth: Of the same shape.
        mask: bool (N, H, W).

    Raises:
        ValueError: A mask of another shape or type.
    """
    if mask.dtype != torch.bool or mask.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"A mask of images of shape {tuple(images.shape)} is bool, one entry for each pixel, "
            f"not {mask.dtype} of shape {tuple(mask.shape)}."
        )
    return torch.where(mask[:, None], images, truth)


def mean_inside(maps: Tensor, mask: Tensor) -> Tensor:
    """Mean of each map (N, H, W) over the pixels of its mask, bool of the same shape: (N,).

    Raises:
        ValueError: A mask without any pixel; the message says whose.
    """
    return torch.where(mask, maps, 0.0).sum(dim=(1, 2)) / _pixels(mask)


def _similarity_maps(first: Tensor, second: Tensor) -> Tensor:
    """SSIM in every window of float64 images (N, C, H, W) in [0, 1]: (N, C, H - 10, W - 10)."""
    down, across = (_windows(size).to(first.device) for size in first.shape[-2:])

    def blurred(values: Tensor) -> Tensor:
        return down @ values @ across.T

    mean_1, mean_2 = blurred(first), blurred(second)
    # Rounding may leave variances of flat regions below 0.
    variance_1 = (blurred(first.square()) - mean_1.square()).clamp(min=0.0)
    variance_2 = (blurred(second.square()) - mean_2.square()).clamp(min=0.0)
    covariance = blurred(first * second) - mean_1 * mean_2
    luminance = (2.0 * mean_1 * mean_2 + _C1) / (mean_1.square() + mean_2.square() + _C1)
    return luminance * (2.0 * covariance + _C2) / (variance_1 + variance_2 + _C2)


def _windows(size: int) -> Tensor:
    """The weights of ``size`` neighbouring pixels in each window, float64 (size - 10, size)."""
    offsets = torch.arange(SSIM_WINDOW)
    weights = torch.exp(-((offsets.double() - _MARGIN) ** 2) / (2.0 * _WINDOW_DEVIATION**2))
    rows = torch.arange(size - 2 * _MARGIN)[:, None]
    matrix = torch.zeros(len(rows), size, dtype=torch.float64)
    matrix[rows, rows + offsets] = weights / weights.sum()
    return matrix


def _pixels(mask: Tensor) -> Tensor:
    """How many pixels each mask covers, at least one."""
    sizes = mask.sum(dim=(1, 2))
    if (sizes == 0).any():
        raise ValueError(f"The mask of image {int(sizes.argmin())} covers no pixel that counts.")
    return sizes


def _stage_maps(
    first: Sequence[Tensor], second: Sequence[Tensor], heads: Sequence[Tensor] | None
) -> list[Tensor]:
    """Weighted squared differences of each stage, N x h x w."""
    _check_stages(first, second, heads)
    maps = []
    for stage, (one, other) in enumerate(zip(first, second, strict=True)):
        squared = (_unit_length(one, stage) - _unit_length(other, stage)).square()
        if heads is None:
            weighted = squared.sum(dim=1)
        else:
            weighted = torch.einsum("nchw,c->nhw", squared, heads[stage])
        maps.append(weighted)
    return maps


def _unit_length(activations: Tensor, stage: int) -> Tensor:
    """Channels of each position divided by their norm; a position of zeros stays zero."""
    # A square root has no finite slope at 0, where norm() has the slope 0.
    lengths = activations.norm(dim=1, keepdim=True)
    if not torch.isfinite(lengths.detach()).all():
        raise ValueError(
            f"The activations of stage {stage} have NaN or infinite entries, or overflow squared."
        )
    return activations / (lengths + _EPSILON)


def _check_stages(
    first: Sequence[Tensor], second: Sequence[Tensor], heads: Sequence[Tensor] | None
) -> None:
    shapes = [tuple(stage.shape) for stage in first], [tuple(stage.shape) for stage in second]
    if shapes[0] != shapes[1] or not first or any(len(shape) != 4 for shape in shapes[0]):
        raise ValueError(
            "The activations of a pair of images are as many tensors (N, C, h, w) of equal shapes, "
            f"not {shapes[0]} and {shapes[1]}."
        )
    widths = [shape[1] for shape in shapes[0]]
    if heads is not None and [tuple(head.shape) for head in heads] != [(n,) for n in widths]:
        raise ValueError(
            f"The stages have {widths} channels, but the heads have the shapes "
            f"{[tuple(head.shape) for head in heads]}."
        )
    if heads is not None and not all(torch.isfinite(head.detach()).all() for head in heads):
        raise ValueError("The heads have NaN or infinite entries.")


def _unit_range(images: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and float64: in float32, SSIM of flat regions errs in the fourth digit."""
    _check_images(images, truth)
    first, second = (
        (batch.detach().double() * 0.5 + 0.5).clamp(0.0, 1.0) for batch in (images, truth)
    )
    return first, second


def _check_images(images: Tensor, truth: Tensor) -> None:
    if images.shape != truth.shape or images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            "Images and their truth are tensors (N, C, H, W) of one shape, not "
            f"{tuple(images.shape)} and {tuple(truth.shape)}."
        )
    for name, batch in (("images", images), ("true images", truth)):
        if not batch.is_floating_point():
            raise ValueError(
                f"The {name} are {batch.dtype}, but float in [-1, 1] is asked for; 8-bit images "
                "become such by x / 127.5 - 1."
            )
        check_range(batch, f"The {name}")


def _torchmetrics() -> Any:
    try:
        from torchmetrics.functional import image
    except ImportError as error:
        raise ImportError(
            "PSNR needs torchmetrics: pip install 'gan-attribute-bench[metrics]'."
        ) from error
    return image
