"""How the Inception networks of published distances bring an image to their own size.

A Fréchet or kernel distance depends on the resizer as much as on the network (Parmar, Zhang and
Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022). Three of them
are in use, and none equals another:

- ``resize_bilinear_tf1``: TensorFlow 1's ``resize_bilinear``, part of the graph that FID was
  defined with (Heusel et al., 2017);
- ``resize_clean_fid``: the "clean" mode of the package clean-fid, Pillow's antialiased bicubic on
  each channel in floating point;
- ``resize_legacy_pytorch``: its "legacy_pytorch" mode, which early PyTorch ports of FID used.

Images are N x C x H x W with pixel values in [0, 255], uint8 or floating; results are float32 in
[0, 255] and are not rounded to whole values: rounding them gives another distance.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resize_bilinear_tf1(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear as TensorFlow 1 computes it with ``align_corners=False``.

    Output i looks at the input position i * in / out, without half-pixel centres, between the
    pixel at or below it and the next one (the last pixel is its own neighbour). There is no
    antialiasing where an image shrinks. Equal to torch-fidelity's port, bit for bit.

    Args:
        images: (N, C, H, W) in [0, 255].
        size: Height and width of the result in pixels.

    Returns:
        float32 (N, C, height, width) in [0, 255].

    Raises:
        ValueError: The images are no such tensor, empty, NaN or infinite, or the size is below one
            pixel.
    """
    height, width = _checked(images, size)
    columns = _interpolated(images.float(), width, dim=3)
    return _interpolated(columns, height, dim=2)


def resize_clean_fid(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic as Pillow computes it on floats (a = -0.5, antialiased where an image shrinks).

    The overshoot of the cubic is cut off at 0 and 255. Filter weights are float64 as in Pillow;
    in float32, large images would be wrong in the fifth digit.

    Arguments, result and errors are those of ``resize_bilinear_tf1``.
    """
    height, width = _checked(images, size)
    pixels = images.double()
    if width == 1:
        # torch (2.12) mixes rows up when the result is one pixel wide: so one column is resized
        # beside a copy of itself.
        pixels = _bicubic(pixels, (images.shape[2], 1)).repeat(1, 1, 1, 2)
        return _bicubic(pixels, (height, 2))[..., :1].float()
    return _bicubic(pixels, (height, width)).float()


def resize_legacy_pytorch(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with half-pixel centres and without antialiasing, as torch's ``interpolate``.

    Arguments, result and errors are those of ``resize_bilinear_tf1``.
    """
    size = _checked(images, size)
    resized = functional.interpolate(images.float(), size, mode="bilinear", align_corners=False)
    return resized.clamp(0.0, 255.0)


def _bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    resized = functional.interpolate(images, size, mode="bicubic", antialias=True)
    return resized.clamp(0.0, 255.0)


def _interpolated(images: Tensor, size: int, dim: int) -> Tensor:
    """Linear interpolation along one axis, at positions in float32 as TensorFlow has them."""
    length = images.shape[dim]
    scale = torch.tensor(length / size, dtype=torch.float32, device=images.device)
    positions = torch.arange(size, dtype=torch.float32, device=images.device) * scale
    lower = positions.long()
    share = (positions - lower).view(-1, *(1,) * (3 - dim))
    below = images.index_select(dim, lower)
    above = images.index_select(dim, (lower + 1).clamp_(max=length - 1))
    return above.sub_(below).mul_(share).add_(below)


def _checked(images: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    shape = tuple(images.shape)
    if images.ndim != 4 or 0 in shape:
        raise ValueError(f"Images to resize must be N x C x H x W and not empty, not {shape}.")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"Images to resize must be uint8 or floating, not {images.dtype}.")
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"An image cannot be resized to {height} x {width} pixels.")
    if images.is_floating_point() and not torch.isfinite(images.float().sum()):
        raise ValueError("Images to resize have NaN or infinite entries.")
    return height, width
