"""Methods that make one picture of everything, and those that do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines.base import ConditionalGenerator, Editor, Inverter
from baselines.collapse import same_picture, same_reconstruction, same_samples
from baselines.randomness import Draws


class Shades:
    """Flat images, each of its own shade."""

    def __init__(self, count: int, step: float = 0.1) -> None:
        self.count, self.step = count, step

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return (indices * self.step)[:, None, None, None].expand(-1, 3, 4, 4), indices[
            :, None
        ] % 2.0


class Fading(Editor):
    def __init__(self, contrast: float) -> None:
        nn.Module.__init__(self)
        self.contrast = nn.Parameter(torch.tensor(contrast))

    def edit(self, images: Tensor, source: Tensor, target: Tensor) -> Tensor:
        assert not self.training
        assert torch.equal(source, target)
        return images * self.contrast


class FadingInverter(Inverter):
    def __init__(self, contrast: float) -> None:
        nn.Module.__init__(self)
        self.contrast = nn.Parameter(torch.tensor(contrast))

    def encode(self, images: Tensor) -> Tensor:
        assert not self.training
        return images.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.view(-1, 3, 4, 4) * self.contrast

    def sample_latents(self, count: int, draws: Draws) -> Tensor:
        return draws.normal("z", count, 48)


class FadingGenerator(ConditionalGenerator):
    def __init__(self, contrast: float) -> None:
        nn.Module.__init__(self)
        self.contrast = nn.Parameter(torch.tensor(contrast))

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        assert not self.training
        latents = draws.normal("z", len(labels), 48).view(-1, 3, 4, 4)
        return latents * self.contrast + labels[:, :, None, None]


@pytest.mark.parametrize(
    ("contrast", "images", "same"),
    [
        (1.0, Shades(20), False),
        (2e-3, Shades(20), False),
        (5e-4, Shades(20), True),
        (0.0, Shades(2), True),
        (0.0, Shades(1), False),  # one image differs from none
        (0.0, Shades(20, step=0.0), False),
    ],
)
def test_only_different_images_can_become_the_same(
    contrast: float, images: Shades, same: bool
) -> None:
    editor, inverter = Fading(contrast), FadingInverter(contrast)
    reason = same_picture(editor, images)
    assert editor.training
    assert (reason is not None) == same
    assert reason is None or "same picture" in reason
    assert same_reconstruction(inverter, images) == reason
    assert inverter.training


def test_reconstructions_are_judged_once_batch_norms_have_settled() -> None:
    inverter = FadingInverter(0.0)
    inverter.norm = nn.BatchNorm1d(1)
    assert same_reconstruction(inverter, Shades(20)) is None
    inverter.norm.num_batches_tracked.fill_(100)
    assert same_reconstruction(inverter, Shades(20)) is not None
    inverter.norm.momentum = 0.01
    assert same_reconstruction(inverter, Shades(20)) is None
    inverter.norm.num_batches_tracked.fill_(1000)
    assert same_reconstruction(inverter, Shades(20)) is not None


def test_the_share_that_counts_as_the_same() -> None:
    assert same_picture(Fading(5e-4), Shades(8), share=1e-5) is None


def test_samples_of_one_label_are_compared() -> None:
    for contrast, same in ((1.0, False), (2e-4, True), (0.0, True)):
        generator = FadingGenerator(contrast)
        reason = same_samples(generator, Shades(20))
        assert generator.training
        assert (reason is not None) == same
        assert reason is None or "different latents become the same picture" in reason
