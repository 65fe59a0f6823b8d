"""LPIPS with the published heads: golden values, the package itself, what is said without weights.

The networks' weights follow from rules or are random; the heads are those of the package.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.errors import BenchError, MissingFile, Refused, UnknownName
from bench.extractors.lpips import Lpips, load_lpips
from bench.extractors.weights import Weights
from bench.verify import Case, run_case
from bench.verify.perceptual import backbone_by_rule
from metrics.perceptual import lpips_maps

package = pytest.importorskip("lpips")

GOLDEN = Path(__file__).parents[2] / "data" / "metrics"


@pytest.fixture(scope="module")
def squeeze() -> Lpips:
    return Lpips("squeeze", Weights(backbone_by_rule("squeeze", 500), ""))


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    images = torch.rand(2, 2, 3, 40, 36, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return images[0], images[1]


@pytest.mark.parametrize("name", ["lpips_alex", "lpips_squeeze"])
def test_golden(name: str) -> None:
    outcome = run_case(Case(GOLDEN / name))
    assert outcome.status == "passed", outcome.message


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_equals_the_package(squeeze: Lpips, pair: tuple[Tensor, Tensor]) -> None:
    for spatial in (False, True):
        reference = package.LPIPS(net="squeeze", pnet_rand=True, spatial=spatial, verbose=False)
        reference.net.load_state_dict(squeeze.backbone.state_dict())
        with torch.no_grad():
            wanted = reference(*pair)
            if spatial:
                stages = [squeeze.activations(images) for images in pair]
                found = lpips_maps(*stages, (40, 36), squeeze.heads)[:, None]
            else:
                found = squeeze(*pair)[:, None, None, None]
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_frozen_and_differentiable(squeeze: Lpips, pair: tuple[Tensor, Tensor]) -> None:
    squeeze.train()
    assert not any(module.training for module in squeeze.modules())
    assert not any(parameter.requires_grad for parameter in squeeze.parameters())
    first = pair[0].clone().requires_grad_()
    squeeze(first, pair[1]).sum().backward()
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    assert torch.equal(squeeze(pair[1], pair[1]), torch.zeros(2))
    grey = pair[0][:, :1]
    torch.testing.assert_close(squeeze(grey, pair[1]), squeeze(grey.expand(-1, 3, -1, -1), pair[1]))


def test_outside_a_mask_images_count_as_true(squeeze: Lpips, pair: tuple[Tensor, Tensor]) -> None:
    mask = torch.zeros(2, 40, 36, dtype=torch.bool)
    mask[:, :20] = True
    found = squeeze(*pair, mask)
    spoilt = torch.where(mask[:, None], pair[0], -pair[0])
    assert torch.equal(squeeze(spoilt, pair[1], mask), found)
    assert (found > 0).all()
    kept = torch.where(mask[:, None], pair[1], pair[0])
    assert torch.equal(squeeze(kept, pair[1], mask), torch.zeros(2))


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingFile, match=r"bench fetch squeezenet1_1.*squeezenet1_1-b8a52dc0.pth"):
        load_lpips("squeeze")
    torch.save({}, tmp_path / "alexnet-owt-7be5be79.pth")
    with pytest.raises(Refused, match="should begin with 7be5be79"):
        load_lpips("alex")


def test_other_networks_and_weights_are_refused() -> None:
    with pytest.raises(UnknownName, match="alex"):
        Lpips("alexnet")  # type: ignore[arg-type]
    tensors = backbone_by_rule("squeeze", 0)
    del tensors["features.3.squeeze.weight"]
    with pytest.raises(Refused, match=r"slice2.3.squeeze.weight should be .* and is absent"):
        Lpips("squeeze", Weights(tensors, ""))


def test_images_without_a_position_left_are_refused(squeeze: Lpips) -> None:
    with pytest.raises(BenchError, match="at least 17 pixels, but these have 16"):
        squeeze.activations(torch.zeros(1, 3, 16, 64))
    assert squeeze(torch.zeros(1, 3, 17, 17), torch.ones(1, 3, 17, 17)) > 0
    with pytest.raises(BenchError, match="Float images N x 3 x H x W"):
        squeeze.activations(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
