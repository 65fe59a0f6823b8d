"""Pretraining: what it leaves behind can be used by name of its file, and says what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from baselines.base import Attributes, Stage, TrainingData
from baselines.stylegan2 import StyleGAN2
from bench.data.base import Dataset
from bench.errors import BenchError
from bench.files import sha256_of
from bench.generators import load_generator
from bench.pretrain import pretrain
from bench.trainer import TrainingOptions, train

QUIET = TrainingOptions(device="cpu", quiet=True)


class Stripes(Dataset):
    name, size, attributes = "stripes", 16, Attributes(("phase",))

    def __len__(self) -> int:
        return 40

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.sin(torch.arange(16.0) + indices[:, None])
        return rows[:, None, :, None].expand(-1, 3, -1, 16), indices[:, None] / 40

    def fingerprint(self) -> str:
        return "stripes of sixteen rows"


def test_a_generator_is_trained_saved_and_described(tmp_path: Path) -> None:
    summary = pretrain(Stripes(), tmp_path, preset="smoke", seed=3, fd_samples=12, options=QUIET)
    generator = load_generator(tmp_path / "generator.safetensors")
    images = generator(torch.randn(2, generator.z_dim))
    assert images.shape == (2, 3, 16, 16)
    assert (tmp_path / "samples.png").stat().st_size > 1000
    card = (tmp_path / "README.md").read_text()
    assert summary.steps == 3
    assert "`bench pretrain stylegan2 --dataset stripes --preset smoke --seed 3`" in card
    assert "24 images shown in 3 steps" in card
    assert sha256_of(tmp_path / "generator.safetensors") in card
    assert "efficientnet-lite0 features (no FID), 12 real" in card
    with pytest.raises(BenchError, match="other settings"):
        pretrain(Stripes(), tmp_path, preset="smoke", seed=4, options=QUIET)
    # As if it had been killed between the last checkpoint and the weights that belong to it.
    whole = (tmp_path / "generator.safetensors").read_bytes()
    (tmp_path / "generator.safetensors").write_bytes(b"those of the checkpoint before")
    pretrain(Stripes(), tmp_path, preset="smoke", seed=3, fd_samples=12, options=QUIET)
    assert (tmp_path / "generator.safetensors").read_bytes() == whole


def test_a_size_that_stylegan2_does_not_make_is_one_sentence(tmp_path: Path) -> None:
    dataset = Stripes()
    dataset.size = 48
    with pytest.raises(BenchError, match="48 is no power of two"):
        pretrain(dataset, tmp_path, preset="smoke", options=QUIET)
    assert not (tmp_path / "settings.json").exists()


def test_the_rate_falls_in_the_last_part_of_a_training_only(tmp_path: Path) -> None:
    rates: list[float] = []

    class Recorded(StyleGAN2):
        def stages(self, data: TrainingData) -> Iterator[Stage]:
            for stage in super().stages(data):
                optimizer = stage.optimizers["discriminator"]
                optimizer.register_step_pre_hook(
                    lambda one, *_: rates.append(one.param_groups[0]["lr"])
                )
                yield stage

    data = TrainingData(Stripes(), Stripes.attributes, Stripes.size, Stripes.channels)
    settings = {"images": 64, "decay_share": 0.5, "r1_gamma": 0.0, "r1_interval": 1}
    method = Recorded(Recorded.configure("smoke", settings), data)  # type: ignore[arg-type]
    train(method, data, seed=0, folder=tmp_path, options=QUIET)
    whole = 0.0025 / 2  # the correction for a regulariser in every step
    expected = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert rates == pytest.approx([whole * share for share in expected])


def test_a_look_for_collapse_changes_nothing() -> None:
    data = TrainingData(Stripes(), Stripes.attributes, Stripes.size, Stripes.channels)
    method = StyleGAN2(StyleGAN2.configure("smoke"), data).train()  # type: ignore[arg-type]
    (stage,) = method.stages(data)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    assert stage.collapsed() is None
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name
