"""Resizers of published distances: golden values, the packages themselves, and what must hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from metrics.resize import resize_bilinear_tf1, resize_clean_fid, resize_legacy_pytorch

GOLDEN = Path(__file__).parents[1] / "data" / "metrics"
CLEAN_FID = {"clean": resize_clean_fid, "legacy_pytorch": resize_legacy_pytorch}
RESIZERS = [resize_bilinear_tf1, resize_clean_fid, resize_legacy_pytorch]

sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))


def _images(seed: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)


def _golden(name: str) -> tuple[dict, dict, dict]:
    folder = GOLDEN / name
    meta = json.loads((folder / "meta.json").read_text())
    files = (load_file(folder / f"{part}.safetensors") for part in ("inputs", "expected"))
    return *files, {"atol": meta["atol"], "rtol": meta["rtol"]}


def _size(text: str) -> tuple[int, int]:
    height, width = text.removeprefix("to_").split("x")
    return int(height), int(width)


def test_golden_tensorflow():
    inputs, expected, tolerance = _golden("resize_bilinear_tf1")
    for key, want in expected.items():
        name, size = key.rsplit(".", 1)
        got = resize_bilinear_tf1(inputs[name], _size(size))
        torch.testing.assert_close(got, want, **tolerance)


def test_golden_clean_fid():
    inputs, expected, tolerance = _golden("resize_clean_fid")
    for key, want in expected.items():
        name, mode, size = key.split(".")
        got = CLEAN_FID[mode](inputs[name].permute(2, 0, 1)[None], _size(size))
        torch.testing.assert_close(got[0].permute(1, 2, 0), want, **tolerance)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), before=sizes, after=sizes)
def test_tensorflow_resize_equals_torch_fidelity_bit_for_bit(seed, before, after):
    module = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = _images(seed, before)
    want = module.interpolate_bilinear_2d_like_tensorflow1x(
        images.float(), size=after, align_corners=False
    )
    assert torch.equal(resize_bilinear_tf1(images, after), want)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), before=sizes, after=sizes)
def test_clean_resize_equals_pillow_on_floats(seed, before, after):
    images = _images(seed, before)
    planes = [
        Image.fromarray(plane.float().numpy()).resize(after[::-1], Image.Resampling.BICUBIC)
        for plane in images[0]
    ]
    want = torch.from_numpy(np.stack(planes)).clamp(0, 255)
    torch.testing.assert_close(resize_clean_fid(images, after)[0], want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("resizer", RESIZERS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), before=sizes, after=sizes)
def test_what_every_resizer_keeps(resizer: Callable[..., Tensor], seed, before, after):
    images = _images(seed, before)
    resized = resizer(images, after)
    assert resized.dtype == torch.float32
    assert resized.shape == (2, 3, *after)
    assert 0 <= resized.min() <= resized.max() <= 255
    torch.testing.assert_close(resizer(images, before), images.float(), atol=1e-4, rtol=0)
    flat = torch.full((1, 1, *before), 77.0)
    torch.testing.assert_close(resizer(flat, after), torch.full((1, 1, *after), 77.0))
    assert torch.equal(resizer(images[:1], after), resized[:1])
    for dtype in (torch.float16, torch.float32):  # the sum of many half floats is infinite
        torch.testing.assert_close(resizer(images.to(dtype), after), resized, atol=0, rtol=0)


def test_the_resizers_are_not_interchangeable():
    images = _images(0, (64, 64))
    results = [resizer(images, (24, 24)) for resizer in RESIZERS]
    for one, other in zip(results, results[1:] + results[:1], strict=True):
        assert (one - other).abs().mean() > 1


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize(
    ("images", "size", "message"),
    [
        (torch.zeros(3, 8, 8), (4, 4), r"N x C x H x W and not empty, not \(3, 8, 8\)"),
        (torch.zeros(0, 3, 8, 8), (4, 4), "not empty"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), (4, 4), r"uint8 or floating, not torch.int64"),
        (torch.zeros(1, 3, 8, 8), (4, 0), "cannot be resized to 4 x 0 pixels"),
        (torch.full((1, 3, 8, 8), torch.nan), (4, 4), "NaN or infinite"),
    ],
)
def test_bad_input_is_named(resizer: Callable[..., Tensor], images, size, message):
    with pytest.raises(ValueError, match=message):
        resizer(images, size)
