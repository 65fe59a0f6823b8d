"""Projection into W+: images are found again, each by itself, and noise stays noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.nets.stylegan2 import Generator, SynthesisLayer
from baselines.projection import (
    Projection,
    ProjectionSettings,
    noise_correlation,
    project,
    render,
    w_statistics,
)

QUICK = ProjectionSettings(steps=60, statistics_codes=64)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(8, 0, 8, 8, 3, {"num_layers": 2}, {"channel_base": 64, "channel_max": 8})
    for module in network.modules():
        if isinstance(module, SynthesisLayer):
            torch.nn.init.constant_(module.noise_strength, 0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images(generator: Generator) -> Tensor:
    return generator(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))


def pixels(images: Tensor) -> Tensor:
    return images.flatten(1) / images[0].numel() ** 0.5


@pytest.fixture(scope="module")
def told() -> list[int]:
    return []


@pytest.fixture(scope="module")
def found(generator: Generator, images: Tensor, told: list[int]) -> Projection:
    return project(generator, images, pixels, QUICK, told.append)


def test_generated_images_are_found_again(
    generator: Generator, images: Tensor, found: Projection, told: list[int]
) -> None:
    assert told == list(range(1, 61))
    assert found.ws.shape == (3, generator.num_ws, 8)
    assert found.distances.shape == (3, 61)
    unrelated = (pixels(images) - pixels(images.roll(1, 0))).square().sum(dim=1)
    assert found.distances[:, -1].mean() < 0.15 * unrelated.mean()
    made = render(generator, found.ws, found.noises)
    again = (pixels(images) - pixels(made)).square().sum(dim=1)
    torch.testing.assert_close(again, found.distances[:, -1])


def test_noise_maps_are_found_and_stay_normal(
    generator: Generator, images: Tensor, found: Projection
) -> None:
    assert [noise.shape[-1] for noise in found.noises] == [4, 8, 8]
    for noise in found.noises:
        assert noise.mean(dim=(1, 2, 3)).abs().max() < 1e-5
        torch.testing.assert_close(noise.square().mean(dim=(1, 2, 3)), torch.ones(3))
    free = QUICK.model_copy(update={"regularisation": 0.0})
    loose = project(generator, images, pixels, free)
    assert (noise_correlation(found.noises) < noise_correlation(loose.noises)).all()
    assert not torch.equal(loose.noises[2][0], loose.noises[2][1])


def test_an_image_is_projected_by_itself(generator: Generator, images: Tensor) -> None:
    few = QUICK.model_copy(update={"steps": 10})
    together = project(generator, images, pixels, few)
    alone = project(generator, images[1:2], pixels, few)
    torch.testing.assert_close(alone.ws[0], together.ws[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(alone.distances[0], together.distances[1], rtol=1e-3, atol=1e-4)
    assert torch.equal(project(generator, images, pixels, few).ws, together.ws)
    other = project(generator, images, pixels, few.model_copy(update={"seed": 1}))
    assert not torch.equal(other.ws, together.ws)


def test_noise_correlation_by_hand() -> None:
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    stripes = (torch.arange(16) // 2 % 2 * 2.0 - 1).expand(16, 16)
    maps = torch.stack([torch.ones(16, 16), board, stripes, 3 * board])[:, None]
    # At 16 px right and down: 1, 1; then at 8 px, where the board is 0 and stripes alternate.
    torch.testing.assert_close(noise_correlation([maps]), torch.tensor([4.0, 2.0, 3.0, 162.0]))
    small = torch.tensor([[1.0, 2.0], [0.0, -1.0]]).repeat(2, 2)[None, None]  # 4 x 4
    # Right: (2 + 2 + 0 + 0) / 4 = 1; down: (0 + 0 - 2 - 2) / 4 = -1.
    torch.testing.assert_close(noise_correlation([small]), torch.tensor([2.0]))
    torch.testing.assert_close(noise_correlation([small, small]), torch.tensor([4.0]))


def test_rates_and_noise_of_the_steps() -> None:
    settings = ProjectionSettings()
    assert (settings.steps, settings.regularisation) == (1000, 1e5)
    rates = [settings.rate_at(step) for step in (0, 25, 50, 750, 875)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.1, 0.05])
    assert settings.rate_at(999) < 1e-5
    noise = [settings.w_noise_at(step) for step in (0, 375, 750, 999)]
    assert noise == pytest.approx([0.05, 0.0125, 0, 0])


def test_statistics_of_w(generator: Generator) -> None:
    mean, deviation = w_statistics(generator, QUICK, CPU)
    many = QUICK.model_copy(update={"statistics_codes": 2100})  # in three parts
    again, close = w_statistics(generator, many, CPU)
    assert mean.shape == again.shape == (8,)
    assert close == pytest.approx(deviation, rel=0.3)
    w = generator.mapping(torch.randn(2000, 8, generator=torch.Generator().manual_seed(2)))[:, 0]
    assert close == pytest.approx(w.var(dim=0).sum().sqrt().item(), rel=0.05)


class Plain:
    """A generator of one layer without noise maps; images are brightnesses."""

    z_dim, w_dim, num_ws, img_resolution, sha256 = 3, 3, 1, 8, ""

    def mapping(self, z: Tensor) -> Tensor:
        return z[:, None]

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        return ws[:, 0, :, None, None].expand(-1, -1, 8, 8)


def test_generators_without_noise_and_pixels_that_count() -> None:
    wanted = torch.tensor([0.5, -0.2, 0.8])[None, :, None, None].expand(1, 3, 8, 8)
    found = project(Plain(), wanted, pixels, QUICK)
    assert found.noises == ()
    assert found.distances[0, -1] < 1e-3
    blind = QUICK.model_copy(update={"pixel_weight": 3.0})
    found = project(Plain(), wanted, lambda x: 0 * x.flatten(1), blind)
    expected = 3 * (render(Plain(), found.ws, ()) - wanted).square().mean()
    assert found.distances[0, -1].item() == pytest.approx(expected.item(), rel=1e-4)
    assert expected < 1e-3


def test_large_images_are_compared_smaller() -> None:
    class Large(Plain):
        img_resolution = 512

        def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
            return ws[:, 0, :, None, None].expand(-1, -1, 512, 512)

    seen = set()

    def embed(images: Tensor) -> Tensor:
        seen.add(tuple(images.shape))
        return images.mean(dim=(2, 3))

    project(Large(), torch.zeros(1, 3, 512, 512), embed, QUICK.model_copy(update={"steps": 1}))
    assert seen == {(1, 3, 256, 256)}


def test_what_cannot_be_projected(generator: Generator, images: Tensor) -> None:
    with pytest.raises(ValueError, match="of 8 x 8 pixels and the given ones are 3 x 3 x 4 x 4"):
        project(generator, images[..., :4, :4], pixels, QUICK)
    with pytest.raises(ValueError, match="of 3 channels and the given ones have 1"):
        project(generator, images[:, :1], pixels, QUICK)
    wild = QUICK.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ValueError, match=r"image 0 diverged after \d+ of 60 steps: lower"):
        project(generator, images, pixels, wild)
