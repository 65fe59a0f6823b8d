"""`bench list`: names by track, and what can be set; `test_main.py` has the plain lists."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from bench.catalog import entries
from bench.cli import main
from bench.resolve import load_method, load_track
from bench.settings import dataset_settings, settings_of


def listed(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["list", *arguments])


def test_methods_of_a_track() -> None:
    assert listed("methods", "--track", "conditional").stdout == "eigengan\ninfoscc\n"


def test_settings_of_a_method_have_values_by_preset_and_a_meaning() -> None:
    text = listed("settings", "--method", "contrafeat-pt").stdout
    assert text.startswith("contrafeat: ")
    assert "\n    track discovery\n" in text
    assert "\nnum_directions: a whole number of at least 2\n    default 30, small" in text
    found = json.loads(listed("settings", "--method", "crg", "--json").stdout)
    images = next(one for one in found["settings"] if one["name"] == "pggan.images")
    assert images["values"]["paper"] == 12_000_000
    assert images["about"] == "Training length, in real images shown."


def test_settings_of_a_dataset_come_with_what_it_holds(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = listed("settings", "--dataset", "digits").stdout
    assert "by default 1,797 images of 32 x 32 pixels, 1 channel; attributes" in text
    assert "\ndataset.size: a whole number\n    default 32\n" in text
    monkeypatch.setenv("BENCH_DATA", str(tmp_path_factory.mktemp("data")))
    absent = listed("settings", "--dataset", "celeba")
    assert "attributes are unknown: The dataset celeba is not in" in absent.stdout
    assert "dataset.split: official, stargan, attgan or icgan\n" in absent.stdout


def test_wrong_askings_are_answered() -> None:
    for arguments, message in (
        (("settings",), "by one of --method, --dataset and --track"),
        (("settings", "--method", "sefa", "--track", "discovery"), "by one of"),
        (("methods", "--dataset", "digits"), "--dataset goes with `bench list settings`"),
        (("datasets", "--track", "discovery"), "not with datasets"),
        (("methods", "--track", "discvery"), "did you mean discovery"),
    ):
        wrong = listed(*arguments)
        assert (wrong.exit_code, message in wrong.stderr) == (2, True), wrong.stderr


def test_every_setting_has_a_meaning_and_says_what_is_allowed() -> None:
    settings = [
        *(one for entry in entries("methods") for one in settings_of(load_method(entry.name))),
        *(one for entry in entries("tracks") for one in settings_of(load_track(entry.name))),
        *(one for entry in entries("datasets") for one in dataset_settings(entry.load())),
    ]
    assert [one.name for one in settings if not one.about or "any value" in one.allowed] == []
