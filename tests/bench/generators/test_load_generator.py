from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import catalog
from bench.errors import BenchError, MissingFile, UnknownName
from bench.files import sha256_of
from bench.generators import load_generator

SNAPSHOT = Path(__file__).parents[2] / "data/discovery/sg2_nv_pickle/network-snapshot-000000.pkl"


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.mark.parametrize("name", [SNAPSHOT, str(SNAPSHOT)])
def test_a_path_gives_a_frozen_generator(name: str | Path) -> None:
    generator = load_generator(name)
    assert generator.sha256 == sha256_of(SNAPSHOT)
    assert (generator.z_dim, generator.num_ws, generator.img_resolution) == (32, 8, 32)
    images = generator.synthesis(generator.mapping(torch.zeros(2, 32) + 0.5))
    assert images.shape == (2, 3, 32, 32)
    assert not images.requires_grad
    assert not generator.training


def test_missing_weights_say_how_to_get_them(weights: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        load_generator("stylegan2-ffhq-1024")
    for part in ("bench fetch stylegan2-ffhq-1024", "ffhq.pkl", str(weights), "sha256"):
        assert part in str(caught.value)


def test_every_generator_of_the_catalog_has_its_place(weights: Path) -> None:
    for entry in catalog.entries("generators"):
        if entry.name != "shapes3d-stylegan2":
            with pytest.raises(MissingFile, match=f"bench fetch {entry.name}"):
                load_generator(entry.name)


def test_weights_of_another_resolution_are_refused(weights: Path) -> None:
    shutil.copy(SNAPSHOT, weights / "ffhq.pkl")
    with pytest.raises(BenchError, match=r"ffhq\.pkl .* 32 px, but .* 1024 px.*--generator"):
        load_generator("stylegan2-ffhq-1024")


def test_unknown_names_and_files_are_told(weights: Path) -> None:
    with pytest.raises(UnknownName, match="stylegan2-ffhq-256"):
        load_generator("stylegan2-ffhq-257")
    with pytest.raises(MissingFile, match=r"no file .*none\.pkl; give --generator"):
        load_generator(weights / "none.pkl")


def test_the_package_imports_no_torch() -> None:
    code = "import sys, bench.generators; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
