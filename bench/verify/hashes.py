"""Golden cases of perceptual hashes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.verify import Case, case
from metrics.hashes import colorhash, hash_similarities, perceptual_hashes, whash_scale
from metrics.pillow import lanczos, luminance

_NAMES = ("average_hash", "dhash", "phash", "phash_simple", "whash")


@case("imagehash.all", skip=("*.decided",))
def imagehash_case(golden: Case) -> dict[str, Tensor]:
    """Bits of all hashes of images of many sizes and modes, and similarities of pairs of them.

    Bits that are rounding noise in the package (not "decided") count as equal.
    """
    images = [_pixels(golden, number) for number in range(golden.config["n_images"])]
    got = {}
    for size in golden.config["hash_sizes"]:
        hashes = [perceptual_hashes(image, _NAMES, size) for image in images]
        for name in _NAMES:
            stem = "whash_haar" if name == "whash" else name
            bits = torch.cat([found[name] for found in hashes])
            got[f"{stem}.{size}"] = _decided(golden, f"{stem}.{size}", bits.byte())
            first, second = golden.inputs["pairs"].T
            key = f"similarity.{stem}.{size}"
            likeness = torch.from_numpy(hash_similarities(bits[first], bits[second]))
            got[key] = _decided(golden, key, likeness)
        scales = [whash_scale(image.shape[-2], image.shape[-1], size) for image in images]
        got[f"whash_image_scale.{size}"] = torch.tensor(scales)
    for bits_of_share in golden.config["colorhash_binbits"]:
        bits = torch.cat([colorhash(image, bits_of_share) for image in images])
        got[f"colorhash.binbits{bits_of_share}"] = bits.byte()
    for key, expected in golden.expected.items():
        if key.startswith("gray_resized."):
            size = tuple(expected.shape[1:])
            resized = [lanczos(luminance(image), [size])[0] for image in images]
            got[key] = torch.cat(resized).byte()
    return got


def _pixels(golden: Case, number: int) -> Tensor:
    """One image of the case, 1 x C x H x W or 1 x H x W."""
    with Image.open(golden.folder / "images" / f"{number:03d}.png") as image:
        pixels = torch.from_numpy(np.array(image))
    return (pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels)[None]


def _decided(golden: Case, key: str, found: Tensor) -> Tensor:
    """What was found, and the expected value where the package's own is noise."""
    mask = golden.expected.get(f"{key}.decided")
    if mask is None:
        return found
    return torch.where(mask.bool(), found, golden.expected[key].to(found.dtype))
