from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from bench.files import read_json_lines

TOY = ("--method", "toy_parts:ToyMethod", "--dataset", "toy_parts:ToyDataset")
SMOKE = (*TOY, "--preset", "smoke", "--device", "cpu")

pytestmark = pytest.mark.usefixtures("toys")


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_run_ends_with_a_row(tmp_path: Path) -> None:
    done = bench("run", *SMOKE, "--seeds", "0..1", "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "| toy_parts:ToyMethod |" in done.stdout
    assert "fun" in done.stdout
    assert done.stderr.count("smoke-s") == 2
    again = bench("run", *SMOKE, "--seeds", "1", "--out", tmp_path, "--json")
    assert [record["seed"] for record in json.loads(again.stdout)] == [1]


def test_divergence_exits_3_and_a_fault_1(tmp_path: Path) -> None:
    diverged = bench("run", *SMOKE, "--set", "rate=1e30", "--out", tmp_path)
    assert diverged.exit_code == 3
    assert "Training diverged" in diverged.stderr
    assert "diverged" in diverged.stdout
    failed = bench("run", *SMOKE, "--set", "fault=true", "--out", tmp_path)
    assert failed.exit_code == 1
    assert "Error: The run failed (KeyError: 'the spring is broken')" in failed.stderr
    assert "Traceback" not in failed.stderr
    both = bench("run", *SMOKE, "--set", "fault=true", "--seeds", "0,1", "--out", tmp_path)
    assert both.exit_code == 1
    assert both.stderr.count("Error: toy_parts") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "shapes3d"], "--method is missing"),
        ([*SMOKE, "--set", "stesp=1"], "did you mean steps"),
        ([*SMOKE, "--set", "steps"], "not of the form key=value"),
        ([*SMOKE, "--seeds", "2..0"], "is empty"),
        ([*SMOKE, "--limit", "0"], "--limit"),
        ([*SMOKE, "--on-bad-image", "skip"], "no option of the dataset"),
    ],
)
def test_wrong_input_exits_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    wrong = bench("run", *arguments, "--out", tmp_path)
    assert wrong.exit_code == 2
    assert message in wrong.stderr
    assert not list(tmp_path.iterdir())


def test_what_a_track_cannot_evaluate_is_told_before_training(tmp_path: Path) -> None:
    editing = ("run", "--method", "stargan", "--preset", "smoke", "--out", tmp_path)
    for arguments, message in (
        (("--dataset", "shapes3d"), "binary attributes, and shapes3d has factors of many values"),
        (("--predictor", "digits"), "but not Black_Hair, Blond_Hair"),
        (("--limit", "1"), "needs more samples than --limit 1 leaves"),
        (("--limit", "3", "--set", "track.inception_splits=4"), "has 3 test images"),
    ):
        wrong = bench(*editing, *arguments)
        assert (wrong.exit_code, message in wrong.stderr) == (2, True), wrong.stderr
    (planned,) = json.loads(bench("plan", *editing[1:], "--dataset", "shapes3d", "--json").stdout)
    assert "binary attributes" in planned["obstacles"][0]
    assert planned["steps"] == 6
    assert not list(tmp_path.rglob("checkpoint"))


def test_a_config_file_says_the_same_and_the_command_line_wins(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        'method = "toy_parts:ToyMethod"\ndataset = "toy_parts:ToyDataset"\n'
        'preset = "paper"\nseeds = "0..3"\n[set]\nsteps = 7\ntrack.samples = 4\n'
    )
    options = ("--config", config, "--seeds", "2", "--set", "track.samples=3", "--out", tmp_path)
    (plan,) = json.loads(bench("plan", *options, "--json").stdout)
    assert plan["spec"]["seed"] == 2
    assert plan["spec"]["preset"] == "paper"
    assert plan["steps"] == 7
    assert plan["spec"]["track_options"] == {"samples": 3}
    for text, message in (
        ("metod = 'sefa'", "did you mean method"),
        ("method = 3\ndataset = 'shapes3d'", "method is text, not 3"),
        (
            "method = 'sefa'\ndataset = 'shapes3d'\nlimit = 0",
            "limit is a whole number above 0, not 0",
        ),
        ("set = 3", "has to be a table"),
    ):
        config.write_text(text)
        wrong = bench("run", "--config", config)
        assert wrong.exit_code == 2
        assert message in wrong.stderr


def test_a_plan_reads_well_and_starts_nothing(tmp_path: Path) -> None:
    done = bench("plan", *TOY, "--out", tmp_path / "runs")
    assert done.exit_code == 0
    assert "40 steps (play 40)" in done.stdout
    assert "time        unknown" in done.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("dataset", ["celeba", "mnist"])
def test_a_plan_lists_everything_that_is_missing(dataset: str, tmp_path: Path) -> None:
    data, predictor, generator, checkpoint = (
        tmp_path / name for name in ("data", "p.safetensors", "g.pkl", "c.pt")
    )
    files = ("--predictor", predictor, "--generator", generator, "--checkpoint", checkpoint)
    arguments = ("--method", "stargan", "--dataset", dataset, "--data", data, *files)
    options = (*arguments, "--out", tmp_path / "runs")
    done = bench("plan", *options)
    assert done.exit_code == 0, done.stderr
    obstacles = [line for line in done.stdout.splitlines() if line.startswith("  obstacle ")]
    for path, remedy, line in zip(
        (data, generator, predictor, checkpoint),
        ("", "give --generator", "bench train-predictor", "by --checkpoint"),
        obstacles,
        strict=True,
    ):
        assert str(path) in line
        assert remedy in line
    assert "named anew once all files are there" in done.stdout
    assert "training    unknown" in done.stdout
    refused = bench("run", *options)
    assert refused.exit_code == 2
    assert str(data) in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_plan_without_the_data_says_what_length_is_set(tmp_path: Path) -> None:
    options = ("--dataset", "celeba", "--preset", "paper", "--data", tmp_path / "no")
    for method, length in (("stargan", "200,000 iterations"), ("attgan", "200 epochs")):
        done = bench("plan", "--method", method, *options, "--out", tmp_path)
        assert f"training    {length} are set; the steps are unknown" in done.stdout
    (found,) = json.loads(bench("plan", "--method", "stargan", *options, "--json").stdout)
    assert (found["steps"], len(found["obstacles"])) == (None, 1)


def test_a_plan_lists_the_weights_that_variants_of_an_extractor_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for extractor in ("inception-v3-tf", "inception-v3-tf:clean"):
        arguments = (*TOY, "--extractor", extractor, "--out", tmp_path / "runs", "--json")
        ((need,),) = [plan["needs"] for plan in json.loads(bench("plan", *arguments).stdout)]
        assert (need["name"], need["present"]) == ("inception-v3-tf", False)


def test_the_paper_preset_says_what_it_costs(tmp_path: Path) -> None:
    paper = (*TOY, "--preset", "paper", "--set", "steps=3", "--device", "cpu")
    table = tmp_path / "toys.toml"
    table.write_text(
        f'[[grid]]\nmethods = ["{TOY[1]}"]\ndatasets = ["{TOY[3]}"]\n'
        'presets = ["paper", "smoke"]\nset = { steps = 3 }\n'
    )
    for command in (("run", *paper), ("sweep", table, "--device", "cpu")):
        done = bench(*command, "--out", tmp_path / command[0])
        assert done.exit_code == 0
        assert done.stderr.count("takes 3 training steps; expected time: unknown") == 1
        assert done.stderr.count("meant for a GPU") == 1


def test_a_sweep_ends_with_one_table_and_can_be_called_again(tmp_path: Path) -> None:
    table = tmp_path / "toys.toml"
    table.write_text(
        '[[grid]]\nmethods = ["toy_parts:ToyMethod"]\ndatasets = ["toy_parts:ToyDataset"]\n'
        'presets = ["smoke"]\nseeds = "0..1"\n'
        '[[grid]]\nmethods = ["toy_parts:ToyMethod"]\ndatasets = ["toy_parts:ToyDataset"]\n'
        'presets = ["smoke"]\nset = { rate = 1e30 }\n'
    )
    sweep = ("sweep", table, "--device", "cpu", "--out", tmp_path / "runs")
    lost = bench(*sweep, "--table", tmp_path / "absent" / "table.md")
    assert (lost.exit_code, "no folder" in lost.stderr) == (2, True)
    done = bench(*sweep, "--table", tmp_path / "table.md")
    assert done.exit_code == 3
    assert (tmp_path / "table.md").read_text() == done.stdout
    assert "[2/3] toy_parts:ToyMethod on toy_parts:ToyDataset (smoke, seed 1): completed" in (
        done.stderr
    )
    assert "[3/3]" in done.stderr
    assert done.stdout.count("### ") == 1
    logs = {path: read_json_lines(path) for path in (tmp_path / "runs").rglob("log.jsonl")}
    again = bench(*sweep)
    assert again.stdout == done.stdout
    assert {path: read_json_lines(path) for path in logs} == logs
