"""The suite's networks inside of torch-fidelity, and its perceptual path length for our generators.

``register_extractors`` makes torch-fidelity know every extractor of the catalog by its name there:
``calculate_metrics(feature_extractor="efficientnet-lite0", ...)``. Three things to know about that
function: it computes on a GPU unless ``cuda=False`` is given; its dataset cache goes by the names
that callers give to inputs, not by what they hold; its Fréchet distance adds up means in float32.

Perceptual path length: Karras, Laine and Aila, "A Style-Based Generator Architecture for Generative
Adversarial Networks", CVPR 2019, section 4.1, between endpoints in Z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset as TorchDataset

from baselines.base import ImageSet
from baselines.latent_space import LatentSpace
from bench import catalog
from bench.errors import BenchError, MissingFile
from bench.extractors import build_extractor
from bench.extractors.base import Extractor, as_rgb
from bench.extractors.lpips import Net, load_lpips
from metrics.arrays import FloatArray
from metrics.images import to_bytes

_DISCARDED = 1.0  # percent of path lengths at either end, as in StyleGAN's code

COMPARED_SIZE = 64  # pixels at which torch-fidelity compares images for path lengths
Interpolation = Literal["lerp", "slerp_any"]  # the third, slerp_unit, is for codes of unit length
Progress = Callable[[int], None]


@dataclass(frozen=True)
class PathLength:
    """Perceptual path length of a generator.

    Attributes:
        mean: Mean LPIPS between neighbours on a path, divided by epsilon squared, without the
            smallest and the largest hundredth.
        standard_deviation: Of the same values, divided by N.
        samples: Paths drawn.
    """

    mean: float
    standard_deviation: float
    samples: int


def register_extractors() -> tuple[str, ...]:
    """Make torch-fidelity know the catalog's extractors; weights are read when one is used.

    Calling it again does no harm. Vectors go by ``Extractor.vector_names``; the pooled vector is
    the default of all metrics but the inception score, which takes the logits. A name that
    torch-fidelity uses itself (``vgg16``) stays its own.

    Returns:
        The names that now lead to the suite's extractors.

    Raises:
        MissingFile: torch-fidelity is not installed.
    """
    fidelity = _torch_fidelity()
    known = fidelity.registry.FEATURE_EXTRACTORS_REGISTRY
    names = [entry.name for entry in catalog.entries("extractors")]
    for name in names:
        if name not in known:
            fidelity.register_feature_extractor(name, _adapter(name))
    return tuple(name for name in names if known[name].__module__ == __name__)


class FidelityImages(TorchDataset):
    """A dataset as torch-fidelity takes it in: one uint8 tensor (3, H, W) for each image.

    Args:
        images: With values in [-1, 1], grey or coloured.
    """

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = to_bytes(self.images.batch(torch.tensor([index]))[0])[0]
        return image.expand(3, -1, -1)


def generative_model(
    generator: nn.Module, rounded: bool = True, progress: Progress | None = None
) -> Any:
    """A generator as an input of torch-fidelity: normal codes in, pixel values out.

    Args:
        generator: Unconditional; its noise is constant.
        rounded: uint8 images, as features need them; else float32 in [0, 255], as path lengths do.
        progress: Called with the number of images of each batch when it is made.

    Raises:
        BenchError: The generator is conditional; or, when it is used, its images are NaN.
        MissingFile: torch-fidelity is not installed.
    """
    if getattr(generator, "c_dim", 0):
        raise BenchError(
            "A conditional generator cannot be compared without labels: take an unconditional one."
        )
    return _torch_fidelity().GenerativeModelModuleWrapper(
        _Pixels(generator, rounded, progress), generator.z_dim, "normal", 0
    )


def perceptual_path_length(
    generator: nn.Module,
    net: Net = "vgg",
    *,
    samples: int = 10_000,
    epsilon: float = 1e-4,
    interpolation: Interpolation = "lerp",
    batch_size: int = 32,
    seed: int = 2020,
    progress: Progress | None = None,
) -> PathLength:
    """How fast images change along paths between random codes in Z, by torch-fidelity.

    Images are not rounded to 8 bits, as in StyleGAN's own code: at such small steps rounding would
    decide the result. They are compared at 64 pixels, torch-fidelity's default.

    Args:
        generator: Unconditional; it is put into evaluation mode.
        net: The network of LPIPS; published values are ``"vgg"``'s.
        samples: Paths, N.
        epsilon: The step's share of a path.
        interpolation: Along a line (``"lerp"``) or along an arc (``"slerp_any"``).
        batch_size: Paths at a time; each takes two images.
        seed: Seeds the codes.
        progress: Called with the number of images of each batch; there are 2 N in all.

    Raises:
        BenchError: The generator is conditional or makes NaN, there are fewer than two samples, or
            the step is so small that its square vanishes.
        MissingFile: torch-fidelity or the weights of LPIPS are not there.
    """
    if samples < 2:
        raise BenchError(f"A path length needs at least two samples, not {samples}.")
    fidelity = _torch_fidelity()
    model = generative_model(generator, rounded=False, progress=progress)
    device = next(model.parameters()).device
    found = fidelity.calculate_metrics(
        ppl=True,
        input1=model,
        input1_model_num_samples=samples,
        ppl_epsilon=epsilon,
        ppl_z_interp_mode=interpolation,
        ppl_sample_similarity=_register_lpips(net, str(device)),
        ppl_sample_similarity_resize=COMPARED_SIZE,
        ppl_sample_similarity_dtype="float32",
        # torch-fidelity's own discarding calls numpy in a way that no longer exists.
        ppl_discard_percentile_lower=None,
        ppl_discard_percentile_higher=None,
        ppl_reduction="none",
        batch_size=batch_size,
        rng_seed=seed,
        cuda=device.type == "cuda",
        verbose=False,
    )
    lengths = np.asarray(found[fidelity.KEY_METRIC_PPL_RAW], dtype=np.float64)
    if not np.isfinite(lengths).all():
        raise BenchError(f"Path lengths overflow at an epsilon of {epsilon:g}: take a larger one.")
    kept = _without_extremes(lengths)
    return PathLength(float(kept.mean()), float(kept.std()), samples)


def _without_extremes(lengths: FloatArray) -> FloatArray:
    low = np.percentile(lengths, _DISCARDED, method="lower")
    high = np.percentile(lengths, 100.0 - _DISCARDED, method="higher")
    return lengths[(low <= lengths) & (lengths <= high)]


class _Pixels(nn.Module):
    """Codes to pixel values: uint8, or float32 in [0, 255]."""

    def __init__(self, generator: nn.Module, rounded: bool, progress: Progress | None) -> None:
        super().__init__()
        self.generator = generator
        self.rounded = rounded
        self.progress = progress

    def forward(self, z: Tensor) -> Tensor:
        space = LatentSpace(self.generator)
        images = as_rgb(space.images(space.latents(z)))
        if not torch.isfinite(images).all():
            raise BenchError("The generator makes NaN or infinite pixels: take another one.")
        if self.progress:
            self.progress(len(images))
        if self.rounded:
            return to_bytes(images)
        return images.float().add(1.0).mul(127.5).clamp(0.0, 255.0)


def _adapter(name: str) -> type:
    """The class that torch-fidelity makes an extractor from."""
    from torch_fidelity import FeatureExtractorBase

    def network() -> type[Extractor]:
        return cast(type[Extractor], catalog.lookup("extractors", name).load())

    class Adapter(FeatureExtractorBase):
        def __init__(self, registered_name: str, features_list: list[str], **_: Any) -> None:
            super().__init__(registered_name, features_list)
            self.extractor = build_extractor(name)  # not the shared one: this one may be moved

        def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
            images = pixels.float() / 127.5 - 1.0
            return tuple(self.extractor.vectors(images, self.features_list))

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return network().vector_names

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return network().vector_names[1 if metric == "isc" else 0]

        @staticmethod
        def can_be_compiled() -> bool:
            return False  # its way of compiling takes the network apart; ours is compile_vectors

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            size = network().canonical_size
            return torch.zeros(1, 3, size, size, dtype=torch.uint8)

    return Adapter


def _register_lpips(net: Net, device: str) -> str:
    """Make torch-fidelity know LPIPS with checked weights, instead of what it would download.

    Raises:
        MissingFile: The weights or the package lpips are not there.
    """
    load_lpips(net, device)
    from torch_fidelity import SampleSimilarityBase, register_sample_similarity
    from torch_fidelity.registry import SAMPLE_SIMILARITY_REGISTRY

    class Similarity(SampleSimilarityBase):
        def __init__(self, name: str, sample_similarity_resize: int, **_: Any) -> None:
            super().__init__(name)
            self.lpips = load_lpips(net, device)
            self.size = sample_similarity_resize

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return self.lpips(*(self._resized(pixels / 127.5 - 1.0) for pixels in (first, second)))

        def _resized(self, images: Tensor) -> Tensor:
            size = (self.size, self.size)
            if min(images.shape[-2:]) > self.size:
                return functional.interpolate(images, size, mode="area")
            return functional.interpolate(images, size, mode="bilinear")

    name = f"lpips-{net} on {device}"
    if name not in SAMPLE_SIMILARITY_REGISTRY:
        register_sample_similarity(name, Similarity)
    return name


def _torch_fidelity() -> Any:
    try:
        import torch_fidelity
        import torch_fidelity.registry
    except ImportError as error:
        raise MissingFile(
            'torch-fidelity is not installed: run `pip install "gan-attribute-bench[metrics]"`.'
        ) from error
    return torch_fidelity
