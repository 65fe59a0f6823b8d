"""Numbers from papers: all of them load, and a wrong entry is named."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest

from bench.catalog import lookup
from bench.errors import UnknownName
from leaderboard.claims import load_claims
from leaderboard.reported import FOLDER, load_reported, read_reported

# The papers of the five tracks, by the files of their numbers.
PAPERS = {
    "infonce-editing": "Contrastive Representation Learning For Image Attribute Manipulation",
    "crg": "Semi-supervised Image Attribute Editing using Generative Adversarial Networks",
    "icgan-editing": "Image Editing with Invertible Conditional GANs",
    "contrafeat": "ContraFeat: Contrasting Deep Features for Semantic Discovery",
    "infoscc": "Information-theoretic stochastic contrastive conditional GAN: InfoSCC-GAN",
}

# What the tracks, and `bench score contrast`, call their scores, without what follows a colon.
SCORES = {
    "discovery": {"s_disen", "n_discov", "contrafeat_loss_pure", "contrafeat_loss_mixed"},
    "reconstruction": {"fid", "dhash", "phash", "whash", "mae", "mse"},
    "editing": {"accuracy", "f1_macro", "hamming_accuracy", "next_class_accuracy"},
    "conditional": {"fid", "tsne_chamfer", "own_control_accuracy"},
    "disentanglement": {"fvm", "mig", "dci.disentanglement"},
}

SOURCE = """
paper = "A Paper"
citation = "Somebody, 2020"
url = "https://example.org"
track = "discovery"
no_page = "a web page"

[elsewhere]
ganspace = "a method of others"

[[tables]]
table = "Table 1"
origin = "paper"
dataset = "ffhq"
protocol = "single runs"
identity = { directions = 30 }
metric_identity.n_discov = { attributes = 24 }
rows = [
  { method = "sefa", values = { s_disen = 0.3, n_discov = 9 }, spread = { s_disen = 0.01 } },
  { method = "ganspace", variant = "centred", values = { s_disen = 0.2 } },
]
"""


def test_every_number_says_where_it_stands_and_stands_once():
    numbers = load_reported()
    keys = Counter(
        (one.paper, one.table, one.dataset, one.method, one.variant, one.metric) for one in numbers
    )
    assert [key for key, times in keys.items() if times > 1] == []
    for one in numbers:
        assert one.table
        assert (one.page is None) == bool(one.no_page)
    for name, title in PAPERS.items():
        assert {one.paper for one in read_reported(FOLDER / f"{name}.toml")} == {title}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_names_are_the_suites_or_explained(path):
    explained = tomllib.loads(path.read_text("utf-8")).get("elsewhere", {})
    for one in read_reported(path):
        for kind, name in (("methods", one.method), ("datasets", one.dataset)):
            assert name in explained or lookup(kind, name)
        known = one.metric.partition(":")[0] in SCORES[one.track]
        assert known != (one.metric in explained), one.metric
    for name, meaning in explained.items():
        kind = meaning.partition(":")[0]
        if kind != "metric":
            with pytest.raises(UnknownName):
                lookup(f"{kind}s", name)


def test_contrafeat_as_its_sources_print_it():
    numbers = read_reported(FOLDER / "contrafeat.toml")
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
    numbers = read_reported(FOLDER / "crg.toml")
    assert len(numbers) == 4 + 8 * 5
    found = {(one.method, one.variant, one.metric): one for one in numbers}
    assert found["crg", "128 latents", "fid"].value == 9.4
    assert found["alpha-gan", "", "whash"].value == 0.855
    for method in {one.method for one in numbers if one.metric == "mse"}:
        error = found[method, "", "mse"]
        assert error.value < found[method, "", "mae"].value ** 2
        assert "cannot be on one scale" in error.protocol


def test_infoscc_with_the_fid_that_stands_twice():
    numbers = read_reported(FOLDER / "infoscc.toml")
    assert len(numbers) == (2 + 5) + (2 + 10) + (2 + 15) + 6 * 3 + 2
    found = {(one.table, one.method, one.variant, one.metric): one for one in numbers}
    assert len(found) == len(numbers)
    accuracy = found["Table 3", "infoscc", "15 attributes", "own_control_accuracy:Narrow_Eyes"]
    assert (accuracy.value, accuracy.dataset, accuracy.page) == (0.7422, "celeba", 5)
    assert accuracy.identity == {"size": 128, "attributes": 15, "threshold": 0.2}
    best = "discriminator=patch, loss=lsgan"
    assert found["Table 4", "infoscc", best, "tsne_chamfer:own.infoscc"].value == 3645
    doubtful = [one for one in numbers if one.metric == "fid" and one.value == 29.02]
    assert {one.method for one in doubtful} == {"infoscc", "eigengan"}
    assert "copying error" in doubtful[-1].protocol


def _reported(paper: str) -> dict[tuple[str, str, str], float]:
    numbers = read_reported(FOLDER / f"{paper}.toml")
    return {(one.method, one.variant, one.metric): one.value for one in numbers}


def _variant(side, paper) -> str:
    if side.method == "eigengan":  # as it was trained, in words
        return "discriminator=global, loss=hinge"
    settings = paper.defaults.get("paper", {}).get(side.method, {}) | side.settings
    return ", ".join(f"{key}={settings[key]}" for key in sorted(settings))


def test_claims_hold_in_their_papers_numbers_but_for_what_a_text_says_against_its_table():
    contrary, checked = set(), 0
    for name in ("infonce-editing", "infoscc"):
        paper, reported = load_claims()[name], _reported(name)
        for claim in paper.claims:
            for metric in claim.metrics:
                left, *others = (
                    reported.get((side.method, _variant(side, paper), metric))
                    for side in (claim.left, *claim.right)
                )
                if left is None or None in others:
                    continue
                checked += 1
                if any((left > other) != (claim.relation == "higher") for other in others):
                    contrary.add((claim.says, metric))
    assert checked == 7 + 7
    assert contrary == {
        ("InfoNCE improves StarGAN", "accuracy"),
        ("InfoNCE improves StarGAN", "f1_macro"),
        ("InfoNCE improves AttGAN in F1 too", "f1_macro"),
    }


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
    assert [one.identity.get("attributes") for one in numbers] == [None, 24, None]
    assert {(one.page, one.no_page) for one in numbers} == {(None, "a web page")}
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
        ('no_page = "a web page"\n', "", "no page, and no no_page that says why: Table 1"),
        ('table = "Table 1"', 'table = "Table 1"\npage = 4', "though all tables have a page"),
        ("ganspace = ", "GANSpace = ", "elsewhere explains what no table names: GANSpace"),
        ("identity.n_discov", "identity.n_disco", "Table 1: .*without a value: n_disco"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, old, new, message):
    assert old in SOURCE
    path = tmp_path / "paper.toml"
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        read_reported(path)
    assert str(path) in str(caught.value)
