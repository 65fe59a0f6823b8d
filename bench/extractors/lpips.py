"""LPIPS with the networks and the heads that its authors publish.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018;
the Python package ``lpips`` (richzhang/PerceptualSimilarity), version 0.1 of the heads. The package
brings the networks and the heads; left to itself it would download the networks' weights, and
load heads without a word where none fits. Here every tensor is checked by its name and shape, and
every file by its hash; the networks' weights are those of ``bench fetch``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor, nn

from bench.errors import BenchError, MissingFile, UnknownName
from bench.extractors.base import as_rgb
from bench.extractors.weights import Weights, fetched_weights, fill, packaged_weights
from metrics.perceptual import lpips_distances, lpips_maps, mean_inside, true_outside

Net = Literal["alex", "vgg", "squeeze"]


class _Published(NamedTuple):
    download: str  # the name of the network's weights
    heads_sha256: str
    smallest_size: int  # below it, the last stages have no position left


_PUBLISHED: Mapping[str, _Published] = {
    "alex": _Published(
        "alexnet", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0", 31
    ),
    "vgg": _Published(
        "vgg16", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868", 16
    ),
    "squeeze": _Published(
        "squeezenet1_1", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76", 17
    ),
}


class Lpips(nn.Module):
    """Perceptual distance of images: frozen, differentiable with respect to them.

    Images are float tensors in [-1, 1], N x 3 x H x W, grey ones N x 1 x H x W. Passing [0, 1]
    makes distances several times smaller and cannot be noticed here.

    Args:
        net: ``"alex"`` is the authors' choice for comparing images, ``"vgg"`` for training.
        backbone: The network's weights under torchvision's names; the file that ``bench fetch``
            gets is read by default.

    Attributes:
        name: ``lpips-alex``, ``lpips-vgg`` or ``lpips-squeeze``.
        sha256: Hash of the file of the network's weights.

    Raises:
        MissingFile: The network's weights or the package lpips are not there; the message says
            how to get them.
        Refused: Weights of another network.
    """

    def __init__(self, net: Net = "alex", backbone: Weights | None = None) -> None:
        super().__init__()
        if net not in _PUBLISHED:
            raise UnknownName("network of LPIPS", net, get_args(Net))
        self.name = f"lpips-{net}"
        self._published = _PUBLISHED[net]
        backbone = backbone or fetched_weights(self._published.download)
        package_network = _build(net)
        self.scaling = package_network.scaling_layer
        self.backbone = package_network.net
        self._heads = package_network.lins
        fill(self.backbone, _of_slices(self.backbone, backbone.tensors), self.name)
        heads = packaged_weights("lpips", f"weights/v0.1/{net}.pth", self._published.heads_sha256)
        numbered = {key.removeprefix("lin"): head for key, head in heads.tensors.items()}
        fill(self._heads, numbered, f"the heads of {self.name}")
        self.sha256 = backbone.sha256
        self.eval()

    @property
    def heads(self) -> list[Tensor]:
        """The weights of the channels, (C,) for each stage."""
        return [weight.flatten() for weight in self._heads.parameters()]

    def activations(self, images: Tensor) -> list[Tensor]:
        """What ``metrics.perceptual`` takes: the activations (N, C, h, w) of each stage.

        Args:
            images: (N, 1 or 3, H, W) in [-1, 1].

        Raises:
            BenchError: The images are no such tensor, or too small.
        """
        images = as_rgb(images)
        smallest = self._published.smallest_size
        if min(images.shape[-2:]) < smallest:
            raise BenchError(
                f"{self.name} needs images of at least {smallest} pixels, but these have "
                f"{min(images.shape[-2:])}."
            )
        return list(self.backbone(self.scaling(images)))

    def forward(self, first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
        """Distances of pairs of images.

        Args:
            first: (N, 1 or 3, H, W) in [-1, 1].
            second: Of the same shape; the true images where there is a mask.
            mask: bool (N, H, W): outside of it the first images are taken to equal the second
                ones, and the distance is the mean over the mask of ``lpips_maps``. None takes the
                whole images, and the mean over each stage's own positions.

        Returns:
            (N,), 0 for equal images.

        Raises:
            BenchError: The images are no such tensors, or too small.
            ValueError: NaN entries, different shapes, or a mask of another shape or without any
                pixel.
        """
        if mask is None:
            return lpips_distances(self.activations(first), self.activations(second), self.heads)
        inside = self.activations(true_outside(first, second, mask))
        height, width = first.shape[-2:]
        maps = lpips_maps(inside, self.activations(second), (height, width), self.heads)
        return mean_inside(maps, mask)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: the package drops channels at random before the heads."""
        return super().train(False)


@cache
def load_lpips(net: Net = "alex", device: str = "cpu") -> Lpips:
    """LPIPS with one of its networks, loaded once per process and device.

    Raises:
        MissingFile: See ``Lpips``.
        Refused: Likewise.
    """
    return Lpips(net).to(device)


def _build(net: Net) -> Any:
    """The package's module without values, except for those of the scaling."""
    try:
        import lpips
    except ImportError as error:
        raise MissingFile(
            'LPIPS needs the package lpips: run `pip install "gan-attribute-bench[metrics]"`.'
        ) from error
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package calls torchvision in a way that is going
        # Told to load its own heads, it would; told to use trained networks, it would download.
        return lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)


def _of_slices(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's tensors under the package's names: ``slice2.3.weight`` is ``features.3``'s."""
    names = {key: f"features.{key.partition('.')[2]}" for key in backbone.state_dict()}
    return {key: tensors[name] for key, name in names.items() if name in tensors}
