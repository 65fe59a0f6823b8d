from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from bench.errors import BenchError, MissingFile
from bench.plan import plan
from bench.resolve import RunRequest, resolve
from bench.running import RunOptions, execute
from bench.sweep import execute_all, exit_code, read_table
from leaderboard.reported import load_reported
from leaderboard.schema import Result
from leaderboard.store import write_result

TOY = RunRequest("toy_parts:ToyMethod", "toy_parts:ToyDataset", "smoke")
GRID = """
[[grid]]
methods = ["toy_parts:ToyMethod"]
datasets = ["toy_parts:ToyDataset"]
presets = ["smoke", "small"]
seeds = "0..1"
[grid.set]
rate = 0.5

[[grid]]
methods = ["toy_parts:ToyMethod"]
datasets = ["toy_parts:ToyDataset"]
presets = ["smoke"]
seeds = 1
set = { rate = 0.5 }
"""

TABLES = Path(__file__).parents[2] / "tables"
RUNS = Path("runs")

# A discovery run, and one that learns from it.
ALONG = """
[[grid]]
methods = ["sefa"]
datasets = ["shapes3d"]
presets = ["smoke"]
seeds = "0..1"

[[grid]]
methods = ["group-vae"]
datasets = ["shapes3d"]
presets = ["smoke"]
seeds = "0..1"
directions = "discovery/shapes3d/sefa"
"""

pytestmark = pytest.mark.usefixtures("toys")


def table(folder: Path, text: str) -> Path:
    path = folder / "table.toml"
    path.write_text(text)
    return path


def test_a_grid_is_a_product_and_no_run_comes_twice(tmp_path: Path) -> None:
    specs = read_table(table(tmp_path, GRID), tmp_path).specs
    assert [(spec.preset, spec.seed) for spec in specs] == [
        ("smoke", 0),
        ("smoke", 1),
        ("small", 0),
        ("small", 1),
    ]
    assert all(spec.config["rate"] == 0.5 for spec in specs)
    assert len({spec.hash for spec in specs}) == 4


def test_the_main_table_names_what_exists() -> None:
    specs = read_table(TABLES / "discovery.toml", RUNS).specs
    assert len(specs) == 33
    assert {spec.track for spec in specs} == {"discovery"}


@pytest.mark.parametrize(
    ("number", "runs", "unreported"),
    [
        (1, 6, set()),
        (2, 8, {"subspace 8", "subspace 16", "subspace 30 of 64", "subspace 64"}),
        (4, 6, {"", "no attention"}),
        (5, 5, set()),
        (6, 5, set()),
        (7, 8, set()),
    ],
)
def test_ablations_share_the_main_table_s_runs_and_name_what_papers_report(
    number: int, runs: int, unreported: set[str]
) -> None:
    found = read_table(TABLES / f"contrafeat-table{number}.toml", RUNS)
    main = {spec.hash for spec in read_table(TABLES / "discovery.toml", RUNS).specs}
    assert len(found.specs) == runs
    assert {spec.seed for spec in found.specs} == {0}
    plain = {spec.hash for spec in found.specs if not spec.overrides}
    assert plain & main
    assert not {spec.hash for spec in found.specs if spec.overrides} & main
    known = {(one.method, one.variant) for one in load_reported() if one.table in found.reported}
    methods = [spec.method for spec in found.specs]
    named = set(zip(methods, found.variants, strict=True))
    assert {variant for _, variant in named - known} == unreported


def test_baselines_with_and_without_attention_differ_in_nothing_else() -> None:
    found = read_table(TABLES / "contrafeat-table4.toml", RUNS)
    configs = {spec.method: spec.config for spec in found.specs}
    for name in ("recognition", "latentclr"):
        one, other = configs[name], configs[f"{name}+att"]
        changed = {key for key in one if one[key] != other[key]}
        assert changed - {"random_init"} == {"attention"}  # directions in a subspace ignore it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no"),
        ("reported = 'Table 7'\n[[grid]]\nmethods = ['sefa']\n", "no list of tables"),
        ("reported = ['Tabel 7']\n[[grid]]\nmethods = ['sefa']\n", "did you mean Table"),
        ("[[gird]]\n", "did you mean grid"),
        ("include = 'all.toml'\n", "include in .*table.toml is no list of tables"),
        ("include = ['table.toml']\n", "table.toml includes itself"),
        ("include = ['none.toml']\n", "none.toml cannot be read"),
        ("grid = [1]\n", "has no"),
        (
            "[[grid]]\nmethods = []\ndatasets = ['shapes3d']\n",
            r"methods is a list of at least 1 .*, not \[\]",
        ),
        ("[[grid]]\nmethods = 'sefa'\ndatasets = ['shapes3d']\n", "methods is a list.*each text"),
        ("[[grid]]\nmethod = ['sefa']\n", "did you mean methods"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        read_table(table(tmp_path, text), tmp_path)


def test_tables_take_in_others_before_their_own_grids(tmp_path: Path) -> None:
    (tmp_path / "main.toml").write_text(GRID)
    own = "include = ['main.toml']\n" + GRID.replace('"0..1"', "5", 1).replace("1\n", "0\n")
    specs = read_table(table(tmp_path, own), tmp_path).specs
    assert [(spec.preset, spec.seed) for spec in specs] == [
        *(("smoke", 0), ("smoke", 1), ("small", 0), ("small", 1)),
        *(("smoke", 5), ("small", 5)),
    ]


def test_directions_may_be_of_runs_before_them_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *found, first, second = read_table(table(tmp_path, ALONG), tmp_path).specs
    sefa = [tmp_path / spec.folder for spec in found]
    assert [Path(spec.directions or "") for spec in (first, second)] == sefa
    with pytest.raises(MissingFile, match=r"There is no run .*; give --directions"):
        read_table(table(tmp_path, ALONG.partition("\n\n")[2]), tmp_path)
    record = Result(
        **found[0].model_dump(include={"method", "track", "dataset", "preset", "seed"}),
        spec_hash=found[0].hash,
        status="diverged",
        message="It grew.",
    )
    write_result(sefa[0] / "result.json", record)
    (sefa[0] / "spec.json").write_text(found[0].model_dump_json())
    # What is there already and not completed does not keep the table from being read.
    again = read_table(table(tmp_path, ALONG), tmp_path).specs[2]
    assert again.directions == str(sefa[0])
    options = RunOptions(tmp_path, device="cpu", quiet=True)
    failed = list(execute_all([again, second], options))
    assert [outcome.exit_code for outcome in failed] == [2, 2]
    assert str(failed[0].error) == (
        f"The run in {sefa[0]} is diverged; give one that is completed."
    )
    completed = {"status": "completed", "message": "", "protocol": {"edit_scale": 0.5}}
    write_result(sefa[0] / "result.json", record.model_copy(update=completed))
    monkeypatch.setattr("bench.sweep.execute", lambda spec, _: None)
    (outcome,) = execute_all([again], options)
    assert outcome.spec.overrides == {"directions": "sefa"}
    assert len(outcome.spec.contents["directions"]) == 64


def test_one_run_stops_no_other(tmp_path: Path) -> None:
    specs = [
        resolve(replace(TOY, settings=settings), 0)
        for settings in ({"fault": True}, {"rate": 1e30}, {"rate": -1}, {})
    ]
    options = RunOptions(tmp_path, device="cpu", quiet=True)
    outcomes = list(execute_all(specs, options))
    assert [outcome.exit_code for outcome in outcomes] == [1, 3, 2, 0]
    assert exit_code(outcomes) == 1
    assert exit_code(outcomes[1:]) == 2
    assert exit_code(outcomes[3:]) == 0


def test_processes_share_the_work_and_find_the_same_numbers(tmp_path: Path) -> None:
    specs = [resolve(TOY, 0), resolve(replace(TOY, settings={"rate": -1}), 0), resolve(TOY, 1)]
    options = RunOptions(tmp_path / "many", device="cpu", quiet=True)
    get_reusable_executor().shutdown()  # workers of an earlier test do not know the toys' folder
    outcomes = list(execute_all(specs, options, jobs=2))
    assert [outcome.spec for outcome in outcomes] == specs
    assert "A toy learns forwards" in str(outcomes[1].error)
    alone = RunOptions(tmp_path / "one", device="cpu", quiet=True)
    for outcome in (outcomes[0], outcomes[2]):
        assert outcome.result is not None
        assert outcome.result.metrics == execute(outcome.spec, alone).metrics


def test_a_plan_says_what_is_known_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan(resolve(TOY, 0), tmp_path)
    assert (first.state, first.steps, first.seconds) == ("new", 5, None)
    assert first.stages == (("play", 5),)
    assert first.needs == ()
    assert not list(tmp_path.iterdir())
    result = execute(resolve(TOY, 0), RunOptions(tmp_path, device="cpu", quiet=True))
    assert plan(resolve(TOY, 0), tmp_path).state == "finished"
    same = plan(resolve(TOY, 1), tmp_path)
    assert (same.state, same.seconds) == ("new", result.seconds)
    assert "mean of 1 such run" in same.basis
    other = plan(resolve(replace(TOY, settings={"steps": 50}), 0), tmp_path)
    assert other.seconds == pytest.approx(10 * result.seconds)
    longer = plan(resolve(replace(TOY, preset="small"), 0), tmp_path)
    assert longer.seconds is None
    assert longer.basis.startswith("no small run of this method")
    monkeypatch.setattr("bench.plan.RECORDS", tmp_path)
    elsewhere = plan(resolve(TOY, 1), tmp_path / "elsewhere")
    assert (elsewhere.seconds, elsewhere.basis[-9:]) == (result.seconds, "the suite")


def test_a_plan_says_how_much_of_an_interrupted_run_remains(tmp_path: Path) -> None:
    spec = resolve(TOY, 0)
    (tmp_path / spec.folder / "checkpoint" / "00-00000003").mkdir(parents=True)
    found = plan(spec, tmp_path)
    assert (found.state, found.steps, found.remaining) == ("continues", 5, 2)
    (tmp_path / spec.folder / "checkpoint" / "01-00000000").mkdir()
    assert plan(spec, tmp_path).remaining == 0
    assert plan(resolve(TOY, 1), tmp_path).remaining is None


def test_what_is_absent_makes_another_run(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "p.safetensors"
    request = replace(TOY, dataset="celeba", data=data, predictor=str(file))
    spec = resolve(request, 0, allow_absent=True)
    assert spec.contents.items() >= {"data": "absent", "predictor": "absent"}.items()
    with pytest.raises(MissingFile, match="There is no folder"):
        resolve(request, 0)
    with pytest.raises(MissingFile, match="There is no file"):
        resolve(replace(TOY, predictor=str(file)), 0)


def test_a_plan_names_the_files_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    found = plan(resolve(RunRequest("contrafeat", "ffhq", "paper"), 0), tmp_path)
    assert {need.name for need in found.needs} == {"stylegan2-ffhq-1024", "alexnet"}
    assert not any(need.present for need in found.needs)
    assert all(str(tmp_path) in need.path for need in found.needs)
    assert (found.stages, found.seconds) == (None, None)
    assert "predictor" in found.track_needs
    assert found.spec.predictor is None
