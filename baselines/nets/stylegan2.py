"""StyleGAN2 in plain PyTorch operations, with NVIDIA's parameter names: here the generator.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), in the form of
stylegan2-ada-pytorch: the skip generator. Styles scale the activations instead of the weights, so
that one convolution serves the whole batch. On a CPU the networks are fastest in the memory format
``torch.channels_last``. The discriminator is written in ``stylegan2_discriminator``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.nets.stylegan2_discriminator import Discriminator
from baselines.nets.stylegan2_layers import (
    LRELU_GAIN,
    FullyConnected,
    MappingNetwork,
    binomial_filter,
    channel_table,
    clamp,
    filter_image,
    resolutions,
    upsample,
)

__all__ = ["Discriminator", "Generator"]

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
        self.resolutions = resolutions(img_resolution)
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
        self.register_buffer("resample_filter", binomial_filter())
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
        self.register_buffer("resample_filter", binomial_filter())
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
        # Leaky ReLU is homogeneous: its gain goes into the small factors, not the large map.
        demodulation = demodulation * LRELU_GAIN
        bias = self.bias * LRELU_GAIN
        x = x * styles[:, :, None, None]
        if self.up:
            x = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            x = filter_image(x, self.resample_filter * 4, padding=1)
        else:
            x = F.conv2d(x, self.weight, padding=1)
        x = torch.addcmul(bias[:, None, None], x, demodulation[:, :, None, None])
        if noise is None and noise_mode != "none":
            noise = self._noise(x, noise_mode)
        if noise is not None:
            x = x + noise * (self.noise_strength * LRELU_GAIN)
        return clamp(F.leaky_relu(x, 0.2), self.conv_clamp)

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
        return clamp(
            F.conv2d(x * styles[:, :, None, None], self.weight, self.bias), self.conv_clamp
        )
