from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.spec import RunSpec, check_keys, merged, parse_assignments, parse_seeds, read_toml


def spec(**changes: Any) -> RunSpec:
    fields = {
        "method": "contrafeat",
        "track": "discovery",
        "dataset": "shapes3d",
        "generator": "shapes3d-stylegan2",
        "config": {"directions": 10, "rate": 0.1},
        "track_options": {"samples": 100},
    }
    return RunSpec.model_validate({**fields, **changes})


def test_values_follow_the_rules_of_toml_and_words_need_no_quotes() -> None:
    values = parse_assignments(
        ["a=3", "b=0.5", "c=true", "d=[1, 2]", 'e="3"', "f=binary", "track.scale=1e-2", "g=a=b"]
    )
    assert values == {
        "a": 3,
        "b": 0.5,
        "c": True,
        "d": [1, 2],
        "e": "3",
        "f": "binary",
        "track": {"scale": 0.01},
        "g": "a=b",
    }


@pytest.mark.parametrize("wrong", [["a"], ["=1"], ["a..b=1"], ["a=1", "a=2"], ["a=1", "a.b=2"]])
def test_wrong_assignments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(BenchError, match="--set"):
        parse_assignments(wrong)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("4", (4,)), ("0..2", (0, 1, 2)), ("0,3", (0, 3)), ("0..1, 7..8", (0, 1, 7, 8))],
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("wrong", ["", "a", "1-3", "3..1", "-1", "0,0", "0..2,1", "1..", "1.5"])
def test_wrong_seeds_are_refused(wrong: str) -> None:
    with pytest.raises(BenchError, match="--seeds"):
        parse_seeds(wrong)


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(BenchError, match="no setting of m 'stesp'; did you mean steps"):
        check_keys(["steps", "stesp"], ["steps", "rate"], "setting of m")
    with pytest.raises(BenchError, match="there are: steps, rate"):
        check_keys(["zzz"], ["steps", "rate"], "setting")


def test_nested_dictionaries_merge() -> None:
    low = {"a": 1, "track": {"x": 1, "y": 2}}
    assert merged(low, {"track": {"y": 3}, "b": 4}) == {
        "a": 1,
        "b": 4,
        "track": {"x": 1, "y": 3},
    }


def test_the_folder_says_what_the_run_is() -> None:
    run = spec(seed=2)
    assert run.folder.as_posix() == f"discovery/shapes3d/contrafeat/small-s2-{run.hash}"
    assert len(run.hash) == 10
    path = spec(method="my.module:Thing").folder
    assert path.parts[2] == "my.module_Thing"


def test_the_hash_stands_for_what_decides_the_numbers() -> None:
    base = spec().hash
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"preset": "paper"},
        {"generator": "other"},
        {"predictor": "other"},
        {"config": {"directions": 11, "rate": 0.1}},
        {"track_options": {"samples": 50}},
        {"dataset_options": {"size": 32}},
        {"limit": 10},
        {"precision": "bfloat16"},
        {"contents": {"data": "f" * 64}},
    ]
    hashes = {spec(**change).hash for change in changes}
    assert len(hashes) == len(changes)
    assert base not in hashes


def test_places_and_spelling_do_not_change_the_hash() -> None:
    assert spec(data="/somewhere").hash == spec(data="/elsewhere").hash == spec().hash
    assert spec(overrides={"rate": 0.1}).hash == spec().hash
    reordered = spec(config={"rate": 0.1, "directions": 10})
    assert reordered.hash == spec().hash
    one, other = (spec(generator=g, contents={"generator": "a"}) for g in ("x.pkl", "y.pkl"))
    assert one.hash == other.hash != spec(generator="x.pkl", contents={"generator": "b"}).hash


@given(st.integers(0, 2**40), st.sampled_from(["smoke", "small", "paper"]))
def test_a_spec_survives_json(seed: int, preset: str) -> None:
    run = spec(seed=seed, preset=preset, overrides={"rate": 0.1})
    again = RunSpec.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.hash == run.hash


def test_broken_toml_is_named(tmp_path: Any) -> None:
    path = tmp_path / "c.toml"
    path.write_text("method = = 1\n")
    with pytest.raises(BenchError, match=r"c\.toml is not valid TOML.*line 1"):
        read_toml(path)
    with pytest.raises(BenchError, match="cannot be read"):
        read_toml(tmp_path / "absent.toml")
