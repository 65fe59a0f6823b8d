"""The encoders and decoders of the disentangling VAEs, and FactorVAE's discriminator.

Three pairs, all with the same interface:

- ``conv`` and ``fc``, of disentanglement_lib (google-research, methods/shared/architectures.py):
  the networks of the beta-VAE paper (Higgins et al., ICLR 2017, table 1, rows 3 and 1). The library
  knows 64 px only; here the convolutional ones take every multiple of 16. Maps are flattened pixel
  by pixel with the channels last, weights are Glorot-uniform, biases 0, as in TensorFlow. Images
  enter in [0, 1] there: the networks here do that step themselves.
- ``contrafeat``, of ContraFeat's code base (zhuxinqimac/stylegan2-ada-pytorch,
  training/networks_vae.py), for powers of two: convolutions down to 1 x 1, Glorot-uniform weights.
  State dicts have its names.

Encoders give means and logarithms of variances; decoders give what a sigmoid makes images of.
``width`` scales all hidden layers, for trainings that have to be short.
"""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

NetworkKind = Literal["conv", "fc", "contrafeat"]

_REDUCTION = 16  # of the four layers of stride 2
_SLOPE = 0.2  # of TensorFlow's leaky ReLU


class ConvEncoder(nn.Module):
    """Images -> q(z|x), by four convolutions that each halve the maps.

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        latents: Numbers Z of a code.
        width: Scale of the hidden layers; 1 is the reference's.

    Raises:
        ValueError: ``size`` is no multiple of 16.
    """

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        side = _side(size)
        thin, thick, hidden = _scaled(width, 32, 64, 256)
        self.e1 = nn.Conv2d(channels, thin, 4, 2, 1)
        self.e2 = nn.Conv2d(thin, thin, 4, 2, 1)
        self.e3 = nn.Conv2d(thin, thick, 2, 2)
        self.e4 = nn.Conv2d(thick, thick, 2, 2)
        self.e5 = nn.Linear(thick * side**2, hidden)
        self.means = nn.Linear(hidden, latents)
        self.log_var = nn.Linear(hidden, latents)
        glorot(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) in [-1, 1] -> means and log-variances, (N, Z) each."""
        maps = (images + 1) / 2
        for layer in (self.e1, self.e2, self.e3, self.e4):
            maps = F.relu(layer(maps))
        hidden = F.relu(self.e5(maps.permute(0, 2, 3, 1).flatten(1)))
        return self.means(hidden), self.log_var(hidden)


class ConvDecoder(nn.Module):
    """Codes -> logits of images, by four transposed convolutions; see ``ConvEncoder``."""

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        self._side = _side(size)
        thin, thick, hidden = _scaled(width, 32, 64, 256)
        self.d1 = nn.Linear(latents, hidden)
        self.d2 = nn.Linear(hidden, thick * self._side**2)
        self.d3 = nn.ConvTranspose2d(thick, thick, 4, 2, 1)
        self.d4 = nn.ConvTranspose2d(thick, thin, 4, 2, 1)
        self.d5 = nn.ConvTranspose2d(thin, thin, 4, 2, 1)
        self.d6 = nn.ConvTranspose2d(thin, channels, 4, 2, 1)
        glorot(self)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, C, S, S)."""
        flat = F.relu(self.d2(F.relu(self.d1(codes))))
        maps = flat.unflatten(1, (self._side, self._side, -1)).permute(0, 3, 1, 2)
        for layer in (self.d3, self.d4, self.d5):
            maps = F.relu(layer(maps))
        logits: Tensor = self.d6(maps)
        return logits


class FCEncoder(nn.Module):
    """Images of any size -> q(z|x), by two hidden layers of 1200 numbers; see ``ConvEncoder``."""

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        (hidden,) = _scaled(width, 1200)
        self.e1 = nn.Linear(size * size * channels, hidden)
        self.e2 = nn.Linear(hidden, hidden)
        self.means = nn.Linear(hidden, latents)
        self.log_var = nn.Linear(hidden, latents)
        glorot(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) in [-1, 1] -> means and log-variances, (N, Z) each."""
        flat = ((images + 1) / 2).permute(0, 2, 3, 1).flatten(1)
        hidden = F.relu(self.e2(F.relu(self.e1(flat))))
        return self.means(hidden), self.log_var(hidden)


class FCDecoder(nn.Module):
    """Codes -> logits of images, by three hidden layers of 1200 numbers; see ``ConvEncoder``."""

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        (hidden,) = _scaled(width, 1200)
        self._shape = (size, size, channels)
        self.d1 = nn.Linear(latents, hidden)
        self.d2 = nn.Linear(hidden, hidden)
        self.d3 = nn.Linear(hidden, hidden)
        self.d4 = nn.Linear(hidden, size * size * channels)
        glorot(self)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, C, S, S)."""
        hidden = codes
        for layer in (self.d1, self.d2, self.d3):
            hidden = layer(hidden).tanh()
        logits: Tensor = self.d4(hidden)
        return logits.unflatten(1, self._shape).permute(0, 3, 1, 2)


class ContraFeatEncoder(nn.Module):
    """Images -> q(z|x), by convolutions down to 1 x 1 whose widths double every other layer.

    Args:
        size: Height and width S of the images.
        channels: Colour channels C.
        latents: Numbers Z of a code.
        width: Scale of the hidden layers; 1 is the reference's.

    Raises:
        ValueError: ``size`` is no power of two.
    """

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        incoming = channels
        for outgoing in _doubling_widths(size, width):
            layers += [nn.Conv2d(incoming, outgoing, 4, 2, 1), nn.ReLU()]
            incoming = outgoing
        (hidden,) = _scaled(width, 512)
        layers += [nn.Flatten(), nn.Linear(incoming, hidden), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(hidden, 2 * latents))
        glorot(self, biases=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) in [-1, 1] -> means and log-variances, (N, Z) each."""
        mean, log_variance = self.net(images).chunk(2, dim=1)
        return mean, log_variance


class ContraFeatDecoder(nn.Module):
    """Codes -> logits of images; see ``ContraFeatEncoder``."""

    def __init__(self, size: int, channels: int, latents: int, width: float = 1.0) -> None:
        super().__init__()
        *outer, incoming = _doubling_widths(size, width)
        (hidden,) = _scaled(width, 512)
        layers = [nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, incoming), nn.ReLU()]
        layers.append(nn.Unflatten(1, (incoming, 1, 1)))
        for outgoing in reversed(outer):
            layers += [nn.ConvTranspose2d(incoming, outgoing, 4, 2, 1), nn.ReLU()]
            incoming = outgoing
        self.net = nn.Sequential(*layers, nn.ConvTranspose2d(incoming, channels, 4, 2, 1))
        glorot(self, biases=False)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, C, S, S)."""
        logits: Tensor = self.net(codes)
        return logits


class Discriminator(nn.Module):
    """Codes -> logits of class 0, codes of images, and class 1, codes with shuffled columns.

    FactorVAE's (Kim and Mnih, ICML 2018, appendix A): six hidden layers of 1000 numbers.

    Args:
        latents: Numbers Z of a code.
        width: Scale of the hidden layers; 1 is the reference's.
    """

    def __init__(self, latents: int, width: float = 1.0) -> None:
        super().__init__()
        (hidden,) = _scaled(width, 1000)
        layers: list[nn.Module] = []
        for incoming in (latents, *[hidden] * 5):
            layers += [nn.Linear(incoming, hidden), nn.LeakyReLU(_SLOPE)]
        self.net = nn.Sequential(*layers, nn.Linear(hidden, 2))
        glorot(self)

    def forward(self, codes: Tensor) -> Tensor:
        """(N, Z) -> (N, 2)."""
        logits: Tensor = self.net(codes)
        return logits


def make_networks(
    kind: NetworkKind, size: int, channels: int, latents: int, width: float
) -> tuple[nn.Module, nn.Module]:
    """An encoder and its decoder; the arguments are those of ``ConvEncoder``.

    Raises:
        ValueError: There are no such networks for this size.
    """
    encoder, decoder = {
        "conv": (ConvEncoder, ConvDecoder),
        "fc": (FCEncoder, FCDecoder),
        "contrafeat": (ContraFeatEncoder, ContraFeatDecoder),
    }[kind]
    shape = (size, channels, latents, width)
    return encoder(*shape), decoder(*shape)


def glorot(network: nn.Module, biases: bool = True) -> None:
    """Draw Glorot-uniform weights, and set biases to 0 unless they are to stay PyTorch's."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if biases and module.bias is not None:
                nn.init.zeros_(module.bias)


def _side(size: int) -> int:
    if size < _REDUCTION or size % _REDUCTION:
        raise ValueError(
            f"The convolutional networks take images whose size is a multiple of {_REDUCTION} px, "
            f"not {size}: choose one by --set dataset.size=64, or --set networks=fc."
        )
    return size // _REDUCTION


def _doubling_widths(size: int, width: float) -> list[int]:
    """Channels behind each layer of the encoder, of which there are log2(size)."""
    if size < 2 or size & (size - 1):
        raise ValueError(
            f"ContraFeat's VAE takes images whose size is a power of two, not {size} px: choose "
            "one by --set dataset.size=64, or --set networks=conv."
        )
    widths = [2 ** (layer // 2 + 5) for layer in range(int(math.log2(size)))]
    return list(_scaled(width, *widths))


def _scaled(width: float, *numbers: int) -> tuple[int, ...]:
    return tuple(max(round(width * number), 1) for number in numbers)
