"""What the guides show works: their code blocks are taken out of the text and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
GUIDES = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/clustering.md",
    "docs/conditional.md",
    "docs/datasets.md",
    "docs/discovery.md",
    "docs/disentanglement.md",
    "docs/editing.md",
    "docs/leaderboard.md",
    "docs/metrics.md",
    "docs/reconstruction.md",
]


def code_block(guide: str, language: str = "python") -> str:
    """The first block of a language in a guide."""
    text = (ROOT / guide).read_text("utf-8")
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{guide} has no block of {language}"
    return found[1]


def executed(guide: str) -> dict[str, Any]:
    module = ModuleType("example")
    exec(compile(code_block(guide), guide, "exec"), module.__dict__)
    return module.__dict__


def test_contributing_shows_the_example_file() -> None:
    block = code_block("CONTRIBUTING.md")
    assert block == (ROOT / "examples" / "my_module.py").read_text("utf-8")
    assert len(block.splitlines()) <= 60


def test_a_method_outside_the_repository_runs(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(code_block("CONTRIBUTING.md"), "utf-8")
    command = re.search(r"^bench run .*my_module.*$", code_block("CONTRIBUTING.md", "sh"), re.M)
    assert command is not None
    # With -P, the current folder is on no path, as for the installed program.
    program = [sys.executable, "-P", "-c", "from bench.cli import main; main()"]
    call = [*program, *command[0].split()[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*call, "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert (result["method"], result["status"]) == ("my_module:MyMethod", "completed")
    assert result["steps"] == 2
    assert {"s_disen", "n_discov"} <= {measured["name"] for measured in result["metrics"]}
    assert len(list(tmp_path.glob("runs/discovery/shapes3d/*/smoke-s0-*/result.json"))) == 1


def test_dataset_guide() -> None:
    ramps = executed("docs/datasets.md")["Ramps"](size=8)
    images, attributes = ramps.batch(torch.arange(len(ramps)))
    assert (images.shape, images.dtype) == ((64, 3, 8, 8), torch.float32)
    assert (attributes.shape, attributes.dtype) == ((64, 2), torch.float32)
    assert images.abs().max() == 1
    assert attributes.aminmax() == (0, 1)
    assert len(images[-4:].flatten(1).unique(dim=0)) == 4
    assert len(ramps.split("train")) + len(ramps.split("test")) == 64
    assert ramps.fingerprint() != executed("docs/datasets.md")["Ramps"](size=9).fingerprint()


def test_metric_guide() -> None:
    mean_cosine = executed("docs/metrics.md")["mean_cosine"]
    features = np.random.default_rng(0).standard_normal((5, 3))
    assert mean_cosine(features, 2 * features) == pytest.approx(1)
    assert mean_cosine(features, -features) == pytest.approx(-1)
    assert mean_cosine(features, np.zeros((5, 3))) == 0
    with pytest.raises(ValueError, match="must match"):
        mean_cosine(features, features[:4])


def test_leaderboard_guide() -> None:
    scores = executed("docs/leaderboard.md")["scores"]
    assert scores.keys() >= {0, 1, 2}


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_in_guides_exist(guide: str) -> None:
    """Every `bench` and `make` command has an implementation, and in shell blocks also options."""
    from bench.cli import main

    text = (ROOT / guide).read_text("utf-8")
    context = main.make_context("bench", ["list"], resilient_parsing=True)
    for name in re.findall(r"(?:^|`)bench ([a-z][a-z-]*)\b", text, re.MULTILINE):
        assert main.get_command(context, name), f"{guide}: bench {name}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", text, re.MULTILINE)) <= targets
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.replace("\\\n", " ")
        for name, arguments in re.findall(r"^bench ([a-z-]+)(.*)$", lines, re.MULTILINE):
            command = main.get_command(context, name)
            assert command is not None
            command.make_context(name, shlex.split(arguments, comments=True))
