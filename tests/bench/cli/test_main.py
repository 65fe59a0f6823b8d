from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.catalog import KINDS, entries
from bench.cli import _COMMANDS, main

HEAVY = ("torch", "torchvision", "accelerate", "sklearn", "scipy", "matplotlib")
HEAVIER_THAN_STUDENT = (*(name for name in HEAVY if name != "scipy"), "scipy.stats")
HEAVIER_THAN_HELP = (*HEAVY, "pydantic", "pandas", "numpy", "rich")
LOOK = """
import sys
from bench.cli import main
try:
    main({arguments!r})
except SystemExit as end:
    assert end.code == 0, end.code
print("imported:", *(name for name in {heavy!r} if name in sys.modules))
"""
RESULT = {
    "method": "sefa",
    "track": "discovery",
    "dataset": "shapes3d",
    "preset": "small",
    "seed": 0,
    "spec_hash": "0123456789",
    "status": "completed",
}


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVIER_THAN_HELP),
        (["--version"], HEAVIER_THAN_HELP),
        (["run", "--help"], HEAVIER_THAN_HELP),
        (["list", "methods"], HEAVIER_THAN_HELP),
        (["list", "generators", "--json"], HEAVIER_THAN_HELP),
        (["show", "0123456789"], HEAVY),
        (["leaderboard"], HEAVIER_THAN_STUDENT),
    ],
    ids=" ".join,
)
def test_looking_imports_nothing_heavy(
    arguments: list[str], heavy: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "discovery" / "shapes3d" / "sefa" / "small-s0-0123456789"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(RESULT))
    code = LOOK.format(arguments=arguments, heavy=heavy)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_help_lists_every_command_with_a_line() -> None:
    text = bench("--help").stdout
    for name in _COMMANDS:
        assert any(
            line.split()[:1] == [name] and len(line.split()) > 3 for line in text.splitlines()
        )


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_two_worked_examples(name: str) -> None:
    text = bench(name, "--help").stdout
    assert text.startswith(f"Usage: main {name}")
    examples = [line for line in text.splitlines() if line.strip().startswith(f"bench {name}")]
    assert len(examples) >= 2


def test_wrong_commands_and_options_are_answered_with_the_nearest() -> None:
    wrong = bench("leaderbord")
    assert wrong.exit_code == 2
    assert "no command 'leaderbord'. Did you mean leaderboard?" in wrong.stderr
    wrong = bench("run", "--metod", "sefa")
    assert wrong.exit_code == 2
    assert "--method" in wrong.stderr
    wrong = bench("list", "methds")
    assert wrong.exit_code == 2
    assert "did you mean methods" in wrong.stderr


def test_an_error_is_one_line_and_debug_shows_where() -> None:
    wrong = bench("run", "--method", "contrafet", "--dataset", "shapes3d")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1
    assert "did you mean contrafeat" in wrong.stderr
    shown = bench("--debug", "run", "--method", "contrafet", "--dataset", "shapes3d")
    assert type(shown.exception).__name__ == "UnknownName"


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_plain_names_when_not_on_a_terminal(kind: str) -> None:
    assert bench("list", kind).stdout.split("\n")[:-1] == [entry.name for entry in entries(kind)]
    records = json.loads(bench("list", kind, "--json").stdout)
    assert [record["name"] for record in records] == [entry.name for entry in entries(kind)]
