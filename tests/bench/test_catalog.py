from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench import catalog
from bench.catalog import KINDS, PluginWarning, entries, lookup
from bench.errors import BenchError, UnknownName


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        catalog,
        "entry_points",
        lambda group: [point for point in points if point.group == group],
    )
    catalog._plugins.cache_clear()
    yield points
    catalog._plugins.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_every_built_in_line_leads_to_something(kind: str) -> None:
    assert entries(kind)
    for entry in entries(kind):
        assert entry.load() is not None
        assert entry.title


def test_names_and_aliases_are_unique() -> None:
    for kind in KINDS:
        names = [name for entry in entries(kind) for name in (entry.name, *entry.aliases)]
        assert len(names) == len(set(names))


def test_what_datasets_imply_exists() -> None:
    for entry in entries("datasets"):
        if entry.generator:
            lookup("generators", entry.generator)
        if entry.predictor:
            lookup("predictors", entry.predictor)


def test_an_alias_leads_to_the_same_entry() -> None:
    assert lookup("methods", "contrafeat-pt") is lookup("methods", "contrafeat")


def test_wrong_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no method 'contrafet'; did you mean contrafeat"):
        lookup("methods", "contrafet")
    with pytest.raises(UnknownName, match="did you mean efficientnet-lite0"):
        lookup("extractors", "efficientnet-lite1:fast")  # a name's own colon makes it no path
    with pytest.raises(UnknownName, match="did you mean methods"):
        entries("method")


def test_a_class_path_names_a_file_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "third_party_thing.py").write_text("class Thing:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    entry = lookup("methods", "third_party_thing:Thing")
    assert entry.load().__name__ == "Thing"
    sys.modules.pop("third_party_thing")


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("no_such_module_here:Thing", "cannot be imported .No module named"),
        ("bench.errors:Nothing", "cannot be loaded: .* has no attribute 'Nothing'"),
    ],
)
def test_a_path_to_nothing_is_one_sentence(target: str, fault: str) -> None:
    with pytest.raises(BenchError, match=fault):
        lookup("methods", target).load()


def test_plugins_join_and_a_broken_one_is_named_and_left_out(plugins: list[EntryPoint]) -> None:
    plugins += [
        EntryPoint("good", "bench.errors:BenchError", "bench.methods"),
        EntryPoint("gone", "no_such_package.methods:Gone", "bench.methods"),
        EntryPoint("odd", "just words", "bench.methods"),
        EntryPoint("sefa", "bench.errors:BenchError", "bench.methods"),
        EntryPoint("elsewhere", "bench.errors:BenchError", "bench.datasets"),
    ]
    with pytest.warns(PluginWarning) as warned:
        names = [entry.name for entry in entries("methods")]
    assert "good" in names
    assert not {"gone", "odd", "elsewhere"} & set(names)
    assert lookup("methods", "good").load() is BenchError
    assert lookup("methods", "sefa").target == "baselines.sefa:SeFa"
    messages = " ".join(str(one.message) for one in warned)
    assert "'gone'" in messages
    assert "no module 'no_such_package'" in messages
    assert "'odd'" in messages
    assert "'sefa'" in messages


def test_a_plugin_that_fails_on_import_is_blamed(
    plugins: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_plugin.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.append(EntryPoint("failing", "failing_plugin:X", "bench.methods"))
    entry = lookup("methods", "failing")
    with pytest.raises(BenchError, match=r"failing \(from the package unknown\).*not_installed"):
        entry.load()
