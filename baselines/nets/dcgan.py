"""DCGAN generators and encoders without biases, in the forms of AGE's code (DmitryUlyanov/AGE).

Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks" (ICLR 2016). State dicts have that code's layer numbers (``main.0.weight``), which are
those of every DCGAN written after PyTorch's example, such as the generator of DigiFace. Images of
32 px have networks of their own there (models/dcgan32px.py); larger ones than 64 px
(models/dcgan64px.py) get one more layer for each doubling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from baselines.sphere import on_sphere


class Generator(nn.Module):
    """Latents -> images.

    Args:
        size: Height and width S of the images, a power of two from 32 on.
        channels: Colour channels C.
        z_dim: Width D of the latents.
        width: Channels of the last hidden layer (half of them at 32 px); twice as many for each
            halving of the size, down to 4 x 4.

    Attributes:
        z_dim: As given.
        img_resolution: The size S.

    Raises:
        ValueError: There is no network for this size.
    """

    def __init__(self, size: int, channels: int, z_dim: int, width: int = 64) -> None:
        super().__init__()
        _check_size(size)
        self.z_dim, self.img_resolution = z_dim, size
        wide = 8 * width * max(size // 64, 1)
        self.main = nn.Sequential(nn.ConvTranspose2d(z_dim, wide, 4, bias=False), *_after(wide))
        side, last = 4, size // 2 if size > 32 else size
        while side < last:
            narrow = max(wide // 2, 2 * width if size == 32 else width)
            self.main.append(nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False))
            self.main.extend(_after(narrow))
            wide, side = narrow, 2 * side
        if size == 32:
            self.main.append(nn.Conv2d(wide, channels, 1))
        else:
            self.main.append(nn.ConvTranspose2d(wide, channels, 4, 2, 1, bias=False))
        self.main.append(nn.Tanh())
        self.apply(dcgan_init)

    def forward(self, z: Tensor) -> Tensor:
        """(N, D) or (N, D, 1, 1) -> (N, C, S, S) in [-1, 1]."""
        images: Tensor = self.main(z.reshape(len(z), self.z_dim, 1, 1))
        return images


class Encoder(nn.Module):
    """Images -> latents.

    Args:
        size: Height and width S of the images, a power of two from 32 on.
        channels: Colour channels C.
        z_dim: Width D of the latents.
        width: Channels after the first convolution; twice as many after each of the others.
        sphere: Scale the latents to length 1.

    Raises:
        ValueError: There is no network for this size.
    """

    def __init__(
        self, size: int, channels: int, z_dim: int, width: int = 64, sphere: bool = True
    ) -> None:
        super().__init__()
        _check_size(size)
        self.sphere = sphere
        self.main = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)
        )
        side = size // 2
        while side > 4:
            self.main.extend(
                [
                    nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
                    nn.BatchNorm2d(2 * width),
                    nn.LeakyReLU(0.2, inplace=True),
                ]
            )
            width, side = 2 * width, side // 2
        if size == 32:
            self.main.extend([nn.Conv2d(width, z_dim, 4, 2, 1), nn.AvgPool2d(2)])
        else:
            self.main.append(nn.Conv2d(width, z_dim, 4))
        self.apply(dcgan_init)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, S, S) in [-1, 1] -> (N, D)."""
        z: Tensor = self.main(images).flatten(1)
        return on_sphere(z) if self.sphere else z


def dcgan_init(module: nn.Module) -> None:
    """Weights N(0, 0.02), scales of norms N(1, 0.02), biases 0."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, _BatchNorm)):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, _BatchNorm) else 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def architecture(encoder: Mapping[str, Tensor], generator: Mapping[str, Tensor]) -> dict[str, int]:
    """The arguments of the networks that state dicts belong to.

    Args:
        encoder: State dict of an encoder.
        generator: State dict of its generator.

    Returns:
        ``size``, ``channels``, ``z_dim``, ``generator_width`` and ``encoder_width``.

    Raises:
        ValueError: They are of other networks.
    """
    first, kernels = _kernels(encoder)[0], _kernels(generator)
    inner, outer = kernels[0], kernels[-1]
    small = outer.shape[-1] == 1  # the pointwise convolution at 32 px
    return {
        "size": 32 if small else 2 ** (len(kernels) + 1),
        "channels": first.shape[1],
        "z_dim": inner.shape[0],
        "generator_width": outer.shape[1] // 2 if small else outer.shape[0],
        "encoder_width": first.shape[0],
    }


def _kernels(state: Mapping[str, Tensor]) -> list[Tensor]:
    """The weights of the convolutions from first to last."""
    found = {
        int(name.split(".")[1]): value
        for name, value in state.items()
        if re.fullmatch(r"main\.\d+\.weight", name) and value.ndim == 4
    }
    if len(found) < 4:
        raise ValueError("it has too few convolutions for a DCGAN")
    return [found[number] for number in sorted(found)]


def _after(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _check_size(size: int) -> None:
    if size < 32 or size & (size - 1):
        raise ValueError(
            f"a DCGAN makes images of 32 px and its doublings, not of {size} px: choose such a "
            "size by --set dataset.size=N"
        )
