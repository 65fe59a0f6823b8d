"""Layers by TensorFlow's conventions, against its definitions written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from baselines.nets.tensorflow_conv import (
    Decoder,
    SameConv2d,
    SameConvTranspose2d,
    Tower,
    check_size,
    keep_statistics,
    reduction,
)

DEEP = (2, 3, 4, 5, 6)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def same_convolution(maps: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """SAME as TensorFlow's documentation defines it, one output pixel after the other."""
    size, width = maps.shape[-1], kernel.shape[-1]
    outputs = math.ceil(size / stride)
    before = max((outputs - 1) * stride + width - size, 0) // 2
    result = torch.zeros(len(maps), len(kernel), outputs, outputs)
    for row in range(outputs):
        for column in range(outputs):
            for y in range(width):
                for x in range(width):
                    i, j = row * stride + y - before, column * stride + x - before
                    if 0 <= i < size and 0 <= j < size:
                        result[:, :, row, column] += maps[:, :, i, j] @ kernel[:, :, y, x].T
    return result


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 9), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
def test_convolutions_pad_as_tensorflow_does(size: int, kernel: int, stride: int) -> None:
    layer = SameConv2d(2, 3, kernel, stride)
    maps = torch.randn(2, 2, size, size)
    with torch.no_grad():
        wanted = same_convolution(maps, layer.weight, stride) + layer.bias[:, None, None]
        torch.testing.assert_close(layer(maps), wanted, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 5), kernel=st.sampled_from([3, 5]), stride=st.sampled_from([1, 2]))
def test_transposed_convolutions_are_gradients_of_convolutions(
    size: int, kernel: int, stride: int
) -> None:
    layer = SameConvTranspose2d(3, 2, kernel, stride)
    maps = torch.randn(2, 3, size, size)
    larger = torch.zeros(2, 2, size * stride, size * stride, requires_grad=True)
    with torch.no_grad():
        found = layer(maps) - layer.bias[:, None, None]
    # Their kernels lie as those of the convolution that goes the other way.
    forward = same_convolution(larger, layer.weight.detach(), stride)
    (wanted,) = torch.autograd.grad((forward * maps).sum(), larger)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("widths", "side"), [(DEEP[:4], 4), (DEEP, 2)])
def test_features_are_flattened_with_the_channels_last(widths: tuple[int, ...], side: int) -> None:
    tower = Tower(32, 3, widths, 0.5).eval()
    assert reduction(widths) == 32 // side
    maps = images = torch.randn(2, 3, 32, 32)
    for number, stride in enumerate((2, 2, 2, 1, 2)[: len(widths)], 1):
        layer = tower.get_submodule(f"enc_conv{number}_layer")
        maps = same_convolution(maps, layer.weight.detach(), stride)  # moving mean 0, biases 0
        maps = (maps / (1 + 1e-3) ** 0.5).relu()
    with torch.no_grad():
        found = tower.flat_features(images)
    assert found.shape == (2, tower.features)
    wanted = maps.permute(0, 2, 3, 1)
    torch.testing.assert_close(found.view(2, side, side, -1), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("widths", [DEEP[:4], DEEP])
def test_decoders_make_images_of_the_towers_size(widths: tuple[int, ...]) -> None:
    decoder = Decoder(32, 3, widths, 7, 0.02)
    with torch.no_grad():
        images = decoder(torch.randn(4, 7))
    assert images.shape == (4, 3, 32, 32)
    assert images.abs().max() <= 1
    kernels = [
        value.shape[2]
        for name, value in decoder.named_parameters()
        if name.endswith("layer.weight") and value.ndim == 4
    ]
    assert kernels == [3, 5, 5, 5, 5][-len(widths) :]


def test_weights_lie_within_two_deviations() -> None:
    tower = Tower(16, 3, (8, 8, 8, 8), 0.02)
    for name, value in tower.named_parameters():
        if name.endswith("layer.weight"):
            assert 0.03 < value.abs().max() <= 0.04
        elif name.endswith("layer.bias"):
            assert not value.any()


def test_the_norms_keep_the_given_share_of_their_statistics() -> None:
    decoder = Decoder(16, 3, DEEP, 4, 0.02).train()
    keep_statistics(decoder, 0.8)
    z = torch.randn(5, 4)
    with torch.no_grad():
        decoder(z)
        dense = decoder.dec_dense_fc_first_layer(z)
        torch.testing.assert_close(decoder.bn_0.running_mean, 0.2 * dense.mean(dim=0))
        torch.testing.assert_close(decoder.bn_0.running_var, 0.8 + 0.2 * dense.var(dim=0))


def test_sizes_that_cannot_be_halved_are_named() -> None:
    check_size("VAE-GAN", 24, DEEP[:4])
    with pytest.raises(ValueError, match=r"24 px cannot be: choose a multiple of 16 by --set data"):
        check_size("alpha-GAN", 24, DEEP)
