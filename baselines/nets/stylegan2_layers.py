"""What StyleGAN2's generator and discriminator share: the mapping network and their layers.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), in the form of
stylegan2-ada-pytorch: equalised learning rates and binomial resampling filters.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LRELU_GAIN = math.sqrt(2)


class MappingNetwork(nn.Module):
    """z and label to w, with the running average of w that truncation pulls towards."""

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws = z_dim, c_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        embed = (w_dim if embed_features is None else embed_features) if c_dim else 0
        hidden = w_dim if layer_features is None else layer_features
        widths = [z_dim + embed] + [hidden] * (num_layers - 1) + [w_dim]
        if c_dim:
            self.embed = FullyConnected(c_dim, embed)
        for i in range(num_layers):
            layer = FullyConnected(
                widths[i], widths[i + 1], lrelu=True, lr_multiplier=lr_multiplier
            )
            self.add_module(f"fc{i}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """z (N, z_dim) -> ws (N, num_ws, w_dim), or w (N, w_dim) where ``num_ws`` is None.

        Truncation moves the first ``truncation_cutoff`` layers (all by default) towards the
        average. In training mode the average follows the batch mean.
        """
        parts = []
        if self.z_dim and z is not None:
            parts.append(unit_rms(z))
        if self.c_dim:
            if c is None:
                raise ValueError(
                    f"this network is conditional: give labels c of shape (N, {self.c_dim})"
                )
            parts.append(unit_rms(self.embed(c)))
        w = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            w = self.get_submodule(f"fc{i}")(w)
        if self.training and self.num_ws is not None and self.w_avg_beta is not None:
            self.w_avg.copy_(w.detach().mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
        if self.num_ws is None:
            return w
        ws = w.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi != 1.0:
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            ws[:, :cutoff] = self.w_avg.lerp(ws[:, :cutoff], truncation_psi)
        return ws


class FullyConnected(nn.Module):
    """Dense layer with equalised learning rate."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        lrelu: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.lrelu, self.lr_multiplier = lrelu, lr_multiplier
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init))

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * self.weight_gain, self.bias * self.lr_multiplier)
        return F.leaky_relu(x, 0.2) * LRELU_GAIN if self.lrelu else x


class Conv2d(nn.Module):
    """Convolution with equalised learning rate, optionally halving the resolution."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        lrelu: bool = False,
        down: bool = False,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.lrelu, self.down, self.conv_clamp = lrelu, down, conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.register_buffer("resample_filter", binomial_filter())
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        # Leaky ReLU is homogeneous: its gain goes into the small kernel, not the large map.
        scale = gain * LRELU_GAIN if self.lrelu else gain
        kernel = self.weight * (self.weight_gain * scale)
        bias = None if self.bias is None else self.bias * scale
        if self.down and self.padding == 0:
            x = F.conv2d(downsample(x, self.resample_filter), kernel, bias)
        elif self.down:
            x = F.conv2d(filter_image(x, self.resample_filter, padding=2), kernel, bias, stride=2)
        else:
            x = F.conv2d(x, kernel, bias, padding=self.padding)
        bound = None if self.conv_clamp is None else self.conv_clamp * gain
        return clamp(F.leaky_relu(x, 0.2) if self.lrelu else x, bound)


def channel_table(img_resolution: int, channel_base: int, channel_max: int) -> dict[int, int]:
    """Width of the feature maps at every resolution from 4 up."""
    return {r: min(channel_base // r, channel_max) for r in resolutions(img_resolution)}


def upsample(image: Tensor, resample_filter: Tensor) -> Tensor:
    """Double the resolution: zero insertion, then the filter with gain 4."""
    kernel = (resample_filter * 4).expand(image.shape[1], 1, 4, 4)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=image.shape[1])


def downsample(image: Tensor, resample_filter: Tensor) -> Tensor:
    """Halve the resolution: the filter, then every second pixel."""
    return filter_image(image, resample_filter, padding=1, stride=2)


def resolutions(img_resolution: int) -> list[int]:
    """4, 8, ... up to the resolution of the images.

    Raises:
        ValueError: It is no power of two, or below 8.
    """
    exponent = int(math.log2(img_resolution))
    if img_resolution < 8 or 2**exponent != img_resolution:
        raise ValueError(f"img_resolution {img_resolution} is no power of two from 8 up")
    return [2**i for i in range(2, exponent + 1)]


def binomial_filter() -> Tensor:
    """The resampling filter [1, 3, 3, 1] x [1, 3, 3, 1], normalised to sum 1."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / taps.sum().square()


def filter_image(x: Tensor, resample_filter: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Convolve every channel with the filter."""
    kernel = resample_filter.expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])


def unit_rms(x: Tensor) -> Tensor:
    """Scale the rows of (N, D) to a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def clamp(x: Tensor, bound: float | None) -> Tensor:
    """Clip to [-bound, bound]; no bound leaves the input as it is."""
    return x if bound is None else x.clamp(-bound, bound)
