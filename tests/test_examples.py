"""What the guides show works: their code blocks are taken out of the text and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
GUIDES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))]
# Kinds of the catalog, by the option or argument that takes a name of one.
NAMED = {
    "method": "methods",
    "dataset": "datasets",
    "generator": "generators",
    "predictor": "predictors",
    "extractor": "extractors",
    "track": "tracks",
}


def code_blocks(guide: str, language: str = "python") -> list[str]:
    """The blocks of a language in a guide."""
    text = (ROOT / guide).read_text("utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, f"{guide} has no block of {language}"
    return found


def code_block(guide: str, language: str = "python") -> str:
    """The first of them."""
    return code_blocks(guide, language)[0]


def executed(guide: str) -> dict[str, Any]:
    """The names that a guide's blocks leave."""
    module = ModuleType("example")
    exec(compile("\n".join(code_blocks(guide)), guide, "exec"), module.__dict__)
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


def test_python_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.tracks.discovery.draw_figures", lambda *_: [])
    names = executed("docs/python.md")
    assert names["result"].status == "completed"
    assert names["result"].overrides == {"num_directions": 4, "track.protocol": "released"}
    assert names["mine"] == [names["result"]]
    assert (names["folder"] / "result.json").is_file()
    assert f"print(message)  # {names['message']}" in code_blocks("docs/python.md")[2]
    assert {"contrafeat", "sefa"} <= set(names["table"].index)
    assert names["table"]["count"].min() >= 3
    assert "completed" in capsys.readouterr().out


def test_the_citation_is_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_in_guides_exist(guide: str) -> None:
    """Every `bench` and `make` command has an implementation, in shell blocks also its options."""
    from bench.catalog import lookup
    from bench.cli import main

    text = (ROOT / guide).read_text("utf-8")
    context = main.make_context("bench", ["list"], resilient_parsing=True)
    for name in re.findall(r"(?:^|`)bench ([a-z][a-z-]*)\b", text, re.MULTILINE):
        assert main.get_command(context, name), f"{guide}: bench {name}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", text, re.MULTILINE)) <= targets
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        lines = block.replace("\\\n", " ")
        for line in re.findall(r"^bench (.*)$", lines, re.MULTILINE):
            for option, value in asked(main, line).items():
                if option in NAMED and isinstance(value, str) and "." not in value:
                    lookup(NAMED[option], value)


def asked(group: click.Group, line: str) -> dict[str, Any]:
    """What a line of a shell asks a command for, by option, as click understands it."""
    words = shlex.split(re.split(r"\s[>|]\s", line)[0], comments=True)
    command = group.get_command(click.Context(group), words[0])
    assert command is not None, line
    if isinstance(command, click.Group):
        return asked(command, shlex.join(words[1:]))
    return command.make_context(words[0], words[1:]).params
