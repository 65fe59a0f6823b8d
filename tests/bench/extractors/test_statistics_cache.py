"""The cache of features: what its entries depend on, and what happens to damaged ones."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bench.cli.cache import command
from bench.extractors.features import FeatureStatistics
from bench.extractors.statistics_cache import CacheWarning, cached_statistics
from tests.bench.extractors.toy import Noise, Quarters


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache/bench/features"


def assert_equal(one: FeatureStatistics, other: FeatureStatistics) -> None:
    assert (one.extractor, one.weights, one.count) == (other.extractor, other.weights, other.count)
    for name in ("mean", "covariance", "pooled", "logits"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None and second is None) or torch.equal(first, second)


def test_a_dataset_is_seen_once(folder: Path) -> None:
    extractor, dataset = Quarters(), Noise(9)
    first = cached_statistics(dataset, extractor, keep=("pooled", "logits"))
    passes = len(extractor.passes)
    again = cached_statistics(dataset, extractor, keep=("pooled", "logits"))
    assert_equal(first, again)
    moments = cached_statistics(dataset, extractor)
    assert moments.pooled is None
    assert torch.equal(moments.covariance, first.covariance)
    cached_statistics(dataset, extractor, torch.arange(9))
    assert len(extractor.passes) == passes
    assert [path.name for path in folder.iterdir()] == [
        path.name for path in folder.glob("noise-quarters-9-*.safetensors")
    ]


def test_what_is_lacking_is_added_and_nothing_lost(folder: Path) -> None:
    extractor = Quarters()
    cached_statistics(Noise(9), extractor, keep=("logits",))
    fuller = cached_statistics(Noise(9), extractor, keep=("pooled",))
    assert len(extractor.passes) == 2
    both = cached_statistics(Noise(9), extractor, keep=("pooled", "logits"))
    assert len(extractor.passes) == 2
    assert_equal(both, fuller)
    assert len(list(folder.iterdir())) == 1


def test_whatever_changes_the_numbers_makes_another_entry(folder: Path) -> None:
    class Resized(Quarters):
        resizer = "another"

    class Named(Quarters):
        name = "quarters:bf16"

    cached_statistics(Noise(9), Quarters())
    cached_statistics(Noise(9, seed=1), Quarters())
    cached_statistics(Noise(9), Quarters("e" * 64))
    cached_statistics(Noise(9), Resized())
    cached_statistics(Noise(9), Named())
    cached_statistics(Noise(9), Quarters(), torch.arange(8))
    cached_statistics(Noise(9), Quarters(), torch.arange(9).flip(0))
    assert len(list(folder.iterdir())) == 7
    assert {path.name for path in folder.glob("noise-quarters_bf16-9-*")}


@pytest.mark.parametrize("damage", ["cut", "flipped", "exchanged", "emptied"])
def test_a_damaged_entry_is_computed_anew_with_a_warning(folder: Path, damage: str) -> None:
    whole = cached_statistics(Noise(9), Quarters(), keep=("pooled",))
    (path,) = folder.iterdir()
    content = path.read_bytes()
    if damage == "exchanged":
        cached_statistics(Noise(9, seed=1), Quarters(), keep=("pooled",))
        (other,) = set(folder.iterdir()) - {path}
        path.write_bytes(other.read_bytes())
    else:
        flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        path.write_bytes({"cut": content[:-5], "flipped": flipped, "emptied": b""}[damage])
    with pytest.warns(CacheWarning, match=r"noise-quarters-9-\w+\.safetensors cannot be used"):
        again = cached_statistics(Noise(9), Quarters(), keep=("pooled",))
    assert_equal(whole, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(whole, cached_statistics(Noise(9), Quarters(), keep=("pooled",)))


def test_a_cache_that_cannot_be_written_takes_nothing_away(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    with pytest.warns(CacheWarning, match="Features were not kept for later"):
        assert cached_statistics(Noise(9), Quarters()).count == 9


def test_the_command_shows_and_clears_entries(folder: Path) -> None:
    cached_statistics(Noise(9), Quarters())
    cached_statistics(Noise(9), Quarters(), torch.arange(5))
    shown = CliRunner().invoke(command, ["ls"]).stdout
    assert shown.count("  features/noise-quarters-") == 2
    assert CliRunner().invoke(command, ["rm", "--yes", "features/*-quarters-5-*"]).exit_code == 0
    assert [path.name[:17] for path in folder.iterdir()] == ["noise-quarters-9-"]
    assert CliRunner().invoke(command, ["rm", "--yes", "features/*"]).exit_code == 0
    assert not list(folder.iterdir())
    assert CliRunner().invoke(command, ["rm", "--yes", "features/*"]).exit_code == 1
