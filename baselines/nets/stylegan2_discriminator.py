"""StyleGAN2's discriminator in plain PyTorch operations, with NVIDIA's parameter names.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), in the form of
stylegan2-ada-pytorch: residual, plain or skip.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from baselines.nets.stylegan2_layers import (
    Conv2d,
    FullyConnected,
    MappingNetwork,
    binomial_filter,
    channel_table,
    downsample,
    resolutions,
)


class Discriminator(nn.Module):
    """Images to logits.

    Args:
        c_dim: Width of the label; 0 for an unconditional discriminator.
        img_resolution: Input height and width, a power of two from 8 up.
        img_channels: Colour channels of the input.
        architecture: ``"resnet"``, ``"orig"`` (no skips) or ``"skip"`` (RGB at every resolution).
        channel_base: Width at resolution r is ``min(channel_base // r, channel_max)``.
        channel_max: See ``channel_base``.
        conv_clamp: Bound of the activations, or None.
        channels: From resolution to width, in place of the two above.
        cmap_dim: Width of the mapped label; that of the 4 x 4 block by default.
        mapping_kwargs: Of the label's mapping network.
        epilogue_kwargs: ``mbstd_group_size`` (4), ``mbstd_num_channels`` (1).
    """

    def __init__(
        self,
        c_dim: int = 0,
        img_resolution: int = 64,
        img_channels: int = 3,
        architecture: Literal["resnet", "orig", "skip"] = "resnet",
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        channels: Mapping[int, int] | None = None,
        cmap_dim: int | None = None,
        mapping_kwargs: Mapping[str, Any] | None = None,
        epilogue_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.c_dim = c_dim
        widths = channels or channel_table(img_resolution, channel_base, channel_max)
        self.resolutions = resolutions(img_resolution)[:0:-1]
        before = 0
        for resolution in self.resolutions:
            block = DiscriminatorBlock(
                before,
                widths[resolution],
                widths[resolution // 2],
                img_channels,
                architecture,
                conv_clamp,
            )
            self.add_module(f"b{resolution}", block)
            before = widths[resolution // 2]
        mapped = (widths[4] if cmap_dim is None else cmap_dim) if c_dim else 0
        if c_dim:
            self.mapping = MappingNetwork(
                0, c_dim, mapped, num_ws=None, w_avg_beta=None, **(mapping_kwargs or {})
            )
        self.b4 = DiscriminatorEpilogue(
            widths[4], mapped, img_channels, architecture, conv_clamp, **(epilogue_kwargs or {})
        )

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Images (N, img_channels, R, R), labels (N, c_dim) -> logits (N, 1)."""
        x, image = self.features(images)
        mapped = self.mapping(None, c) if self.c_dim else None
        return self.b4(x, image, mapped)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the 4 x 4 epilogue sees: features (N, C, 4, 4) and, for ``skip``, the image."""
        x: Tensor | None = None
        image: Tensor | None = images
        for resolution in self.resolutions:
            x, image = self.get_submodule(f"b{resolution}")(x, image)
        assert x is not None  # every resolution is at least 8, so one block has run
        return x, image


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second halving the resolution, with the architecture's skips."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        img_channels: int,
        architecture: str,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.register_buffer("resample_filter", binomial_filter())
        self.has_rgb = in_channels == 0 or architecture == "skip"
        if self.has_rgb:
            self.fromrgb = Conv2d(img_channels, mid_channels, 1, lrelu=True, conv_clamp=conv_clamp)
        self.conv0 = Conv2d(
            in_channels or mid_channels, mid_channels, 3, lrelu=True, conv_clamp=conv_clamp
        )
        self.conv1 = Conv2d(
            mid_channels, out_channels, 3, lrelu=True, down=True, conv_clamp=conv_clamp
        )
        if architecture == "resnet":
            self.skip = Conv2d(in_channels or mid_channels, out_channels, 1, bias=False, down=True)

    def forward(self, x: Tensor | None, image: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.has_rgb:
            rgb = self.fromrgb(image)
            x = rgb if x is None else x + rgb
            if self.architecture == "skip":
                assert image is not None
                image = downsample(image, self.resample_filter)
        if self.architecture != "resnet":
            return self.conv1(self.conv0(x)), image
        half = math.sqrt(0.5)
        return self.skip(x, gain=half) + self.conv1(self.conv0(x), gain=half), image


class DiscriminatorEpilogue(nn.Module):
    """Minibatch standard deviation, a convolution at 4 x 4 and two dense layers."""

    def __init__(
        self,
        in_channels: int,
        cmap_dim: int,
        img_channels: int,
        architecture: str,
        conv_clamp: float | None,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
    ) -> None:
        super().__init__()
        self.cmap_dim = cmap_dim
        self.mbstd_group_size, self.mbstd_num_channels = mbstd_group_size, mbstd_num_channels
        self.has_rgb = architecture == "skip"
        if self.has_rgb:
            self.fromrgb = Conv2d(img_channels, in_channels, 1, lrelu=True)
        self.conv = Conv2d(
            in_channels + mbstd_num_channels, in_channels, 3, lrelu=True, conv_clamp=conv_clamp
        )
        self.fc = FullyConnected(in_channels * 16, in_channels, lrelu=True)
        self.out = FullyConnected(in_channels, cmap_dim or 1)

    def forward(self, x: Tensor, image: Tensor | None, mapped: Tensor | None) -> Tensor:
        if self.has_rgb:
            x = x + self.fromrgb(image)
        x = self.conv(self.with_minibatch_std(x))
        x = self.out(self.fc(x.flatten(1)))
        if mapped is not None:
            x = (x * mapped).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x

    def with_minibatch_std(self, x: Tensor) -> Tensor:
        """Append the standard deviation over groups of samples; sample i is in group i mod N/G."""
        if not self.mbstd_num_channels:
            return x
        n, c, h, w = x.shape
        group = n if self.mbstd_group_size is None else min(self.mbstd_group_size, n)
        if n % group:
            raise ValueError(
                f"a batch of {n} images cannot be split into groups of {group} for the minibatch "
                "standard deviation: choose a batch size that is a multiple of mbstd_group_size"
            )
        parts = self.mbstd_num_channels
        y = x.reshape(group, n // group, parts, c // parts, h, w)
        y = (y - y.mean(dim=0)).square().mean(dim=0)
        y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))  # N/G x parts
        y = y.reshape(-1, parts, 1, 1).repeat(group, 1, h, w)
        return torch.cat([x, y], dim=1)
