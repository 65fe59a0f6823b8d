from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.face_measures import DEVIATIONS, VERSION, face_measures_sha256
from bench.predictors import load_predictor


def scores(images: Tensor) -> dict[str, Tensor]:
    predictor = load_predictor("face-measures")
    assert predictor.sha256 == face_measures_sha256()
    found = predictor(images).T * torch.tensor(list(DEVIATIONS.values()))[:, None]
    return dict(zip(predictor.names, found, strict=True))


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 96, 96)])
def test_an_even_face_has_its_brightness_everywhere_and_no_contrast(
    shape: tuple[int, int, int, int],
) -> None:
    found = scores(torch.full(shape, 0.25))
    expected = {f"{part}_light": 0.25 for part in ("background", "hair", "skin")}
    for name, value in found.items():
        assert value.item() == pytest.approx(expected.get(name, 0.0), abs=1e-6)


@pytest.mark.parametrize(
    ("region", "step", "changed"),
    [
        ((slice(0, 12), slice(0, 10)), -0.5, {"background_light": -0.25}),
        ((slice(0, 8), slice(22, 42)), 0.5, {"hair_light": 0.5}),
        ((slice(24, 33), slice(15, 50)), -0.5, {"eye_darkness": 0.5}),
        ((slice(12, 60), slice(10, 32)), 0.5, {"side_light": 0.5, "asymmetry": 0.0}),
    ],
)
def test_a_region_changes_its_measure(
    region: tuple[slice, slice], step: float, changed: dict[str, float]
) -> None:
    images = torch.zeros(2, 3, 64, 64)
    images[1][(slice(None), *region)] = step
    changes = {name: (value[1] - value[0]).item() for name, value in scores(images).items()}
    for name, value in changed.items():
        assert changes[name] == pytest.approx(value, abs=1e-6)
    assert changes["contrast"] > 0
    if "side_light" not in changed:
        assert changes["skin_light"] == changes["skin_warmth"] == 0


def test_colours_and_mirroring() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64) - 0.5
    reddened = images + torch.tensor([0.25, 0.0, -0.25])[:, None, None]
    plain, red = scores(images), scores(reddened)
    torch.testing.assert_close(red["skin_warmth"], plain["skin_warmth"] + 0.5)
    torch.testing.assert_close(red["skin_light"], plain["skin_light"])
    mirrored = scores(images.flip(3))
    torch.testing.assert_close(mirrored["side_light"], -plain["side_light"])
    torch.testing.assert_close(mirrored["asymmetry"], plain["asymmetry"])


def test_other_values_are_another_version() -> None:
    """Records tell measures apart by their version: raise it with the values here."""
    places = torch.arange(3 * 96 * 64, dtype=torch.float64).reshape(1, 3, 96, 64)
    waves = 0.5 * (places * 0.37).sin() + 0.4 * (places * 0.0007).sin()
    found = load_predictor("face-measures")(waves.float())
    assert VERSION == 1
    expected = [
        -0.0605,
        -0.0771,
        0.0650,
        2.7105,
        0.0002,
        1.5660,
        0.1725,
        1.3020,
        1.1883,
    ]
    torch.testing.assert_close(found, torch.tensor([expected]), atol=1e-3, rtol=0)


def test_scores_have_a_gradient() -> None:
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    load_predictor("face-measures")(images).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0
