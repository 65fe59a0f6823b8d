"""StyleGAN2 in plain PyTorch operations, with the parameter names of NVIDIA's PyTorch release.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), in the form of
stylegan2-ada-pytorch: skip generator, residual (or plain, or skip) discriminator. Two choices
serve speed without changing the function: styles scale the activations instead of the weights, and
the resampling filter is folded into the kernel of the strided convolution beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NoiseMode = Literal["const", "random", "none"]


class Generator(nn.Module):
    """Mapping network and synthesis network.

    Args:
        z_dim: Width of the input latent z; 0 for none.
        c_dim: Width of the label; 0 for an unconditional generator.
        w_dim: Width of the intermediate latent w.
        img_resolution: Output height and width, a power of two from 8 up.
        img_channels: Colour channels of the output.
        mapping_kwargs: ``num_layers`` (8), ``lr_multiplier`` (0.01), ``embed_features``,
            ``layer_features``, ``w_avg_beta`` (0.995).
        synthesis_kwargs: ``channel_base`` (32768), ``channel_max`` (512), ``conv_clamp`` (None),
            or ``channels`` from resolution to width in place of the first two.
    """

    def __init__(
        self,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        img_resolution: int = 64,
        img_channels: int = 3,
        mapping_kwargs: Mapping[str, Any] | None = None,
        synthesis_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.sha256 = ""
        self.synthesis = SynthesisNetwork(
            w_dim, img_resolution, img_channels, **(synthesis_kwargs or {})
        )
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(
            z_dim, c_dim, w_dim, num_ws=self.num_ws, **(mapping_kwargs or {})
        )

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: NoiseMode = "const",
    ) -> Tensor:
        """z (N, z_dim), label (N, c_dim) -> images (N, img_channels, R, R)."""
        ws = self.mapping(z, c, truncation_psi, truncation_cutoff)
        return self.synthesis(ws, noise_mode)


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
            layer = FullyConnected(widths[i], widths[i + 1], lrelu=True, lr_multiplier=lr_multiplier)
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
            parts.append(_unit_rms(z))
        if self.c_dim:
            if c is None:
                raise ValueError(
                    f"this network is conditional: give labels c of shape (N, {self.c_dim})"
                )
            parts.append(_unit_rms(self.embed(c)))
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


class SynthesisNetwork(nn.Module):
    """ws to images; block ``b{r}`` works at resolution r and adds its part to the RGB image."""

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        channels: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = _resolutions(img_resolution)
        self.num_ws = 2 * len(self.resolutions)
        widths = channels or channel_table(img_resolution, channel_base, channel_max)
        before = 0
        for resolution in self.resolutions:
            block = SynthesisBlock(
                before, widths[resolution], w_dim, resolution, img_channels, conv_clamp
            )
            self.add_module(f"b{resolution}", block)
            before = widths[resolution]

    def forward(self, ws: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """ws (N, num_ws, w_dim) -> images (N, img_channels, R, R)."""
        return self.blocks(ws, noise_mode)[-1][1]

    def blocks(
        self,
        ws: Tensor,
        noise_mode: NoiseMode = "const",
        noises: list[Tensor] | None = None,
        last: int | None = None,
    ) -> list[tuple[Tensor, Tensor]]:
        """Features (N, C, r, r) and running RGB image (N, img_channels, r, r) after every block.

        Args:
            ws: (N, num_ws, w_dim).
            noise_mode: Stored, fresh or no noise; ignored where ``noises`` is given.
            noises: One (N, 1, r, r) tensor for each of the ``num_ws - 1`` convolutions.
            last: Resolution of the last block to compute; all by default.
        """
        x: Tensor | None = None
        image: Tensor | None = None
        outputs = []
        for i, resolution in enumerate(self.resolutions):
            # Block r takes its convolutions' codes and, for its RGB layer, the next block's first.
            first = max(2 * i - 1, 0)
            styles = ws[:, first : 2 * i + 2].unbind(dim=1)
            given = noises[first : 2 * i + 1] if noises is not None else None
            x, image = self.get_submodule(f"b{resolution}")(x, image, styles, noise_mode, given)
            outputs.append((x, image))
            if resolution == last:
                break
        return outputs


class SynthesisBlock(nn.Module):
    """Two styled convolutions (one at 4 x 4, on a learned constant) and an RGB layer."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.register_buffer("resample_filter", _binomial_filter())
        self.in_channels = in_channels
        if in_channels:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, conv_clamp, up=True
            )
        else:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, conv_clamp)
        self.torgb = ToRGB(out_channels, img_channels, w_dim, conv_clamp)

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        styles: tuple[Tensor, ...],
        noise_mode: NoiseMode,
        noises: list[Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        if x is None:
            x = self.const.unsqueeze(0).expand(styles[0].shape[0], -1, -1, -1)
        else:
            x = self.conv0(x, styles[0], noise_mode, noises[0] if noises else None)
        x = self.conv1(x, styles[-2], noise_mode, noises[-1] if noises else None)
        rgb = self.torgb(x, styles[-1])
        return x, rgb if image is None else rgb + upsample(image, self.resample_filter)


class SynthesisLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias and leaky ReLU."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        conv_clamp: float | None,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.resolution, self.up, self.conv_clamp = resolution, up, conv_clamp
        self.register_buffer("resample_filter", _binomial_filter())
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: NoiseMode, noise: Tensor | None = None
    ) -> Tensor:
        styles = self.affine(w)  # N x I
        power = self.weight.square().sum(dim=(2, 3))  # O x I
        demodulation = (styles.square() @ power.t() + 1e-8).rsqrt()  # N x O
        x = x * styles[:, :, None, None]
        if self.up:
            # Transposed convolution, then the filter with gain 4 (2 along each axis).
            kernel = _fold(self.weight, self.resample_filter * 4).transpose(0, 1)
            x = F.conv_transpose2d(x, kernel, stride=2, padding=2)
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = x * demodulation[:, :, None, None]
        if noise is None and noise_mode != "none":
            noise = self._noise(x, noise_mode)
        if noise is not None:
            x = x + noise * self.noise_strength
        return _lrelu(x + self.bias[:, None, None], math.sqrt(2), self.conv_clamp)

    def _noise(self, x: Tensor, mode: NoiseMode) -> Tensor:
        if mode == "const":
            return self.noise_const
        return torch.randn(x.shape[0], 1, *x.shape[2:], device=x.device, dtype=x.dtype)


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution without demodulation."""

    def __init__(
        self, in_channels: int, img_channels: int, w_dim: int, conv_clamp: float | None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        return _clamp(F.conv2d(x * styles[:, :, None, None], self.weight, self.bias), self.conv_clamp)


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
        self.resolutions = _resolutions(img_resolution)[:0:-1]
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
        self.register_buffer("resample_filter", _binomial_filter())
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
            self.skip = Conv2d(
                in_channels or mid_channels, out_channels, 1, bias=False, down=True
            )

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
        self.register_buffer("resample_filter", _binomial_filter())
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        # The gain of an activation-free layer goes into the small kernel, not the large map.
        scale = self.weight_gain if self.lrelu else self.weight_gain * gain
        kernel = self.weight * scale
        if self.down:
            kernel = _fold(kernel, self.resample_filter)
            x = F.conv2d(x, kernel, self.bias, stride=2, padding=self.padding + 1)
        else:
            x = F.conv2d(x, kernel, self.bias, padding=self.padding)
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        return _lrelu(x, math.sqrt(2) * gain, clamp) if self.lrelu else _clamp(x, clamp)


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
        return _lrelu(x, math.sqrt(2), None) if self.lrelu else x


def channel_table(img_resolution: int, channel_base: int, channel_max: int) -> dict[int, int]:
    """Width of the feature maps at every resolution from 4 up."""
    return {r: min(channel_base // r, channel_max) for r in _resolutions(img_resolution)}


def upsample(image: Tensor, resample_filter: Tensor) -> Tensor:
    """Double the resolution: zero insertion, then the filter with gain 4."""
    kernel = (resample_filter * 4).expand(image.shape[1], 1, 4, 4)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=image.shape[1])


def downsample(image: Tensor, resample_filter: Tensor) -> Tensor:
    """Halve the resolution: the filter, then every second pixel."""
    kernel = resample_filter.expand(image.shape[1], 1, 4, 4)
    return F.conv2d(image, kernel, stride=2, padding=1, groups=image.shape[1])


def _resolutions(img_resolution: int) -> list[int]:
    exponent = int(math.log2(img_resolution))
    if img_resolution < 8 or 2**exponent != img_resolution:
        raise ValueError(f"img_resolution {img_resolution} is no power of two from 8 up")
    return [2**i for i in range(2, exponent + 1)]


def _binomial_filter() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / taps.sum().square()


def _fold(kernel: Tensor, resample_filter: Tensor) -> Tensor:
    """The kernel of "convolve, then filter" (or the reverse): their full convolution."""
    o, i, h, w = kernel.shape
    planes = F.conv2d(kernel.reshape(o * i, 1, h, w), resample_filter[None, None], padding=3)
    return planes.reshape(o, i, h + 3, w + 3)


def _unit_rms(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def _lrelu(x: Tensor, gain: float, clamp: float | None) -> Tensor:
    return _clamp(F.leaky_relu(x, 0.2) * gain, clamp)


def _clamp(x: Tensor, clamp: float | None) -> Tensor:
    return x if clamp is None else x.clamp(-clamp, clamp)
