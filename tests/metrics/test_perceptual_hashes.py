"""Perceptual hashes against the package imagehash, bit for bit."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dct

from metrics.hashes import (
    average_hash,
    colorhash,
    dhash,
    hash_similarities,
    hash_strings,
    perceptual_hashes,
    phash,
    phash_simple,
    whash,
    whash_scale,
)
from metrics.pillow import hue_and_saturation, lanczos, luminance

HASHES = {
    "average_hash": average_hash,
    "dhash": dhash,
    "phash": phash,
    "phash_simple": phash_simple,
    "whash": whash,
}
# Heights and widths that Pillow resizes in one order whatever its version.
SIZES = [(128, 128), (64, 64), (218, 178), (78, 64), (33, 97), (15, 40), (7, 9), (240, 320), (1, 5)]


def _images(seed: int, count: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise, and smooth images that are more like photographs; uint8 N x H x W x C."""
    generator = np.random.default_rng(seed)
    shape = (height, width, channels)
    images = []
    for number in range(count):
        coarse = generator.integers(0, 256, (6, 6, channels), dtype=np.uint8)
        planes = [
            Image.fromarray(coarse[..., c]).resize((width, height), 3) for c in range(channels)
        ]
        smooth = np.stack([np.asarray(plane) for plane in planes], axis=-1)
        noise = generator.integers(0, 256, shape, dtype=np.uint8)
        images.append(noise if number % 2 else smooth)
    return np.stack(images)


def _tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _undecided(image: Image.Image, name: str, size: int) -> np.ndarray:
    """Where the number that a bit compares equals its threshold, so that rounding decides."""
    if name == "whash":
        side = whash_scale(image.height, image.width, size)
        pixels = np.asarray(image.convert("L").resize((side, side), 1), dtype=np.int64)
        block = side // size
        values = pixels.reshape(size, block, size, block).sum(axis=(1, 3))
        return values == np.median(values)
    if name.startswith("phash"):
        pixels = np.asarray(image.convert("L").resize((4 * size, 4 * size), 1), dtype=np.float64)
        values = dct(pixels, axis=1)
        values = (
            dct(values, axis=0)[:size, :size] if name == "phash" else values[:size, 1 : size + 1]
        )
        middle = np.median(values) if name == "phash" else values.mean()
        return np.abs(values - middle) < 1e-6
    return np.zeros((size, size), dtype=bool)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hash_size", [8, 16])
def test_equal_to_imagehash(size, hash_size):
    images = _images(sum(size), 4, *size)
    found = perceptual_hashes(_tensor(images), tuple(HASHES), hash_size)
    for number, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        for name in HASHES:
            reference = getattr(imagehash, name)(image, hash_size=hash_size)
            bits = found[name][number].numpy()
            different = bits != reference.hash
            assert not (different & ~_undecided(image, name, hash_size)).any(), name
            if not different.any():
                assert hash_strings(found[name][number : number + 1]) == [str(reference)]


def test_most_bits_of_photographs_are_decided():
    images = [Image.fromarray(pixels) for pixels in _images(0, 20, 128, 128)]
    undecided = [_undecided(image, name, 8).mean() for image in images for name in HASHES]
    assert np.mean(undecided) < 0.005


@pytest.mark.parametrize("size", [(128, 128), (33, 97), (1, 5)])
@pytest.mark.parametrize("binbits", [1, 3, 4, 6])
def test_colorhash_equals_imagehash(size, binbits):
    images = _images(3, 6, *size)
    images[0] //= 16  # black and nearly so
    images[1] = images[1] // 8 + 100  # grey
    found = colorhash(_tensor(images), binbits).numpy()
    expected = [imagehash.colorhash(Image.fromarray(pixels), binbits).hash for pixels in images]
    np.testing.assert_array_equal(found, expected)


def test_pillow_conversions_of_all_kinds_of_colours():
    values = np.array([*range(0, 256, 5), 1, 2, 84, 86, 127, 128, 169, 171, 254], dtype=np.uint8)
    colours = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1)
    colours = colours.reshape(1, len(values) ** 2, len(values), 3)
    image, batch = Image.fromarray(colours[0]), _tensor(colours)
    hsv = np.asarray(image.convert("HSV"))
    np.testing.assert_array_equal(luminance(batch)[0], np.asarray(image.convert("L")))
    hue, saturation = hue_and_saturation(batch)
    np.testing.assert_array_equal(hue[0], hsv[..., 0])
    np.testing.assert_array_equal(saturation[0], hsv[..., 1])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    side=st.integers(1, 150),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
)
def test_lanczos_equals_pillow(seed, side, height, width):
    pixels = np.random.default_rng(seed).choice([0, 255, 128, 7], (side, side)).astype(np.uint8)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    found = lanczos(torch.from_numpy(pixels)[None].double(), [(5, 7), (height, width)])
    np.testing.assert_array_equal(found[1][0], np.asarray(resized))


def test_modes_and_types_of_images():
    rgba = _images(5, 3, 40, 56, channels=4)
    batch = _tensor(rgba)
    names = tuple(HASHES)
    expected = perceptual_hashes(batch[:, :3], names)
    grey = torch.stack(
        [
            torch.from_numpy(np.array(Image.fromarray(pixels[..., :3]).convert("L")))
            for pixels in rgba
        ]
    )
    floats = batch[:, :3].float() / 127.5 - 1.0
    others = (batch, grey, grey[:, None], floats, floats.double(), list(floats), batch.numpy())
    for images in others:
        found = perceptual_hashes(images, names)
        assert all(torch.equal(found[name], expected[name]) for name in names)
    for name, function in HASHES.items():
        assert torch.equal(function(batch), expected[name])
    assert torch.equal(dhash(torch.full((1, 3, 8, 8), 1.3)), dhash(torch.ones(1, 3, 8, 8)))
    assert not colorhash(grey, 3)[:, 2:].any()


def test_a_hash_does_not_depend_on_the_other_images():
    images = _tensor(_images(9, 40, 128, 128))
    images[3] = 77  # a flat image has no bits but those of comparisons with its mean
    names = tuple(HASHES)
    together = perceptual_hashes(images, names)
    for number in (0, 3, 39):
        alone = perceptual_hashes(images[number : number + 1], names)
        assert all(torch.equal(alone[name][0], together[name][number]) for name in names)
    assert not any(together[name][3].any() for name in ("average_hash", "dhash", "whash"))
    assert together["phash"][3].sum() == 1
    assert not together["phash_simple"][3].any()


def test_similarities():
    bits = whash(_tensor(_images(1, 6, 64, 64)))
    np.testing.assert_array_equal(hash_similarities(bits, bits), np.ones(6))
    np.testing.assert_array_equal(hash_similarities(bits, ~bits), np.zeros(6))
    hashes = [imagehash.hex_to_hash(text) for text in hash_strings(bits)]
    distances = np.array([one - other for one, other in zip(hashes, hashes[::-1], strict=True)])
    np.testing.assert_allclose(hash_similarities(bits, bits.flip(0)), 1.0 - distances / 64)
    with pytest.raises(ValueError, match=r"\(6, 8, 8\) do not go with those of \(6, 16, 16\)"):
        hash_similarities(bits, torch.zeros(6, 16, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"Hashes are bool, not torch\.uint8"):
        hash_similarities(bits.byte(), bits)
    with pytest.raises(ValueError, match="empty"):
        hash_similarities(bits[:0], bits[:0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 2, 8, 8), r"N x C x H x W with 1, 3 or 4 channels.*not \(2, 2, 8, 8\)"),
        (torch.zeros(8, 8), r"not \(8, 8\)"),
        (torch.zeros(0, 3, 8, 8), "empty"),
        (torch.zeros(1, 3, 0, 8), "empty"),
        ([], "empty"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "must be uint8.*not torch.int64"),
        (torch.full((1, 3, 8, 8), float("nan")), "NaN"),
        (torch.full((1, 3, 8, 8), float("inf")), "infinite"),
        (torch.full((1, 3, 8, 8), 255.0), r"reach 255 where \[-1, 1\]"),
        ([torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)], r"of one size.*image 1 .*\(3, 8, 9\)"),
        ([torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)], "of one size, mode"),
        (np.array([{}]), "no array of numbers"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        dhash(images)
    with pytest.raises(ValueError, match=message):
        colorhash(images)


def test_other_hashes_are_refused():
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="no hash 'ahash'; there are average_hash, dhash"):
        perceptual_hashes(image, ("ahash",))
    with pytest.raises(ValueError, match="at least 2 rows"):
        dhash(image, 1)
    with pytest.raises(ValueError, match="power of 2, not 12"):
        whash(image, 12)
    with pytest.raises(ValueError, match="at least one bit"):
        colorhash(image, 0)
