"""Feature extractors: golden outputs, the frozen contract, and what is said without weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.extractors import features_of, load_extractor
from bench.extractors.efficientnet import EfficientNetLite0
from bench.extractors.torchvision_nets import AlexNet
from bench.extractors.weights import Weights
from bench.verify import Case, run_case
from bench.verify.extractors import alexnet_by_formula

DATA = Path(__file__).parents[2] / "data" / "extractors"
SIXTY_FOUR = torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64)


@pytest.fixture(scope="module")
def efficientnet() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.mark.parametrize("name", ["alexnet_features", "efficientnet_lite0_features"])
def test_golden_features(name: str) -> None:
    outcome = run_case(Case(DATA / name))
    assert outcome.status == "passed", outcome.message


def test_golden_inception() -> None:
    pytest.importorskip("torch_fidelity")
    outcome = run_case(Case(DATA / "inception_v3_compat"))
    assert outcome.status == "passed", outcome.message


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
    with pytest.raises(BenchError, match="no layer 'stage9'; it has stage1, stage2"):
        efficientnet.feature_maps(SIXTY_FOUR, ["stage9"])


def test_extractors_load_once_by_name() -> None:
    assert load_extractor("efficientnet-lite0") is load_extractor("efficientnet-lite0", "cpu")
    with pytest.raises(UnknownName, match="alexnet"):
        load_extractor("alexnett")


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


class _Images:
    """Seven images as a dataset."""

    def __init__(self) -> None:
        self.images = SIXTY_FOUR[:1, :, :32, :32] * torch.linspace(-1, 1, 7).view(7, 1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], torch.zeros(len(indices), 0)


def test_features_of_a_dataset_and_of_its_batches_agree(efficientnet: EfficientNetLite0) -> None:
    dataset = _Images()
    done: list[int] = []
    whole = features_of(dataset, efficientnet, batch_size=3, progress=done.append)
    parts = features_of(iter(dataset.images.split(4)), efficientnet)
    features = efficientnet.pooled((dataset.images.add(1).mul(127.5).round() / 127.5) - 1).double()
    assert done == [3, 3, 1]
    torch.testing.assert_close(whole.mean, features.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.covariance(), features.T.cov(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(whole.covariance(), parts.covariance(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [255.0, float("nan")])
def test_features_of_other_ranges_are_refused(
    efficientnet: EfficientNetLite0, value: float
) -> None:
    with pytest.raises(BenchError, match=r"where \[-1, 1\] is asked for"):
        features_of([torch.full((1, 3, 8, 8), value)], efficientnet)


def _stem(extractor: EfficientNetLite0, images: Tensor) -> Tensor:
    return extractor.stem(images * (127.5 / 128) + 0.5 / 128)
