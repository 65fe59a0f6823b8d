"""The suite's networks inside of torch-fidelity, live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.nets.stylegan2 import Generator
from bench import catalog
from bench.catalog import Entry
from bench.errors import BenchError
from bench.extractors import fidelity, statistics_of
from bench.extractors.fidelity import (
    FidelityImages,
    generative_model,
    perceptual_path_length,
    register_extractors,
)
from bench.extractors.lpips import Lpips
from bench.extractors.weights import Weights
from metrics.frechet import frechet_distance_from_features
from metrics.inception_score import inception_score
from metrics.kernel_distance import kernel_distance
from metrics.precision_recall import precision_recall
from tests.bench.extractors.toy import Noise, Quarters

torch_fidelity = pytest.importorskip("torch_fidelity")
QUIET: dict[str, Any] = {
    "cuda": False,
    "cache": False,
    "verbose": False,
    "save_cpu_ram": True,  # no processes for reading
}


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    small = {"num_layers": 2}
    return Generator(8, 0, 8, 16, 3, small, {"channel_base": 64, "channel_max": 8}).eval()


@pytest.fixture
def quarters(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The toy as an extractor of the catalog that torch-fidelity knows."""
    entry = Entry("quarters", "tests.bench.extractors.toy:Quarters")
    built_in = catalog.entries("extractors")
    monkeypatch.setattr(catalog, "entries", lambda kind: (*built_in, entry))
    assert "quarters" in register_extractors()
    yield "quarters"
    del torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["quarters"]


def test_registration_is_idempotent_and_leaves_other_names_alone() -> None:
    before = torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["vgg16"]
    names = register_extractors()
    assert register_extractors() == names
    assert {"efficientnet-lite0", "efficientnet-lite0:bf16", "inception-v3-tf"} <= {*names}
    assert "vgg16" not in names
    assert torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["vgg16"] is before
    inception = torch_fidelity.registry.FEATURE_EXTRACTORS_REGISTRY["inception-v3-tf"]
    own = torch_fidelity.FeatureExtractorInceptionV3
    assert {*inception.get_provided_features_list()} == {*own.get_provided_features_list()}
    for metric in ("isc", "fid", "kid", "prc"):
        default = own.get_default_feature_layer_for_metric(metric)
        assert inception.get_default_feature_layer_for_metric(metric) == default


def test_calculate_metrics_sees_the_same_features(quarters: str) -> None:
    real, fake = Noise(30), Noise(25, seed=1)
    found = torch_fidelity.calculate_metrics(
        input1=FidelityImages(fake),
        input2=FidelityImages(real),
        feature_extractor=quarters,
        **dict.fromkeys(("isc", "fid", "kid", "prc"), True),
        isc_splits=2,
        kid_subsets=3,
        kid_subset_size=20,
        batch_size=8,
        **QUIET,
    )
    ours = [statistics_of(images, Quarters(), ("pooled", "logits")) for images in (fake, real)]
    pooled = [seen.pooled for seen in ours]
    distance = frechet_distance_from_features(*pooled)
    kernel = kernel_distance(*pooled, subsets=3, subset_size=20)
    score = inception_score(ours[0].logits, splits=2)
    shares = precision_recall(*pooled)
    expected = {
        torch_fidelity.KEY_METRIC_FID: distance,
        torch_fidelity.KEY_METRIC_KID_MEAN: kernel.mean,
        torch_fidelity.KEY_METRIC_KID_STD: kernel.std,
        torch_fidelity.KEY_METRIC_ISC_MEAN: score.mean,
        torch_fidelity.KEY_METRIC_ISC_STD: score.std,
        torch_fidelity.KEY_METRIC_PRECISION: shares.precision,
        torch_fidelity.KEY_METRIC_RECALL: shares.recall,
        torch_fidelity.KEY_METRIC_F_SCORE: shares.f_score,
    }
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_generator_is_an_input(quarters: str, generator: Generator) -> None:
    model = generative_model(generator)
    found = torch_fidelity.calculate_metrics(
        input1=model,
        input1_model_num_samples=20,
        input2=FidelityImages(Noise(20)),
        feature_extractor=quarters,
        fid=True,
        rng_seed=5,
        **QUIET,
    )
    z = torch.from_numpy(np.random.RandomState(5).randn(20, 8)).float()
    with torch.no_grad():
        fake = statistics_of([generator(z)], Quarters(), ("pooled",))
    real = statistics_of(Noise(20), Quarters(), ("pooled",))
    distance = frechet_distance_from_features(fake.pooled, real.pooled)
    assert found[torch_fidelity.KEY_METRIC_FID] == pytest.approx(distance, rel=1e-3)


def test_generators_without_w_are_inputs_too() -> None:
    class Grey(nn.Module):
        z_dim = 5

        def forward(self, z: Tensor) -> Tensor:
            return z.mean(dim=1)[:, None, None, None].expand(-1, 1, 4, 4)

    z = torch.tensor([[0.0] * 5, [1.0] * 5])
    images = generative_model(Grey())(z)
    assert images.shape == (2, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [128, 255]


def test_conditional_generators_are_refused() -> None:
    with pytest.raises(BenchError, match="unconditional"):
        generative_model(Generator(8, 4, 8, 16, 3, {"num_layers": 1}, {"channel_max": 8}))


def test_path_length_is_the_mean_distance_of_neighbours(
    monkeypatch: pytest.MonkeyPatch, generator: Generator
) -> None:
    pytest.importorskip("lpips")
    distance = Lpips("squeeze", Weights(_squeezenet(), ""))
    monkeypatch.setattr(fidelity, "load_lpips", lambda net, device: distance)
    made: list[int] = []
    found = perceptual_path_length(
        generator, "squeeze", samples=7, epsilon=0.1, batch_size=3, seed=1, progress=made.append
    )
    assert made == [6, 6, 2]
    draws = np.random.RandomState(1)
    start, end = (torch.from_numpy(draws.randn(7, 8)).float() for _ in range(2))
    with torch.no_grad():
        images = [
            nn.functional.interpolate(generator(z).clamp(-1, 1), (64, 64), mode="bilinear")
            for z in (start, start + 0.1 * (end - start))
        ]
        lengths = distance(*images).double() / 0.1**2  # of seven, none is in an outer hundredth
    assert found.samples == 7
    assert found.mean == pytest.approx(lengths.mean().item(), rel=1e-4)
    assert found.standard_deviation == pytest.approx(lengths.std(correction=0).item(), rel=1e-3)


def test_path_lengths_of_broken_generators_and_steps_are_refused(
    monkeypatch: pytest.MonkeyPatch, generator: Generator
) -> None:
    pytest.importorskip("lpips")
    distance = Lpips("squeeze", Weights(_squeezenet(), ""))
    monkeypatch.setattr(fidelity, "load_lpips", lambda net, device: distance)
    with pytest.raises(BenchError, match="at least two samples, not 1"):
        perceptual_path_length(generator, "squeeze", samples=1)
    with pytest.raises(BenchError, match="overflow at an epsilon of 1e-200"):
        perceptual_path_length(generator, "squeeze", samples=2, epsilon=1e-200)
    with torch.no_grad():
        next(generator.parameters()).fill_(torch.nan)
    with pytest.raises(BenchError, match="NaN or infinite pixels"):
        perceptual_path_length(generator, "squeeze", samples=2)


def _squeezenet() -> dict[str, Tensor]:
    """Weights of no meaning under torchvision's names."""
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    return squeezenet1_1(weights=None).state_dict()
