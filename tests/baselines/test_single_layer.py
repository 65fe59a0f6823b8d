"""Discovery on generators without W: a DCGAN and a PGGAN, whose codes have one layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from baselines.attention import LearnedAttention
from baselines.base import Batch, Discoverer, TrainingData
from baselines.contrafeat import ContraFeat, ContraFeatBinary
from baselines.ganspace import GANSpace
from baselines.generator_features import GeneratorFeatures
from baselines.latentclr import LatentCLR
from baselines.nets import dcgan, pggan
from baselines.nets.single_layer import SingleLayer, layered
from baselines.random_directions import RandomDirections
from baselines.randomness import Draws
from baselines.recognition import Recognition
from baselines.sefa import SeFa

DIM, SIZE, DIRECTIONS = 6, 32, 3
FEW_CODES = {"codes": 64, "codes_per_step": 32, "components": 4, "deviation_codes": 8}
SUBSPACE = {"subspace_size": 4, "subspace_codes": 64, "codes_per_step": 32}
CONTRASTED = {**SUBSPACE, "images": 8, "batch_size": 4}
METHODS: dict[str, tuple[type[Discoverer], dict[str, Any]]] = {
    "contrafeat": (ContraFeat, CONTRASTED),
    "contrafeat-bi": (ContraFeatBinary, CONTRASTED),
    "closed-form": (ContraFeat, {**CONTRASTED, "directions": "closed-form"}),
    "ganspace": (GANSpace, FEW_CODES),
    "sefa": (SeFa, {}),
    "random-directions": (RandomDirections, {}),
    "recognition": (
        Recognition,
        {"batch_size": 4, "predictor": "lenet", "lenet_width": 1, "style_segments": 2},
    ),
    "latentclr": (
        LatentCLR,
        {"batch_size": 2, "feature_layers": ("b4", "b8"), "attention": "learned"},
    ),
}


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = (
        dcgan.Generator(SIZE, 3, DIM, width=2)
        if kind == "dcgan"
        else pggan.Generator(SIZE, DIM, weights=pggan.Weights(64, 8))
    )
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["dcgan", "pggan"])
def generator(request: pytest.FixtureRequest) -> SingleLayer:
    return SingleLayer(network(request.param)).eval()


@pytest.fixture
def data(generator: SingleLayer, tiny_data: TrainingData) -> TrainingData:
    return replace(tiny_data, generator=generator, size=SIZE, channels=3)


def test_images_are_the_networks_own(generator: SingleLayer) -> None:
    z = 3 * torch.randn(4, DIM)
    codes = generator.mapping(z)
    assert codes.shape == (4, generator.num_ws, generator.w_dim) == (4, 1, DIM)
    images = generator.synthesis(codes, noise_mode="const")
    torch.testing.assert_close(images, generator.generator(z), rtol=0, atol=2e-3)
    assert images.shape[2] == generator.img_resolution == SIZE
    if isinstance(generator.generator, pggan.Generator):
        torch.testing.assert_close(codes.square().mean(2), torch.ones(4, 1))
    else:
        assert torch.equal(codes[:, 0], z)


def test_only_what_has_no_layers_is_wrapped(tiny_data: TrainingData) -> None:
    assert layered(tiny_data.generator) is tiny_data.generator
    plain = network("dcgan")
    plain.sha256 = "a" * 64  # type: ignore[assignment]
    wrapped = layered(plain)
    assert isinstance(wrapped, SingleLayer)
    assert (wrapped.generator, wrapped.sha256, wrapped.c_dim) == (plain, "a" * 64, 0)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs(name: str, data: TrainingData) -> None:
    kind, settings = METHODS[name]
    torch.manual_seed(1)
    method = kind(kind.configure("paper", {"num_directions": DIRECTIONS, **settings}), data)
    for stage in method.train().stages(data):
        for step in range(min(stage.steps, 2)):
            losses = stage.step(Batch(step, Draws(7, step, 0, 1)))
            assert all(value.isfinite().all() for value in losses.values())
        assert stage.collapsed() is None
    codes = data.generator.mapping(torch.randn(DIRECTIONS, DIM))
    with torch.no_grad():
        moved = method.eval().shift(codes, torch.arange(DIRECTIONS), 1.0)
        images = data.generator.synthesis(moved, noise_mode="const")
        change = images - data.generator.synthesis(codes, noise_mode="const")
    assert change.flatten(1).abs().amax(1).min() > 0
    attention = method.attention()  # type: ignore[operator]
    torch.testing.assert_close(attention, torch.ones(DIRECTIONS, 1))


def test_sefa_finds_what_the_first_layer_amplifies_most(data: TrainingData) -> None:
    first = next(
        layer
        for layer in data.generator.generator.modules()
        if isinstance(layer, (nn.ConvTranspose2d, pggan.Spread))
    )
    units = torch.eye(DIM)
    zero = torch.zeros(1, DIM)
    if isinstance(first, nn.ConvTranspose2d):
        units, zero = units[..., None, None], zero[..., None, None]
        maps = first(units).flatten(1)  # (D, outputs)
    else:
        first.linear = True  # without its activation
        maps = (first(units) - first(zero)).flatten(1)
        first.linear = False
    rows = maps.T / maps.T.norm(dim=1, keepdim=True)
    _, _, right = torch.linalg.svd(rows.double(), full_matrices=False)
    method = SeFa(SeFa.configure("paper", {"num_directions": DIRECTIONS}), data)  # type: ignore[arg-type]
    found = method.shift(torch.zeros(DIRECTIONS, 1, DIM), torch.arange(DIRECTIONS), 1.0)[:, 0]
    overlap = (found.double() @ right[:DIRECTIONS].T).abs()
    torch.testing.assert_close(overlap, torch.eye(DIRECTIONS).double(), atol=1e-4, rtol=0)


def test_blocks_stand_for_the_last_layers_of_their_pixels(generator: SingleLayer) -> None:
    codes = generator.mapping(torch.randn(2, DIM))
    is_pggan = isinstance(generator.generator, pggan.Generator)
    for pixels, theirs in ((4, ("layer1", "main.2")), (16, ("layer5", "main.8"))):
        features = GeneratorFeatures(generator, (f"b{pixels}",))
        assert features.width % pixels**2 == 0
        same = GeneratorFeatures(generator, (theirs[0 if is_pggan else 1],))
        assert torch.equal(features(codes), same(codes))
    for absent in ("b6", "b1024", "convs.3"):
        with pytest.raises(ValueError, match=f"names {absent}, and the generator has no such"):
            GeneratorFeatures(generator, (absent,))


def test_a_single_layer_has_all_the_attention() -> None:
    attention = LearnedAttention(DIRECTIONS, 1, kernel_size=5)
    weights = attention()
    assert torch.equal(weights, torch.ones(DIRECTIONS, 1))
    with pytest.raises(ValueError, match="attention_kernel is 2"):
        LearnedAttention(DIRECTIONS, 1, kernel_size=2)
    with pytest.raises(ValueError, match="attention_layers is 2"):
        LearnedAttention(DIRECTIONS, 1, layers=2)


def test_what_cannot_be_searched_is_told(tiny_data: TrainingData) -> None:
    class Other(nn.Module):
        z_dim, img_resolution = DIM, SIZE

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(DIM, 8)

    labelled = pggan.Generator(SIZE, DIM, weights=pggan.Weights(64, 8), label_size=2)
    config: Any = SeFa.configure("smoke")
    for made, told in (
        (network("dcgan"), "wrap it in baselines.nets.single_layer"),
        (SingleLayer(labelled), "wants labels of width 2"),
        (SingleLayer(Other()), "first layer of a PGGAN or of a DCGAN"),
    ):
        with pytest.raises(ValueError, match=told):
            SeFa(config, replace(tiny_data, generator=made))
