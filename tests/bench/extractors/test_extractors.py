"""Feature extractors: golden outputs, the frozen contract, and what is said without weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.extractors import load_extractor
from bench.extractors.efficientnet import (
    _FILE,
    _PACKAGE,
    _SHA256,
    EfficientNetLite0,
    EfficientNetLite0BFloat16,
)
from bench.extractors.inception import InceptionV3CleanResize, InceptionV3TF
from bench.extractors.torchvision_nets import AlexNet
from bench.extractors.weights import Weights, packaged_weights
from bench.verify import Case, compare, run_case
from bench.verify.extractors import alexnet_by_formula
from bench.verify.fidelity import whole_comparison
from metrics.resize import resize_bilinear_tf1, resize_clean_fid

DATA = Path(__file__).parents[2] / "data" / "extractors"
COMPARISON = Path(__file__).parents[2] / "data" / "metrics" / "torch_fidelity_custom_extractor"
SIXTY_FOUR = torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64)


@pytest.fixture(scope="module")
def efficientnet() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.mark.parametrize("name", ["alexnet_features", "efficientnet_lite0_features"])
def test_golden_features(name: str) -> None:
    outcome = run_case(Case(DATA / name))
    assert outcome.status == "passed", outcome.message


def test_golden_comparison_of_two_sets() -> None:
    golden = Case(COMPARISON)
    compare(golden, whole_comparison(golden))


def test_golden_inception() -> None:  # all six vectors
    pytest.importorskip("torch_fidelity")
    outcome = run_case(Case(DATA / "inception_v3_compat"))
    assert outcome.status == "passed", outcome.message


def test_folding_changes_neither_maps_nor_gradients(efficientnet: EfficientNetLite0) -> None:
    published = packaged_weights(_PACKAGE, _FILE, _SHA256).tensors
    odd = SIXTY_FOUR[:, :, :50, :43]  # so that every kind of padding occurs
    folded, plain = odd.clone().requires_grad_(), odd.clone().requires_grad_()
    ours, theirs = efficientnet.feature_maps(folded), _unfolded(published, plain)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max()
    for maps in (ours, theirs):
        sum(one.square().mean() for one in maps).backward()
    assert folded.grad is not None
    assert plain.grad is not None
    # A few activations lie on a corner of ReLU6 and fall on either side of it by rounding.
    assert (folded.grad - plain.grad).norm() < 1e-2 * plain.grad.norm()


def test_half_precision_is_an_extractor_of_its_own(efficientnet: EfficientNetLite0) -> None:
    half = EfficientNetLite0BFloat16()
    assert half.name != efficientnet.name
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pooled, logits = half.vectors(images, half.vector_names)
    full = efficientnet.pooled(images)
    error = (pooled - full).square().mean().sqrt() / full.square().mean().sqrt()
    assert 0.001 < error < 0.1
    assert pooled.dtype == logits.dtype == torch.float32
    assert {maps.dtype for maps in half.feature_maps(SIXTY_FOUR)} == {torch.float32}


def test_each_inception_has_its_own_resizer() -> None:
    pixels = SIXTY_FOUR[:1].add(1).mul(127.5).round()
    for kind, resize in (
        (InceptionV3TF, resize_bilinear_tf1),
        (InceptionV3CleanResize, resize_clean_fid),
    ):
        prepared = kind.__new__(kind)._prepare(SIXTY_FOUR[:1])  # without the network's weights
        torch.testing.assert_close(prepared, (resize(pixels, (299, 299)) - 128) / 128)
    assert InceptionV3CleanResize.name != InceptionV3TF.name
    assert InceptionV3CleanResize.resizer != InceptionV3TF.resizer


def test_maps_of_a_small_image_have_positions_left(efficientnet: EfficientNetLite0) -> None:
    maps = efficientnet.feature_maps(SIXTY_FOUR)
    assert [tuple(m.shape[1:]) for m in maps] == [
        *((16, 32, 32), (24, 16, 16), (40, 8, 8)),
        *((80, 4, 4), (112, 4, 4)),
    ]
    chosen = efficientnet.feature_maps(SIXTY_FOUR, ["stage4", "stage2"])
    torch.testing.assert_close(chosen, [maps[3], maps[1]])


def test_odd_sizes_are_padded_as_tensorflow_does(efficientnet: EfficientNetLite0) -> None:
    # Same padding of an even size needs its extra row at the end: so a zero row there is no change.
    odd = SIXTY_FOUR[:, :, :63, :63]
    zero = -0.5 / 127.5  # the pixel value 127, which normalisation takes to 0
    even = torch.nn.functional.pad(odd, (0, 1, 0, 1), value=zero)
    stem_odd, stem_even = (_stem(efficientnet, images) for images in (odd, even))
    assert stem_odd.shape == stem_even.shape == (2, 32, 32, 32)
    # An odd size has one more zero at the start instead: its windows lie one pixel earlier.
    assert not torch.allclose(stem_odd, stem_even)
    earlier = torch.nn.functional.pad(odd, (1, 0, 1, 0), value=zero)
    torch.testing.assert_close(stem_odd, _stem(efficientnet, earlier))


def test_weights_are_frozen_and_images_get_gradients(efficientnet: EfficientNetLite0) -> None:
    images = SIXTY_FOUR.clone().requires_grad_()
    efficientnet.train()
    assert not efficientnet.training
    sum(features.mean() for features in efficientnet.feature_maps(images)).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in efficientnet.parameters())


def test_grey_images_count_as_coloured(efficientnet: EfficientNetLite0) -> None:
    grey = SIXTY_FOUR[:, :1]
    torch.testing.assert_close(
        efficientnet.feature_maps(grey), efficientnet.feature_maps(grey.repeat(1, 3, 1, 1))
    )


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8)]
)
def test_other_tensors_are_refused(efficientnet: EfficientNetLite0, images: Tensor) -> None:
    with pytest.raises(BenchError, match=r"Float images N x 3 x H x W"):
        efficientnet.pooled(images)


def test_an_unknown_layer_is_named(efficientnet: EfficientNetLite0) -> None:
    with pytest.raises(BenchError, match="no vector '2048'; it has pooled, logits"):
        efficientnet.vectors(SIXTY_FOUR, ["2048"])
    with pytest.raises(BenchError, match="no layer 'stage9'; it has stage1, stage2"):
        efficientnet.feature_maps(SIXTY_FOUR, ["stage9"])


def test_extractors_load_once_by_name() -> None:
    loaded = load_extractor("efficientnet-lite0")
    assert loaded is load_extractor("efficientnet-lite0", "cpu")
    assert loaded is not load_extractor("efficientnet-lite0", compiled=True)
    with pytest.raises(UnknownName, match="alexnet"):
        load_extractor("alexnett")
    with pytest.raises(BenchError, match="os:path is no extractor"):
        load_extractor("os:path")


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(MissingFile) as caught:
        load_extractor("alexnet")
    message = str(caught.value)
    for part in ("bench fetch alexnet", "alexnet-owt-7be5be79.pth", str(tmp_path / "own")):
        assert part in message


def test_a_file_of_another_hash_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    torch.save({}, tmp_path / "vgg16-397923af.pth")
    with pytest.raises(Refused, match=r"should begin with 397923af.*bench fetch vgg16"):
        load_extractor("vgg16")


def test_weights_of_another_network_are_refused() -> None:
    tensors = alexnet_by_formula()
    tensors["features.3.weight"] = torch.zeros(192, 32, 5, 5)
    with pytest.raises(
        Refused, match=r"features.3.weight should be 192 x 64 x 5 x 5 and is 192 x 32 x 5 x 5"
    ):
        AlexNet(Weights(tensors, ""))


def _stem(extractor: EfficientNetLite0, images: Tensor) -> Tensor:
    return extractor.stem(images * (127.5 / 128) + 0.5 / 128)


def _unfolded(tensors: Mapping[str, Tensor], images: Tensor) -> list[Tensor]:
    """The maps of five stages, computed from the published tensors one operation after another."""

    def convolved(x: Tensor, name: str, stride: int = 1, grouped: bool = False) -> Tensor:
        kernel = tensors[f"{name}.weight"]
        size, padding = kernel.shape[-1], []
        for length in (x.shape[3], x.shape[2]):
            total = max((-(-length // stride) - 1) * stride + size - length, 0)
            padding += [total // 2, total - total // 2]
        groups = len(kernel) if grouped else 1
        return functional.conv2d(functional.pad(x, padding), kernel, None, stride, groups=groups)

    def normed(x: Tensor, name: str) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(tensors[f"{name}.{part}"] for part in parts), eps=1e-3)

    x = (images * 127.5 + 0.5) / 128
    x = normed(convolved(x, "_conv_stem", 2), "_bn0").clamp(0, 6)
    maps, number = [], 0
    for stride, blocks in ((1, 1), (2, 2), (2, 2), (2, 3), (1, 3)):
        for block in range(blocks):
            name, before, own_stride = f"_blocks.{number}", x, 1 if block else stride
            if number:
                x = normed(convolved(x, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
            x = convolved(x, f"{name}._depthwise_conv", own_stride, grouped=True)
            x = normed(x, f"{name}._bn1").clamp(0, 6)
            x = normed(convolved(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + before if block else x
            number += 1
        maps.append(x)
    return maps
