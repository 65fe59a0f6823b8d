"""Which files decide what a stage trains."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from baselines.linear_classifier import ClassifierStage
from baselines.simclr import ContrastiveStage, SimCLREncoder
from bench.stage_code import code_hash, sources

FILES = {
    "pack/__init__.py": "",
    "pack/stage.py": "from . import losses\nclass Stage:\n    pass",
    "pack/losses.py": "def loss():\n    from .nets.small import Network",
    "pack/nets/__init__.py": "from ..nets import norms",
    "pack/nets/small.py": "import math, numpy, torch.nn\nimport pack.extra.deep as deep",
    "pack/nets/norms.py": "import nothing_of_this_name",
    "pack/extra/deep.py": "from pack import stage  # back to where it began",
    "pack/unused.py": "",
    "beside.py": "",
    "alone.py": "from helper.small import f\nimport beside\nclass Stage:\n    pass",
    "helper/small.py": "def f(): ...",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in list(sys.modules):
        if name.partition(".")[0] in ("pack", "alone", "beside", "helper"):
            del sys.modules[name]


def stage(module: str) -> type:
    found: type = importlib.import_module(module).Stage
    return found


@pytest.mark.parametrize(
    ("module", "counted"),
    [
        ("pack.stage", [name for name in FILES if name.startswith("pack/")][:-1]),
        ("alone", ["alone.py", "beside.py", "helper/small.py"]),
    ],
)
def test_only_what_is_imported_counts(folder: Path, module: str, counted: list[str]) -> None:
    found = stage(module)
    before = code_hash(found)
    assert sorted(sources(found).values()) == sorted(folder / name for name in counted)
    for name, content in FILES.items():
        (folder / name).write_text(f"{content}\n# changed")
        assert (code_hash(found) != before) == (name in counted), name
        (folder / name).write_text(content)
    assert code_hash(found) == before


def test_the_hash_knows_no_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_hash(stage("pack.stage"))
    shutil.move(folder / "pack", folder / "moved" / "pack")
    for name in [name for name in sys.modules if name.startswith("pack")]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(folder / "moved")
    assert code_hash(stage("pack.stage")) == before


def test_imports_into_the_suite_are_followed_and_other_distributions_are_not() -> None:
    encoder = sources(ContrastiveStage, SimCLREncoder, nn.Conv2d)
    assert {"baselines.simclr", "baselines.simclr_views", "baselines.nets.resnet"} <= set(encoder)
    classifier = sources(ClassifierStage)
    assert {*encoder, "baselines.infoscc_losses", "baselines.nets.stylegan2_loss"} <= set(
        classifier
    )
    assert {name.partition(".")[0] for name in classifier} == {"baselines"}
    assert "baselines.infoscc" not in classifier
