from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from baselines.nets.dcgan import Generator
from bench.downloads import download
from bench.generators import digiface
from tests.bench.artefact_runs import kept, run, spec

TOYS = Path(__file__).parent / "toy"


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``toy_parts:ToyMethod`` and its siblings importable, here and in other processes."""
    monkeypatch.syspath_prepend(TOYS)
    monkeypatch.setenv("PYTHONPATH", str(TOYS))
    return TOYS


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of ``artefact_runs.TOY`` that trained all their stages: ``first`` and ``alone``."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOYS)
        run(folder / "first", spec())
        run(folder / "alone", spec(power=2.0))
    return folder


@pytest.fixture
def first(finished_runs: Path, tmp_path: Path) -> Path:
    """A folder of runs that holds a finished one and its artefacts; a copy of the test's own."""
    return Path(shutil.copytree(finished_runs / "first", tmp_path / "first"))


@pytest.fixture
def alone(finished_runs: Path, tmp_path: Path) -> Path:
    """Likewise of another run, which differs in its last stage."""
    return Path(shutil.copytree(finished_runs / "alone", tmp_path / "alone"))


@pytest.fixture
def folder(first: Path) -> Path:
    """The artefact of the finished run's encoder."""
    (found,) = kept(first, "encode")
    return found


@pytest.fixture
def digiface_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A narrow DCGAN of random weights in the place and layout of DigiFace's wheel."""
    torch.manual_seed(3)
    network = Generator(digiface.SIZE, digiface.CHANNELS, digiface.Z_DIM, width=4)
    for parameter in network.parameters():
        parameter.data.mul_(4.0)  # at their first values all images are nearly grey
    weights = tmp_path / "weights.tar"
    torch.save({digiface.WEIGHTS_KEY: network.state_dict()}, weights)
    monkeypatch.setattr(digiface, "WIDTH", 4)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setattr(digiface, "WEIGHTS_SHA256", digest)
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    path = tmp_path / "weights" / download(digiface.NAME).file
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(weights, digiface.WEIGHTS_FILE)
        archive.writestr("gan_face_generate/__init__.py", "raise SystemExit('was imported')")
    return path
