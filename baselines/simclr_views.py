"""The random views that SimCLR contrasts, as the code of InfoSCC-GAN draws them.

Chen et al. (ICML 2020), appendix A; ``src/transform/simclr_transform.py`` of vkinakh/InfoSCC-GAN: a
crop that is resized, colour jitter, grey, mirroring, blur. It works on single images in pixels of
0 to 255; here whole batches are done at once, every image by random numbers of its own, and crops
are not rounded to pixels' 256 levels. Images of one channel have no colours: only brightness and
contrast change, as saturation, hue and grey do nothing to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.randomness import Draws

_SMALLEST_CROP = 0.08  # of the area
_LOG_RATIO = math.log(4 / 3)  # of the narrowest and the widest crop
_TRIES = 10  # of crops, after which the whole image is taken
_JITTERED, _GREYED, _MIRRORED, _BLURRED = 0.8, 0.2, 0.5, 0.5  # probabilities
_JITTER, _HUE = 0.8, 0.2  # largest change of a factor, and of the hue's circle
_GREY = (0.2989, 0.587, 0.114)
_BLUR = (0.1, 2.0)  # standard deviations in pixels
_KERNEL = 0.05  # of the image's size, on either side


def view(images: Tensor, draws: Draws, name: str) -> Tensor:
    """A random view of each image.

    Args:
        images: (N, C, H, W) in [-1, 1].
        draws: Random numbers.
        name: Whose rows of them; views of different names are different.

    Returns:
        (N, C, H, W) in [-1, 1].
    """
    count = len(images)
    seen = cropped((images + 1) / 2, draws.uniform(f"{name} crop", count, 2 * _TRIES + 3))
    seen = recoloured(seen, draws.uniform(f"{name} colours", count, 10))
    return blurred(seen, draws.uniform(f"{name} blur", count, 2)) * 2 - 1


def cropped(images: Tensor, uniforms: Tensor) -> Tensor:
    """A part of each image, resized to all of it without antialiasing, mirrored or not.

    Args:
        images: (N, C, S, S).
        uniforms: (N, 23) in (0, 1): areas and shapes to try, place, mirroring.
    """
    size = images.shape[-1]
    areas, shapes, rest = uniforms.tensor_split([_TRIES, 2 * _TRIES], dim=1)
    area = size**2 * (_SMALLEST_CROP + (1 - _SMALLEST_CROP) * areas)
    ratio = ((2 * shapes - 1) * _LOG_RATIO).exp()
    sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=2).round()
    fits = ((sides > 0) & (sides <= size)).all(dim=2)  # (N, tries)
    first = fits.byte().argmax(dim=1)
    side = torch.where(
        fits.any(dim=1, keepdim=True), sides[torch.arange(len(images)), first], size
    )  # (N, 2): height, width
    start = (rest[:, :2] * (size - side + 1)).floor()
    steps = torch.arange(size, device=images.device) + 0.5
    places = start[..., None] + (steps * side[..., None] / size - 0.5)  # (N, 2, S)
    # The crop's own border is repeated, not what lies beyond it.
    places = places.clamp(start[..., None], (start + side - 1)[..., None])
    y, x = (2 * places + 1).div(size).sub(1).unbind(dim=1)
    x = torch.where(rest[:, 2:] < _MIRRORED, x.flip(1), x)
    grid = torch.stack([x[:, None].expand(-1, size, -1), y[..., None].expand(-1, -1, size)], dim=3)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def recoloured(images: Tensor, uniforms: Tensor) -> Tensor:
    """Colour jitter of most images, in an order of its own for each, then grey for some.

    Args:
        images: (N, C, H, W) in [0, 1].
        uniforms: (N, 10) in (0, 1): whether to jitter, four changes, their order, whether to grey.
    """
    jittered, changes, order, greyed = uniforms.split((1, 4, 4, 1), dim=1)
    colours = images.shape[1] == 3
    operations: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightened, contrasted)
    operations += (saturated, hue_shifted) if colours else ()
    order = order.argsort(dim=1)
    images = images.clone()
    for place in range(order.shape[1]):
        for number, operation in enumerate(operations):
            rows = ((jittered[:, 0] < _JITTERED) & (order[:, place] == number)).nonzero()[:, 0]
            if len(rows):
                change = (2 * changes[rows, number] - 1)[:, None, None, None]
                images[rows] = operation(images[rows], change)
    return torch.where(greyed[:, :, None, None] < _GREYED, _grey(images), images)


def brightened(images: Tensor, change: Tensor) -> Tensor:
    """Images (N, C, H, W) in [0, 1] times 0.2 to 1.8, by ``change`` (N, 1, 1, 1) in (-1, 1)."""
    return (images * (1 + _JITTER * change)).clamp(0, 1)


def contrasted(images: Tensor, change: Tensor) -> Tensor:
    """Likewise the distance from each image's mean grey."""
    mean = _grey(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, 1 + _JITTER * change).clamp(0, 1)


def saturated(images: Tensor, change: Tensor) -> Tensor:
    """Likewise the distance of each pixel from its grey; (N, 3, H, W)."""
    return torch.lerp(_grey(images), images, 1 + _JITTER * change).clamp(0, 1)


def hue_shifted(images: Tensor, change: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1], turned on the circle of hues by up to a fifth of it."""
    red, green, blue = images.unbind(dim=1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    divisor = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )  # in sixths of the circle
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    sector = (offsets + (hue[:, None] + 6 * _HUE * change)) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(sector, 4 - sector).clamp(0, 1)


def blurred(images: Tensor, uniforms: Tensor) -> Tensor:
    """Half of the images (N, C, H, W) through a Gaussian filter, by ``uniforms`` (N, 2).

    The filter is 2 * floor(H / 20) + 1 pixels wide: images below 20 px stay as they are.
    """
    reach = int(_KERNEL * images.shape[2])
    rows = (uniforms[:, 0] < _BLURRED).nonzero()[:, 0]
    if reach == 0 or len(rows) == 0:
        return images
    chosen = images[rows]
    deviation = _BLUR[0] + (_BLUR[1] - _BLUR[0]) * uniforms[rows, 1:]
    offsets = torch.arange(-reach, reach + 1, device=images.device)
    weights = (-0.5 * (offsets / deviation).square()).exp()
    weights = weights / weights.sum(dim=1, keepdim=True)  # (n, K)
    kernels = weights.repeat_interleave(images.shape[1], dim=0)[:, None]  # (n * C, 1, K)
    padded = F.pad(chosen, (reach,) * 4, mode="reflect").flatten(0, 1)[None]
    rowwise = F.conv2d(padded, kernels[:, :, None], groups=len(kernels))
    filtered = F.conv2d(rowwise, kernels[..., None], groups=len(kernels))
    images = images.clone()
    images[rows] = filtered.view_as(chosen).to(images.dtype)
    return images


def _grey(images: Tensor) -> Tensor:
    """Images (N, C, H, W) -> their grey (N, 1, H, W)."""
    if images.shape[1] != 3:
        return images
    weights = torch.tensor(_GREY, device=images.device)[:, None, None]
    return (images * weights).sum(dim=1, keepdim=True)
