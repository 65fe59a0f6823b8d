"""Numbers from papers: all of them load, and a wrong entry is named."""

from __future__ import annotations

import pytest

from leaderboard.reported import load_reported, read_reported

SOURCE = """
paper = "A Paper"
citation = "Somebody, 2020"
url = "https://example.org"
track = "discovery"

[[tables]]
table = "Table 1"
origin = "paper"
dataset = "ffhq"
protocol = "single runs"
identity = { directions = 30 }
rows = [
  { method = "sefa", values = { s_disen = 0.3, n_discov = 9 }, spread = { s_disen = 0.01 } },
  { method = "ganspace", variant = "centred", values = { s_disen = 0.2 } },
]
"""


def test_contrafeat_as_its_sources_print_it():
    numbers = [number for number in load_reported() if "ContraFeat" in number.paper]
    assert len(numbers) == 96
    found = {
        (number.table, number.method, number.variant, number.metric): number for number in numbers
    }
    assert len(found) == len(numbers)
    mask = found["Table 7", "contrafeat-bi", "L2 mask", "s_disen"]
    assert (mask.value, mask.origin, mask.dataset) == (0.357, "paper", "ffhq")
    assert found["Table 8", "contrafeat", "no focus", "contrafeat_loss_pure"].value == -0.2378
    sweep = found["eval_nav_nb_div_compare.ipynb", "contrafeat", "lambda 0", "n_discov"]
    assert (sweep.value, sweep.origin) == (12, "authors-notebook")
    assert sweep.identity["directions"] == 30


def test_crg_as_it_prints_its_tables_with_errors_that_no_one_scale_has():
    numbers = [one for one in load_reported() if one.track == "reconstruction"]
    assert len(numbers) == 4 + 8 * 5
    found = {(one.method, one.variant, one.metric): one for one in numbers}
    assert found["crg", "128 latents", "fid"].value == 9.4
    assert found["alpha-gan", "", "whash"].value == 0.855
    for method in {one.method for one in numbers if one.metric == "mse"}:
        error = found[method, "", "mse"]
        assert error.value < found[method, "", "mae"].value ** 2
        assert "cannot be on one scale" in error.protocol


def test_infoscc_with_the_fid_that_stands_twice():
    numbers = [one for one in load_reported() if "InfoSCC" in one.paper]
    assert len(numbers) == (2 + 5) + (2 + 10) + (2 + 15) + 6 * 3 + 2
    found = {(one.table, one.method, one.variant, one.metric): one for one in numbers}
    assert len(found) == len(numbers)
    accuracy = found["Table 3", "infoscc", "15 attributes", "own_control_accuracy:Narrow_Eyes"]
    assert (accuracy.value, accuracy.dataset) == (0.7422, "celeba")
    best = "discriminator=patch, loss=lsgan"
    assert found["Table 4", "infoscc", best, "tsne_chamfer:own.infoscc"].value == 3645
    doubtful = [one for one in numbers if one.metric == "fid" and one.value == 29.02]
    assert {one.method for one in doubtful} == {"infoscc", "eigengan"}
    assert "copying error" in doubtful[-1].protocol


def test_rows_become_numbers(tmp_path):
    path = tmp_path / "paper.toml"
    path.write_text(SOURCE)
    numbers = read_reported(path)
    assert [(one.method, one.metric, one.value, one.spread) for one in numbers] == [
        ("sefa", "s_disen", 0.3, 0.01),
        ("sefa", "n_discov", 9.0, None),
        ("ganspace", "s_disen", 0.2, None),
    ]
    assert numbers[2].variant == "centred"
    assert load_reported(tmp_path) == numbers


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("s_disen = 0.2", 's_disen = "0.2"', "Table 1, ganspace, centred: .*valid number"),
        ("s_disen = 0.2", "s_disen = nan", "Table 1, ganspace, centred: .*finite number"),
        ("s_disen = 0.2 ", "", "Table 1, ganspace, centred: .*at least 1"),
        ("spread = { s_disen", "spread = { s_disne", "Table 1, sefa: .*without a value: s_disne"),
        ('origin = "paper"', 'origin = "rumour"', "Table 1: tables.0..origin: .*'paper'"),
        ('dataset = "ffhq"\n', "", r"Table 1: tables\[0\].dataset: Field required"),
        ("protocol =", "protokol =", "Table 1: "),
        ('url = "https', 'url = "ftp', "url: "),
        ("rows = [", "rows = ", "no TOML"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, old, new, message):
    assert old in SOURCE
    path = tmp_path / "paper.toml"
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        read_reported(path)
    assert str(path) in str(caught.value)
