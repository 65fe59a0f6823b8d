"""Errors of pixels: their scale, their relation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.pixels import mean_absolute_errors, mean_squared_errors


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    size=st.integers(1, 9),
)
def test_properties(seed, count, channels, size):
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(-1, 1, (2, count, channels, size, size))
    absolute, squared = mean_absolute_errors(x, y), mean_squared_errors(x, y)
    np.testing.assert_allclose(absolute, np.abs(x - y).mean(axis=(1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(squared, np.square(x - y).mean(axis=(1, 2, 3)), rtol=1e-12)
    assert (squared >= absolute**2 * (1 - 1e-12)).all()
    np.testing.assert_array_equal(mean_absolute_errors(x, x), np.zeros(count))
    np.testing.assert_array_equal(mean_squared_errors(y, x), squared)
    order = generator.permutation(count)
    np.testing.assert_array_equal(mean_squared_errors(x[order], y[order]), squared[order])
    nearer = mean_absolute_errors(x, x + 0.5 * (y - x))
    np.testing.assert_allclose(nearer, 0.5 * absolute, rtol=1e-9)


def test_scale():
    black, white = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.ones(2, 3, 4, 4)
    np.testing.assert_array_equal(mean_absolute_errors(black, white), [2.0, 2.0])
    np.testing.assert_array_equal(mean_squared_errors(black, white), [4.0, 4.0])
    np.testing.assert_array_equal(mean_squared_errors(black, 1.5 * white), [4.0, 4.0])
    half = torch.full((1, 8, 8), 0.5, dtype=torch.bfloat16)
    np.testing.assert_array_equal(mean_absolute_errors(half, torch.zeros(1, 8, 8)), [0.5])


def test_blocks_of_large_images_change_nothing():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 5, 3, 700, 900, generator=generator)
    whole = mean_absolute_errors(x, y)
    parts = [mean_absolute_errors(x[i : i + 1], y[i : i + 1])[0] for i in range(5)]
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("function", [mean_absolute_errors, mean_squared_errors])
def test_bad_input_is_refused(function):
    images = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\) have no errors against.*\(1, 3, 8, 8\)"):
        function(images, images[:1])
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\) have no errors against.*\(2, 3, 8, 9\)"):
        function(images, torch.zeros(2, 3, 8, 9))
    with pytest.raises(ValueError, match="The other images have NaN"):
        function(images, images * float("nan"))
    with pytest.raises(ValueError, match="The images are empty"):
        function(images[:0], images[:0])
    with pytest.raises(ValueError, match="reach 255"):
        function(images + 255, images)
