"""Progressive GANs by path: as genforce's files or plain state dicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from baselines.nets import pggan
from baselines.nets.single_layer import SingleLayer
from bench.checkpoints.architecture import OtherArchitecture
from bench.cli import main
from bench.files import sha256_of
from bench.generators import load_generator
from bench.parts import load_parts
from bench.resolve import RunRequest, resolve
from bench.running import judged_unasked
from leaderboard.store import read_result

KINDS = {
    "narrow": pggan.Weights(56, 8),
    "even": pggan.Weights(1024, 6),
    "fused": pggan.Weights(56, 8, fused=True),
    "spectral": pggan.Weights(56, 8, spectral=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_widths_follow_from_shapes(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = pggan.Generator(16, 5, weights=KINDS[kind]).eval()
    path = tmp_path / "pggan.pth"
    other = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    torch.save({"generator": other, "generator_smooth": network.state_dict(), "step": 3}, path)
    loaded = load_generator(path)
    z = torch.randn(2, 5)
    torch.testing.assert_close(loaded(z), network(z))
    assert (loaded.sha256, loaded.z_dim, loaded.img_resolution) == (sha256_of(path), 5, 16)
    assert not loaded(z).requires_grad


def test_directions_are_looked_for_in_it(tmp_path: Path) -> None:
    path = tmp_path / "pggan.safetensors"
    save_file(pggan.Generator(16, 5, weights=KINDS["narrow"]).state_dict(), path)
    spec = resolve(RunRequest("sefa", "shapes3d", "smoke", generator=str(path)), 0)
    parts = load_parts(spec, torch.device("cpu"))
    assert isinstance(parts.generator, SingleLayer)
    assert parts.weights["generator"] == sha256_of(path) == parts.generator.sha256
    images = parts.generator.synthesis(parts.generator.mapping(torch.randn(2, 5)))
    assert images.shape == (2, 3, 16, 16)


def test_a_run_says_that_nobody_named_who_judges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.tracks.discovery.draw_figures", lambda *_: [])
    path = tmp_path / "pggan.safetensors"
    save_file(pggan.Generator(16, 5, weights=KINDS["narrow"]).state_dict(), path)
    told = "shapes3d, the predictor of the dataset shapes3d, whatever pggan.safetensors makes"
    few = ("track.samples=2", "track.calibration_codes=4")
    asked = ["run", "--method", "sefa", "--preset", "smoke", "--generator", str(path)]
    asked += [text for one in few for text in ("--set", one)]
    done = CliRunner().invoke(main, [*asked, "--device", "cpu", "--out", str(tmp_path)])
    assert f"is judged by {told}" in done.stderr
    (record,) = tmp_path.rglob("result.json")
    assert told in str(read_result(record).protocol["judged_by"])
    request = RunRequest("sefa", "shapes3d", generator=str(path), predictor="face-measures")
    assert judged_unasked(resolve(request, 0)) == ""
    assert judged_unasked(resolve(RunRequest("sefa", "shapes3d"), 0)) == ""


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"layer2.bias": None}, "no whole generator of a progressive GAN .'layer2.bias'"),
        ({"layer3.weight": torch.zeros(4, 4, 3, 3)}, "layer3.weight"),
        ({"output0.weight": None}, "no StyleGAN2 generator"),
    ],
)
def test_what_does_not_fit_is_named(
    broken: dict[str, torch.Tensor | None], told: str, tmp_path: Path
) -> None:
    state = pggan.Generator(16, 5, weights=KINDS["narrow"]).state_dict() | broken
    path = tmp_path / "pggan.safetensors"
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(OtherArchitecture, match=told):
        load_generator(path)
